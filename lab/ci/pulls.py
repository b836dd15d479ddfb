"""What GitHub says of pull requests and of runs; everything is found by the commit, and asked anew.

A commit may be the head of several pull requests, of forks and of this repository alike, each with
a base of its own. A check run belongs to the commit, so all of them are reported together.
"""

import re
import time
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from lab.base.errors import LabError
from lab.ci.github import Api
from lab.evidence.schema import Commit

SETTLING_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0)  # GitHub works out conflicts when first asked
MOST_PULLS = 10  # of one commit that get a report
QUEUE = re.compile(r"gh-readonly-queue/(?P<base>.+)/pr-(?P<number>\d+)-[0-9a-f]+")


class NothingToReportError(LabError):
    """There is no pull request that this run's report belongs to; that is no failure."""


class FromGitHub(BaseModel):
    """Part of an event or of an answer; GitHub sends more than is listed."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Repository(FromGitHub):
    """A repository; its name may change, its id never does."""

    id: int


class Number(FromGitHub):
    """A pull request by its number."""

    number: int


class WorkflowRun(FromGitHub):
    """A run of the workflow that measures, as events and lists show it.

    `head_repository` is None when the fork has been deleted; `pull_requests` is empty for forks.
    """

    id: int
    event: str
    status: str
    conclusion: str | None
    head_sha: Commit
    head_branch: str | None
    head_repository: Repository | None
    pull_requests: list[Number] = []
    html_url: str
    created_at: datetime
    run_started_at: datetime | None = None  # of the newest attempt

    @property
    def order(self) -> tuple[datetime, int]:
        """By which the newest attempt of all is found."""
        return self.run_started_at or self.created_at, self.id

    @property
    def has_measured(self) -> bool:
        """Whether it began; one that was cancelled may have shown its numbers."""
        return self.conclusion not in ("skipped", "action_required")

    def may_be_of(self, pull: "Pull") -> bool:
        """Whether it may have been started for a pull request, as far as GitHub tells."""
        if self.pull_requests:
            return pull.number in [one.number for one in self.pull_requests]
        return self.is_from(pull.head)

    def is_from(self, head: "Branch") -> bool:
        """Whether it is of that branch, as far as GitHub tells."""
        if self.head_repository is None or head.repo is None:  # the fork is gone
            return True
        return (self.head_repository.id, self.head_branch) == (head.repo.id, head.ref)


class Branch(FromGitHub):
    """One end of a pull request; `repo` is None when the fork has been deleted."""

    ref: str
    sha: Commit
    repo: Repository | None = None


class Label(FromGitHub):
    """A label of a pull request."""

    name: str


class Pull(FromGitHub):
    """An open pull request; `mergeable` is None while GitHub works it out."""

    number: int
    state: str
    head: Branch
    base: Branch
    labels: list[Label] = []
    mergeable: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def is_own(self) -> bool:
        """Whether it comes from a branch of this very repository."""
        return bool(self.head.repo and self.base.repo and self.head.repo.id == self.base.repo.id)


class Home(FromGitHub):
    """The repository of an event, by the branch that others are compared with."""

    default_branch: str


def of_commit(api: Api, sha: str) -> Sequence[Pull]:
    """The open pull requests whose newest commit this is, whoever opened them.

    Raises:
        NothingToReportError: there is none.
        GitHubError: GitHub cannot be asked.
    """
    listed = map(Pull.model_validate, api.pages("pulls", state="open"))
    found = sorted((one for one in listed if one.head.sha == sha), key=lambda one: one.number)
    if not found:
        raise NothingToReportError(f"{sha[:12]} is the newest commit of no open pull request")
    return found


def get(api: Api, number: int) -> Pull:
    """One pull request, with what lists do not say.

    Raises:
        GitHubError: there is none, or GitHub cannot be asked.
    """
    return Pull.model_validate(api.get(f"pulls/{number}"))


def settled(api: Api, number: int) -> Pull:
    """One pull request, once GitHub knows whether it has conflicts, or after half a minute.

    Raises:
        GitHubError: there is none, or GitHub cannot be asked.
    """
    for pause in SETTLING_SECONDS:
        if (found := get(api, number)).mergeable is not None:
            return found
        time.sleep(pause)
    return get(api, number)
