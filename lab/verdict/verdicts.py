"""What the differences of a report mean, all judged together: is each real, does it matter?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.verdict.differences import LEVEL, Difference, Sample, difference
from lab.verdict.looks import at_look, over_looks


class Verdict(StrEnum):
    """What a comparison says; the values are the words a report shows."""

    IMPROVED = "improved"
    REGRESSED = "regressed"
    EQUIVALENT = "equivalent"
    REAL_WITHIN = "real, within the margin"
    SIZE_UNCLEAR = "real, size unclear"
    CANNOT_TELL = "cannot tell"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """A difference judged among all the differences of a report.

    The interval holds over all looks; the minimum detectable effect is that of the verdict. Both
    p, of a difference and of an equivalence, are adjusted for looks, confirmations and models;
    identical results have neither, because nothing was trained anew. `level` is what p has to be
    below before it is adjusted, at worst.
    """

    difference: Difference
    p_holm: float | None
    p_equivalent: float | None
    verdict: Verdict
    level: float


def findings(
    pairs: Sequence[tuple[Sample, Sample]],
    margin: float,
    *,
    higher_is_better: bool = True,
    looks: Sequence[int] = (),
    confirmation: int | None = None,
) -> list[Finding]:
    """Judges (candidate, baseline) pairs together: Holm's correction runs over all of them.

    A pair of identical results is no chance to err, because nothing was trained anew: it is left
    out of the correction, which would else ask more of the models that did change.

    Args:
        pairs: what is compared.
        margin: the smallest difference that matters, in the unit of the values.
        higher_is_better: whether a difference above zero is an improvement.
        looks: the planned numbers of seeds at which this may be asked, if more than once.
        confirmation: how many times this was asked of fresh seeds, this time included.
    """
    differences = [difference(*pair) for pair in pairs]
    times = confirmation_factor(confirmation)

    def adjusted(p_values: Mapping[int, float]) -> dict[int, float]:
        over_all = [min(1.0, times * over_looks(p, looks)) for p in p_values.values()]
        return dict(zip(p_values, holm(over_all), strict=True))

    tested = {i: one for i, one in enumerate(differences) if not one.is_identical}
    p_values = {i: one.p_value for i, one in tested.items() if one.p_value is not None}
    p_holm = adjusted(p_values)
    p_equivalent = adjusted({i: differences[i].p_equivalent(margin) or 0.0 for i in p_values})
    level = at_look(LEVEL / (times * max(1, len(p_values))), looks)
    found = []
    for i, one in enumerate(differences):
        shown = replace(
            one,
            interval=one.interval_at(at_look(LEVEL, looks)),
            minimum_detectable_effect=one.detectable_at(level) if i in p_values else None,
        )
        said = p_holm.get(i), p_equivalent.get(i)
        found.append(Finding(shown, *said, verdict(shown, *said, margin, higher_is_better), level))
    return found


def is_open(found: Finding, *, higher_is_better: bool) -> bool:
    """Whether more seeds may say more: nothing is told, or a loss that may be one that matters."""
    is_loss = (found.difference.estimate > 0) != higher_is_better
    unclear = found.verdict == Verdict.SIZE_UNCLEAR and is_loss
    return unclear or found.verdict == Verdict.CANNOT_TELL


def confirmation_factor(confirmation: int | None) -> int:
    """What p is multiplied by when this is asked of fresh seeds for the n-th time.

    1/2 + 1/6 + 1/12 + … = 1, so all the times together err no more often than one would.
    """
    return 1 if confirmation is None else confirmation * (confirmation + 1)


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
    found: Difference,
    p_holm: float | None,
    p_equivalent: float | None,
    margin: float,
    higher_is_better: bool,
) -> Verdict:
    """Words for a difference: is it real, and does it matter (margin)?

    Args:
        found: candidate minus baseline, with its interval over all looks.
        p_holm: that there is no difference; adjusted, None where there is no test.
        p_equivalent: that the difference is the margin or more; adjusted likewise.
        margin: the smallest difference that matters, in the unit of the values.
        higher_is_better: whether a difference above zero is an improvement.
    """
    if found.is_identical:
        return Verdict.EQUIVALENT
    if found.interval is None or p_holm is None or p_equivalent is None:
        return Verdict.CANNOT_TELL
    if p_equivalent < LEVEL:
        return Verdict.REAL_WITHIN if p_holm < LEVEL else Verdict.EQUIVALENT
    if p_holm >= LEVEL:
        return Verdict.CANNOT_TELL
    if abs(found.estimate) < margin:
        return Verdict.SIZE_UNCLEAR
    return Verdict.IMPROVED if (found.estimate > 0) == higher_is_better else Verdict.REGRESSED
