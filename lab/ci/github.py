"""GitHub's REST API, as far as reports of pull requests and releases need it.

Every request is bounded in time and size. One that fails for a reason that may pass (no connection,
429, 5xx) is repeated a few times; the calls made are safe to repeat, but for posting a comment,
whose caller looks first whether the last try arrived.

Source: https://docs.github.com/en/rest, API version 2022-11-28.
"""

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests

from lab.base.errors import LabError, shortened

API_VERSION = "2022-11-28"
TIMEOUT_SECONDS = (10.0, 30.0)  # to connect, and of silence
PAUSES_SECONDS = (1.0, 4.0, 15.0)  # before the second, third and fourth try
MAX_PAUSE_SECONDS = 60.0  # whatever Retry-After asks for
LIMITED_SECONDS = 60.0  # at a secondary rate limit that does not say for how long
SECONDARY = "secondary rate limit"
MAX_ANSWER_BYTES = 20 * 2**20
PAGE = 100  # entries of a list, the most that GitHub gives at once
MAX_PAGES = 30
CHUNK = 2**16


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
        return _parsed(path, self._request("GET", path, params=query))

    def pages(self, path: str, key: str = "", **query: str | int) -> Iterator[Any]:
        """The entries of a list, page by page; `key` names the list where it is not the answer.

        Raises:
            GitHubError: it may not be read, or is longer than anybody reads.
        """
        for page in range(1, MAX_PAGES + 1):
            answer = self.get(path, per_page=PAGE, page=page, **query)
            entries = answer[key] if key else answer
            yield from entries
            if len(entries) < PAGE:
                return
        raise GitHubError(f"{path}: more than {MAX_PAGES * PAGE:,} entries")

    def send(self, method: str, path: str, body: Mapping[str, Any], *, once: bool = False) -> Any:
        """Sends JSON and returns the JSON that comes back, if any; `once` never repeats it.

        Raises:
            GitHubError: it is refused, or GitHub cannot be reached.
        """
        answer = self._request(method, path, tries=1 if once else None, json=body)
        return _parsed(path, answer) if answer else None

    def download(self, path: str, limit: int) -> bytes:
        """The bytes at a path, which GitHub may keep at another host.

        Raises:
            GitHubError: they cannot be had, or are more than `limit`.
        """
        return self._request("GET", path, limit)

    def upload(self, address: str, content: bytes, kind: str) -> Any:
        """Sends a file to an address that GitHub gave for it; never repeated.

        Raises:
            GitHubError: it is refused, or GitHub cannot be reached.
        """
        headers = {"Content-Type": kind}
        return _parsed(
            address, self._request("POST", address, tries=1, data=content, headers=headers)
        )

    def _request(
        self,
        method: str,
        path: str,
        limit: int = MAX_ANSWER_BYTES,
        tries: int | None = None,
        **content: Any,
    ) -> bytes:
        """The bytes of an answer; `content` is for `requests`: `params`, `json` and the like."""
        pauses = [0.0, *self.pauses][:tries]
        for number, pause in enumerate(pauses, start=1):
            time.sleep(pause)
            try:
                return self._once(method, path, limit, {**content})
            except GitHubError as error:
                if not error.may_pass or number == len(pauses):
                    raise
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, limit: int, content: dict[str, Any]) -> bytes:
        address = path if "://" in path else f"{self.url}/repos/{self.repository}/{path}"
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": API_VERSION,
            **content.pop("headers", {}),
        }
        try:
            # `requests` takes the token away when it follows a redirection to another host.
            with requests.request(
                method,
                address,
                auth=self._authorize,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                stream=True,
                **content,
            ) as answer:
                received = bytearray()
                for chunk in answer.iter_content(CHUNK):
                    received += chunk
                    if len(received) > limit:
                        raise GitHubError(f"{path}: more than {limit:,} bytes", status=413)
        except requests.RequestException as error:
            reason = type(error).__name__
            raise GitHubError(f"{method} {path}: no answer from GitHub ({reason})") from None
        if answer.status_code >= 400:
            reason = _reason(received)
            is_limited = _is_rate_limited(answer, reason)
            _wait_as_asked(answer, is_limited)
            raise GitHubError(
                f"{method} {path}: GitHub answers {answer.status_code} ({reason})",
                429 if is_limited else answer.status_code,
            )
        return bytes(received)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _parsed(path: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise GitHubError(f"{path}: GitHub's answer is no JSON") from None


def _is_rate_limited(answer: requests.Response, reason: str) -> bool:
    return answer.status_code in (403, 429) and (
        "Retry-After" in answer.headers
        or answer.headers.get("X-RateLimit-Remaining") == "0"
        or SECONDARY in reason
    )


def _wait_as_asked(answer: requests.Response, is_limited: bool) -> None:
    asked = answer.headers.get("Retry-After", "")
    if asked.isdigit():
        time.sleep(min(float(asked), MAX_PAUSE_SECONDS))
    elif is_limited:
        time.sleep(LIMITED_SECONDS)


def _reason(content: bytes | bytearray) -> str:
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
