"""What the differences of a report mean, all judged together: is each real, does it matter?"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lab.verdict.differences import CONFIDENCE, Difference, Sample, difference


class Verdict(StrEnum):
    """What a comparison says; the values are the words a report shows."""

    IMPROVED = "improved"
    REGRESSED = "regressed"
    EQUIVALENT = "equivalent"
    REAL_BUT_SMALL = "real but small"
    CANNOT_TELL = "cannot tell"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """A difference judged among all the differences of a report."""

    difference: Difference
    p_holm: float | None
    verdict: Verdict


def findings(
    pairs: Sequence[tuple[Sample, Sample]], margin: float, *, higher_is_better: bool = True
) -> list[Finding]:
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
        Finding(found, p, verdict(found, p, margin, higher_is_better))
        for found, p in zip(differences, p_holm, strict=True)
    ]


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


def verdict(
    found: Difference, adjusted_p: float | None, margin: float, higher_is_better: bool
) -> Verdict:
    """Words for a difference: is it real (Holm), and does it matter (margin)?

    Args:
        found: candidate minus baseline.
        adjusted_p: Holm's p-value over all models of the report; None without an interval.
        margin: the smallest difference that matters, in the unit of the values.
        higher_is_better: whether a difference above zero is an improvement.
    """
    if found.interval is None:
        return Verdict.CANNOT_TELL
    low, high = found.interval
    if -margin < low and high < margin:
        return Verdict.EQUIVALENT
    if adjusted_p is None or adjusted_p >= 1 - CONFIDENCE:
        return Verdict.CANNOT_TELL
    if abs(found.estimate) < margin:
        return Verdict.REAL_BUT_SMALL
    return Verdict.IMPROVED if (found.estimate > 0) == higher_is_better else Verdict.REGRESSED
