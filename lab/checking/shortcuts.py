"""A single number of the input that gives a class away: a column made after the fact, a watermark.

For each number and class: how far apart is its distribution among examples of the class from that
among all others? 0 is the same, 1 is told apart by this number alone (total variation).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lab.checking.features import features_of
from lab.checking.portions import Checked, Rows, many, named, sentence
from lab.results.checks import Fault

TELLING = 0.95  # of the examples of a class and of the others; MNIST's best pixel has 0.74
BINS = 16
MOST_BINS = BINS + 3  # both ends of the edges, and missing
SAMPLE = 20_000  # training examples: on every other one the bins are found, on the rest judged
FEWEST = 20  # examples of a class, in either half
MOST_TOKENS = 30_000
MOST_CELLS = 2**26  # counts of features, bins and classes at once


def shortcuts(checked: Checked) -> Iterator[Fault]:
    """Numbers that tell a class from all others by themselves, the surest first."""
    train = checked.train
    rows = np.random.default_rng(0).permutation(train.sample(SAMPLE))
    labels, classes = train.labels_of(rows), len(checked.description.class_names)
    inputs = np.asarray(train.inputs[rows])
    if checked.description.kind == "text":
        size = min(checked.description.vocabulary or 0, MOST_TOKENS)
        telling = _of_tokens(inputs, labels, size, classes)
    else:
        is_image = checked.is_image
        binned = (
            _binned_pixels(features_of(checked)(inputs)) if is_image else _binned_columns(inputs)
        )
        telling = _of_numbers(binned, labels, classes)
    found = [
        (float(telling[feature, k]), feature, k)
        for feature, k in np.argwhere(telling > TELLING).tolist()
    ]
    best: dict[int, tuple[float, int]] = {}
    for value, feature, k in sorted(found, key=lambda one: -one[0]):
        best.setdefault(k, (value, feature))
    is_averaged = checked.is_image and telling.shape[0] != int(np.prod(checked.description.shape))
    for k, (value, feature) in best.items():
        what = "an average of pixels" if is_averaged else checked.column(feature)
        others = sum(1 for _, _, other in found if other == k) - 1
        more = f", as {many(others, 'other number')} of the input" if others else ""
        own = named(checked.description.class_names[k])
        says = f"tells class {own} from the others alone ({value:.1%} of the way{more})"
        yield Fault(sentence=sentence(f"{what} {says}"))


def _of_numbers(binned_NF: Rows, labels: Rows, classes: int) -> NDArray[np.float64]:
    """How telling each number is of each class [F, C]."""
    step = max(1, MOST_CELLS // (MOST_BINS * classes))
    parts = []
    for start in range(0, binned_NF.shape[1], step):
        binned = binned_NF[:, start : start + step]
        halves = (_counts(binned[half::2], labels[half::2], classes) for half in (0, 1))
        parts.append(_apart(*halves))
    return np.concatenate(parts)


def _binned_pixels(values_NF: NDArray[np.float32]) -> Rows:
    """Bins of equal width."""
    low, high = values_NF.min(), values_NF.max()
    scaled = (values_NF - low) * (BINS / max(high - low, 1e-30))
    binned: Rows = np.minimum(scaled.astype(np.intp), BINS - 1)
    return binned


def _binned_columns(values_ND: NDArray[np.float32]) -> Rows:
    """Bins of as many examples each, whatever the unit; what is missing has one of its own."""
    found = np.full(values_ND.shape, MOST_BINS - 1, np.intp)
    for column, values_N in enumerate(values_ND.T):
        known = np.isfinite(values_N)
        if known.any():
            edges = np.unique(np.quantile(values_N[known], np.linspace(0, 1, BINS + 1)))
            found[known, column] = np.searchsorted(edges, values_N[known], side="right")
    return found


def _counts(binned_NF: Rows, labels: Rows, classes: int) -> NDArray[np.float64]:
    """Examples [F, bins, C]."""
    features = binned_NF.shape[1]
    cells = (np.arange(features) * MOST_BINS + binned_NF) * classes + labels[:, None]
    counted = np.bincount(cells.ravel(), minlength=features * MOST_BINS * classes)
    return counted.reshape(features, MOST_BINS, classes).astype(np.float64)


def _of_tokens(
    inputs_NL: NDArray[np.int64], labels: Rows, size: int, classes: int
) -> NDArray[np.float64]:
    """How telling it is of each class that a token is there [V, C]."""
    halves = []
    for half in (0, 1):
        tokens, own = inputs_NL[half::2], labels[half::2]
        pairs = np.unique(np.arange(len(tokens))[:, None] * size + np.minimum(tokens, size - 1))
        cells = (pairs % size) * classes + own[pairs // size]
        there = np.bincount(cells, minlength=size * classes).reshape(size, classes)
        absent = np.bincount(own, minlength=classes) - there
        halves.append(np.stack([absent, there], axis=1).astype(np.float64))
    return _apart(*halves)


def _apart(fitted: NDArray[np.float64], judged: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of a class less that of the others, in the bins where the first half has more of it."""

    def shares(counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        others = counts.sum(axis=2, keepdims=True) - counts
        own = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        return own, others / np.maximum(1, others.sum(axis=1, keepdims=True))

    (own, others), (own_judged, others_judged) = shares(fitted), shares(judged)
    found = ((own > others) * (own_judged - others_judged)).sum(axis=1)
    enough = np.minimum(fitted.sum(axis=1), judged.sum(axis=1)) >= FEWEST
    return np.where(enough, found, 0.0)
