"""A pull request and the report of it, on the trusted side: nothing here runs its code.

What a run of a pull request's own code left behind is an artifact, all of it the author's to
choose. One JSON member is read of it, in memory, and checked against the schema. Which pull request
it belongs to is asked of GitHub, never of the artifact.
"""

import contextlib
import io
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lab.base.errors import DataError, LabError
from lab.base.records import Record
from lab.ci import cml, github
from lab.ci.github import Api, GitHubError
from lab.report import evidence
from lab.report.document import Bullets, Data, Link, Page, Paragraph, Strong, markdown
from lab.report.evidence import Commit, Evidence
from lab.report.judgement import Judgement
from lab.report.page import MARKER
from lab.verdict.comparison import Verdict

ARTIFACT, MEMBER = "report", "report.json"
MAX_ZIP_BYTES = evidence.MAX_BYTES
ACCEPT_LABEL = "accept-regression"
PICTURES_BRANCH = "report-pictures"
BOT = "github-actions[bot]"  # who comments with a workflow's own token
WRITERS = ("admin", "write")  # "maintain" is shown as write, "triage" as read
PUSH_TRIES = 5  # other reports may move the branch of pictures meanwhile
COMMENT_PAUSES_SECONDS = (0.0, 2.0, 10.0)

Conclusion = Literal["success", "neutral", "failure"]


class NothingToReportError(LabError):
    """There is no pull request that this run's report belongs to; that is no failure."""


# --- what GitHub says ----------------------------------------------------------------------------


class Said(BaseModel):
    """Part of an event or of an answer; GitHub says more than is listed."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Account(Said):
    """A user, an organisation or a bot."""

    login: str


class Repository(Said):
    """A repository; its name may change, its id never does."""

    id: int
    owner: Account


class Run(Said):
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


class Head(Said):
    """One end of a pull request; `repo` is None when the fork has been deleted."""

    ref: str
    sha: str
    repo: Repository | None


class Label(Said):
    """A label of a pull request."""

    name: str


class End(Said):
    """Where a pull request goes to, as its event says it."""

    ref: str
    sha: Commit


class Target(Said):
    """A pull request, as far as its baseline needs it."""

    base: End


class Whole(Said):
    """A repository, as far as its baseline needs it."""

    default_branch: str


class Pull(Said):
    """An open pull request."""

    number: int
    head: Head
    base: Head
    labels: list[Label]

    @property
    def is_own(self) -> bool:
        """Whether it comes from a branch of this very repository."""
        return bool(self.head.repo and self.base.repo and self.head.repo.id == self.base.repo.id)


def find(api: Api, run: Run) -> Pull:
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
    found = [Pull.model_validate(one) for one in listed]
    found = [
        pull
        for pull in found
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


# --- the artifact --------------------------------------------------------------------------------


def report_of(api: Api, run: Run) -> Evidence:
    """What the run's own code measured, checked against the schema and against the run's commit.

    Raises:
        DataError: there is no report, it breaks a rule, or it is of another commit.
        GitHubError: GitHub cannot be asked.
    """
    listed = api.pages(f"actions/runs/{run.id}/artifacts", "artifacts", name=ARTIFACT)
    found = [one for one in listed if one["name"] == ARTIFACT and not one["expired"]]
    if not found:
        raise DataError("the run left no report behind")
    newest = max(found, key=lambda one: int(one["id"]))  # a run that was repeated has several
    if newest["size_in_bytes"] > MAX_ZIP_BYTES:
        raise DataError(f"the artifact has more than {MAX_ZIP_BYTES:,} bytes")
    archive = api.download(f"actions/artifacts/{int(newest['id'])}/zip", MAX_ZIP_BYTES)
    given = evidence.parse(json_member(archive), MEMBER)
    if given.candidate.commit != run.head_sha:
        commit = given.candidate.commit[:12]
        raise DataError(f"{MEMBER}: it is of {commit}, but the run was of {run.head_sha[:12]}")
    return given


def json_member(archive: bytes) -> bytes:
    """`report.json` of a zip file that nobody has to trust; nothing is written anywhere.

    At most one byte more than the schema allows is unpacked, whatever the archive says of itself.

    Raises:
        DataError: it is no zip file, or has not exactly one such member, plainly packed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            members = [one for one in opened.infolist() if one.filename == MEMBER]
            if len(members) != 1:
                raise DataError(f"the artifact holds {len(members)} files called {MEMBER}, not one")
            # Python unpacks other methods without a bound.
            if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{MEMBER} is packed in an unusual way")
            with opened.open(members[0]) as file:
                return file.read(evidence.MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError):
        raise DataError("the artifact is no readable zip file") from None


# --- the gate ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lift:
    """Who lifted the gate; or why the label that should have lifted it does not."""

    login: str | None = None
    note: str | None = None


def lift(api: Api, pull: Pull, run: Run) -> Lift:
    """Whether somebody with write permission accepted this very commit, by a label.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    if ACCEPT_LABEL not in [label.name for label in pull.labels]:
        return Lift()
    said = [
        one
        for one in api.pages(f"issues/{pull.number}/events")
        if one["event"] == "labeled" and one["label"]["name"] == ACCEPT_LABEL and one["actor"]
    ]
    if not said:
        return Lift(note=f"{ACCEPT_LABEL} lifts nothing: who set it cannot be told")
    login = str(said[-1]["actor"]["login"])
    if _permission(api, login) not in WRITERS:
        return Lift(note=f"{ACCEPT_LABEL} lifts nothing: {login} may not write here")
    if _time(said[-1]) < _first_seen(api, run):
        return Lift(note=f"{ACCEPT_LABEL} was set for an earlier commit; set it again to lift this")
    return Lift(login=login)


def _permission(api: Api, login: str) -> str:
    try:
        return str(api.get(f"collaborators/{quote(login)}/permission")["permission"])
    except GitHubError as error:
        if error.status == 404:
            return "none"
        raise


def _first_seen(api: Api, run: Run) -> datetime:
    """When the commit came: its own dates are its author's to choose, its first run's is not."""
    runs = api.pages("actions/runs", "workflow_runs", head_sha=run.head_sha, event="pull_request")
    return min(_time(one) for one in runs)


def _time(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["created_at"])


def conclude(judgement: Judgement, lifted_by: str | None) -> Conclusion:
    """What the check run says of a judgement."""
    if not judgement.passes:
        return "neutral" if lifted_by else "failure"
    return "neutral" if Verdict.CANNOT_TELL.value in judgement.by_word() else "success"


# --- pictures ------------------------------------------------------------------------------------


def publish(api: Api, server: str, sha: str, files: Mapping[str, bytes]) -> str | None:
    """Puts pictures on their own branch, in a folder named by the commit they are of.

    Returns:
        The address of that folder, which stays as it is for ever; None without any picture.

    Raises:
        GitHubError: they may not be written, or GitHub cannot be reached.
    """
    if not files:
        return None
    stored = github.entries(api, {f"{sha}/{name}": content for name, content in files.items()})
    for left in reversed(range(PUSH_TRIES)):
        tip = github.reference(api, PICTURES_BRANCH)
        made = github.commit(api, f"Pictures of {sha}", stored, tip)
        try:
            github.move(api, PICTURES_BRANCH, tip, made)
        except GitHubError as error:
            if error.status not in (409, 422) or not left:
                raise
        else:
            return f"{server}/{api.repository}/blob/{made}/{sha}"
    raise AssertionError("unreachable")


# --- what is posted ------------------------------------------------------------------------------


class Post(Record):
    """What is to be said of a pull request; the comment's text lies beside it."""

    number: Annotated[int, Field(ge=1)]
    head_sha: Commit
    conclusion: Conclusion
    summary: Annotated[str, StringConstraints(max_length=2_000)]


def no_report(run: Run, reason: str) -> str:
    """The comment where there is nothing to compare."""
    blocks = (
        Paragraph(["✕ ", Strong("No report"), " of ", Data(run.head_sha[:12]), "."]),
        Bullets([[Data(reason)], [Link("The run", run.html_url), "."]]),
    )
    return markdown(Page(MARKER, "A fair trial", blocks), None)


def comment(api: Api, server: str, number: int, text: str) -> None:
    """Makes or edits the one comment, through CML where that is there and would do right.

    Raises:
        GitHubError: the comment may not be written, or GitHub cannot be reached.
    """
    by_cml = cml.is_installed()
    last = len(COMMENT_PAUSES_SECONDS) - 1
    for turn, pause in enumerate(COMMENT_PAUSES_SECONDS):
        time.sleep(pause)
        comments = list(api.pages(f"issues/{number}/comments"))  # anew: the last try may be there
        own = own_comment(comments)
        try:
            if by_cml and turn < last and cml.choice(comments) == own:
                cml.comment(f"{server}/{api.repository}", api.token, number, text)
            else:
                _write(api, number, own, text)
        except cml.CmlError as error:
            print(error, flush=True)
        except GitHubError as error:
            if not error.may_pass or turn == last:
                raise
        else:
            return


def own_comment(comments: Sequence[Mapping[str, Any]]) -> int | None:
    """The id of the report among comments: what others write in its form is not it."""
    own = [
        int(one["id"])
        for one in comments
        if (one.get("user") or {}).get("login") == BOT
        and (one.get("body") or "").startswith(f"<!-- {MARKER} -->")
    ]
    return own[-1] if own else None


def _write(api: Api, number: int, own: int | None, text: str) -> None:
    if own is None:
        api.send("POST", f"issues/{number}/comments", {"body": text}, once=True)
    else:
        api.send("PATCH", f"issues/comments/{own}", {"body": text})


def check(api: Api, server: str, post: Post) -> None:
    """Sets the check run, through CML where that is there.

    Raises:
        GitHubError: it may not be set, or GitHub cannot be reached.
    """
    if cml.is_installed():
        with contextlib.suppress(cml.CmlError):
            cml.check(
                f"{server}/{api.repository}",
                api.token,
                post.head_sha,
                post.conclusion,
                post.summary,
            )
            return
    body = {
        "name": cml.TITLE,
        "head_sha": post.head_sha,
        "status": "completed",
        "conclusion": post.conclusion,
        "output": {"title": cml.TITLE, "summary": post.summary},
    }
    api.send("POST", "check-runs", body)


# --- results, offered back -----------------------------------------------------------------------


def offer(api: Api, pull: Pull, files: Mapping[str, bytes], *, merge: bool) -> int | None:
    """Offers results that CI reproduced as a pull request into the branch of a pull request.

    Args:
        api: the repository.
        pull: a pull request from a branch of the repository itself.
        files: all results by path: `dvc.lock` and what `metrics/` holds.
        merge: merge it at once, where the rules of the repository allow it.

    Returns:
        The number of the offer; None when the branch has these results.

    Raises:
        GitHubError: workflows may not open pull requests, or GitHub cannot be reached.
    """
    head, branch = pull.head, f"results-of-{pull.number}"
    listed = api.get(f"git/trees/{head.sha}", recursive=1)["tree"]
    held = [one["path"] for one in listed if one["type"] == "blob"]
    removed: dict[str, bytes | None] = {
        path: None for path in held if path.startswith("metrics/") and path not in files
    }
    stored = github.entries(api, {**removed, **files})
    made = github.commit(api, "Update the results [skip ci]", stored, head.sha)
    if made == head.sha:
        return None
    github.move(api, branch, github.reference(api, branch), made, force=True)
    number = _opened(api, pull, branch)
    if merge:
        api.send("PUT", f"pulls/{number}/merge", {"sha": made, "merge_method": "merge"}, once=True)
    return number


def _opened(api: Api, pull: Pull, branch: str) -> int:
    owner = api.repository.split("/")[0]
    listed = api.pages("pulls", state="open", head=f"{owner}:{branch}", base=pull.head.ref)
    for one in listed:
        if one["head"]["ref"] == branch and one["base"]["ref"] == pull.head.ref:
            return int(one["number"])
    body = {
        "title": f"Results of #{pull.number}",
        "head": branch,
        "base": pull.head.ref,
        "body": f"`dvc.lock` and `metrics/` as `dvc repro` made them of {pull.head.sha}.",
    }
    return int(api.send("POST", "pulls", body)["number"])
