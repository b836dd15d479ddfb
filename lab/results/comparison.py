"""`metrics/comparison.json`: the models of one revision against each other."""

import dataclasses
from typing import Literal

from lab.base.records import Record
from lab.verdict.verdicts import Finding, Verdict


class Chosen(Record):
    """The model with the best mean validation accuracy, and its best seed by the same measure."""

    model: str
    seed: int


class ModelDifference(Record):
    """Test accuracy of one model minus that of another; fields as in `Difference` and `Finding`.

    `smallest_detectable` is the minimum detectable effect.
    """

    candidate: str
    baseline: str
    estimate: float
    interval: tuple[float, float] | None
    p_value: float | None
    p_holm: float | None
    smallest_detectable: float | None
    correlation: float | None
    is_paired: bool
    verdict: Verdict

    @classmethod
    def of(cls, candidate: str, baseline: str, finding: Finding) -> "ModelDifference":
        """A finding with the names of its two sides."""
        found = dataclasses.asdict(finding.difference)
        return cls(
            candidate=candidate,
            baseline=baseline,
            p_holm=finding.p_holm,
            verdict=finding.verdict,
            smallest_detectable=found.pop("minimum_detectable_effect"),
            **found,
        )

    def sentence(self) -> str:
        """The finding in one line, in percentage points.

        For example `relu_128 - linear_64: +5.67 pp [+5.60, +5.74], improved`.
        """
        low_high = self.interval and "[{:+.2f}, {:+.2f}]".format(*(100 * x for x in self.interval))
        sides = f"{self.candidate} - {self.baseline}"
        found = f"{100 * self.estimate:+.2f} pp {low_high or '(no interval: under 3 seeds)'}"
        return f"{sides}: {found}, {self.verdict}"


class Comparison(Record):
    """The whole file: the chosen model against each other model."""

    schema_version: Literal[1]
    margin: float
    chosen: Chosen
    differences: list[ModelDifference]
