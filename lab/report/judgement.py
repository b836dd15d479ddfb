"""What the evidence of a comparison means: a verdict a model, and whether the check passes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.evidence.schema import Evidence, Model, ModelSide, SeedScores
from lab.results.schema import BUILT_IN, Score
from lab.verdict.differences import FEWEST_SEEDS, Difference, Sample
from lab.verdict.verdicts import Finding, Verdict, findings

NOT_COMPARABLE = "not comparable"
STALE = "stale"
NEW = "new"
NEW_SCORE = "new score"
REMOVED = "removed"

# Every verdict, the worst first, and its sign before the verdict line.
SIGNS = {
    NOT_COMPARABLE: "✕",
    Verdict.MISSING.value: "✕",
    STALE: "✕",
    Verdict.REGRESSED.value: "▼",
    Verdict.IMPROVED.value: "▲",
    Verdict.CANNOT_TELL.value: "?",
    NEW_SCORE: "⊕",
    Verdict.REAL_BUT_SMALL.value: "≈",
    Verdict.EQUIVALENT.value: "=",
    NEW: "⊕",
    REMOVED: "⊖",
}


@dataclass(frozen=True)
class Judged:
    """A model, its verdict (one of `SIGNS`), and the difference where there is one."""

    model: Model
    verdict: str
    finding: Finding | None

    @property
    def passes(self) -> bool:
        """Whether the check passes."""
        return self.verdict not in (NOT_COMPARABLE, Verdict.MISSING, STALE, Verdict.REGRESSED)


@dataclass(frozen=True)
class Judgement:
    """The whole comparison by one score; `refusal` says why nothing can be compared."""

    models: Sequence[Judged]
    refusal: str | None
    score: Score

    @property
    def passes(self) -> bool:
        """Whether the check passes."""
        return bool(self.models) and all(model.passes for model in self.models)

    @property
    def is_certain(self) -> bool:
        """Whether every model that is on both sides got a verdict that says something."""
        return not {Verdict.CANNOT_TELL.value, NEW_SCORE} & self.by_verdict().keys()

    def by_verdict(self) -> dict[str, list[Judged]]:
        """The models of each verdict, the worst verdict first."""
        grouped = {one: [model for model in self.models if model.verdict == one] for one in SIGNS}
        return {verdict: models for verdict, models in grouped.items() if models}


def judge(evidence: Evidence) -> Judgement:
    """Finds the differences of the test score that is judged, all models together."""
    score, refusal = evidence.judged, _refusal(evidence)
    names, pairs = [], []
    for model in evidence.models:
        if model.both and not refusal and all(score.name in side.test for side in model.both):
            new, old = (sample(side, score.name) for side in model.both)
            names.append(model.name)
            pairs.append((new, old))
    judged = findings(pairs, evidence.margin, higher_is_better=score.higher_is_better)
    found = dict(zip(names, judged, strict=True))
    models = [
        Judged(model, _verdict(model, found, score, refusal), found.get(model.name))
        for model in evidence.models
    ]
    return Judgement(models, refusal, score)


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


def _verdict(model: Model, found: dict[str, Finding], score: Score, refusal: str | None) -> str:
    if model.candidate is None and model.candidate_missing is None:
        return REMOVED
    if model.baseline is None and model.baseline_missing is None:
        return NEW if model.candidate else Verdict.MISSING.value
    if refusal and model.both:
        return NOT_COMPARABLE
    if model.both is None or score.name not in model.both[0].test:
        return Verdict.MISSING.value
    if model.stale:
        return STALE
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
