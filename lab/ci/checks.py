"""The one check run of a commit, told from others of its name by an id that only this side gives.

A check run belongs to a commit, not to a pull request. A commit gets one, which is edited in place:
of several with one name, some of GitHub's rules ask the newest and others every one. Its external
id remembers each pull request that the commit is the newest of: into which branch it went, where it
had left that, and since when that has been so.

Source: https://docs.github.com/en/rest/checks/runs, API version 2022-11-28.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from lab.ci import cml
from lab.ci.github import Api

NAME = cml.TITLE
PREFIX = "fair-trial"
MAX_TITLE, MAX_SUMMARY = 200, 60_000  # characters; GitHub's own limit of a summary is 65,535
UNKNOWN = "-"  # in place of the commit where a branch was left, before anybody looked
_STANDING = re.compile(r"(\d+):([0-9a-f]{8}):([0-9a-f]{12}|-):(\d{1,12})")

Conclusion = Literal["success", "neutral", "failure"]
State = Conclusion | Literal["pending"]
WORST_FIRST: Sequence[State] = ("failure", "pending", "neutral", "success")


@dataclass(frozen=True)
class Standing:
    """Into which branch a pull request goes, where it left that, and since when, abbreviated."""

    branch: str
    base: str
    since: datetime

    @classmethod
    def of(cls, branch: str, base: str | None, since: datetime) -> "Standing":
        """Of full names."""
        digest = hashlib.sha256(branch.encode()).hexdigest()[:8]
        return cls(digest, base[:12] if base else UNKNOWN, since.replace(microsecond=0))

    def is_of(self, other: "Standing") -> bool:
        """Whether both are of the same two commits and branch, as far as anybody looked."""
        return self.branch == other.branch and (
            self.base == other.base or UNKNOWN in (self.base, other.base)
        )


Standings = Mapping[int, Standing]  # by the number of a pull request


@dataclass(frozen=True)
class Checks:
    """The check runs of our name on a commit: our own, newest first, and the pages of others'.

    `is_topped` says that the newest of the name is another's.
    """

    own: Sequence[int] = ()
    is_topped: bool = False
    standings: Standings = field(default_factory=dict)
    is_pending: bool = False
    others: Sequence[str] = ()


def written(standings: Standings) -> str:
    """An external id."""
    parts = [
        f"{number}:{one.branch}:{one.base}:{int(one.since.timestamp())}"
        for number, one in sorted(standings.items())
    ]
    return " ".join([PREFIX, *parts])


def parsed(external_id: str | None) -> Standings | None:
    """What an external id of this side says; None for any other.

    >>> parsed("fair-trial 7:0a1b2c3d:-:0")[7].base, parsed("fair-trial 7"), parsed("a-job")
    ('-', None, None)
    """
    prefix, *parts = (external_id or "").split(" ")
    found = [_STANDING.fullmatch(part) for part in parts]
    if prefix != PREFIX or not all(found):
        return None
    return {
        int(one[1]): Standing(one[2], one[3], datetime.fromtimestamp(int(one[4]), UTC))
        for one in found
        if one
    }


def of_commit(api: Api, sha: str) -> Checks:
    """The check runs of our name.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    path = f"commits/{sha}/check-runs"
    listed = list(api.pages(path, "check_runs", check_name=NAME, filter="all"))
    own = [one for one in listed if parsed(one["external_id"]) is not None]
    own.sort(key=lambda one: -int(one["id"]))
    others = [one for one in listed if one not in own]
    pages = [str(one["html_url"]) for one in others]
    if not own:
        return Checks(others=pages)
    return Checks(
        own=[int(one["id"]) for one in own],
        is_topped=any(int(one["id"]) > int(own[0]["id"]) for one in others),
        standings=parsed(own[0]["external_id"]) or {},
        is_pending=own[0]["status"] != "completed",
        others=pages,
    )


def set_(
    api: Api,
    sha: str,
    own: Sequence[int],
    state: State,
    standings: Standings,
    title: str,
    summary: str,
    details_url: str | None,
) -> None:
    """Makes the check run of a commit, or edits those in `own`, which are ours.

    Where another's stands above them, one more is made: whether a rule asks the newest of a name
    or every one, it gets our answer.

    Raises:
        GitHubError: it may not be set, or GitHub cannot be reached.
    """
    output = {"title": title[:MAX_TITLE], "summary": summary[:MAX_SUMMARY]}
    body = {"external_id": written(standings), "output": output, **_status(state)}
    if details_url:
        body["details_url"] = details_url
    for number in own:
        answer = api.send("PATCH", f"check-runs/{number}", body)
        if state == "pending" and answer["status"] == "completed":
            # What is completed may stay so: then it fails until it is judged again.
            api.send("PATCH", f"check-runs/{number}", {**body, **_status("failure")})
    if not own or of_commit(api, sha).is_topped:
        api.send("POST", "check-runs", {"name": NAME, "head_sha": sha, **body})


def _status(state: State) -> dict[str, Any]:
    if state == "pending":
        return {"status": "in_progress"}
    return {"status": "completed", "conclusion": state}


def worst(states: Iterable[State]) -> State:
    """The worst of several; without any, nothing is known."""
    found = set(states)
    return next((state for state in WORST_FIRST if state in found), "failure")
