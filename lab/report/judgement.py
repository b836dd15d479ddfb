"""What the evidence of a comparison means: a word for each model, and whether a gate opens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.report.evidence import Evidence, Model, ModelSide
from lab.results.schema import FEWEST_SEEDS
from lab.verdict.comparison import Difference, Finding, Side, Verdict, findings

NOT_COMPARABLE = "not comparable"
STALE = "stale"
NEW = "new"
REMOVED = "removed"

# Worst first; the sign goes before the verdict line.
WORDS = {
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
    """A model, the word that the report has for it, and the difference where there is one."""

    model: Model
    word: str
    finding: Finding | None

    @property
    def passes(self) -> bool:
        """Whether a gate lets it through."""
        return self.word not in (NOT_COMPARABLE, Verdict.MISSING, STALE, Verdict.REGRESSED)


@dataclass(frozen=True)
class Judgement:
    """The whole comparison; `refusal` says why nothing can be compared."""

    models: Sequence[Judged]
    refusal: str | None

    @property
    def passes(self) -> bool:
        """Whether a gate lets it through."""
        return bool(self.models) and all(model.passes for model in self.models)

    def by_word(self) -> dict[str, list[Judged]]:
        """The models of each word, the worst word first."""
        grouped = {word: [one for one in self.models if one.word == word] for word in WORDS}
        return {word: models for word, models in grouped.items() if models}


def judge(evidence: Evidence) -> Judgement:
    """Finds the differences of test accuracy, all models judged together."""
    refusal = _refusal(evidence)
    compared = [m for m in evidence.models if m.candidate and m.baseline and not refusal]
    pairs = [
        (accuracy(model.candidate), accuracy(model.baseline))
        for model in compared
        if model.candidate and model.baseline
    ]
    found = dict(zip((m.name for m in compared), findings(pairs, evidence.margin), strict=True))
    return Judgement(
        [
            Judged(model, _word(model, found, refusal), found.get(model.name))
            for model in evidence.models
        ],
        refusal,
    )


def _refusal(evidence: Evidence) -> str | None:
    new, old = evidence.candidate_data, evidence.baseline_data
    if new and old and new.test.sha256 != old.test.sha256:
        return (
            "the two revisions were tested on different images "
            f"(test set {old.test.sha256[:12]}, now {new.test.sha256[:12]}), "
            "so no difference of accuracy means anything"
        )
    return None


def accuracy(side: ModelSide) -> Side:
    """What is compared of one side of a model: its test accuracies by seed."""
    return Side(side.seeds, side.test.accuracy)


def _word(model: Model, found: dict[str, Finding], refusal: str | None) -> str:
    if model.candidate is None and model.candidate_missing is None:
        return REMOVED
    if model.baseline is None and model.baseline_missing is None:
        return NEW if model.candidate else Verdict.MISSING.value
    if refusal and model.candidate and model.baseline:
        return NOT_COMPARABLE
    if model.name not in found:
        return Verdict.MISSING.value
    return STALE if model.stale else found[model.name].verdict.value


def is_identical(model: Model) -> bool:
    """Whether nothing at all changed in a model's results."""
    return (
        model.candidate is not None
        and model.baseline is not None
        and (
            model.candidate.model_copy(update={"cost": None})
            == model.baseline.model_copy(update={"cost": None})
        )
    )


def seeds_needed(found: Difference, seeds: int, margin: float) -> int | None:
    """About how many seeds a side would show a true difference as large as the margin."""
    if not found.smallest_detectable:
        return None
    ratio = min(found.smallest_detectable / margin, 1e6)  # a margin may be next to nothing
    return max(FEWEST_SEEDS, math.ceil(seeds * ratio**2))
