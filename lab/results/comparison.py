"""`metrics/comparison.json`: the models of one revision against each other."""

from typing import Literal

from lab.base.records import Record
from lab.results.schema import Score
from lab.verdict.differences import FEWEST_SEEDS
from lab.verdict.verdicts import Finding, Verdict


class Chosen(Record):
    """The model with the best mean score on validation, and its best seed by the same score."""

    model: str
    seed: int


class ModelDifference(Record):
    """The test score of one model minus that of another; fields as in `Difference` and `Finding`.

    `interval` is over seeds alone, for these test examples. `images` is the one of
    `lab.verdict.images`, for others of the same kind; None where it is unknown, as of all scores
    but accuracy. `smallest_detectable` is the minimum detectable effect.
    """

    candidate: str
    baseline: str
    estimate: float
    interval: tuple[float, float] | None
    images: tuple[float, float] | None
    p_value: float | None
    p_holm: float | None
    smallest_detectable: float | None
    correlation: float | None
    is_paired: bool
    verdict: Verdict

    @classmethod
    def of(
        cls,
        candidate: str,
        baseline: str,
        finding: Finding,
        images: tuple[float, float] | None = None,
    ) -> "ModelDifference":
        """A finding with the names of its two sides."""
        found = finding.difference
        return cls(
            candidate=candidate,
            baseline=baseline,
            estimate=found.estimate,
            interval=found.interval,
            images=images,
            p_value=found.p_value,
            p_holm=finding.p_holm,
            smallest_detectable=found.minimum_detectable_effect,
            correlation=found.correlation,
            is_paired=found.is_paired,
            verdict=finding.verdict,
        )

    def sentence(self, unit: str) -> str:
        """The finding in one line, in percentage points or in the score's own unit.

        For example `relu_128 - linear_64: +5.67 pp [+5.21, +6.13] on other images, improved`.
        """
        scale, form, shown = (100, "+.2f", "pp") if unit == "%" else (1, "+.4g", unit)
        amount = f"{scale * self.estimate:{form}} {shown}".rstrip()
        found = f"{amount} (no interval: under {FEWEST_SEEDS} seeds)"
        if interval := self.images or self.interval:
            found = f"{amount} [{', '.join(f'{scale * end:{form}}' for end in interval)}]"
        where = " on other images" if self.images else ""
        return f"{self.candidate} - {self.baseline}: {found}{where}, {self.verdict}"


class Comparison(Record):
    """The whole file: the chosen model against each other model."""

    schema_version: Literal[3]
    metric: Score
    margin: float
    chosen: Chosen
    differences: list[ModelDifference]
