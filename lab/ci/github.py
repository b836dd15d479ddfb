"""GitHub's REST API, as far as reports of pull requests need it.

Every request is bounded in time and size. One that fails for a reason that may pass (no connection,
429, 5xx) is repeated a few times; the calls made are safe to repeat, but for posting a comment,
whose caller looks first whether the last try arrived.

Source: https://docs.github.com/en/rest, API version 2022-11-28.
"""

import base64
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import requests

from lab.base.errors import LabError, shortened

API_VERSION = "2022-11-28"
TIMEOUT_SECONDS = (10.0, 30.0)  # to connect, and of silence
PAUSES_SECONDS = (1.0, 4.0, 15.0)  # before the second, third and fourth try
MAX_PAUSE_SECONDS = 30.0  # whatever Retry-After asks for
MAX_ANSWER_BYTES = 20 * 2**20
PAGE = 100  # entries of a list, the most that GitHub gives at once
MAX_PAGES = 30
CHUNK = 2**16
FILE_MODE = "100644"  # of git's trees: a plain file


class GitHubError(LabError):
    """GitHub cannot be reached or refuses; `status` is 0 when it did not answer."""

    def __init__(self, message: str, status: int = 0):
        super().__init__(message)
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in (0, 429) or self.status >= 500


@dataclasses.dataclass(frozen=True)
class Api:
    """A repository at GitHub; paths are below `/repos/OWNER/NAME/`."""

    repository: str
    token: str = dataclasses.field(repr=False)
    url: str = "https://api.github.com"
    pauses: Sequence[float] = PAUSES_SECONDS

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON at a path.

        Raises:
            GitHubError: there is none, or it may not be read.
        """
        return self._json("GET", path, query=query)

    def pages(self, path: str, key: str = "", **query: str | int) -> Iterator[Any]:
        """The entries of a list, page by page; `key` names the list where it is not the answer."""
        for page in range(1, MAX_PAGES + 1):
            answer = self.get(path, per_page=PAGE, page=page, **query)
            entries = answer[key] if key else answer
            yield from entries
            if len(entries) < PAGE:
                return

    def send(self, method: str, path: str, body: Mapping[str, Any], *, once: bool = False) -> Any:
        """Sends JSON and returns the JSON that comes back; `once` never repeats it.

        Raises:
            GitHubError: it is refused, or GitHub cannot be reached.
        """
        return self._json(method, path, body=body, tries=1 if once else None)

    def download(self, path: str, limit: int) -> bytes:
        """The bytes at a path, which GitHub may keep at another host.

        Raises:
            GitHubError: they cannot be had, or are more than `limit`.
        """
        return self._bytes("GET", path, limit=limit)

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        tries: int | None = None,
    ) -> Any:
        content = self._bytes(method, path, query=query, body=body, tries=tries)
        try:
            return json.loads(content)
        except ValueError:
            raise GitHubError(f"{method} {path}: GitHub's answer is no JSON") from None

    def _bytes(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        tries: int | None = None,
        limit: int = MAX_ANSWER_BYTES,
    ) -> bytes:
        pauses = [0.0, *self.pauses][:tries]
        for number, pause in enumerate(pauses, start=1):
            time.sleep(pause)
            try:
                return self._once(method, path, query, body, limit)
            except GitHubError as error:
                if not error.may_pass or number == len(pauses):
                    raise
        raise AssertionError("unreachable")

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Mapping[str, Any] | None,
        limit: int,
    ) -> bytes:
        try:
            # `requests` takes the token away when it follows a redirection to another host.
            with requests.request(
                method,
                f"{self.url}/repos/{self.repository}/{path}",
                params=query,
                json=body,
                auth=self._authorize,
                headers={
                    "Accept": "application/vnd.github+json",
                    "X-GitHub-Api-Version": API_VERSION,
                },
                timeout=TIMEOUT_SECONDS,
                stream=True,
            ) as answer:
                content = bytearray()
                for chunk in answer.iter_content(CHUNK):
                    content += chunk
                    if len(content) > limit:
                        raise GitHubError(f"{path}: more than {limit:,} bytes", status=413)
        except requests.RequestException as error:
            reason = type(error).__name__
            raise GitHubError(f"{method} {path}: no answer from GitHub ({reason})") from None
        if answer.status_code >= 400:
            _wait_as_asked(answer)
            raise GitHubError(
                f"{method} {path}: GitHub answers {answer.status_code} ({_said(bytes(content))})",
                429 if _is_rate_limited(answer) else answer.status_code,
            )
        return bytes(content)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _is_rate_limited(answer: requests.Response) -> bool:
    return answer.status_code in (403, 429) and (
        "Retry-After" in answer.headers or answer.headers.get("X-RateLimit-Remaining") == "0"
    )


def _wait_as_asked(answer: requests.Response) -> None:
    asked = answer.headers.get("Retry-After", "")
    if asked.isdigit():
        time.sleep(min(float(asked), MAX_PAUSE_SECONDS))


def _said(content: bytes) -> str:
    """GitHub's own words in an answer that refuses."""
    try:
        return shortened(str(json.loads(content)["message"]), limit=120)
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def connect(environment: Mapping[str, str] = os.environ) -> Api:
    """The repository whose workflow this runs in.

    Raises:
        LabError: it does not run in a workflow, or no token was given to it.
    """
    repository, token = (environment.get(name) for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN"))
    if not repository or not token:
        raise LabError(
            "GITHUB_REPOSITORY and GITHUB_TOKEN: not set; this runs in a workflow of GitHub Actions"
        )
    return Api(repository, token, environment.get("GITHUB_API_URL", Api.url))


# --- commits without a checkout ------------------------------------------------------------------


def reference(api: Api, branch: str) -> str | None:
    """The commit a branch is at; None when there is no such branch.

    Raises:
        GitHubError: branches may not be read.
    """
    try:
        return str(api.get(f"git/ref/heads/{quote(branch)}")["object"]["sha"])
    except GitHubError as error:
        if error.status == 404:
            return None
        raise


def tree_of(api: Api, commit: str) -> str:
    """The tree of a commit."""
    return str(api.get(f"git/commits/{commit}")["tree"]["sha"])


def entries(api: Api, files: Mapping[str, bytes | None]) -> list[dict[str, Any]]:
    """Entries of a git tree for files by path, whose contents are stored; None removes a file."""
    return [
        {"path": path, "mode": FILE_MODE, "type": "blob", "sha": _blob(api, content)}
        for path, content in files.items()
    ]


def _blob(api: Api, content: bytes | None) -> str | None:
    if content is None:
        return None
    body = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
    return str(api.send("POST", "git/blobs", body)["sha"])


def commit(
    api: Api, message: str, tree_entries: Sequence[Mapping[str, Any]], parent: str | None
) -> str:
    """Makes a commit with some files of its parent replaced; the parent, when nothing differs."""
    base = tree_of(api, parent) if parent else None
    body: dict[str, Any] = {"tree": tree_entries}
    if base:
        body["base_tree"] = base
    tree = api.send("POST", "git/trees", body)["sha"]
    if parent and tree == base:
        return parent
    parents = [parent] if parent else []
    made = api.send("POST", "git/commits", {"message": message, "tree": tree, "parents": parents})
    return str(made["sha"])


def move(api: Api, branch: str, old: str | None, new: str, *, force: bool = False) -> None:
    """Lets a branch point at a commit, creating it where `old` is None.

    Raises:
        GitHubError: status 422 when somebody else moved it meanwhile.
    """
    if old is None:
        api.send("POST", "git/refs", {"ref": f"refs/heads/{branch}", "sha": new})
    elif old != new:
        api.send("PATCH", f"git/refs/heads/{quote(branch)}", {"sha": new, "force": force})
