"""A look at a block of records: what differs from the reference, and by what is that believed.

Looking often must not multiply false alarms. A month of them has a budget, `false_alarms`; each
look may spend the part of it that belongs to the time since the look before, so that a month spends
the budget whatever the traffic is. Within a look Holm's correction keeps to that. As errors of all
looks add up at most (Bonferroni), the expected number of false alarms in a month is below the
budget, however the looks depend on each other.

What is certain may still be too small to matter, so a distance also has to reach `least`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from lab.checking.classes import fisher, holm
from lab.checking.drift import significance
from lab.monitoring.blocks import Block
from lab.results.monitored import Kind, Look, Signal
from lab.shifts.reference import Counts, Reference
from lab.shifts.statistics import Values

LENGTHS = 1, 4, 16  # windows in a block: short ones are quick, long ones see small shifts
STREAMS = 3  # records, feedback and the service share the budget
MONTH_MS = 30 * 86_400_000
QUICKEST = 100.0  # inputs a millisecond; a service answers fewer, whatever its clock says
LARGEST_ALPHA = 0.01  # of a look, after however long a time
FEWEST = 20  # inputs, or answers
CLEAR = 3.0  # standard errors; below it no exact test could alarm, and none is made


def alpha_of(false_alarms: float, since_ms: int, until_ms: int, size: int) -> float:
    """What a look may spend.

    Args:
        false_alarms: a month.
        since_ms: when the look before it ended.
        until_ms: when this one ends.
        size: records between.
    """
    time = max(until_ms - since_ms, size / QUICKEST)
    share = false_alarms / (STREAMS * len(LENGTHS))
    return min(LARGEST_ALPHA, share * time / MONTH_MS)


@dataclass(frozen=True)
class _Compared:
    """A signal before the correction for all of a look."""

    kind: Kind
    name: str
    distance: float
    p: float
    usual: float | None
    now: float | None

    def signal(self, p: float, is_on: bool) -> Signal:
        distance = min(1.0, self.distance)
        return Signal(
            kind=self.kind, name=self.name, distance=distance, p=p, usual=self.usual,
            now=self.now, is_on=is_on,
        )  # fmt: skip


def look(block: Block, reference: Reference, alpha: float, least: float) -> Look:
    """Every signal of a block."""
    found = [*_inputs(block, reference), *_unlike(block, reference), *_classes(block, reference)]
    adjusted = holm([one.p for one in found]).tolist() if found else []
    return Look(
        records=block.records,
        start_ms=block.start_ms,
        end_ms=block.end_ms,
        alpha=alpha,
        signals=[
            one.signal(p, p < alpha and one.distance >= least)
            for one, p in zip(found, adjusted, strict=True)
        ],
    )


def distances(counts_SB: Counts, reference_SB: Counts) -> Values:
    """Kolmogorov-Smirnov distances [S] of counts in the same bins."""
    shares = [cumulative(counts) for counts in (counts_SB, reference_SB)]
    found: Values = np.abs(shares[0] - shares[1]).max(axis=1)
    return found


def cumulative(counts_SB: NDArray[Any]) -> Values:
    """The shares [S, B] of what lies in a bin or before it."""
    sums = np.cumsum(counts_SB, axis=1).astype(np.float64)
    return np.asarray(sums / np.maximum(sums[:, -1:], 1))


def _inputs(block: Block, reference: Reference) -> list[_Compared]:
    count = block.inputs
    if count < FEWEST:
        return []
    apart = distances(block.counts_SB, reference.counts_SB).tolist()
    usual, now = (_medians(counts, reference) for counts in (reference.counts_SB, block.counts_SB))
    return [
        _Compared("input", name, one, significance(one, count, reference.examples), *medians)
        for name, one, *medians in zip(reference.names, apart, usual, now, strict=True)
    ]


def _medians(counts_SB: Counts, reference: Reference) -> list[float | None]:
    """About in the middle: an edge of the bin that holds it."""
    middles = (cumulative(counts_SB) < 0.5).sum(axis=1)
    last = reference.edges_SB.shape[1] - 1
    edges = np.take_along_axis(reference.edges_SB, np.minimum(middles, last)[:, None], axis=1)
    return [edge if math.isfinite(edge) else None for edge in edges[:, 0].tolist()]


def _unlike(block: Block, reference: Reference) -> list[_Compared]:
    if block.inputs < FEWEST or not reference.about["ranges"]:
        return []
    counts = block.unlike, block.inputs, reference.unlike, reference.examples
    return [_share("unlike", "beyond training", *counts)]


def _classes(block: Block, reference: Reference) -> list[_Compared]:
    if block.answers < FEWEST:
        return []
    pairs = zip(
        reference.about["class_names"], block.predicted_C.tolist(), reference.predicted_C.tolist(),
        strict=True,
    )  # fmt: skip
    return [
        _share("class", name, now, block.answers, usual, reference.examples)
        for name, now, usual in pairs
    ]


def _share(kind: Kind, name: str, hits: int, total: int, usual: int, usual_total: int) -> _Compared:
    """A share against that of the reference, by Fisher's exact test where that could matter."""
    now, before = hits / total, usual / usual_total
    pooled = (hits + usual) / (total + usual_total)
    error = math.sqrt(pooled * (1 - pooled) * (1 / total + 1 / usual_total))
    is_clear = abs(now - before) > CLEAR * error
    p = fisher(hits, total, usual, usual_total) if is_clear else 1.0
    return _Compared(kind, name, abs(now - before), p, before, now)


def accuracy_look(
    right: int,
    labels: int,
    times: tuple[int, int],
    reference: Reference,
    alpha: float,
    least: float,
) -> Look:
    """Whether fewer answers are right, by feedback, than in the reference; more is no alarm."""
    one = _share("accuracy", "accuracy", right, labels, reference.right, reference.examples)
    is_lower = right / labels < reference.right / reference.examples
    is_on = is_lower and one.p < alpha and one.distance >= least
    signals = [one.signal(one.p, is_on)]
    return Look(records=labels, start_ms=times[0], end_ms=times[1], alpha=alpha, signals=signals)


def exact_interval(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a share. Source: Clopper and Pearson 1934.

    >>> [round(end, 4) for end in exact_interval(9, 10)]
    [0.555, 0.9975]
    """
    low = float(betaincinv(hits, total - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, total - hits, 0.975)) if hits < total else 1.0
    return low, high
