"""The steps of the trusted side, as report.yaml calls them; they run the default branch's code."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from lab.base.errors import LabError
from lab.base.files import read_bytes, write_json, write_text
from lab.base.git import GitError
from lab.base.records import Record, first_problem
from lab.ci import checks, facts, gate, github, posting, pulls, settings, workflow
from lab.ci.checks import MAX_SUMMARY, MAX_TITLE, Checks, Standing, Standings, State
from lab.ci.gate import Outcome, Place, Reported
from lab.ci.github import Api, GitHubError
from lab.ci.pulls import MOST_PULLS, NothingToReportError, Pull
from lab.evidence.schema import Commit
from lab.report.document import Line, Untrusted, plain, prose
from lab.report.markdown import paragraphs

REPORT = Path("report")
POST = REPORT / "post.json"
MAX_BYTES = 2**20  # of what `page` writes for `post`
PATIENCE = timedelta(hours=3)  # with a run that has not ended; the longest takes two

ExternalId = Annotated[str, StringConstraints(max_length=1_000)]
Number = Annotated[int, Field(ge=1)]


class Comment(Record):
    """A comment to be posted, if its pull request still goes into that branch; `file` is its text.

    Without a file there is nothing new to say.
    """

    number: Number
    base: str
    file: str | None


class Post(Record):
    """What `page` leaves to `post`; `own` are the check runs to be edited.

    `before` is the check's external id as `page` saw it, `external_id` what it is to be.
    """

    head_sha: Commit
    own: list[int]
    before: ExternalId
    external_id: ExternalId
    state: State
    title: Annotated[str, StringConstraints(max_length=MAX_TITLE)]
    summary: Annotated[str, StringConstraints(max_length=MAX_SUMMARY)]
    comments: Annotated[list[Comment], Field(max_length=MOST_PULLS)]


def begin() -> None:
    """Takes the check of a commit back when it becomes the newest, or goes into another branch.

    Where there are conflicts it says so, because GitHub then starts no run. What was measured of
    just this already is reported at once.
    """
    api, event = github.connect(), workflow.event()
    pull = workflow.checked(Pull, event.get("pull_request"), "pull_request")
    sha, seen = pull.head.sha, checks.of_commit(api, pull.head.sha)
    standing = Standing.of(pull.base.ref, None, pull.updated_at or datetime.now(UTC))
    known = seen.standings.get(pull.number)
    if known and known.is_of(standing) and known.since > standing.since:
        standing = known  # a job that was run again has its old event
    standings = {**seen.standings, pull.number: standing}
    base = Untrusted(pull.base.ref)
    line = prose(f"#{pull.number} is being measured against {{}}.", base)
    _set(api, sha, "pending", standings, line)
    if event.get("action") == "edited":
        _say(posting.replace, api, pull.number, posting.waiting(sha, pull.base.ref))
    now = pulls.settled(api, pull.number)
    if now.head.sha == sha and now.mergeable is False:
        what = "has conflicts with {}, so GitHub starts no run for it; resolve them: make merge"
        _set(api, sha, "failure", standings, prose(f"#{pull.number} {what}", base))
        text = posting.conflicts(sha, now.base.ref)
        _say(posting.comment, api, workflow.server(), pull.number, text)
    else:
        _report(sha, is_run_due=True)


def page() -> None:
    """Writes the comments and what the check will say; draws and publishes the pictures."""
    subject = workflow.subject()
    if isinstance(subject, Pull):
        found = _page(subject.head.sha, gate.of_commit)
    elif subject.event == "merge_group":
        found = _page(subject.head_sha, lambda place, _: gate.of_group(place, subject))
    else:
        found = _page(subject.head_sha, gate.of_commit)
    if found is not None:
        write_json(POST, found.model_dump())
        workflow.append("GITHUB_OUTPUT", "is_ready=true\n")


def _report(sha: str, *, is_run_due: bool = False) -> None:
    """Both `page` and `post`, where one job may do both, for it installs no CML."""
    found = _page(sha, functools.partial(gate.of_commit, is_run_due=is_run_due))
    if found is not None:
        _posted(found)


def _page(sha: str, reported: Callable[[Place, str], Reported]) -> Post | None:
    """What is to be posted of a commit; None where there is nothing, which is said."""
    try:
        return _written(reported(_place(), sha), sha)
    except NothingToReportError as reason:
        print(f"nothing to report: {reason}", flush=True)
        workflow.append("GITHUB_STEP_SUMMARY", f"Nothing to report: `{reason}`\n")
        return None


def _written(reported: Reported, sha: str) -> Post:
    """Writes the comments, and says what is to be posted."""
    comments: list[Comment] = []
    lines: list[Line] = []
    standings: dict[int, Standing] = {}
    for pull, outcome in reported.outcomes:
        if outcome.comment is not None:
            workflow.append("GITHUB_STEP_SUMMARY", f"{outcome.comment}\n\n")
        if pull is not None:
            lines.append(prose(f"#{pull.number} into {{}}:", Untrusted(pull.base.ref)))
            comments.append(_comment(pull, outcome))
            if outcome.standing:
                standings[pull.number] = outcome.standing
        lines += outcome.lines
    state = checks.worst(outcome.state for _, outcome in reported.outcomes)
    title = next(one.lines[0] for _, one in reported.outcomes if one.state == state)
    return Post(
        head_sha=sha,
        own=list(reported.seen.own),
        before=checks.written(reported.seen.standings),
        external_id=checks.written(standings),
        state=state,
        title=plain(title)[:MAX_TITLE],
        summary=paragraphs(lines)[:MAX_SUMMARY],
        comments=comments,
    )


def _comment(pull: Pull, outcome: Outcome) -> Comment:
    """A comment to be posted; its text is written beside."""
    file = f"report-{pull.number}.md" if outcome.comment is not None else None
    if file is not None:
        write_text(REPORT / file, outcome.comment or "")
    return Comment(number=pull.number, base=pull.base.ref, file=file)


def post() -> None:
    """Sets the check and the comments, if all still is as `page` found it."""
    _posted(_post())


def _posted(outcome: Post) -> None:
    """The check is set whatever becomes of the comments: a conversation may be locked."""
    api = github.connect()
    if reason := _moved(api, outcome):
        print(f"nothing is posted: {reason}; that is reported by itself", flush=True)
        return
    standings = checks.parsed(outcome.external_id)
    if standings is None:
        raise LabError(f"{POST}: external_id is none of ours; run `page` again")
    own, output = outcome.own, (outcome.title, outcome.summary)
    checks.set_(api, outcome.head_sha, own, outcome.state, standings, *output, workflow.run_url())
    for one in outcome.comments:
        if one.file:
            text = _read(REPORT / Path(one.file).name).decode()
            _say(posting.comment, api, workflow.server(), one.number, text)
    print(f"{outcome.head_sha[:12]}: {outcome.state}", flush=True)


def sweep() -> None:
    """Reports again what no event told of.

    GitHub sends none when the branch that a pull request goes into takes in a part of it, and none
    when a bot's merge gives it another base. A run that never started (a workflow that the
    branch removed) tells nothing, either.
    """
    place = _place()
    listed = [Pull.model_validate(one) for one in place.api.pages("pulls", state="open")]
    for sha in dict.fromkeys(pull.head.sha for pull in listed):
        seen = checks.of_commit(place.api, sha)
        if any(_is_outdated(place, seen, pull) for pull in listed if pull.head.sha == sha):
            _report(sha)


def _is_outdated(place: Place, seen: Checks, pull: Pull) -> bool:
    """Whether what a check says was of another trial, or nothing was said for long."""
    known = seen.standings.get(pull.number)
    if known is None:
        return bool(seen.own)
    if seen.is_pending:
        return datetime.now(UTC) - known.since > PATIENCE
    try:
        trial = facts.of_pull(place.root, place.api, place.server, pull)
    except GitError:
        return False  # it moved on just now, or its base is gone: an event told of that
    return not known.is_of(Standing.of(pull.base.ref, trial.base.commit, known.since))


# --- what the steps need -------------------------------------------------------------------------


def _place() -> Place:
    return Place(
        root=Path(),
        api=github.connect(),
        server=workflow.server(),
        default_branch=workflow.default_branch(),
        run_url=workflow.run_url(),
        runs_of=settings.runs_of,
        remarks=settings.faults(),
    )


def _set(api: Api, sha: str, state: State, standings: Standings, line: Line) -> None:
    own, output = checks.of_commit(api, sha).own, (plain(line), paragraphs([line]))
    checks.set_(api, sha, own, state, standings, *output, workflow.run_url())


def _say(write: Callable[..., None], *arguments: object) -> None:
    """Writes a comment, if that may be: the check does not wait for it."""
    try:
        write(*arguments)
    except GitHubError as error:
        print(error, flush=True)
        note = f"The comment could not be written (`{error}`); the report stands here."
        workflow.append("GITHUB_STEP_SUMMARY", f"{note}\n")


def _moved(api: Api, outcome: Post) -> str | None:
    """What is not any more as `page` found it."""
    if checks.of_commit(api, outcome.head_sha).standings != checks.parsed(outcome.before):
        return "the check was taken back meanwhile"
    if not outcome.comments:  # a merge queue's commit, which nobody can move
        return None
    try:
        found = pulls.of_commit(api, outcome.head_sha)
    except NothingToReportError as reason:
        return str(reason)
    now = {one.number: one.base.ref for one in found[:MOST_PULLS]}
    if now != {one.number: one.base for one in outcome.comments}:
        return "its pull requests are others, or go into other branches"
    return None


def _post() -> Post:
    try:
        return Post.model_validate_json(_read(POST))
    except ValidationError as error:
        raise LabError(f"{POST}: {first_problem(error)}; run `page` again") from None


def _read(path: Path) -> bytes:
    """A file that the step `page` wrote."""
    try:
        return read_bytes(path, MAX_BYTES)
    except FileNotFoundError:
        raise LabError(f"{path}: no such file; run `page` first") from None
