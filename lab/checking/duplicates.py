"""Examples with the same input, bit by bit: within a split, in two of them, of two classes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.checking.portions import (
    Checked,
    Inputs,
    Portion,
    Rows,
    called,
    many,
    named,
    sentence,
)
from lab.results.checks import MAX_PLACES, Fault, Place

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Repeated:
    """Examples whose input stands somewhere else too, sorted by the input's `group` from 0."""

    portions: tuple[Portion, ...]
    group: Rows
    portion: Rows
    row: Rows
    label: Rows

    def holds(self) -> NDArray[np.bool_]:
        """Whether a group [G] has an example in a portion [P]."""
        table = np.zeros((int(self.group.max(initial=-1)) + 1, len(self.portions)), np.bool_)
        table[self.group, self.portion] = True
        return table

    def place(self, index: int) -> Place:
        """Where an example is."""
        return Place(portion=self.portions[int(self.portion[index])].name, row=int(self.row[index]))


def repeated(checked: Checked) -> Repeated:
    """Finds them in one pass: 8 bytes an example are kept, and equal hashes are compared in full.

    Equal inputs are those with equal bytes: -0.0 is not 0.0, and a missing number is like another.
    """
    portions = checked.everything
    hashes = np.concatenate([_hashes(portion) for portion in portions])
    order = np.argsort(hashes, kind="stable")
    is_same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    starts = np.cumsum([0, *(len(portion) for portion in portions)])
    is_same = is_same[_are_equal(portions, starts, order[is_same], order[is_same + 1])]
    members = np.unique(np.concatenate([is_same, is_same + 1]))  # places in `order`
    is_joined = np.isin(members, is_same + 1)
    index = order[members]
    portion = np.searchsorted(starts, index, side="right") - 1
    row = index - starts[portion]
    label = np.full(len(row), -1)
    for number, one in enumerate(portions):
        if one.labels is not None:
            label[portion == number] = one.labels_of(row[portion == number])
    group = np.cumsum(~is_joined) - 1
    return Repeated(portions, group, portion, row, label)


def _hashes(portion: Portion) -> Hashes:
    """A number an example, the same for the same bytes: a sum of products modulo 2**64.

    Source: multilinear hashing, Lemire and Kaser 2014 (arXiv 1202.4961). Equal bytes never differ;
    what differs and is equal by chance is told apart by its bytes.
    """
    found: list[Hashes] = []
    for _, inputs in portion.pieces():
        rows_NB = np.ascontiguousarray(inputs).reshape(len(inputs), -1).view(np.uint8)
        rows_NB = np.pad(rows_NB, ((0, 0), (0, -rows_NB.shape[1] % 8)))
        words_NW = rows_NB.view(np.uint64)
        key = np.random.Philox(key=0).random_raw(words_NW.shape[1]) | np.uint64(1)
        sums = (words_NW * key).sum(axis=1, dtype=np.uint64)
        found.append(sums ^ (sums >> np.uint64(29)))
    return np.concatenate(found)


def _are_equal(
    portions: tuple[Portion, ...], starts: NDArray[np.int64], one: Rows, other: Rows
) -> NDArray[np.bool_]:
    step = max(1, 2**24 // max(1, portions[0].inputs[:1].nbytes))
    parts = [
        (_bytes(portions, starts, one[piece]) == _bytes(portions, starts, other[piece])).all(axis=1)
        for piece in (slice(start, start + step) for start in range(0, len(one), step))
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def _bytes(portions: tuple[Portion, ...], starts: NDArray[np.int64], index: Rows) -> Inputs:
    """The bytes [n, B] of examples counted through all portions."""
    inputs = portions[0].inputs
    taken = np.empty((len(index), *inputs.shape[1:]), inputs.dtype)
    owner = np.searchsorted(starts, index, side="right") - 1
    for number, portion in enumerate(portions):
        own = owner == number
        taken[own] = portion.inputs[index[own] - starts[number]]
    return taken.reshape(len(index), -1).view(np.uint8)


def duplicates(checked: Checked, found: Repeated) -> Iterator[Fault]:
    """Inputs that stand more than once in one portion."""
    for number, portion in enumerate(found.portions):
        if portion not in checked.own:
            continue
        own = np.flatnonzero(found.portion == number)
        first = own[np.searchsorted(found.group[own], found.group[own])]
        again = np.flatnonzero(first != own)
        if len(again):
            verb = "repeats" if len(again) == 1 else "repeat"
            what = many(len(again), checked.noun)
            text = f"{what} of {called(portion)} {verb} another one of it"
            yield _fault(found, text, first[again], own[again])


def _fault(found: Repeated, text: str, first: Rows, second: Rows) -> Fault:
    pairs = zip(first[:MAX_PLACES].tolist(), second[:MAX_PLACES].tolist(), strict=True)
    places = [[found.place(one), found.place(other)] for one, other in pairs]
    return Fault(sentence=sentence(text), places=places)


def leakage(checked: Checked, found: Repeated) -> Iterator[Fault]:
    """Inputs of one portion that stand in another one: what tests a model must not train it."""
    holds = found.holds()
    for number, portion in enumerate(found.portions):
        for other, there in enumerate(found.portions):
            is_asked = there not in checked.judged or other < number
            if portion not in checked.judged or other == number or not is_asked:
                continue
            own = np.flatnonzero((found.portion == number) & holds[found.group, other])
            if len(own):
                twins = np.flatnonzero(found.portion == other)
                first = twins[np.searchsorted(found.group[twins], found.group[own])]
                stand = "stands" if len(own) == 1 else "stand"
                what = f"{many(len(own), checked.noun)} of {called(portion)}"
                yield _fault(found, f"{what} {stand} in {called(there)} too", first, own)


def contradictions(checked: Checked, found: Repeated) -> Iterator[Fault]:
    """Inputs that stand there with more than one label."""
    known = np.flatnonzero(found.label >= 0)
    first = known[np.searchsorted(found.group[known], found.group[known])]
    is_own = np.array([portion in checked.own for portion in found.portions])
    asked = is_own[found.portion[first]] | is_own[found.portion[known]]
    others = np.flatnonzero((found.label[first] != found.label[known]) & asked)
    if len(others):
        first, second = first[others], known[others]
        names = checked.description.class_names
        labels = [named(names[int(found.label[one[0]])]) for one in (first, second)]
        has = "has" if len(others) == 1 else "have"
        text = (
            f"{many(len(others), checked.noun)} {has} the input of another one and another label, "
            f"such as {labels[0]} and {labels[1]}"
        )
        yield _fault(found, text, first, second)
