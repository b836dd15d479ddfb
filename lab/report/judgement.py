"""What the evidence of a comparison means: a verdict a model, and whether the check passes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.evidence.schema import Evidence, Model, ModelSide
from lab.verdict.differences import FEWEST_SEEDS, Difference, Sample
from lab.verdict.verdicts import Finding, Verdict, findings

NOT_COMPARABLE = "not comparable"
STALE = "stale"
NEW = "new"
REMOVED = "removed"

# Every verdict, the worst first, and its sign before the verdict line.
SIGNS = {
    NOT_COMPARABLE: "✕",
    Verdict.MISSING.value: "✕",
    STALE: "✕",
    Verdict.REGRESSED.value: "▼",
    Verdict.IMPROVED.value: "▲",
    Verdict.CANNOT_TELL.value: "?",
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
    """The whole comparison; `refusal` says why nothing can be compared."""

    models: Sequence[Judged]
    refusal: str | None

    @property
    def passes(self) -> bool:
        """Whether the check passes."""
        return bool(self.models) and all(model.passes for model in self.models)

    def by_verdict(self) -> dict[str, list[Judged]]:
        """The models of each verdict, the worst verdict first."""
        grouped = {one: [model for model in self.models if model.verdict == one] for one in SIGNS}
        return {verdict: models for verdict, models in grouped.items() if models}


def judge(evidence: Evidence) -> Judgement:
    """Finds the differences of test accuracy, all models judged together."""
    refusal = _refusal(evidence)
    sides = {model.name: model.both for model in evidence.models if model.both and not refusal}
    pairs = [(accuracy(new), accuracy(old)) for new, old in sides.values()]
    found = dict(zip(sides, findings(pairs, evidence.margin), strict=True))
    models = [
        Judged(model, _verdict(model, found, refusal), found.get(model.name))
        for model in evidence.models
    ]
    return Judgement(models, refusal)


def _refusal(evidence: Evidence) -> str | None:
    new, old = evidence.candidate_data, evidence.baseline_data
    if new and old and new.test.sha256 != old.test.sha256:
        return (
            "the two revisions were tested on different images "
            f"(test set {old.test.sha256[:12]}, now {new.test.sha256[:12]}), "
            "so no difference of accuracy means anything"
        )
    return None


def accuracy(side: ModelSide) -> Sample:
    """What is compared of one side of a model: its test accuracies by seed."""
    return Sample(side.seeds, side.test.accuracy)


def _verdict(model: Model, found: dict[str, Finding], refusal: str | None) -> str:
    if model.candidate is None and model.candidate_missing is None:
        return REMOVED
    if model.baseline is None and model.baseline_missing is None:
        return NEW if model.candidate else Verdict.MISSING.value
    if refusal and model.both:
        return NOT_COMPARABLE
    if model.name not in found:
        return Verdict.MISSING.value
    return STALE if model.stale else found[model.name].verdict.value


def is_identical(model: Model) -> bool:
    """Whether nothing at all changed in a model's results."""
    if model.both is None:
        return False
    new, old = (side.model_copy(update={"cost": None}) for side in model.both)
    return new == old


def seeds_needed(found: Difference, seeds: int, margin: float) -> int | None:
    """About how many seeds a side would show a true difference as large as the margin."""
    if not found.minimum_detectable_effect:
        return None
    ratio = min(found.minimum_detectable_effect / margin, 1e6)  # a margin may be next to nothing
    return max(FEWEST_SEEDS, math.ceil(seeds * ratio**2))
