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
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

OWNER, NAME = "owner", "lab"
BOT = "github-actions[bot]"
MAX_BODY = 65_536
MAX_SUMMARY = 65_535
ACTIONS = {"slug": "github-actions", "id": 15368, "name": "GitHub Actions"}
CHECK, JOB = "fair trial", "Train and collect"
SECONDARY_LIMIT = "You have exceeded a secondary rate limit."  # comes without Retry-After
LOCKED = "Unable to create comment because issue is locked."
CONCLUSIONS = (
    "success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required",
)  # fmt: skip


class RefusedError(Exception):
    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def repository(
    owner: str = OWNER, number: int = 1, name: str = NAME, default_branch: str = "main"
) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "full_name": f"{owner}/{name}",
        "owner": {"login": owner, "id": number, "type": "User"},
        "private": False,
        "fork": owner != OWNER,
        "default_branch": default_branch,
        "html_url": f"https://github.com/{owner}/{name}",
    }


def stamp(time: datetime) -> str:
    """A time as GitHub writes it, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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

    def __init__(self, default_branch: str = "main") -> None:
        self.repository = repository(default_branch=default_branch)
        self.pulls: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.checks: list[dict[str, Any]] = []
        self.label_events: list[dict[str, Any]] = []
        self.permissions = {OWNER: "admin"}
        self.runs: list[dict[str, Any]] = []
        self.jobs: dict[int, list[dict[str, Any]]] = {}  # of runs; without: one that measured
        self.artifacts: list[dict[str, Any]] = []
        self.dispatches: list[dict[str, Any]] = []
        self.dispatchable = {
            "cml.yaml": ["base"],
            "image.yaml": ["run", "tag", "push"],
        }  # the inputs of workflows that can be
        self.blobs: dict[str, bytes] = {}
        self.trees: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, Any]] = {}
        self.refs: dict[str, str] = {}
        self.tags: set[str] = set()
        self.releases: list[dict[str, Any]] = []
        self.latest = 0  # the id of the release that is called so
        self.assets: dict[int, bytes] = {}
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self.forbidden: list[str] = []  # patterns of "METHOD path" that the token may not do
        self.may_open_pulls = True  # a setting that is off unless somebody turns it on
        self.reopens_checks = True  # whether a completed check run may be in progress again
        self.mergeable_after: dict[int, int] = {}  # how often it is not known yet, by number
        # pattern, status, whether it was done; and GitHub's words, where these matter
        self.faults: list[tuple[str, int, bool] | tuple[str, int, bool, str]] = []
        self.before: dict[str, Any] = {}  # pattern to a function called once, before the request
        self.url = self.tls_url = ""
        self._time = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

    def now(self) -> str:
        """The time, a second after what was last asked for."""
        self._time += timedelta(seconds=1)
        return stamp(self._time)

    # --- what happened at GitHub before a workflow runs

    def add_pull(
        self,
        number: int,
        sha: str,
        branch: str = "change",
        head: Any = None,
        base: str = "main",
        **more: Any,
    ) -> dict[str, Any]:
        source, time = head or self.repository, self.now()
        pull = {
            "number": number,
            "state": "open",
            "title": f"Pull request {number}",
            "draft": False,
            "locked": False,
            "merged": False,
            "head": {
                "label": f"{source['owner']['login']}:{branch}",
                "ref": branch, "sha": sha, "repo": source,
            },
            "base": {
                "label": f"{OWNER}:{base}", "ref": base, "sha": "b" * 40, "repo": self.repository,
            },
            "labels": [],
            "user": {"login": "somebody", "id": 5, "type": "User"},
            "merge_commit_sha": None,
            "mergeable": True,
            "created_at": time,
            "updated_at": time,
            "html_url": f"https://github.com/{OWNER}/{NAME}/pull/{number}",
            **more,
        }  # fmt: skip
        self.pulls.append(pull)
        return pull

    def pull(self, number: int) -> dict[str, Any]:
        return next(one for one in self.pulls if one["number"] == number)

    def add_run(
        self, number: int, pull: dict[str, Any], archive: bytes | None, **more: Any
    ) -> dict[str, Any]:
        """The finished run of a pull request's head; returns the event of `workflow_run`."""
        time = "2026-11-21T10:00:00Z"
        run = {
            "id": number,
            "name": "cml",
            "path": ".github/workflows/cml.yaml",
            "event": "pull_request",
            "status": "completed",
            "conclusion": "success",
            "head_sha": pull["head"]["sha"],
            "head_branch": pull["head"]["ref"],
            "head_repository": pull["head"]["repo"],
            "repository": self.repository,
            "run_attempt": 1,
            "html_url": f"https://github.com/{OWNER}/{NAME}/actions/runs/{number}",
            "created_at": time,
            "run_started_at": time,
            "updated_at": time,
            "pull_requests": [],
            **more,
        }
        self.runs.append(run)
        if archive is not None:
            self.add_artifact(number, number * 10, archive)
        return {"action": "completed", "workflow_run": run, "repository": self.repository}

    def add_artifact(
        self, run: int, number: int, archive: bytes, name: str = "report", time: str = ""
    ) -> dict[str, Any]:
        time = time or "2026-11-21T10:00:00Z"
        artifact = {
            "id": number,
            "name": name,
            "size_in_bytes": len(archive),
            "expired": False,
            "created_at": time,
            "expires_at": stamp(datetime.fromisoformat(time) + timedelta(days=90)),
            "workflow_run": {"id": run},
            "archive": archive,
        }
        self.artifacts.append(artifact)
        return artifact

    def add_job(
        self, run: dict[str, Any], name: str = JOB, conclusion: str | None = "success", **more: Any
    ) -> dict[str, Any]:
        """A job of a run's newest attempt; without a conclusion it has not ended."""
        number = run["id"] * 1000 + len(self.jobs.get(run["id"], [])) + 1
        job = {
            "id": number,
            "run_id": run["id"],
            "run_attempt": run["run_attempt"],
            "name": name,
            "head_sha": run["head_sha"],
            "status": "completed" if conclusion else "in_progress",
            "conclusion": conclusion,
            "started_at": run["run_started_at"],
            "completed_at": run["updated_at"] if conclusion else None,
            "html_url": f"{run['html_url']}/job/{number}",
            **more,
        }
        self.jobs.setdefault(run["id"], []).append(job)
        return job

    def add_job_check(self, sha: str, name: str, conclusion: str | None) -> dict[str, Any]:
        """The check run that each job of a workflow has, whoever wrote that workflow."""
        body = {"name": name, "head_sha": sha, "external_id": f"job-of-{name}"}
        return self._add_check({**body, **_status(conclusion)})

    def conclusion(self, sha: str, name: str = CHECK) -> str | None:
        """What a rule that requires this check goes by: the newest run; None while it waits."""
        found = [one for one in self.checks if (one["head_sha"], one["name"]) == (sha, name)]
        return found[-1]["conclusion"] if found else None

    def add_label(
        self, pull: dict[str, Any], login: str, time: str = "", name: str = ""
    ) -> dict[str, Any]:
        """Sets a label; returns the event of `pull_request_target`."""
        name = name or "accept-regression"
        pull["labels"].append({"id": 1, "name": name})
        return self._labeled(pull, login, time, name, "labeled")

    def remove_label(
        self, pull: dict[str, Any], login: str, time: str = "", name: str = ""
    ) -> dict[str, Any]:
        name = name or "accept-regression"
        pull["labels"] = [one for one in pull["labels"] if one["name"] != name]
        return self._labeled(pull, login, time, name, "unlabeled")

    def _labeled(self, pull, login, time, name, action):
        time = time or self.now()
        pull["updated_at"] = time
        self.label_events.append(
            {
                "id": len(self.label_events) + 1,
                "event": action,
                "actor": {"login": login},
                "label": {"name": name},
                "created_at": time,
                "issue": pull["number"],
            }
        )
        return {
            "action": action,
            "number": pull["number"],
            "label": {"name": name},
            "pull_request": pull,
            "repository": self.repository,
            "sender": {"login": login},
        }

    def add_comment(self, body: str, login: str = "somebody", number: int = 7) -> dict[str, Any]:
        identity = len(self.comments) + 1
        page = f"https://github.com/{OWNER}/{NAME}/pull/{number}"
        comment = {
            "id": identity,
            "body": body,
            "user": {"login": login, "type": "Bot" if login == BOT else "User"},
            "html_url": f"{page}#issuecomment-{identity}",
            "issue_url": f"https://api.github.com/repos/{OWNER}/{NAME}/issues/{number}",
        }
        self.comments.append(comment)
        return comment

    def conversation(self, number: int) -> list[dict[str, Any]]:
        """The comments of a pull request."""
        return [one for one in self.comments if one["issue_url"].endswith(f"/issues/{number}")]

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
                return getattr(self, found)(query, body, *matched.groups())
        raise RefusedError(404, "Not Found")

    def get_repository(self, query, body):
        return 200, self.repository

    def list_pulls(self, query, body):
        state = query.get("state", "open")
        found = [pull for pull in self.pulls if state in (pull["state"], "all")]
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
        hidden = ("mergeable", "merged")  # a list does not say
        return 200, [
            {key: value for key, value in pull.items() if key not in hidden} for pull in found
        ]

    def get_pull(self, query, body, number):
        pull = self._pull(number)
        left = self.mergeable_after.get(int(number), 0)
        if left and pull["state"] == "open":
            self.mergeable_after[int(number)] = left - 1
            return 200, {**pull, "mergeable": None, "mergeable_state": "unknown"}
        states = {True: "clean", False: "dirty", None: "unknown"}
        return 200, {**pull, "mergeable_state": states[pull["mergeable"]]}

    def _pull(self, number):
        for pull in self.pulls:
            if pull["number"] == int(number):
                return pull
        raise RefusedError(404, "Not Found")

    def open_pull(self, query, body):
        if not self.may_open_pulls:
            refusal = "GitHub Actions is not permitted to create or approve pull requests."
            raise RefusedError(403, refusal)
        if body["head"] not in self.refs:
            raise RefusedError(422, "Validation Failed")
        sha = self.refs[body["head"]]
        pull = self.add_pull(len(self.pulls) + 100, sha, body["head"], base=body["base"])
        return 201, pull

    def merge_pull(self, query, body, number):
        pull = self._pull(number)
        if pull["state"] != "open" or pull["mergeable"] is False:
            raise RefusedError(405, "Pull Request is not mergeable")
        if body.get("sha", pull["head"]["sha"]) != pull["head"]["sha"]:
            raise RefusedError(409, "Head branch was modified. Review and try the merge again.")
        merged = self._merged(pull)
        pull.update(state="closed", merged=True, merge_commit_sha=merged, updated_at=self.now())
        return 200, {"sha": merged, "merged": True, "message": "merged"}

    def _merged(self, pull):
        self.refs[pull["base"]["ref"]] = pull["head"]["sha"]
        return pull["head"]["sha"]

    def list_issues(self, query, body):
        found = [one for one in self.issues if one["state"] == query.get("state", "open")]
        if "creator" in query:
            found = [one for one in found if one["user"]["login"] == query["creator"]]
        return 200, found[::-1]  # the newest first

    def add_issue(self, title: str, body: str, login: str = "somebody") -> dict[str, Any]:
        number = 1_000 + len(self.issues)
        issue = {
            "number": number,
            "state": "open",
            "state_reason": None,
            "title": title,
            "body": body,
            "user": {"login": login, "type": "Bot" if login == BOT else "User"},
            "html_url": f"https://github.com/{OWNER}/{NAME}/issues/{number}",
        }
        self.issues.append(issue)
        return issue

    def create_issue(self, query, body):
        self._check_body(body)
        return 201, self.add_issue(body["title"], body["body"], BOT)

    def edit_issue(self, query, body, number):
        self._check_body({"body": "", **body})
        for issue in self.issues:
            if issue["number"] == int(number):
                issue.update(body)
                return 200, issue
        raise RefusedError(404, "Not Found")

    def list_comments(self, query, body, number):
        return 200, self.conversation(int(number))

    def create_comment(self, query, body, number):
        self._check_body(body)
        self._check_lock(int(number))
        return 201, self.add_comment(body["body"], BOT, int(number))

    def edit_comment(self, query, body, number):
        self._check_body(body)
        (comment,) = [one for one in self.comments if one["id"] == int(number)]
        self._check_lock(int(comment["issue_url"].rpartition("/")[2]))
        comment["body"] = body["body"]
        return 200, comment

    def _check_body(self, body):
        if len(body["body"]) > MAX_BODY:
            raise RefusedError(422, "Validation Failed")

    def _check_lock(self, number):
        if any(one["locked"] for one in self.pulls if one["number"] == number):
            raise RefusedError(403, LOCKED)

    def create_check(self, query, body):
        if not {"name", "head_sha"} <= set(body):
            raise RefusedError(422, "Invalid request.")
        self._check_check(body)
        return 201, self._add_check(body)

    def _check_check(self, body):
        output, status = body.get("output"), body.get("status")
        is_right = (
            ("conclusion" not in body or body["conclusion"] in CONCLUSIONS)
            and status in (None, "queued", "in_progress", "completed")
            and (status != "completed" or "conclusion" in body)
            and (output is None or {"title", "summary"} <= set(output))
            and len((output or {}).get("summary", "")) <= MAX_SUMMARY
        )
        if not is_right:
            raise RefusedError(422, "Invalid request.")

    def _add_check(self, body):
        number = len(self.checks) + 1
        check = {
            "id": number,
            "external_id": "",
            "status": "queued",
            "conclusion": None,
            "started_at": self.now(),
            "completed_at": None,
            "html_url": f"https://github.com/{OWNER}/{NAME}/runs/{number}",
            "details_url": f"https://github.com/{OWNER}/{NAME}/runs/{number}",
            "output": {"title": None, "summary": None},
            "app": ACTIONS,
        }
        self.checks.append(check)
        return self._edited(check, body)

    def edit_check(self, query, body, number):
        for check in self.checks:
            if check["id"] == int(number):
                self._check_check(body)
                return 200, self._edited(check, body)
        raise RefusedError(404, "Not Found")

    def _edited(self, check, body):
        """A conclusion completes it; GitHub may leave a completed one as it is."""
        given = dict(body)
        if given.get("conclusion"):
            given["status"] = "completed"
            check["completed_at"] = given.pop("completed_at", self.now())
        elif given.get("status") in ("queued", "in_progress") and check["status"] == "completed":
            if self.reopens_checks:
                check.update(conclusion=None, completed_at=None)
            else:
                del given["status"]
        check.update(given)
        return check

    def list_checks(self, query, body, sha):
        found = [
            one
            for one in reversed(self.checks)
            if one["head_sha"] == sha
            and query.get("check_name", one["name"]) == one["name"]
            and query.get("status", one["status"]) == one["status"]
        ]
        if query.get("filter", "latest") == "latest":
            newest = {(one["app"]["id"], one["name"]): one for one in reversed(found)}
            found = [one for one in found if one in newest.values()]
        return 200, {"total_count": len(found), "check_runs": found}

    def list_events(self, query, body, number):
        return 200, [
            {key: value for key, value in one.items() if key != "issue"}
            for one in self.label_events
            if one["issue"] == int(number)
        ]

    def permission(self, query, body, login):
        if unquote(login) not in self.permissions:
            raise RefusedError(404, f"{login} is not a user")
        return 200, {"permission": self.permissions[unquote(login)], "user": {"login": login}}

    def list_runs(self, query, body, workflow=None):
        """The newest first; other filters than these are ignored, as GitHub does."""
        found = [
            run
            for run in self.runs
            if query.get("head_sha", run["head_sha"]) == run["head_sha"]
            and query.get("event", run["event"]) == run["event"]
            and query.get("status", run["status"]) in (run["status"], run["conclusion"])
            and query.get("branch", run["head_branch"]) == run["head_branch"]
            and run["created_at"] >= query.get("created", "").removeprefix(">=")
            and workflow in (None, run["path"].rpartition("/")[2])
        ]
        found.sort(key=lambda run: (run["created_at"], run["id"]), reverse=True)
        return 200, {"total_count": len(found), "workflow_runs": found}

    def get_run(self, query, body, number):
        return 200, self._run(number)

    def _run(self, number):
        for run in self.runs:
            if run["id"] == int(number):
                return run
        raise RefusedError(404, "Not Found")

    def list_jobs(self, query, body, number):
        run = self._run(number)
        if run["id"] not in self.jobs:
            done = run["conclusion"] if run["status"] == "completed" else None
            self.add_job(run, conclusion=done)
        found = self.jobs[run["id"]]
        if query.get("filter", "latest") == "latest":
            found = [one for one in found if one["run_attempt"] == run["run_attempt"]]
        return 200, {"total_count": len(found), "jobs": found}

    def list_artifacts(self, query, body, number):
        found = [
            {key: value for key, value in one.items() if key != "archive"}
            for one in self.artifacts
            if one["workflow_run"]["id"] == int(number)
            and query.get("name", one["name"]) == one["name"]
        ]
        return 200, {"total_count": len(found), "artifacts": found}

    def download(self, query, body, number):
        if any(one["expired"] for one in self.artifacts if one["id"] == int(number)):
            raise RefusedError(410, "Artifact has expired")
        port = urlsplit(self.url).port
        raise RefusedError(302, "", {"Location": f"http://localhost:{port}/blob/{number}?sig=x"})

    def dispatch(self, query, body, workflow):
        if not any(run["path"].endswith(f"/{workflow}") for run in self.runs) and (
            workflow not in self.dispatchable
        ):
            raise RefusedError(404, "Not Found")
        if workflow not in self.dispatchable:
            raise RefusedError(422, "Workflow does not have 'workflow_dispatch' trigger")
        if body["ref"].removeprefix("refs/heads/") not in {*self.refs, *self.tags}:
            raise RefusedError(422, f"No ref found for: {body['ref']}")
        inputs = body.get("inputs", {})
        if unexpected := [name for name in inputs if name not in self.dispatchable[workflow]]:
            raise RefusedError(422, f"Unexpected inputs provided: {json.dumps(unexpected)}")
        self.dispatches.append({"workflow": workflow, "ref": body["ref"], "inputs": inputs})
        return 204, None

    # --- releases: docs.github.com/en/rest/releases, and /assets

    def list_releases(self, query, body):
        """The newest first; drafts are shown to who may write."""
        return 200, [self._release(one) for one in reversed(self.releases)]

    def latest_release(self, query, body):
        for one in self.releases:
            if one["id"] == self.latest:
                return 200, self._release(one)
        raise RefusedError(404, "Not Found")

    def create_release(self, query, body):
        if "tag_name" not in body:
            raise RefusedError(422, "Invalid request.")
        if any(one["tag_name"] == body["tag_name"] and not one["draft"] for one in self.releases):
            raise RefusedError(422, "Validation Failed")  # already_exists; drafts may be many
        number = 1 + max((one["id"] for one in self.releases), default=0)
        root = f"/repos/{OWNER}/{NAME}/releases/{number}/assets"
        release = {
            "id": number,
            "tag_name": body["tag_name"],
            "target_commitish": body.get("target_commitish", self.repository["default_branch"]),
            "name": body.get("name", ""),
            "body": body.get("body", ""),
            "draft": body.get("draft", False),
            "prerelease": False,
            "upload_url": f"{self.url}/uploads{root}{{?name,label}}",
            "assets": [],
        }
        self.releases.append(release)
        return 201, self._released(release, body)

    def _released(self, release, body):
        if not release["draft"]:
            self.tags.add(release["tag_name"])  # it is made where there is none
            if body.get("make_latest", "true") == "true":
                self.latest = release["id"]
        return self._release(release)

    def _release(self, release):
        return {**release, "assets": [dict(one) for one in release["assets"]]}

    def _found(self, number):
        for one in self.releases:
            if one["id"] == int(number):
                return one
        raise RefusedError(404, "Not Found")

    def edit_release(self, query, body, number):
        release = self._found(number)
        known = ("tag_name", "name", "body", "draft", "prerelease")
        release.update({key: value for key, value in body.items() if key in known})
        return 200, self._released(release, body)

    def delete_release(self, query, body, number):
        self.releases.remove(self._found(number))
        return 204, None

    def list_assets(self, query, body, number):
        return 200, self._found(number)["assets"]

    def upload_asset(self, query, content, number):
        release, name = self._found(number), query.get("name", "")
        if any(one["name"] == name for one in release["assets"]):
            raise RefusedError(422, "Validation Failed")  # already_exists
        asset = {
            "id": len(self.assets) + 1,
            "name": name,
            "state": "starter",  # until all of it is there
            "size": 0,
            "digest": None,
        }
        release["assets"].append(asset)
        if content is None:
            raise RefusedError(502, "Server Error")
        self.assets[asset["id"]] = content
        asset.update(state="uploaded", size=len(content))
        asset["digest"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return 201, asset

    def delete_asset(self, query, body, number):
        for release in self.releases:
            for asset in release["assets"]:
                if asset["id"] == int(number):
                    release["assets"].remove(asset)
                    return 204, None
        raise RefusedError(404, "Not Found")

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
        ("GET", "", "get_repository"),
        ("GET", "pulls", "list_pulls"),
        ("POST", "pulls", "open_pull"),
        ("GET", r"pulls/(\d+)", "get_pull"),
        ("PUT", r"pulls/(\d+)/merge", "merge_pull"),
        ("GET", r"issues", "list_issues"),
        ("POST", r"issues", "create_issue"),
        ("PATCH", r"issues/(\d+)", "edit_issue"),
        ("GET", r"issues/(\d+)/comments", "list_comments"),
        ("POST", r"issues/(\d+)/comments", "create_comment"),
        ("PATCH", r"issues/comments/(\d+)", "edit_comment"),
        ("GET", r"issues/(\d+)/events", "list_events"),
        ("POST", "check-runs", "create_check"),
        ("PATCH", r"check-runs/(\d+)", "edit_check"),
        ("GET", r"commits/([0-9a-f]{40})/check-runs", "list_checks"),
        ("GET", "collaborators/([^/]+)/permission", "permission"),
        ("GET", "actions/runs", "list_runs"),
        ("GET", r"actions/runs/(\d+)", "get_run"),
        ("GET", r"actions/runs/(\d+)/jobs", "list_jobs"),
        ("GET", r"actions/runs/(\d+)/artifacts", "list_artifacts"),
        ("GET", r"actions/artifacts/(\d+)/zip", "download"),
        ("GET", "actions/workflows/([^/]+)/runs", "list_runs"),
        ("POST", "actions/workflows/([^/]+)/dispatches", "dispatch"),
        ("GET", "releases", "list_releases"),
        ("POST", "releases", "create_release"),
        ("GET", "releases/latest", "latest_release"),
        ("PATCH", r"releases/(\d+)", "edit_release"),
        ("DELETE", r"releases/(\d+)", "delete_release"),
        ("GET", r"releases/(\d+)/assets", "list_assets"),
        ("POST", r"uploads/releases/(\d+)/assets", "upload_asset"),
        ("DELETE", r"releases/assets/(\d+)", "delete_asset"),
        ("GET", "git/ref/heads/(.+)", "get_ref"),
        ("POST", "git/refs", "create_ref"),
        ("PATCH", "git/refs/heads/(.+)", "edit_ref"),
        ("POST", "git/blobs", "create_blob"),
        ("POST", "git/trees", "create_tree"),
        ("GET", "git/trees/([0-9a-f]+)", "get_tree"),
        ("POST", "git/commits", "create_commit"),
        ("GET", "git/commits/([0-9a-f]+)", "get_commit"),
    ]
]


def _status(conclusion: str | None) -> dict[str, str]:
    if conclusion is None:
        return {"status": "in_progress"}
    return {"status": "completed", "conclusion": conclusion}


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


def _json(found: Any) -> bytes:
    return json.dumps(found).encode()


def _handler(github: GitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if address.path.startswith("/blob/"):
                self._blob(int(address.path.split("/")[-1]))
                return
            root = f"/repos/{OWNER}/{NAME}"
            path = address.path.removeprefix("/api/v3").removeprefix(root).removeprefix("/")
            if is_upload := path.startswith("uploads/"):  # at a host of its own
                path = path.replace(f"{root.removeprefix('/')}/", "")
            asked = f"{self.command} {path}"
            github.requests.append(asked)
            github.tokens.append(self.headers.get("Authorization", ""))
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            try:
                fault = next((f for f in github.faults if re.fullmatch(f[0], asked)), None)
                if fault:
                    github.faults.remove(fault)
                if fault is None or fault[2]:
                    given = json.loads(body) if body and not is_upload else body or None
                    status, found = github.answer(self.command, path, query, given)
                if fault:
                    raise RefusedError(fault[1], fault[3] if len(fault) > 3 else "Server Error")
                self._send(status, b"" if status == 204 else _json(_page(found, query)))
            except RefusedError as refused:
                self._send(refused.status, _json({"message": refused.message}), refused.headers)

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

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
