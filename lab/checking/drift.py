"""Inputs that differ between training and what it is tried on, class by class.

A few numbers of each input are compared by the Kolmogorov-Smirnov distance: the largest difference
between two cumulative distributions, 0 to 1. Each number is taken relative to its own class in
training, so that other shares of classes, which `class_balance` finds, are no drift.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.special import kolmogorov

from lab.checking.classes import ALARM, holm, probability
from lab.checking.portions import Checked, Portion, Rows, called, sentence
from lab.results.checks import Fault
from lab.shifts.statistics import Values, padding_of, statistics

LOOKED_AT = (  # of images; shape and slant are the writers', who differ between MNIST's splits
    "brightness", "contrast", "sharpness", "height of the centre", "place of the centre",
    "colourfulness",
)  # fmt: skip
FARTHEST = 0.1  # that two distributions may be apart; less harms nobody, however sure it is
MOST_NAMED = 3  # statistics
FEWEST = 20  # examples on either side


def drift(checked: Checked) -> Iterator[Fault]:
    """Statistics that are distributed otherwise than in training: certainly, and far enough."""
    train = checked.train
    rows = train.sample()
    padding = padding_of(train.inputs[rows]) if checked.description.kind == "text" else 0
    labels = train.labels_of(rows)
    usual = _statistics_of(checked, train, rows, padding)
    tests = []
    for portion in checked.judged:
        asked = portion.sample()
        theirs = _statistics_of(checked, portion, asked, padding)
        for name, values in usual.items():
            mine, its = values, theirs[name]
            if portion.labels is not None:
                mine = _within_class(values, labels, values, labels)
                its = _within_class(values, labels, its, portion.labels_of(asked))
            mine = np.sort(mine[np.isfinite(mine)])
            for where, part in _parts(portion, asked):
                found = its[part][np.isfinite(its[part])]
                if min(len(mine), len(found)) >= FEWEST:
                    distance = apart(mine, np.sort(found))
                    p = significance(distance, len(mine), len(found))
                    tests.append((distance, p, where, name))
    adjusted = holm([p for _, p, *_ in tests])
    differ: dict[str, list[tuple[float, str, float]]] = {}
    for (distance, _, where, name), p in zip(tests, adjusted.tolist(), strict=True):
        if p < ALARM and distance > FARTHEST:
            differ.setdefault(where, []).append((distance, name, p))
    wholes = {called(portion) for portion in checked.judged} & differ.keys()
    for where, of_it in differ.items():
        if where not in wholes and any(where.endswith(f" of {whole}") for whole in wholes):
            continue  # a half of what differs as a whole
        of_it.sort(key=lambda one: -one[0])
        listed = ", ".join(f"{name} by {distance:.2f}" for distance, name, _ in of_it[:MOST_NAMED])
        more = f" and {len(of_it) - MOST_NAMED} more" if len(of_it) > MOST_NAMED else ""
        least = probability(max(p for *_, p in of_it))
        text = f"{where} differs from training: {listed}{more} (KS distance, {least})"
        yield Fault(sentence=sentence(text))


def _parts(portion: Portion, rows: Rows) -> list[tuple[str, slice]]:
    """The whole and, as the order may be that of the source, either half."""
    middle, name = len(rows) // 2, called(portion)
    halves = (slice(None, middle), slice(middle, None))
    named = (f"the first half of {name}", f"the second half of {name}")
    return [(name, slice(None)), *zip(named, halves, strict=True)]


def _statistics_of(
    checked: Checked, portion: Portion, rows: Rows, padding: int
) -> Mapping[str, Values]:
    kind, columns = checked.description.kind, []
    if kind == "row":
        columns = [checked.column(k) for k in range(portion.inputs.shape[1])]
    parts = [statistics(kind, one, columns, padding) for _, one in portion.pieces(rows)]
    names = [name for name in parts[0] if not checked.is_image or name in LOOKED_AT]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _within_class(values: Values, labels: Rows, others: Values, their_labels: Rows) -> Values:
    """Others less their class's mean, in its standard deviations; a class of one is left out."""
    found = np.full(len(others), np.nan)
    for k in np.unique(their_labels).tolist():
        own = values[labels == k]
        own = own[np.isfinite(own)]
        if len(own) > 1:
            found[their_labels == k] = (others[their_labels == k] - own.mean()) / (own.std() or 1.0)
    return found


def apart(one: Values, other: Values) -> float:
    """The Kolmogorov-Smirnov distance of two samples that are sorted.

    >>> apart(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    1.0
    """
    everything = np.concatenate([one, other])
    shares = [np.searchsorted(part, everything, side="right") / len(part) for part in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def significance(distance: float, one: int, other: int) -> float:
    """The p of a distance by Kolmogorov's limit; ties make it larger than it is, never smaller.

    Source: Stephens 1970 for the correction of small samples.
    """
    root = np.sqrt(one * other / (one + other))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))
