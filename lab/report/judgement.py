"""What the evidence of a comparison means: a verdict a model, and whether the check passes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lab.evidence.schema import Evidence, Model, ModelSide, SeedScores
from lab.results.schema import BUILT_IN, Score
from lab.verdict.differences import FEWEST_SEEDS, Difference, Sample
from lab.verdict.verdicts import Finding, Verdict, findings

NOT_COMPARABLE = "not comparable"
STALE = "stale"
NOT_REPRODUCED = "not reproduced"
NEW = "new"
NEW_SCORE = "new score"
REMOVED = "removed"
BEST = ""  # in place of a model's name: the comparison of the best models

# Every verdict, the worst first, and its sign before the verdict line.
SIGNS = {
    NOT_COMPARABLE: "✕",
    Verdict.MISSING.value: "✕",
    STALE: "✕",
    NOT_REPRODUCED: "✕",
    Verdict.REGRESSED.value: "▼",
    REMOVED: "⊖",
    Verdict.IMPROVED.value: "▲",
    Verdict.CANNOT_TELL.value: "?",
    NEW_SCORE: "⊕",
    Verdict.REAL_BUT_SMALL.value: "≈",
    Verdict.EQUIVALENT.value: "=",
    NEW: "⊕",
}
ACCEPTABLE = (Verdict.REGRESSED.value, REMOVED)  # what a maintainer may accept
FAILING = (NOT_COMPARABLE, Verdict.MISSING.value, STALE, NOT_REPRODUCED, *ACCEPTABLE)


@dataclass(frozen=True)
class Judged:
    """A model, its verdict (one of `SIGNS`), and the difference where there is one.

    `before` is the baseline's best model, where the candidate's best is another and the two are
    what is compared. `reproduction` compares what was made here of a model with what git holds
    of it, made on another machine; None where the two are the same, or lack the judged score.
    """

    model: Model
    verdict: str
    finding: Finding | None
    before: Model | None = None
    reproduction: Finding | None = None

    @property
    def passes(self) -> bool:
        """Whether the check passes."""
        return self.verdict not in FAILING


@dataclass(frozen=True)
class Judgement:
    """The whole comparison by one score; `refusal` says why nothing can be compared.

    `best` compares the best models of the two sides, where they are not the same one. `stale`
    says why results in git are not those of the commit that they lie in.
    """

    models: Sequence[Judged]
    refusal: str | None
    score: Score
    best: Judged | None = None
    stale: Sequence[str] = ()

    @property
    def entries(self) -> Sequence[Judged]:
        """Everything that has a verdict, what matters most of all first."""
        return [*([self.best] if self.best else []), *self.models]

    @property
    def passes(self) -> bool:
        """Whether the check passes."""
        is_known = self.models and not self.refusal and not self.stale
        return bool(is_known) and all(one.passes for one in self.entries)

    @property
    def is_acceptable(self) -> bool:
        """Whether all that keeps the check from passing are losses, which may be worth it."""
        if self.passes or self.refusal or self.stale or not self.models:
            return False
        return all(one.passes or one.verdict in ACCEPTABLE for one in self.entries)

    @property
    def is_certain(self) -> bool:
        """Whether every model that is on both sides got a verdict that says something."""
        return not {Verdict.CANNOT_TELL.value, NEW_SCORE} & self.by_verdict().keys()

    def by_verdict(self) -> dict[str, list[Judged]]:
        """The models of each verdict, the worst verdict first."""
        grouped = {sign: [one for one in self.entries if one.verdict == sign] for sign in SIGNS}
        return {verdict: models for verdict, models in grouped.items() if models}


def judge(evidence: Evidence) -> Judgement:
    """Finds the differences of the test score that is judged, all of them together."""
    score, refusal = evidence.judged, _refusal(evidence)
    pairs: dict[str, tuple[Sample, Sample]] = {}
    for model in evidence.models:
        if model.both and not refusal and all(score.name in side.test for side in model.both):
            new, old = model.both
            pairs[model.name] = sample(new, score.name), sample(old, score.name)
    best = None if refusal else _best_models(evidence, score)
    if best:
        pairs[BEST] = best.samples
    found = _judged(pairs, evidence)
    reproductions = _judged(_made_twice(evidence, score), evidence)
    models = [
        Judged(
            model,
            _verdict(model, found, reproductions.get(model.name), score, refusal),
            found.get(model.name),
            reproduction=reproductions.get(model.name),
        )
        for model in evidence.models
    ]
    of_best = best and Judged(best.model, found[BEST].verdict.value, found[BEST], best.before)
    return Judgement(models, refusal, score, of_best, evidence.candidate.committed_stale)


def _judged(pairs: Mapping[str, tuple[Sample, Sample]], evidence: Evidence) -> dict[str, Finding]:
    """One family of comparisons: Holm's correction runs over all of them."""
    better = evidence.judged.higher_is_better
    judged = findings([*pairs.values()], evidence.margin, higher_is_better=better)
    return dict(zip(pairs, judged, strict=True))


def _made_twice(evidence: Evidence, score: Score) -> dict[str, tuple[Sample, Sample]]:
    """What was made here, and what git holds of it, of the models that another machine made."""
    return {
        model.name: (sample(model.candidate, score.name), sample(model.committed, score.name))
        for model in evidence.models
        if model.candidate and model.committed
        if score.name in model.candidate.test and score.name in model.committed.test
    }


class _BestModels(NamedTuple):
    model: Model
    before: Model
    samples: tuple[Sample, Sample]


def _best_models(evidence: Evidence, score: Score) -> _BestModels | None:
    """The best of each side, where they are two models; by the rule of compare.py.

    It is the best mean on validation; among equals the first of params.yaml.
    """
    order = {name: place for place, name in enumerate(evidence.baseline.models)}
    former = [(model.renamed_from or model.name, model) for model in evidence.models]
    former.sort(key=lambda named: order.get(named[0], len(order)))
    new = _best([(model, model.candidate) for model in evidence.models], score)
    old = _best([(model, model.baseline) for _, model in former], score)
    if new is None or old is None or new[0] is old[0] or new[0].stale:
        return None
    return _BestModels(new[0], old[0], (sample(new[1], score.name), sample(old[1], score.name)))


def _best(
    sides: Sequence[tuple[Model, ModelSide | None]], score: Score
) -> tuple[Model, ModelSide] | None:
    sign = 1 if score.higher_is_better else -1
    known = [
        (model, side)
        for model, side in sides
        if side and side.validation.get(score.name) and side.test.get(score.name)
    ]
    return max(
        known, key=lambda one: sign * float(np.mean(one[1].validation[score.name])), default=None
    )


def _refusal(evidence: Evidence) -> str | None:
    what = evidence.metric.replace("_", " ") if evidence.judged in BUILT_IN else "the score"
    for both in (model.both for model in evidence.models if model.both):
        after, before = (len(side.classes) for side in both)
        if after != before:
            return (
                f"the two revisions tell other classes apart ({before} classes, now {after}), "
                f"so no difference of {what} means anything"
            )
    new, old = evidence.candidate_data, evidence.baseline_data
    if new and old and new.test.sha256 != old.test.sha256:
        return (
            f"the two revisions were tested on different {evidence.noun}s "
            f"(test set {old.test.sha256[:12]}, now {new.test.sha256[:12]}), "
            f"so no difference of {what} means anything"
        )
    return None


def sample(side: ModelSide, score: str) -> Sample:
    """What is compared of one side of a model: a test score by seed."""
    return Sample(side.seeds, side.test[score])


def _verdict(
    model: Model,
    found: Mapping[str, Finding],
    reproduction: Finding | None,
    score: Score,
    refusal: str | None,
) -> str:
    if model.candidate is None and model.candidate_missing is None:
        return REMOVED
    if refusal and model.both:
        return NOT_COMPARABLE
    if model.candidate is None or score.name not in model.candidate.test or model.baseline_missing:
        return Verdict.MISSING.value
    if model.stale:
        return STALE
    if reproduction and reproduction.verdict in (Verdict.IMPROVED, Verdict.REGRESSED):
        return NOT_REPRODUCED
    if model.baseline is None:
        return NEW
    return found[model.name].verdict.value if model.name in found else NEW_SCORE


def is_identical(model: Model) -> bool:
    """Whether nothing at all changed in a model's results, but for scores that one side lacks."""
    if model.both is None:
        return False
    new, old = (_without_scores(side) for side in model.both)
    both_splits = zip(_splits(model.both[0]), _splits(model.both[1]), strict=True)
    return new == old and all(
        after[name] == before[name]
        for after, before in both_splits
        for name in after.keys() & before.keys()
    )


def _splits(side: ModelSide) -> tuple[SeedScores, SeedScores]:
    return side.validation, side.test


def _without_scores(side: ModelSide) -> ModelSide:
    return side.model_copy(update={"cost": None, "validation": {}, "test": {}})


def seeds_needed(found: Difference, seeds: int, margin: float) -> int | None:
    """About how many seeds a side would show a true difference as large as the margin."""
    if not found.minimum_detectable_effect:
        return None
    ratio = min(found.minimum_detectable_effect / margin, 1e6)  # a margin may be next to nothing
    return max(FEWEST_SEEDS, math.ceil(seeds * ratio**2))
