"""Differences, intervals, tests and verdicts: arrays in, values out.

The unit is the seed. The same functions compare a model with a model and a revision with a
revision; the procedure and its sources stand in docs/statistics.md.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats has the same, and takes a second to import

from lab.base.records import Record
from lab.results.schema import CONFIDENCE, FEWEST_SEEDS, Floats

POWER = 0.80


class Verdict(StrEnum):
    """What a comparison says; the values are the words a report shows."""

    IMPROVED = "improved"
    REGRESSED = "regressed"
    EQUIVALENT = "equivalent"
    REAL_BUT_SMALL = "real but small"
    CANNOT_TELL = "cannot tell"
    MISSING = "missing"

    @property
    def passes(self) -> bool:
        """Whether a gate lets it through."""
        return self not in (Verdict.REGRESSED, Verdict.MISSING)


@dataclass(frozen=True)
class Difference:
    """Candidate minus baseline, in the unit of the values.

    With fewer than three seeds a side `interval`, `p_value` and `smallest_detectable` are None.
    `smallest_detectable` is the true difference that would have been told from zero four times
    out of five. `correlation` (paired only) is that of the pairs, None where it is undefined.
    """

    estimate: float
    interval: tuple[float, float] | None
    p_value: float | None
    smallest_detectable: float | None
    is_paired: bool
    correlation: float | None

    @property
    def is_identical(self) -> bool:
        """Whether every seed gave the same value on both sides."""
        return self.is_paired and self.estimate == 0 and self.interval == (0, 0)


@dataclass(frozen=True)
class Side:
    """One value per seed of one side of a comparison."""

    seeds: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class Finding:
    """A difference judged among all the differences of a report."""

    difference: Difference
    p_holm: float | None
    verdict: Verdict


def findings(pairs: Sequence[tuple[Side, Side]], margin: float) -> list[Finding]:
    """Judges (candidate, baseline) pairs together: Holm's correction runs over all of them.

    A pair of identical results is no chance to err, because nothing was trained anew: it is left
    out of the correction, which would else ask more of the models that did change.
    """
    differences = [difference(candidate, baseline) for candidate, baseline in pairs]
    tested = {
        index: found.p_value
        for index, found in enumerate(differences)
        if found.p_value is not None and not found.is_identical
    }
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    p_holm = [adjusted.get(index, found.p_value) for index, found in enumerate(differences)]
    return [
        Finding(found, p, verdict(found, p, margin))
        for found, p in zip(differences, p_holm, strict=True)
    ]


def difference(candidate: Side, baseline: Side) -> Difference:
    """Compares two sides: paired when both have the same seeds, else Welch.

    >>> same = Side([0, 1, 2], [0.97, 0.98, 0.99]), Side([2, 1, 0], [0.98, 0.97, 0.96])
    >>> round(difference(*same).estimate, 3), difference(*same).is_paired
    (0.01, True)
    """
    if sorted(candidate.seeds) == sorted(baseline.seeds):
        of_seed = dict(zip(baseline.seeds, baseline.values, strict=True))
        matched = [of_seed[seed] for seed in candidate.seeds]
        return paired(np.array(candidate.values), np.array(matched))
    return welch(np.array(candidate.values), np.array(baseline.values))


def paired(candidate_S: Floats, baseline_S: Floats) -> Difference:
    """Paired t interval and test. Source: Miller 2024 (arXiv 2411.00640), section 4."""
    difference_S = candidate_S - baseline_S
    count = len(difference_S)
    error = float(np.std(difference_S, ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    return _difference(
        float(difference_S.mean()),
        error,
        degrees=count - 1,
        is_told=count >= FEWEST_SEEDS,
        is_paired=True,
        correlation=_correlation(candidate_S, baseline_S),
    )


def welch(candidate_S: Floats, baseline_S: Floats) -> Difference:
    """Welch's interval and test with Satterthwaite's degrees of freedom. Source: Welch 1947."""
    sides = (candidate_S, baseline_S)
    is_told = min(len(side) for side in sides) >= FEWEST_SEEDS
    parts = [float(np.var(side, ddof=1)) / len(side) if len(side) > 1 else 0.0 for side in sides]
    total = sum(parts)
    if total > 0:
        degrees = total**2 / sum(
            part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True) if part > 0
        )
    else:
        degrees = float(sum(len(side) for side in sides) - 2)
    return _difference(
        float(candidate_S.mean() - baseline_S.mean()),
        math.sqrt(total),
        degrees=degrees,
        is_told=is_told,
        is_paired=False,
        correlation=None,
    )


def _difference(
    estimate: float,
    error: float,
    *,
    degrees: float,
    is_told: bool,
    is_paired: bool,
    correlation: float | None,
) -> Difference:
    """A t interval and two-sided t test of `estimate` with standard error `error`."""
    if not is_told:
        return Difference(estimate, None, None, None, is_paired, correlation)
    quantile = float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
    if error > 0:
        p_value = min(1.0, 2 * float(stdtr(degrees, -abs(estimate) / error)))
    else:  # no spread at all: the two sides are the same numbers, or differ by a constant
        p_value = 1.0 if estimate == 0 else 0.0
    return Difference(
        estimate=estimate,
        interval=(estimate - quantile * error, estimate + quantile * error),
        p_value=p_value,
        smallest_detectable=(quantile + float(stdtrit(degrees, POWER))) * error,
        is_paired=is_paired,
        correlation=correlation,
    )


def _correlation(candidate_S: Floats, baseline_S: Floats) -> float | None:
    if len(candidate_S) < FEWEST_SEEDS or np.ptp(candidate_S) == 0 or np.ptp(baseline_S) == 0:
        return None
    return float(np.corrcoef(candidate_S, baseline_S)[0, 1])


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given. Source: Holm 1979.

    >>> [round(p, 2) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted


def is_significant(adjusted_p: float | None) -> bool:
    """Whether the difference is told from zero, over all models compared at once."""
    return adjusted_p is not None and adjusted_p < 1 - CONFIDENCE


def verdict(found: Difference, adjusted_p: float | None, margin: float) -> Verdict:
    """Words for a difference: is it real (Holm), and does it matter (margin)?

    Args:
        found: candidate minus baseline.
        adjusted_p: Holm's p-value over all models of the report; None without an interval.
        margin: the smallest difference that matters, in the unit of the values.
    """
    if found.interval is None:
        return Verdict.CANNOT_TELL
    low, high = found.interval
    if -margin < low and high < margin:
        return Verdict.EQUIVALENT
    if not is_significant(adjusted_p):
        return Verdict.CANNOT_TELL
    if found.estimate >= margin:
        return Verdict.IMPROVED
    if found.estimate <= -margin:
        return Verdict.REGRESSED
    return Verdict.REAL_BUT_SMALL


class Chosen(Record):
    """The model with the best mean validation accuracy, and its best seed by the same measure."""

    model: str
    seed: int


class ModelDifference(Record):
    """Test accuracy of one model minus that of another; fields as in `comparison.Finding`."""

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
        return cls(
            candidate=candidate,
            baseline=baseline,
            p_holm=finding.p_holm,
            verdict=finding.verdict,
            **dataclasses.asdict(finding.difference),
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
    """`metrics/comparison.json`: the chosen model of one revision against each other model."""

    schema_version: Literal[1]
    margin: float
    chosen: Chosen
    differences: list[ModelDifference]
