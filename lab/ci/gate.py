"""What the check says of a commit: each of its pull requests reported by itself, the worst counts.

Success needs three things that this side knows itself: which commit it is and where it left its
base (git), that a run measured just these two, and that every verdict passes. All else fails, is
neutral, or waits, and says why.
"""

import dataclasses
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab.base.errors import DataError, LabError
from lab.base.git import GitError
from lab.ci import (
    checks,
    claims,
    confirmations,
    facts,
    measurements,
    override,
    posting,
    publishing,
    pulls,
)
from lab.ci.checks import Checks, Conclusion, Standing, State
from lab.ci.claims import Asking, Checked
from lab.ci.facts import CommitPair, Revision
from lab.ci.github import Api, GitHubError
from lab.ci.measurements import Left, Measurement
from lab.ci.override import Override
from lab.ci.pulls import MOST_PULLS, QUEUE, NothingToReportError, Pull, WorkflowRun
from lab.evidence import run_log
from lab.evidence.failure import Failure
from lab.evidence.schema import Evidence
from lab.evidence.text import bounded
from lab.report.document import Block, Bullets, Line, Paragraph, Untrusted, plain, prose
from lab.report.headline import verdict_line
from lab.report.judgement import Judgement, judge
from lab.report.notes import MOST_NOTES, Notes
from lab.report.page import to_markdown
from lab.verdict.looks import planned
from lab.verdict.verdicts import is_open

WRAPPED = 150  # characters of a failing stage's line on one line of a comment


@dataclass(frozen=True)
class Place:
    """Where the gate stands: a clone of the default branch, GitHub, and what reports name."""

    root: Path
    api: Api
    server: str
    default_branch: str
    run_url: str | None  # of the gate itself
    runs_of: Callable[[str], str | None]  # where those of an own commit are mirrored
    remarks: Sequence[str]  # what is wrong with the settings


@dataclass(frozen=True)
class Outcome:
    """What is said of a commit going into one branch, first in one line; a comment says it all.

    Without a comment there is nothing new to say. `standing` is for the check to remember.
    """

    state: State
    lines: Sequence[Line]
    comment: str | None = None
    standing: Standing | None = None


@dataclass(frozen=True)
class Reported:
    """All that is said of a commit, and its check as it was before anything else was asked."""

    seen: Checks
    outcomes: Sequence[tuple[Pull | None, Outcome]]


def of_commit(place: Place, sha: str, *, is_run_due: bool = False) -> Reported:
    """What is said of the newest commit of one or more pull requests.

    Args:
        place: where the gate stands.
        sha: the commit.
        is_run_due: whether what was not measured yet is about to be.

    Raises:
        NothingToReportError: it is the newest commit of none.
        GitHubError: GitHub cannot be asked.
    """
    seen = checks.of_commit(place.api, sha)  # first: what changes it from now on is noticed
    found = pulls.of_commit(place.api, sha)
    measured = measurements.of_commit(place.api, sha)
    outcomes: list[tuple[Pull | None, Outcome]] = []
    for pull in found[:MOST_PULLS]:
        outcomes.append((pull, _of_pull(place, pull, measured, seen, is_run_due)))
    if len(found) > MOST_PULLS:
        more = f"It is the newest commit of {len(found)} pull requests; close some of them."
        outcomes.append((None, Outcome("failure", [[more]])))
    return Reported(seen, [*_spoofed(seen), *outcomes])


def of_group(place: Place, run: WorkflowRun) -> Reported:
    """What is said of a commit that a merge queue made; it has no comment of its own.

    Raises:
        NothingToReportError: it is no merge queue's.
        GitHubError: GitHub cannot be asked.
    """
    named = QUEUE.fullmatch(run.head_branch or "")
    if named is None:
        raise NothingToReportError(f"{run.head_branch}: not the branch of a merge queue")
    seen = checks.of_commit(place.api, run.head_sha)
    measured = measurements.of_commit(place.api, run.head_sha, ("merge_group",))
    pull = pulls.get(place.api, int(named["number"]))
    accepted = _since(checks.of_commit(place.api, pull.head.sha), pull, None)

    def time(run: int) -> int:
        return confirmations.of_entry(place.api, pull.number, run, pull.created_at)

    try:
        trial = _group_trial(place, run, named["base"])
        found = measurements.against(measured, trial.base.commit, None)
        outcome = _outcome(place, trial, *found, pull, accepted, time)
    except GitError as error:
        outcome = _none(place, run.head_sha, str(error))
    except LookupError as error:
        reason = f"no run measured it against {error}, where it left the queue or the branch"
        outcome = _none(place, run.head_sha, reason)
    return Reported(seen, [*_spoofed(seen), (None, outcome)])


def _group_trial(place: Place, run: WorkflowRun, branch: str) -> CommitPair:
    """A queue's commit against the queue's commit before it, else against the branch."""
    head = facts.fetched(place.root, place.api, place.server, f"refs/heads/{run.head_branch}")
    if head != run.head_sha:
        raise GitError(f"{run.head_branch} has moved on to {head[:12]}")
    trial = facts.trial(place.root, place.api, place.server, head, branch)
    for commit in facts.before(trial):
        if measurements.of_commit(place.api, commit, ("merge_group",)):
            return dataclasses.replace(trial, base=Revision(place.root, commit))
    return trial


def _since(seen: Checks, pull: Pull, base: str | None) -> datetime | None:
    """Since when a pull request stands where it stands; None where that was not seen before."""
    known = seen.standings.get(pull.number)
    now = Standing.of(pull.base.ref, base, datetime.now(UTC))
    return known.since if known and known.is_of(now) else None


def _spoofed(seen: Checks) -> list[tuple[Pull | None, Outcome]]:
    """A check of our name that we did not make is somebody's who wants a merge."""
    if not seen.others:
        return []
    name, other = Untrusted(checks.NAME), Untrusted(seen.others[0])
    line = prose("Another check is called {} and was not set by this side: {}", name, other)
    return [(None, Outcome("failure", [line]))]


# --- one pull request ----------------------------------------------------------------------------


def _of_pull(
    place: Place, pull: Pull, measured: Sequence[Measurement], seen: Checks, is_run_due: bool
) -> Outcome:
    try:
        trial = facts.of_pull(place.root, place.api, place.server, pull)
    except LabError as error:
        return _none(place, pull.head.sha, str(error))
    since = _since(seen, pull, trial.base.commit)
    standing = Standing.of(pull.base.ref, trial.base.commit, since or datetime.now(UTC))

    def time(run: int) -> int:
        return confirmations.of_pull(place.api, pull, run, [other.run for other in measured])

    try:
        one, left = measurements.against(measured, trial.base.commit, pull)
    except LookupError:
        outcome = _unmeasured(place, pull, trial, is_run_due)
    else:
        outcome = _outcome(place, trial, one, left, pull, since, time)
    return dataclasses.replace(outcome, standing=standing)


def _unmeasured(place: Place, pull: Pull, trial: CommitPair, is_run_due: bool) -> Outcome:
    if skips := trial.head.skips:
        reason = f"its message says {skips!r}, so GitHub starts no run; amend it, and push it again"
        return _none(place, pull.head.sha, reason)
    if is_run_due:
        return Outcome("pending", [prose("Its run has not begun.")])
    base = f"{trial.branch} ({trial.base.commit[:12]})"
    reason = f"no run measured it against {base}, where it left that branch"
    return _none(place, pull.head.sha, f"{reason}; close and reopen #{pull.number} to measure it")


def _outcome(
    place: Place,
    trial: CommitPair,
    one: Measurement,
    left: Left,
    pull: Pull,
    since: datetime | None,
    time: Callable[[int], int],
) -> Outcome:
    """What is said of what one run measured of a trial; `time` counts the runs up to one."""
    sha, url = one.run.head_sha, one.run.html_url
    match left:
        case None:
            what = "waits for a maintainer's approval" if one.waits else "has not ended"
            return Outcome("pending", [prose(f"Its run {what}: {{}}", Untrusted(url))])
        case str(reason):
            return _none(place, sha, reason, url)
        case Failure():
            return _failed(left, url)
        case Evidence():
            asking = Asking(one.run.id, time(one.run.id) if trial.is_confirmed else 1)
            try:
                checked = claims.checked(left, trial, asking, _own_run(place, trial))
            except DataError as error:
                return _none(place, sha, str(error), url)
            return _judged(place, checked, pull, since, url)
    raise AssertionError("unreachable")


def _none(place: Place, sha: str, reason: str, url: str | None = None) -> Outcome:
    blocks = [Bullets([[Untrusted(line)] for line in textwrap.wrap(reason, WRAPPED)])]
    comment = posting.no_report(sha, blocks, url or place.run_url)
    return Outcome("failure", [prose("No report: {}", Untrusted(reason))], comment)


def _failed(found: Failure, url: str) -> Outcome:
    """What a failing stage said last, of which the one line that helps is mostly the last."""
    stage = Untrusted(found.stage) if found.stage else "no stage named"
    said = [part for line in found.lines for part in textwrap.wrap(line, WRAPPED) or [""]]
    blocks: list[Block] = [
        Paragraph(prose("Its run failed ({}). The last lines, as the branch reported:", stage)),
        Bullets([[Untrusted(line)] for line in said]),
    ]
    own = [line for line in found.lines if not line.startswith(run_log.FAILED)]
    last = Untrusted(own[-1]) if own else "it said nothing"
    line = prose("No report: its run failed ({}): {}", stage, last)
    return Outcome("failure", [line], posting.no_report(found.commit, blocks, url))


def _own_run(place: Place, trial: CommitPair) -> Evidence | None:
    """What the default branch's own run measured where the branch was left."""
    events = ("push", "workflow_dispatch")
    measured = measurements.of_commit(place.api, trial.base.commit, events)
    own = [one for one in measured if one.run.head_branch == place.default_branch]
    for one in own[: measurements.MOST_RUNS]:
        left = one.left()
        if isinstance(left, Evidence):
            return left
    return None


# --- verdicts ------------------------------------------------------------------------------------


def _judged(
    place: Place, checked: Checked, pull: Pull, since: datetime | None, url: str
) -> Outcome:
    judged = judge(checked.evidence)
    others = {how: judge(one) for how, one in checked.others.items()}
    all_judged = [judged, *others.values()]
    weakened = _weakened(judged, checked.evidence)
    by = _accepted(place.api, all_judged, weakened, pull, since)
    state = checks.worst(_states(checked, all_judged, weakened, by))
    remarks = [*place.remarks, *_remarks(checked, judged, others, weakened)]
    if by.note:
        remarks.append(by.note)
    comment = _comment(place, checked.evidence, judged, pull, by, remarks, url)
    lines = [verdict_line(judged), *([Untrusted(remark)] for remark in remarks)]
    if by.login:
        lines.insert(1, prose("Accepted by {}.", Untrusted(by.login)))
    return Outcome(state, lines, comment)


def _weakened(judged: Judgement, evidence: Evidence) -> list[str]:
    """Models of which nothing can be told, and that have or may have fewer seeds than before."""
    better, found = judged.score.higher_is_better, []
    for one in judged.models:
        if one.finding and one.passes and is_open(one.finding, higher_is_better=better):
            new, old = (len(side.seeds) for side in one.model.both or ())
            most = planned(old, evidence.baseline_budget or 0)[-1]
            if new < old or evidence.looks[-1] < most:
                found.append(one.model.name)
    return found


def _accepted(
    api: Api,
    all_judged: Sequence[Judgement],
    weakened: Sequence[str],
    pull: Pull,
    since: datetime | None,
) -> Override:
    failing = [one for one in all_judged if not one.passes]
    if (not failing and not weakened) or override.LABEL not in [one.name for one in pull.labels]:
        return Override()
    if not all(one.is_acceptable for one in failing):
        return Override(note=f"{override.LABEL} accepts losses only, nothing missing or stale")
    return override.find(api, pull, since)


def _states(
    checked: Checked, all_judged: Sequence[Judgement], weakened: Sequence[str], by: Override
) -> Iterable[State]:
    yield from (conclude(one, by.login) for one in all_judged)
    if checked.unknown:
        yield "neutral"
    if weakened:
        yield "neutral" if by.login else "failure"


def conclude(judged: Judgement, accepted_by: str | None) -> Conclusion:
    """What the check says of one judgement."""
    if not judged.passes:
        return "neutral" if accepted_by else "failure"
    return "success" if judged.is_certain else "neutral"


def _remarks(
    checked: Checked, judged: Judgement, others: Mapping[str, Judgement], weakened: Sequence[str]
) -> Iterable[str]:
    if checked.unknown:
        named = ", ".join(checked.unknown[:5])
        yield (
            f"Of the baseline this is as the branch reported ({named}): neither git nor a run of "
            "the default branch says so; run the workflow cml there, and this one again"
        )
    for how, other in others.items():
        if conclude(other, None) != conclude(judged, None):
            yield f"{how}: {plain(verdict_line(other))}"
    if weakened:
        named = ", ".join(weakened[:5])
        yield f"Fewer seeds than before, too few to tell, do not pass: {named}"


def _comment(
    place: Place,
    evidence: Evidence,
    judged: Judgement,
    pull: Pull,
    by: Override,
    remarks: Sequence[str],
    url: str,
) -> str:
    from lab.report import pictures  # matplotlib takes most of a second to import

    drawn, files = pictures.draw(evidence, judged)
    folder, fault = _published(place, evidence.candidate.commit, pull, files)
    notes = Notes(
        run_url=url,
        runs_url=place.runs_of(evidence.candidate.commit) if pull.is_own else None,
        overridden_by=by.login,
        is_checked=True,
        texts=[bounded(one) for one in [*remarks, *([fault] if fault else [])][:MOST_NOTES]],
    )
    return to_markdown(evidence, judged, drawn, notes, folder)


def _published(
    place: Place, sha: str, pull: Pull, files: Mapping[str, bytes]
) -> tuple[str | None, str | None]:
    """What stands before a picture's name in the comment; or why the pictures are left out."""
    try:
        folder = publishing.publish(place.api, place.server, f"{sha}/{pull.number}", files)
    except GitHubError as error:
        print(error, flush=True)
        return None, "The pictures are left out: they could not be put on their branch"
    return folder and f"{folder}/", None
