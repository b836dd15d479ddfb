"""What a run claims, set against what this side knows: git, and the default branch's own runs.

What git knows is put into the evidence, whatever the run said of it. What an honest run never says
is a contradiction. What only the branch's own code can know stays as it is, and the report says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.base.errors import DataError, shortened
from lab.ci.facts import Trial
from lab.evidence.schema import DataSummary, Evidence, Model, ModelSide
from lab.results.schema import BUILT_IN

KNOWN = "With the baseline's numbers as they are known"
BAR = "By the score and the margin of the baseline"
BOTH = f"{KNOWN}, and by the score and the margin of the baseline"
SCORES = frozenset(score.name for score in BUILT_IN)


@dataclass(frozen=True)
class Checked:
    """Evidence in which this side's knowledge stands, and what of the baseline it does not know.

    `others` is the same evidence as it may not be judged better: with the baseline's numbers as
    they are known, and by the baseline's own score and margin, where either differs.
    """

    evidence: Evidence
    unknown: Sequence[str]
    others: Mapping[str, Evidence]


def checked(given: Evidence, trial: Trial, own_run: Evidence | None) -> Checked:
    """Evidence as this side can vouch for it.

    Args:
        given: of the run, its commits already compared.
        trial: the two commits, as git has them.
        own_run: what the default branch's own run measured at the baseline, if there was one.

    Raises:
        DataError: it contradicts git.
    """
    for fault in _contradictions(given, trial):
        raise DataError(f"report.json contradicts git: {fault}")
    stages = {change.path: change.stages for change in given.changes.code}
    baseline = given.baseline.model_copy(
        update={
            "named": None,
            "branch": trial.branch,
            "behind": trial.behind,
            "models": list(trial.base.results.names),
        }
    )
    evidence = given.model_copy(
        update={
            "baseline": baseline,
            "changes": trial.changes(stages),
            "baseline_margin": trial.base.margin,
            "baseline_metric": trial.base.metric,
            "models": [
                one.model_copy(update={"committed": _other(one, given, trial)})
                for one in given.models
            ],
        }
    )
    known = Known(trial, own_run)
    unknown = list(known.lacks(evidence))
    gone = evidence.baseline_metric
    if gone and gone not in {score.name for score in evidence.scores}:
        unknown.append(f"the score {gone}")
    others = {KNOWN: known.put_into(evidence)} if unknown else {}
    for how, one in ((BAR, evidence), (BOTH, others.get(KNOWN))):
        if one and (strict := _by_its_yardstick(one)) is not None:
            others[how] = strict
    return Checked(evidence, unknown, others)


def _by_its_yardstick(given: Evidence) -> Evidence | None:
    """By the baseline's score, and the smaller margin: nobody lowers the bar by raising it.

    None where that is the same bar.
    """
    margin = min(given.margin, given.baseline_margin or given.margin)
    metric = given.baseline_metric or given.metric
    if metric not in {score.name for score in given.scores}:
        metric = given.metric
    elif metric != given.metric:  # margins are in the unit of their own score
        margin = given.baseline_margin or given.margin
    if (metric, margin) == (given.metric, given.margin):
        return None
    return given.model_copy(update={"metric": metric, "margin": margin})


def _other(model: Model, given: Evidence, trial: Trial) -> ModelSide | None:
    """What git holds of a model's results, where these are its own and not what the run made."""
    committed = trial.head.results.sides.get(model.name)
    if given.candidate.committed_stale or committed is None or model.candidate is None:
        return None
    if given.candidate.inherited_stale and committed == trial.base.results.sides.get(model.name):
        return None  # it was stale before the branch began, which left it alone
    return None if _numbers(committed) == _numbers(model.candidate) else committed


# --- what an honest run never says ---------------------------------------------------------------


def _contradictions(given: Evidence, trial: Trial) -> Iterable[str]:
    for key, said, known in (
        ("margin", given.margin, trial.head.margin),
        ("metric", given.metric, trial.head.metric),
    ):
        if said != known:
            shown = "not to be read" if known is None else repr(known)
            yield f"compare.{key} is {shown} in params.yaml, and {said!r} in the report"
    after, before = (revision.models for revision in (trial.head, trial.base))
    new = [one.name for one in given.models if one.candidate or one.candidate_missing]
    old = [
        one.renamed_from or one.name for one in given.models if one.baseline or one.baseline_missing
    ]
    for side, said_names, known_names in (("candidate", new, after), ("baseline", old, before)):
        if sorted(said_names) != sorted(known_names):
            only = shortened(", ".join(sorted({*said_names} ^ {*known_names})), 60)
            yield f"the {side}'s models are others in params.yaml ({only})"
    for one in given.models:
        if one.renamed_from and not _is_renamed(one, after, before, trial):
            yield f"{one.name} is not {one.renamed_from} under another name"


def _is_renamed(
    model: Model, after: Mapping[str, Any], before: Mapping[str, Any], trial: Trial
) -> bool:
    """Whether params.yaml says so, or the entry is the same and the old name gone."""
    old = model.renamed_from
    if (
        old is None
        or old not in before
        or old in after
        or model.name not in after
        or model.name in before
    ):
        return False
    return trial.head.renamed.get(model.name) == old or after[model.name] == before[old]


# --- what is known of the baseline ---------------------------------------------------------------


class Known:
    """The baseline as the default branch's own run measured it, else as git has it."""

    def __init__(self, trial: Trial, own_run: Evidence | None) -> None:
        results = trial.base.results
        runs = {one.name: one.candidate for one in own_run.models} if own_run else {}
        self._sides = {
            **results.sides,
            **{name: side for name, side in runs.items() if side is not None},
        }
        self._data = (own_run and own_run.candidate_data) or results.data

    def lacks(self, given: Evidence) -> Iterable[str]:
        """What a run says of the baseline that is not known."""
        if given.baseline_data and not self._is_data(given.baseline_data):
            yield "the data"
        for one in given.models:
            side = self._sides.get(one.renamed_from or one.name)
            if one.baseline and not (side and _is(one.baseline, side, given)):
                yield one.renamed_from or one.name

    def put_into(self, given: Evidence) -> Evidence:
        """The evidence with what is known of the baseline in place of what the run says."""
        models = []
        for one in given.models:
            side = self._sides.get(one.renamed_from or one.name)
            is_better_known = one.baseline is not None and side and given.metric in side.test
            models.append(one.model_copy(update={"baseline": side}) if is_better_known else one)
        data = self._data or given.baseline_data
        return given.model_copy(update={"models": models, "baseline_data": data})

    def _is_data(self, said: DataSummary) -> bool:
        known = self._data
        return known is not None and (said.train, said.validation, said.test) == (
            known.train,
            known.validation,
            known.test,
        )


def _is(said: ModelSide, known: ModelSide, given: Evidence) -> bool:
    """Whether all that is judged of a side is as it is known."""
    if given.metric in SCORES:
        return _numbers(said) == _numbers(known)
    mine, other = (side.test.get(given.metric) for side in (said, known))
    return _numbers(said) == _numbers(known) and mine == other


def _numbers(side: ModelSide) -> tuple[object, ...]:
    """What two runs of the same bytes have in common; costs and own scores are left out."""
    built_in = [
        {name: values for name, values in scores.items() if name in SCORES}
        for scores in (side.validation, side.test)
    ]
    return side.seeds, side.parameter_count, side.device, side.precision, built_in, side.classes
