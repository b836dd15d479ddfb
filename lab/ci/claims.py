"""What a run claims, set against what this side knows: git, and the default branch's own runs.

What git knows is put into the evidence, whatever the run said of it. What an honest run never says
is a contradiction. What only the branch's own code can know stays as it is, and the report says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.base.errors import DataError, shortened
from lab.ci.facts import CommitPair
from lab.evidence.pairs import BEST, best_models, findings_of, in_trial, is_identical
from lab.evidence.schema import DataSummary, Evidence, Model, ModelSide, OnSeeds
from lab.results.schema import BUILT_IN
from lab.verdict import seeds
from lab.verdict.looks import planned
from lab.verdict.verdicts import is_open

KNOWN = "With the baseline's numbers as they are known"
BAR = "By the score and the margin of the baseline"
BOTH = f"{KNOWN}, and by the score and the margin of the baseline"
SCORES = frozenset(score.name for score in BUILT_IN)


@dataclass(frozen=True)
class Asking:
    """A run that drew seeds of its own by its number, the so-manieth of its pull request."""

    run: int
    time: int


@dataclass(frozen=True)
class Checked:
    """Evidence in which this side's knowledge stands, and what of the baseline it does not know.

    `others` is the same evidence as it may not be judged better: with the baseline's numbers as
    they are known, and by the baseline's own score and margin, where either differs.
    """

    evidence: Evidence
    unknown: Sequence[str]
    others: Mapping[str, Evidence]


def checked(
    given: Evidence, trial: CommitPair, asking: Asking, own_run: Evidence | None
) -> Checked:
    """Evidence as this side can vouch for it.

    Args:
        given: of the run, its commits already compared.
        trial: the two commits, as git has them.
        asking: the run.
        own_run: what the default branch's own run measured at the baseline, if there was one.

    Raises:
        DataError: it contradicts git.
    """
    for fault in _contradictions(given, trial, asking.run):
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
    evidence = _without_unfinished(
        given.model_copy(
            update={
                "baseline": baseline,
                "changes": trial.changes(stages),
                "baseline_margin": trial.base.margin,
                "baseline_metric": trial.base.metric,
                "baseline_budget": trial.base.budget,
                "confirmation": asking.time if trial.is_confirmed else None,
                "models": [
                    one.model_copy(update={"committed": _other(one, given, trial)})
                    for one in given.models
                ],
            }
        )
    )
    known = Known(trial, own_run)
    unknown = list(known.lacks(evidence))
    if evidence.anchor and (evidence.anchor.missing or evidence.metric not in SCORES):
        unknown.append(f"the anchor {evidence.anchor.name}")
    gone = evidence.baseline_metric
    if gone and gone not in {score.name for score in evidence.scores}:
        unknown.append(f"the score {gone}")
    others = {KNOWN: known.put_into(evidence)} if unknown else {}
    for how, one in ((BAR, evidence), (BOTH, others.get(KNOWN))):
        if one and (strict := _by_its_yardstick(one)) is not None:
            others[how] = strict
    return Checked(evidence, unknown, others)


def _without_unfinished(given: Evidence) -> Evidence:
    """Without fresh seeds that say nothing yet, where more were planned and not trained."""
    if given.trial is None or given.confirmation is None:
        return given
    better, kept = given.judged.higher_is_better, dict(given.trial.candidate)
    best = best_models(given)
    for name, found in findings_of(given).items():
        if is_open(found, higher_is_better=better):
            model = best.model.name if name == BEST and best else name
            if model in kept and len(kept[model].seeds) < given.looks[-1]:
                del kept[model]
    if len(kept) == len(given.trial.candidate):
        return given
    why = given.trial_missing or "training ended before it could be told"
    trial = given.trial.model_copy(update={"candidate": kept})
    return given.model_copy(update={"trial": trial, "trial_missing": why})


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


def _other(model: Model, given: Evidence, trial: CommitPair) -> ModelSide | None:
    """What git holds of a model's results, where these are its own and not what the run made."""
    committed = trial.head.results.sides.get(model.name)
    if given.candidate.committed_stale or committed is None or model.candidate is None:
        return None
    if given.candidate.inherited_stale and committed == trial.base.results.sides.get(model.name):
        return None  # it was stale before the branch began, which left it alone
    return None if _numbers(committed) == _numbers(model.candidate) else committed


# --- what an honest run never says ---------------------------------------------------------------


def _contradictions(given: Evidence, trial: CommitPair, run: int) -> Iterable[str]:
    yield from _of_params(given, trial)
    yield from _drawn_otherwise(given, trial, run)
    yield from _anchored_otherwise(given, trial)


def _of_params(given: Evidence, trial: CommitPair) -> Iterable[str]:
    for key, said, known in (
        ("margin", given.margin, trial.head.margin),
        ("metric", given.metric, trial.head.metric),
        ("budget", given.budget, trial.head.budget),
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


def _drawn_otherwise(given: Evidence, trial: CommitPair, run: int) -> Iterable[str]:
    """What is wrong with the seeds: they are to be those that nobody could choose, and all."""
    looks = planned(trial.head.seeds or 1, given.budget)
    if tuple(given.looks) != looks:
        yield f"{given.looks} seeds a side were planned, and by params.yaml it is {[*looks]}"
    if (drawn := given.trial) is None:
        return
    if drawn.run != run:
        yield f"its seeds were drawn for the run {drawn.run}, and this is {run}"
    if not given.budget:
        yield "seeds were drawn, and compare.budget asks for none"
    known = seeds.fresh(run, trial.head.commit, trial.base.commit, max(looks))
    for models in (drawn.candidate, drawn.baseline):
        for name, side in models.items():
            if len(side.seeds) not in looks or side.seeds != known[: len(side.seeds)]:
                yield f"{name} was trained on other seeds than were drawn for the run {run}"
    for one in given.models if best_models(given) is None else ():  # else more may be of one side
        both = in_trial(given, one, one)
        if both and both[0].seeds != both[1].seeds:
            yield f"{one.name} was trained on more seeds on one side than on the other"


def _anchored_otherwise(given: Evidence, trial: CommitPair) -> Iterable[str]:
    """What is wrong with what is said of the anchor, as far as git knows it."""
    said, known = given.anchor and (given.anchor.name, given.anchor.commit), trial.anchor
    if said != known:
        shown = [f"{one[0]} ({one[1][:12]})" if one else "none" for one in (known, said)]
        yield f"the anchor is {shown[0]}, and {shown[1]} in the report; run it again"
        return
    if given.anchor is None or given.anchor.missing or not trial.anchored:
        return
    for one in given.models:
        name, found = one.renamed_from or one.name, one.anchor
        there, before = trial.anchored.get(name), trial.base.results.sides.get(name)
        if found is None:
            if there and one.both and not is_identical(one) and given.metric in there.test:
                yield f"the anchor has {name}, and the report leaves it out"
        elif fresh := given.trial and given.trial.candidate.get(one.name):
            if found.seeds != fresh.seeds:
                yield f"what the anchor has of {name} is of other seeds"
        else:
            # What has the same results there as at the baseline is not made twice.
            is_same = there and before and _numbers(there) == _numbers(before)
            sides = [side for side in (there, one.baseline if is_same else None) if side]
            if not any(_is_of(found, side, given.metric) for side in sides):
                yield f"what the anchor has of {name} is something else"


def _is_of(said: OnSeeds, known: ModelSide, metric: str) -> bool:
    """Whether these are the scores of that side, where this side can know them."""
    is_known = metric not in SCORES or said.test.get(metric) == known.test.get(metric)
    return is_known and said.seeds == known.seeds


def _is_renamed(
    model: Model, after: Mapping[str, Any], before: Mapping[str, Any], trial: CommitPair
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

    def __init__(self, trial: CommitPair, own_run: Evidence | None) -> None:
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
