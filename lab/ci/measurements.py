"""What the runs of a commit measured, the newest first, and which of them a pull request goes by.

A run is not asked which pull request it was of: for forks GitHub does not say, and the run's own
word counts for nothing. What it measured says against which commit, and that is a pull request's
trial when it is the very commit where its branch left its base.
"""

from collections.abc import Iterator, Sequence

from lab.base.errors import DataError
from lab.ci import artifact
from lab.ci.github import Api
from lab.ci.pulls import Pull, WorkflowRun
from lab.evidence.failure import Failure
from lab.evidence.schema import Evidence

WORKFLOW = "cml.yaml"
MOST_RUNS = 5  # that may be of a pull request, and as many of others, are looked at
EVENTS = ("pull_request", "workflow_dispatch", "merge_group")

# What a run left; a string says why that is nothing, None that it has not ended.
Left = Evidence | Failure | str | None


class Measurement:
    """A run, and what it left, which may be large: only its baseline is remembered."""

    def __init__(self, api: Api, run: WorkflowRun) -> None:
        self.run = run
        self._api = api
        self._baseline: str | None = None  # once it was read

    def left(self) -> Left:
        """Reads it.

        Raises:
            GitHubError: GitHub cannot be asked.
        """
        if not self.has_ended:
            return None
        try:
            found = artifact.left_by(self._api, self.run)
        except DataError as error:
            return str(error)
        self._baseline = baseline_of(found)
        return found

    @property
    def has_ended(self) -> bool:
        """Whether it will leave nothing more."""
        return self.run.status == "completed" and not self.waits

    @property
    def waits(self) -> bool:
        """Whether a maintainer has to approve it first."""
        return self.run.conclusion == "action_required"

    def is_against_another(self, baseline: str) -> bool:
        """Whether it was read before, and compared with another commit."""
        return self._baseline not in (None, baseline)


def baseline_of(left: Left) -> str | None:
    """The commit that a run compared with, where it says so."""
    if isinstance(left, Evidence):
        return left.baseline.commit
    return left.baseline if isinstance(left, Failure) else None


def of_commit(api: Api, sha: str, events: Sequence[str] = EVENTS) -> list[Measurement]:
    """The runs of a commit that measure, the newest first.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    path = f"actions/workflows/{WORKFLOW}/runs"
    listed = map(WorkflowRun.model_validate, api.pages(path, "workflow_runs", head_sha=sha))
    runs = [
        run
        for run in listed
        if run.head_sha == sha and run.event in events and run.conclusion != "skipped"
    ]
    runs.sort(key=lambda run: run.order, reverse=True)
    return [Measurement(api, run) for run in runs]


def against(
    measured: Sequence[Measurement], baseline: str, pull: Pull | None
) -> tuple[Measurement, Left]:
    """The newest measurement of a commit against a baseline, and what it left.

    A run that does not say what it compared with may have been the one, if it can be of `pull`;
    then what older ones found does not count any more. One that has not ended takes nothing away.

    Raises:
        LookupError: there is none.
        GitHubError: GitHub cannot be asked.
    """
    under_way = None
    for one in _looked_at(measured, pull):
        is_own = pull is None or one.run.may_be_of(pull)
        if one.is_against_another(baseline):
            continue
        left = one.left()
        found = baseline_of(left)
        if found == baseline:
            return one, left
        if found is None and is_own:
            if left is not None:
                return (under_way, None) if under_way else (one, left)
            under_way = under_way or one
    if under_way:
        return under_way, None
    raise LookupError(baseline)


def _looked_at(measured: Sequence[Measurement], pull: Pull | None) -> Iterator[Measurement]:
    """Those that may be of a pull request, and those that may not, so many of each."""
    counts = {True: 0, False: 0}
    for one in measured:
        is_own = pull is None or one.run.may_be_of(pull)
        counts[is_own] += 1
        if counts[is_own] <= MOST_RUNS:
            yield one
