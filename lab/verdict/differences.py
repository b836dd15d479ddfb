"""Differences over seeds with their intervals and tests: arrays in, values out.

The unit is the seed. The same functions compare a model with a model and a revision with a
revision; the procedure and its sources stand in docs/statistics.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit  # scipy.stats has the same, and takes a second to import

CONFIDENCE = 0.95
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

    With fewer than three seeds a side `interval`, `p_value` and `minimum_detectable_effect` are
    None. The latter is the true difference that comes out significant (p below 0.05, uncorrected)
    four times out of five. `correlation` (paired only) is that of the pairs, None where undefined.
    """

    estimate: float
    interval: tuple[float, float] | None
    p_value: float | None
    minimum_detectable_effect: float | None
    is_paired: bool
    correlation: float | None

    @property
    def is_identical(self) -> bool:
        """Whether every seed gave the same value on both sides."""
        return self.is_paired and self.estimate == 0 and self.interval == (0, 0)


def difference(candidate: Sample, baseline: Sample) -> Difference:
    """Compares two samples: paired when both have the same seeds, else Welch.

    >>> same = Sample([0, 1, 2], [0.97, 0.98, 0.99]), Sample([2, 1, 0], [0.98, 0.97, 0.96])
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
    quantile = float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
    if error > 0:
        p_value = min(1.0, 2 * float(stdtr(degrees, -abs(estimate) / error)))
    else:  # no spread at all: the two sides are the same numbers, or differ by a constant
        p_value = 1.0 if estimate == 0 else 0.0
    return Difference(
        estimate=estimate,
        interval=(estimate - quantile * error, estimate + quantile * error),
        p_value=p_value,
        minimum_detectable_effect=(quantile + float(stdtrit(degrees, POWER))) * error,
        is_paired=is_paired,
        correlation=correlation,
    )


def _correlation(candidate_S: Floats, baseline_S: Floats) -> float | None:
    if len(candidate_S) < FEWEST_SEEDS or np.ptp(candidate_S) == 0 or np.ptp(baseline_S) == 0:
        return None
    return float(np.corrcoef(candidate_S, baseline_S)[0, 1])
