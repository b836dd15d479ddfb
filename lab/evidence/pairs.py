"""What is compared with what: the two sides of every model, and the best model of each side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lab.evidence.schema import Evidence, Model, ModelSide, OnSeeds, SeedScores
from lab.results.schema import BUILT_IN, Score
from lab.verdict.differences import Sample
from lab.verdict.verdicts import Finding, findings

BEST = ""  # in place of a model's name: the comparison of the best models

Pairs = Mapping[str, tuple[Sample, Sample]]  # by the candidate's name: candidate, baseline


def findings_of(evidence: Evidence) -> dict[str, Finding]:
    """What is found of them: over all looks, and over all confirmations of a pull request."""
    given = pairs(evidence)
    found = findings(
        [*given.values()],
        evidence.margin,
        higher_is_better=evidence.judged.higher_is_better,
        looks=evidence.looks,
        confirmation=evidence.confirmation,
    )
    return dict(zip(given, found, strict=True))


def pairs(evidence: Evidence) -> dict[str, tuple[Sample, Sample]]:
    """What is judged, as one family: on the seeds of the trial, else on the committed ones."""
    score, found = evidence.metric, {}
    if refusal(evidence) is None:
        for model in evidence.models:
            if model.both and all(score in side.test for side in model.both):
                found[model.name] = _samples(evidence, model, model)
        if best := best_models(evidence):
            found[BEST] = _samples(evidence, best.model, best.before)
    return found


def sample(side: ModelSide | OnSeeds, score: str) -> Sample:
    """What is compared of one side of a model: a test score by seed."""
    return Sample(side.seeds, side.test[score])


def in_trial(evidence: Evidence, new: Model, old: Model) -> tuple[OnSeeds, OnSeeds] | None:
    """What the trial has of one model at the candidate, and of one at the baseline, if of both."""
    if evidence.trial is None:
        return None
    both = (
        evidence.trial.candidate.get(new.name),
        evidence.trial.baseline.get(old.renamed_from or old.name),
    )
    if any(side is None or evidence.metric not in side.test for side in both):
        return None
    return both  # type: ignore[return-value]


def _samples(evidence: Evidence, new: Model, old: Model) -> tuple[Sample, Sample]:
    sides = in_trial(evidence, new, old) or (new.candidate, old.baseline)
    after, before = (sample(side, evidence.metric) for side in sides if side)
    return after, before


# --- the best models -----------------------------------------------------------------------------


@dataclass(frozen=True)
class BestModels:
    """The candidate's best model, and the one that was the baseline's."""

    model: Model
    before: Model


def best_models(evidence: Evidence) -> BestModels | None:
    """The best of each side, where they are two models; by the rule of compare.py.

    It is the best mean on validation; among equals the first of params.yaml.
    """
    order = {name: place for place, name in enumerate(evidence.baseline.models)}
    former = [(model.renamed_from or model.name, model) for model in evidence.models]
    former.sort(key=lambda named: order.get(named[0], len(order)))
    score = evidence.judged
    new = _best([(model, model.candidate) for model in evidence.models], score)
    old = _best([(model, model.baseline) for _, model in former], score)
    return None if new is None or old is None or new is old or new.stale else BestModels(new, old)


def _best(sides: Sequence[tuple[Model, ModelSide | None]], score: Score) -> Model | None:
    sign = 1 if score.higher_is_better else -1
    means = [
        (model, sign * float(np.mean(side.validation[score.name])))
        for model, side in sides
        if side and side.validation.get(score.name) and side.test.get(score.name)
    ]
    return max(means, key=lambda one: one[1])[0] if means else None


# --- what is not compared ------------------------------------------------------------------------


def refusal(evidence: Evidence) -> str | None:
    """Why nothing can be compared."""
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
