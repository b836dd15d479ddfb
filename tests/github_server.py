"""A stand-in for GitHub on loopback: the calls that reports make, in GitHub's own shapes.

Checked against the reference of the REST API, version 2022-11-28: paths, pagination (30 entries
unless `per_page` asks for up to 100), status codes, messages of refusals, the redirection of an
artifact's download to a host that refuses GitHub's token, and a filter `head` that is ignored when
it is not `owner:branch`.
"""

import base64
import contextlib
import hashlib
import io
import json
import re
import ssl
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

OWNER, NAME = "owner", "lab"
BOT = "github-actions[bot]"
MAX_BODY = 65_536


class RefusedError(Exception):
    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def repository(owner: str = OWNER, number: int = 1, name: str = NAME) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "full_name": f"{owner}/{name}",
        "owner": {"login": owner, "id": number, "type": "User"},
        "fork": owner != OWNER,
    }


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file as actions/upload-artifact makes it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def digest(*parts: Any) -> str:
    return blob_name(json.dumps(parts, sort_keys=True).encode())


def blob_name(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


class GitHub:
    """One repository and what is asked of it; tests set and read its fields."""

    def __init__(self) -> None:
        self.pulls: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.checks: list[dict[str, Any]] = []
        self.label_events: list[dict[str, Any]] = []
        self.permissions = {OWNER: "admin"}
        self.runs: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.blobs: dict[str, bytes] = {}
        self.trees: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, Any]] = {}
        self.refs: dict[str, str] = {}
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self.forbidden: list[str] = []  # patterns of "METHOD path" that the token may not do
        self.faults: list[tuple[str, int, bool]] = []  # pattern, status, whether it was done
        self.before: dict[str, Any] = {}  # pattern to a function called once, before the request
        self.url = self.tls_url = ""

    # --- what happened at GitHub before a workflow runs

    def add_pull(
        self, number: int, sha: str, branch: str = "change", head: Any = None, base: str = "main"
    ) -> dict[str, Any]:
        pull = {
            "number": number,
            "state": "open",
            "head": {"ref": branch, "sha": sha, "repo": head or repository()},
            "base": {"ref": base, "sha": "b" * 40, "repo": repository()},
            "labels": [],
            "user": {"login": "somebody", "id": 5, "type": "User"},
        }
        self.pulls.append(pull)
        return pull

    def add_run(self, number: int, pull: dict[str, Any], archive: bytes | None) -> dict[str, Any]:
        """The finished run of a pull request's head; returns the event of `workflow_run`."""
        run = {
            "id": number,
            "name": "cml",
            "event": "pull_request",
            "status": "completed",
            "conclusion": "success",
            "head_sha": pull["head"]["sha"],
            "head_branch": pull["head"]["ref"],
            "head_repository": pull["head"]["repo"],
            "repository": repository(),
            "html_url": f"https://github.com/{OWNER}/{NAME}/actions/runs/{number}",
            "created_at": "2026-11-21T10:00:00Z",
            "pull_requests": [],
        }
        self.runs.append(run)
        if archive is not None:
            self.add_artifact(number, number * 10, archive)
        return {"action": "completed", "workflow_run": run, "repository": repository()}

    def add_artifact(self, run: int, number: int, archive: bytes, name: str = "report") -> None:
        self.artifacts.append(
            {
                "id": number,
                "name": name,
                "size_in_bytes": len(archive),
                "expired": False,
                "workflow_run": {"id": run},
                "archive": archive,
            }
        )

    def add_label(self, pull: dict[str, Any], login: str, time: str, name: str = "") -> None:
        name = name or "accept-regression"
        pull["labels"].append({"id": 1, "name": name})
        event = {"event": "labeled", "actor": {"login": login}, "label": {"name": name}}
        self.label_events.append({**event, "created_at": time})

    def add_comment(self, body: str, login: str = "somebody") -> dict[str, Any]:
        number = len(self.comments) + 1
        comment = {
            "id": number,
            "body": body,
            "user": {"login": login, "type": "Bot" if login == BOT else "User"},
            "html_url": f"https://github.com/{OWNER}/{NAME}/pull/7#issuecomment-{number}",
        }
        self.comments.append(comment)
        return comment

    def files(self, branch: str) -> dict[str, bytes]:
        """What a branch holds."""
        tree = self.trees[self.commits[self.refs[branch]]["tree"]]
        return {path: self.blobs[blob] for path, blob in tree.items()}

    # --- requests

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        for pattern in list(self.before):
            if re.fullmatch(pattern, f"{method} {path}"):
                self.before.pop(pattern)()
        if any(re.fullmatch(pattern, f"{method} {path}") for pattern in self.forbidden):
            raise RefusedError(403, "Resource not accessible by integration")
        for pattern, found in _ROUTES:
            if matched := re.fullmatch(pattern, f"{method} {path}"):
                return found(self, query, body, *matched.groups())
        raise RefusedError(404, "Not Found")

    def list_pulls(self, query, body):
        found = [pull for pull in self.pulls if query.get("state") in (pull["state"], "all")]
        owner, separator, branch = query.get("head", "").partition(":")
        if separator and owner and branch:
            found = [
                pull
                for pull in found
                if pull["head"]["ref"] == branch
                and (pull["head"]["repo"] or {}).get("owner", {}).get("login") == owner
            ]
        if "base" in query:
            found = [pull for pull in found if pull["base"]["ref"] == query["base"]]
        return 200, found

    def open_pull(self, query, body):
        if body["head"] not in self.refs:
            raise RefusedError(422, "Validation Failed")
        sha = self.refs[body["head"]]
        pull = self.add_pull(len(self.pulls) + 100, sha, body["head"], base=body["base"])
        return 201, pull

    def merge_pull(self, query, body, number):
        (pull,) = [one for one in self.pulls if one["number"] == int(number)]
        if body["sha"] != pull["head"]["sha"]:
            raise RefusedError(409, "Head branch was modified. Review and try the merge again.")
        pull["state"] = "closed"
        self.refs[pull["base"]["ref"]] = pull["head"]["sha"]
        return 200, {"sha": pull["head"]["sha"], "merged": True, "message": "merged"}

    def list_comments(self, query, body, number):
        return 200, self.comments

    def create_comment(self, query, body, number):
        self._check_body(body)
        return 201, self.add_comment(body["body"], BOT)

    def edit_comment(self, query, body, number):
        self._check_body(body)
        (comment,) = [one for one in self.comments if one["id"] == int(number)]
        comment["body"] = body["body"]
        return 200, comment

    def _check_body(self, body):
        if len(body["body"]) > MAX_BODY:
            raise RefusedError(422, "Validation Failed")

    def create_check(self, query, body):
        if body["conclusion"] not in ("success", "failure", "neutral"):
            raise RefusedError(422, "Invalid request.")
        self.checks.append(body)
        return 201, {"id": len(self.checks), **body}

    def list_events(self, query, body, number):
        return 200, self.label_events

    def permission(self, query, body, login):
        if unquote(login) not in self.permissions:
            raise RefusedError(404, f"{login} is not a user")
        return 200, {"permission": self.permissions[unquote(login)], "user": {"login": login}}

    def list_runs(self, query, body):
        found = [run for run in self.runs if run["head_sha"] == query["head_sha"]]
        return 200, {"total_count": len(found), "workflow_runs": found}

    def list_artifacts(self, query, body, number):
        found = [
            {key: value for key, value in one.items() if key != "archive"}
            for one in self.artifacts
            if one["workflow_run"]["id"] == int(number)
            and query.get("name", one["name"]) == one["name"]
        ]
        return 200, {"total_count": len(found), "artifacts": found}

    def download(self, query, body, number):
        port = urlsplit(self.url).port
        raise RefusedError(302, "", {"Location": f"http://localhost:{port}/blob/{number}?sig=x"})

    def get_ref(self, query, body, branch):
        if unquote(branch) not in self.refs:
            raise RefusedError(404, "Not Found")
        sha = self.refs[unquote(branch)]
        return 200, {"ref": f"refs/heads/{branch}", "object": {"sha": sha, "type": "commit"}}

    def create_ref(self, query, body):
        branch = body["ref"].removeprefix("refs/heads/")
        if branch in self.refs:
            raise RefusedError(422, "Reference already exists")
        self.refs[branch] = body["sha"]
        return 201, {"ref": body["ref"], "object": {"sha": body["sha"]}}

    def edit_ref(self, query, body, branch):
        branch = unquote(branch)
        if branch not in self.refs:
            raise RefusedError(422, "Reference does not exist")
        if not body["force"] and not self._descends(body["sha"], self.refs[branch]):
            raise RefusedError(422, "Update is not a fast forward")
        self.refs[branch] = body["sha"]
        return 200, {"ref": f"refs/heads/{branch}", "object": {"sha": body["sha"]}}

    def _descends(self, sha, ancestor):
        return sha == ancestor or any(
            self._descends(parent, ancestor) for parent in self.commits[sha]["parents"]
        )

    def create_blob(self, query, body):
        content = base64.b64decode(body["content"])
        sha = blob_name(content)
        self.blobs[sha] = content
        return 201, {"sha": sha}

    def create_tree(self, query, body):
        files = dict(self.trees[body["base_tree"]]) if "base_tree" in body else {}
        for entry in body["tree"]:
            if entry["sha"] is None:
                del files[entry["path"]]
            else:
                files[entry["path"]] = entry["sha"]
        return 201, {"sha": self.add_tree(files)}

    def add_tree(self, files):
        sha = digest("tree", files)
        self.trees[sha] = files
        return sha

    def get_tree(self, query, body, sha):
        tree = self.trees[self.commits[sha]["tree"] if sha in self.commits else sha]
        listed = [{"path": path, "type": "blob", "sha": blob} for path, blob in tree.items()]
        return 200, {"sha": sha, "tree": listed, "truncated": False}

    def create_commit(self, query, body):
        return 201, {"sha": self.add_commit(body["tree"], body["parents"], body["message"])}

    def add_commit(self, tree, parents=(), message=""):
        sha = digest("commit", tree, list(parents), message)
        self.commits[sha] = {"tree": tree, "parents": list(parents), "message": message}
        return sha

    def get_commit(self, query, body, sha):
        if sha not in self.commits:
            raise RefusedError(404, "Not Found")
        return 200, {"sha": sha, "tree": {"sha": self.commits[sha]["tree"]}}


_ROUTES = [
    (rf"{method} {path}", found)
    for method, path, found in [
        ("GET", "pulls", GitHub.list_pulls),
        ("POST", "pulls", GitHub.open_pull),
        ("PUT", r"pulls/(\d+)/merge", GitHub.merge_pull),
        ("GET", r"issues/(\d+)/comments", GitHub.list_comments),
        ("POST", r"issues/(\d+)/comments", GitHub.create_comment),
        ("PATCH", r"issues/comments/(\d+)", GitHub.edit_comment),
        ("GET", r"issues/(\d+)/events", GitHub.list_events),
        ("POST", "check-runs", GitHub.create_check),
        ("GET", "collaborators/([^/]+)/permission", GitHub.permission),
        ("GET", "actions/runs", GitHub.list_runs),
        ("GET", r"actions/runs/(\d+)/artifacts", GitHub.list_artifacts),
        ("GET", r"actions/artifacts/(\d+)/zip", GitHub.download),
        ("GET", "git/ref/heads/(.+)", GitHub.get_ref),
        ("POST", "git/refs", GitHub.create_ref),
        ("PATCH", "git/refs/heads/(.+)", GitHub.edit_ref),
        ("POST", "git/blobs", GitHub.create_blob),
        ("POST", "git/trees", GitHub.create_tree),
        ("GET", "git/trees/([0-9a-f]+)", GitHub.get_tree),
        ("POST", "git/commits", GitHub.create_commit),
        ("GET", "git/commits/([0-9a-f]+)", GitHub.get_commit),
    ]
]


def _page(found: Any, query: dict[str, str]) -> Any:
    if isinstance(found, dict):
        return (
            {key: _page(value, query) for key, value in found.items()}
            if ("total_count" in found)
            else found
        )
    if not isinstance(found, list):
        return found
    size, number = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
    return found[(number - 1) * size : number * size]


def _handler(github: GitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if address.path.startswith("/blob/"):
                self._blob(int(address.path.split("/")[-1]))
                return
            root = f"/repos/{OWNER}/{NAME}/"
            path = address.path.removeprefix("/api/v3").removeprefix(root)
            asked = f"{self.command} {path}"
            github.requests.append(asked)
            github.tokens.append(self.headers.get("Authorization", ""))
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            try:
                fault = next((f for f in github.faults if re.fullmatch(f[0], asked)), None)
                if fault:
                    github.faults.remove(fault)
                if fault is None or fault[2]:
                    given = json.loads(body) if body else None
                    status, found = github.answer(self.command, path, query, given)
                if fault:
                    raise RefusedError(fault[1], "Server Error")
                self._send(status, json.dumps(_page(found, query)).encode())
            except RefusedError as refused:
                message = json.dumps({"message": refused.message}).encode()
                self._send(refused.status, message, refused.headers)

        do_POST = do_PATCH = do_PUT = do_GET

        def _blob(self, number: int) -> None:
            if "Authorization" in self.headers:
                self._send(400, b"the token was given to another host")
                return
            (found,) = [one for one in github.artifacts if one["id"] == number]
            self._send(200, found["archive"], {"Content-Type": "application/zip"})

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            kind = {"Content-Type": "application/json; charset=utf-8"}
            for key, value in {**kind, **(headers or {})}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # who had enough hangs up
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def serving(github: GitHub, tls: ssl.SSLContext | None = None) -> Iterator[GitHub]:
    """Serves it; `url` is what GITHUB_API_URL holds on a runner."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(github))
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    github.url = address
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
