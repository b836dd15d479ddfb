"""`metrics/comparison.json`: the models of one revision against each other."""

import dataclasses
from typing import Literal

from lab.base.records import Record
from lab.results.schema import Score
from lab.verdict.verdicts import Finding, Verdict


class Chosen(Record):
    """The model with the best mean score on validation, and its best seed by the same score."""

    model: str
    seed: int


class ModelDifference(Record):
    """The test score of one model minus that of another; fields as in `Difference` and `Finding`.

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

    def sentence(self, unit: str) -> str:
        """The finding in one line, in percentage points or in the score's own unit.

        For example `relu_128 - linear_64: +5.67 pp [+5.60, +5.74], improved`.
        """
        scale, form, shown = (100, "+.2f", "pp") if unit == "%" else (1, "+.4g", unit)
        low_high = self.interval and ", ".join(f"{scale * end:{form}}" for end in self.interval)
        amount = f"{scale * self.estimate:{form}} {shown}".rstrip()
        found = f"{amount} {f'[{low_high}]' if low_high else '(no interval: under 3 seeds)'}"
        return f"{self.candidate} - {self.baseline}: {found}, {self.verdict}"


class Comparison(Record):
    """The whole file: the chosen model against each other model."""

    schema_version: Literal[2]
    metric: Score
    margin: float
    chosen: Chosen
    differences: list[ModelDifference]
