"""Which open pull request a workflow's run belongs to: asked of GitHub, never of the artifact."""

from pydantic import BaseModel, ConfigDict

from lab.base.errors import LabError
from lab.ci.github import Api
from lab.evidence.schema import Commit


class NothingToReportError(LabError):
    """There is no pull request that this run's report belongs to; that is no failure."""


class FromGitHub(BaseModel):
    """Part of an event or of an answer; GitHub sends more than is listed."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Account(FromGitHub):
    """A user, an organisation or a bot."""

    login: str


class Repository(FromGitHub):
    """A repository; its name may change, its id never does."""

    id: int
    owner: Account


class WorkflowRun(FromGitHub):
    """The finished run of a workflow, `workflow_run` of the event.

    `head_repository` is None when the fork has been deleted.
    """

    id: int
    event: str
    conclusion: str | None
    head_sha: Commit
    head_branch: str | None
    head_repository: Repository | None
    html_url: str


class Branch(FromGitHub):
    """One end of a pull request; `repo` is None when the fork has been deleted."""

    ref: str
    sha: Commit
    repo: Repository | None = None


class Label(FromGitHub):
    """A label of a pull request."""

    name: str


class Pull(FromGitHub):
    """An open pull request."""

    number: int
    head: Branch
    base: Branch
    labels: list[Label]

    @property
    def is_own(self) -> bool:
        """Whether it comes from a branch of this very repository."""
        return bool(self.head.repo and self.base.repo and self.head.repo.id == self.base.repo.id)


class BasedOn(FromGitHub):
    """The pull request of an event, as far as its baseline needs it."""

    base: Branch


class Home(FromGitHub):
    """The repository of an event, as far as a baseline needs it."""

    default_branch: str


def find(api: Api, run: WorkflowRun) -> Pull:
    """The one open pull request whose newest commit this run is of.

    Owner and branch find it; commit and repository id make sure, as two forks may have branches of
    one name, a branch may have moved on, and GitHub ignores a filter that it does not understand.

    Raises:
        NothingToReportError: there is none, or more than one.
        GitHubError: GitHub cannot be asked.
    """
    if run.event != "pull_request":
        raise NothingToReportError(f"the run was of a {run.event}, not of a pull request")
    fork, sha = run.head_repository, run.head_sha[:12]
    if fork is None or not run.head_branch:
        raise NothingToReportError(f"{sha}: the repository that it came from is gone")
    listed = api.pages("pulls", state="open", head=f"{fork.owner.login}:{run.head_branch}")
    found = [
        pull
        for pull in map(Pull.model_validate, listed)
        if pull.head.repo and pull.head.repo.id == fork.id and pull.head.ref == run.head_branch
    ]
    newest = [pull for pull in found if pull.head.sha == run.head_sha]
    if len(newest) == 1:
        return newest[0]
    numbers = ", ".join(f"#{pull.number}" for pull in newest or found)
    if newest:
        raise NothingToReportError(f"{sha} is the head of several pull requests ({numbers})")
    if found:
        raise NothingToReportError(f"{sha} is not the newest commit of {numbers}; that has its own")
    raise NothingToReportError(f"{sha} is the head of no open pull request")
