"""Examples that are nearly a training example: a copy, shrunk and saved again, or another frame.

The nearest training example is looked for in the 16 dimensions in which examples differ most, and
its distance is then taken in all of them. What is near differs by class: the twelve closest pairs
of MNIST are all ones. So distances count in what lies between neighbours in training, by class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.checking.features import FITTED_ON, Features, Floats, features_of, subspace
from lab.checking.portions import Checked, Portion, Rows, called, many, sentence
from lab.results.checks import MAX_PLACES, Closest, Fault, Place

MOST_TRAINING = 60_000  # examples that neighbours are looked for among
MOST_JUDGED = 20_000  # of a portion that neighbours are looked for of
REFERENCES = 2_000  # training examples whose neighbours in training say what is usual
BLOCK = 256  # examples at once; with 60,000 others their distances take 61 MB
NEAR = 0.3  # of the usual distance; of clean MNIST the nearest pair is at 0.45
CHANCE = 0.001  # such pairs expected in clean data, where these have few dimensions
FEWEST = 5  # references of a class, else all classes count

Distances = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbours:
    """Of some examples of a portion the nearest training example, and how near it is."""

    portion: Portion
    rows: Rows
    nearest: Rows
    distance: Distances
    is_copy: NDArray[np.bool_]


def compared(portion: Portion) -> int:
    """Among how many examples of a portion neighbours are looked for."""
    return min(len(portion), MOST_TRAINING if portion.name == "train" else MOST_JUDGED)


def neighbours(checked: Checked) -> tuple[list[Neighbours], float]:
    """The nearest training example of what is judged, and below which distance it is too near."""
    features, train = features_of(checked), checked.train
    index = _Index(train, features)
    asked = np.random.default_rng(1).permutation(train.sample(MOST_TRAINING))[:REFERENCES]
    references = np.sort(asked)
    near = index.nearest(train, references, is_itself=True)
    raw = index.distances(train, references, near)
    known = raw > 0
    if not known.any():
        return [], 0.0
    labels = train.labels_of(near)
    scale_C = _scales(raw, labels, known, len(checked.description.class_names))
    found = []
    for portion in checked.judged:
        rows = portion.sample(MOST_JUDGED)
        nearest = index.nearest(portion, rows)
        distance = index.distances(portion, rows, nearest) / scale_C[train.labels_of(nearest)]
        is_copy = _are_copies(portion, rows, train, nearest, distance)
        found.append(Neighbours(portion, rows, nearest, distance, is_copy))
    usual = (raw / scale_C[labels])[known]
    return found, _limit(usual, sum(len(one.rows) for one in found))


def _scales(
    raw: Distances, labels: Rows, known: NDArray[np.bool_], classes: int
) -> NDArray[np.float64]:
    overall = float(np.median(raw[known]))
    scales = np.full(classes, overall)
    for k in range(classes):
        own = raw[known & (labels == k)]
        if len(own) >= FEWEST:
            scales[k] = np.median(own)
    return scales


def _limit(usual: Distances, count: int) -> float:
    """Below which distance hardly any of so many examples falls by chance.

    In D dimensions a neighbour is closer than t with a probability that goes with t**D. Of the
    nearest twentieth Hill's estimator says D. Source: Hill 1975, "A Simple General Approach to
    Inference About the Tail of a Distribution".
    """
    tail = np.sort(usual)[: len(usual) // 20 + 1]
    spread = float(np.log(tail[-1] / tail[:-1]).mean()) if len(tail) > FEWEST else 0.0
    if spread <= 0:
        return NEAR
    by_chance = tail[-1] * (CHANCE / (max(1, count) / 20)) ** spread
    return float(min(NEAR, by_chance))


class _Index:
    """Training examples in a few dimensions."""

    def __init__(self, train: Portion, features: Features) -> None:
        self._train, self._features = train, features
        sample = train.sample(FITTED_ON)
        self._mean, self._basis = subspace(features(np.asarray(train.inputs[sample])))
        self._rows = train.sample(MOST_TRAINING)
        embedded_ND = self._embedded(train, self._rows)
        squares_1N = (embedded_ND**2).sum(axis=1)[None]
        # A product with it is the squared distance, but for the length of the other.
        self._others = np.vstack([-2 * embedded_ND.T, squares_1N])

    def _embedded(self, portion: Portion, rows: Rows) -> Floats:
        parts = [
            (self._features(inputs) - self._mean) @ self._basis
            for _, inputs in portion.pieces(rows)
        ]
        return np.concatenate(parts)

    def nearest(self, portion: Portion, rows: Rows, *, is_itself: bool = False) -> Rows:
        """The row of the nearest training example of each; of training examples another one."""
        embedded_ND = self._embedded(portion, rows)
        ones = np.ones((len(rows), 1), np.float32)
        asked = np.hstack([embedded_ND, ones])

        found = []
        for start in range(0, len(rows), BLOCK):
            block = slice(start, start + BLOCK)
            distances = asked[block] @ self._others
            if is_itself:
                own = np.searchsorted(self._rows, rows[block])
                distances[np.arange(len(own)), own] = np.inf
            found.append(distances.argmin(axis=1))
        nearest: Rows = self._rows[np.concatenate(found)]
        return nearest

    def distances(self, portion: Portion, rows: Rows, others: Rows) -> Distances:
        """How far examples are from training examples, in all dimensions."""
        found = []
        for start in range(0, len(rows), 1_000):
            piece = slice(start, start + 1_000)
            mine = self._features(np.asarray(portion.inputs[rows[piece]]))
            theirs = self._features(np.asarray(self._train.inputs[others[piece]]))
            found.append(np.sqrt(((mine - theirs).astype(np.float64) ** 2).sum(axis=1)))
        return np.concatenate(found)


def _are_copies(
    portion: Portion, rows: Rows, train: Portion, nearest: Rows, distance: Distances
) -> NDArray[np.bool_]:
    """Which are the same bit by bit; those are `lab.checking.duplicates`'."""
    found = np.zeros(len(rows), np.bool_)
    for place in np.flatnonzero(distance == 0).tolist():
        mine, its = portion.inputs[rows[place]], train.inputs[nearest[place]]
        found[place] = mine.tobytes() == its.tobytes()
    return found


def near_duplicates(checked: Checked, found: Sequence[Neighbours], limit: float) -> Iterator[Fault]:
    """Examples that are nearer to a training example than chance brings any."""
    for one in found:
        near = np.flatnonzero((one.distance < limit) & ~one.is_copy)
        if len(near):
            worst = near[np.argsort(one.distance[near], kind="stable")][:MAX_PLACES]
            is_or_are = "is" if len(near) == 1 else "are"
            text = (
                f"{many(len(near), checked.noun)} of {called(one.portion)} {is_or_are} nearly in "
                f"training too: under {limit:.2f} of the usual distance between neighbours"
            )
            yield Fault(sentence=sentence(text), places=[_pair(one, place) for place in worst])


def closest(found: Sequence[Neighbours]) -> list[Closest]:
    """The closest pairs, whether they are too near or not; equal ones left out."""
    pairs = [
        (float(one.distance[place]), number, place)
        for number, one in enumerate(found)
        for place in np.argsort(np.where(one.is_copy, np.inf, one.distance), kind="stable")[
            :MAX_PLACES
        ].tolist()
        if not one.is_copy[place]
    ]
    return [
        Closest(distance=round(min(distance, 1e9), 4), pair=_pair(found[number], place))
        for distance, number, place in sorted(pairs)[:MAX_PLACES]
    ]


def _pair(one: Neighbours, place: int) -> list[Place]:
    return [
        Place(portion=one.portion.name, row=int(one.rows[place])),
        Place(portion="train", row=int(one.nearest[place])),
    ]
