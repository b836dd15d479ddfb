"""Differences over seeds with their intervals and tests: arrays in, values out.

The unit is the seed. The same functions compare a model with a model and a revision with a
revision; the procedure and its sources stand in docs/statistics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit  # scipy.stats has the same, and takes a second to import

CONFIDENCE = 0.95
LEVEL = 0.05  # 1 - CONFIDENCE, without its rounding
POWER = 0.80
FEWEST_SEEDS = 3  # below, a t interval rests on one degree of freedom and says nothing

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """One value per seed of one side of a comparison."""

    seeds: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class Difference:
    """Candidate minus baseline, in the unit of the values.

    With fewer than three seeds a side all that rests on the standard error is None, and `error` and
    its `degrees` of freedom are. `minimum_detectable_effect` is the true difference that comes out
    significant four times out of five. `correlation` (paired only) is that of the pairs, None where
    undefined.
    """

    estimate: float
    interval: tuple[float, float] | None
    p_value: float | None
    minimum_detectable_effect: float | None
    is_paired: bool
    correlation: float | None
    error: float | None = None
    degrees: float | None = None

    @property
    def is_identical(self) -> bool:
        """Whether every seed gave the same value on both sides."""
        return self.is_paired and self.estimate == 0 and self.error == 0

    def interval_at(self, level: float) -> tuple[float, float] | None:
        """The interval that misses the true difference with a chance of `level`."""
        if self.error is None or self.degrees is None:
            return None
        half = _quantile(self.degrees, level) * self.error
        return self.estimate - half, self.estimate + half

    def detectable_at(self, level: float) -> float | None:
        """The true difference that is found with p below `level` four times out of five."""
        if self.error is None or self.degrees is None:
            return None
        return _quantiles(self.degrees, level) * self.error

    def p_equivalent(self, margin: float) -> float | None:
        """That the difference is the margin or more, either way: twice the larger one-sided p.

        Below 0.05 the 95 % interval lies within the margin, and the other way round.
        Source: Schuirmann 1987.
        """
        if self.error is None or self.degrees is None:
            return None
        inside = margin - abs(self.estimate)
        if self.error == 0:
            return 0.0 if inside > 0 else 1.0
        return min(1.0, 2 * float(stdtr(self.degrees, -inside / self.error)))


def difference(candidate: Sample, baseline: Sample) -> Difference:
    """Compares two samples: in pairs when the seeds of one are among the other's, else Welch.

    >>> same = Sample([0, 1, 2], [0.97, 0.98, 0.99]), Sample([2, 1, 0], [0.98, 0.97, 0.96])
    >>> round(difference(*same).estimate, 3), difference(*same).is_paired
    (0.01, True)
    """
    of_candidate = dict(zip(candidate.seeds, candidate.values, strict=True))
    of_baseline = dict(zip(baseline.seeds, baseline.values, strict=True))
    common = [seed for seed in candidate.seeds if seed in of_baseline]
    is_same = len(common) == len(of_candidate) == len(of_baseline)
    is_nested = len(common) == min(len(of_candidate), len(of_baseline))
    if is_same or (is_nested and len(common) >= FEWEST_SEEDS):
        sides = ([of_side[seed] for seed in common] for of_side in (of_candidate, of_baseline))
        return paired(*map(np.array, sides))
    return welch(np.array(candidate.values), np.array(baseline.values))


def paired(candidate_S: Floats, baseline_S: Floats) -> Difference:
    """Paired t interval and test. Source: Miller 2024 (arXiv 2411.00640), section 4."""
    difference_S = candidate_S - baseline_S
    count = len(difference_S)
    error = float(np.std(difference_S, ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    return _tested(
        float(difference_S.mean()),
        error,
        degrees=count - 1 if count >= FEWEST_SEEDS else None,
        is_paired=True,
        correlation=_correlation(candidate_S, baseline_S),
    )


def welch(candidate_S: Floats, baseline_S: Floats) -> Difference:
    """Welch's interval and test with Satterthwaite's degrees of freedom. Source: Welch 1947."""
    samples = (candidate_S, baseline_S)
    has_enough = min(map(len, samples)) >= FEWEST_SEEDS
    parts = [float(np.var(one, ddof=1)) / len(one) if len(one) > 1 else 0.0 for one in samples]
    total = sum(parts)
    if total > 0:
        degrees = total**2 / sum(
            part**2 / (len(one) - 1) for part, one in zip(parts, samples, strict=True) if part > 0
        )
    else:
        degrees = float(sum(map(len, samples)) - 2)
    return _tested(
        float(candidate_S.mean() - baseline_S.mean()),
        math.sqrt(total),
        degrees=degrees if has_enough else None,
        is_paired=False,
        correlation=None,
    )


def seeds_needed(deviation: float, effect: float, level: float = LEVEL) -> int:
    """The smallest number of pairs that find a true difference of `effect` four times out of five.

    Args:
        deviation: the standard deviation of the pairs' differences.
        effect: in the unit of the deviation, above zero.
        level: what p has to be below.

    >>> seeds_needed(0.12, 0.10), seeds_needed(0.0, 0.10)
    (14, 3)
    """
    ratio = min(deviation / effect, 1e6)  # a margin may be next to nothing
    normal = (_quantiles(math.inf, level) * ratio) ** 2  # t needs a few more
    seeds = max(FEWEST_SEEDS, math.floor(normal))
    while _quantiles(seeds - 1, level) * ratio > math.sqrt(seeds):
        seeds += 1
    return seeds


def detectable(deviation: float, seeds: int, level: float = LEVEL) -> float:
    """The true difference that so many pairs find four times out of five; see `seeds_needed`."""
    return _quantiles(seeds - 1, level) * deviation / math.sqrt(seeds)


def _quantiles(degrees: float, level: float) -> float:
    """How many standard errors a difference needs; 0.8 by t in place of the noncentral t."""
    return _quantile(degrees, level) + float(stdtrit(degrees, POWER))


def _quantile(degrees: float, level: float) -> float:
    return -float(stdtrit(degrees, level / 2))  # from this end, so that no level is too small


def _tested(
    estimate: float,
    error: float,
    *,
    degrees: float | None,
    is_paired: bool,
    correlation: float | None,
) -> Difference:
    """A t interval and two-sided t test of `estimate` with standard error `error`.

    Without `degrees` of freedom there are too few seeds for either.
    """
    if degrees is None:
        return Difference(estimate, None, None, None, is_paired, correlation)
    if error > 0:
        p_value = min(1.0, 2 * float(stdtr(degrees, -abs(estimate) / error)))
    else:  # no spread at all: the two sides are the same numbers, or differ by a constant
        p_value = 1.0 if estimate == 0 else 0.0
    found = Difference(estimate, None, p_value, None, is_paired, correlation, error, degrees)
    return replace(
        found,
        interval=found.interval_at(LEVEL),
        minimum_detectable_effect=found.detectable_at(LEVEL),
    )


def _correlation(candidate_S: Floats, baseline_S: Floats) -> float | None:
    if len(candidate_S) < FEWEST_SEEDS or np.ptp(candidate_S) == 0 or np.ptp(baseline_S) == 0:
        return None
    return float(np.corrcoef(candidate_S, baseline_S)[0, 1])
