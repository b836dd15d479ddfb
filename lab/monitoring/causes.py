"""Which change of the inputs fits best what is seen, and what share of them it would have hit.

Each candidate moves the distributions of all statistics in a way of its own. What is seen is taken
for a mixture, a share of the inputs changed and the rest as they were, which is one number to fit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from lab.monitoring.blocks import Block
from lab.monitoring.looks import cumulative
from lab.shifts.corruptions import Corrupt, corruptions
from lab.shifts.reference import Reference, counted
from lab.shifts.statistics import Inputs, Values

LEAST_EXPLAINED = 0.7  # of the squared differences beyond chance; below it nothing is named
LEAST_SEEN = 2.0  # of what chance makes
PART = 0.05  # of the squared differences that a share below 1 has to explain beyond all of them

COLUMN_TRIES = 50  # to find a change of rows in as many columns

Mirror = Callable[[Inputs], Inputs]


def _same(images: Inputs) -> Inputs:
    return images


# By the first word of a corruption of images its other directions, and how an image is mirrored
# before it and after it.
MIRRORS: Mapping[str, Mapping[str, Mirror]] = {
    "rotated": {"": _same, " clockwise": lambda images: images[..., ::-1]},
    "shifted": {
        " down and right": _same,
        " down and left": lambda images: images[..., ::-1],
        " up and right": lambda images: images[..., ::-1, :],
        " up and left": lambda images: images[..., ::-1, ::-1],
    },
}


class Causes:
    """The candidates for the inputs of one reference; computed when first asked."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    @cached_property
    def _candidates(self) -> dict[str, Values]:
        """By name the difference of the cumulative distributions [S, B] that each makes."""
        reference, inputs = self._reference, self._reference.inputs
        with np.errstate(all="ignore"):
            usual = cumulative(counted(reference.bins(inputs)))
            return {
                name: cumulative(counted(reference.bins(changed))) - usual
                for name, changed in _changed(reference.about, inputs)
            }

    def named(self, block: Block) -> str | None:
        """What fits best, in words; None where nothing does.

        For example `rotated by 15 degrees`, or `about 40 % of inputs are inverted`.
        """
        usual = cumulative(self._reference.counts_SB)
        seen = cumulative(block.counts_SB) - usual
        total = float((seen**2).sum())
        chance = _chance(usual, block.inputs) + _chance(usual, self._reference.examples)
        if total <= LEAST_SEEN * chance:
            return None
        fits = [
            fit
            for name, candidate in self._candidates.items()
            for fit in (_whole(seen, candidate, name), _part(seen, candidate, name))
        ]
        if (mixed := self._other_classes(block)) is not None:
            left = float(((seen - (cumulative(mixed) - usual)) ** 2).sum())
            fits.append((left, "other shares of classes"))
        left, name = min(fits, default=(total, ""))
        return name if left - chance <= (1 - LEAST_EXPLAINED) * (total - chance) else None

    def _other_classes(self, block: Block) -> Values | None:
        """What the reference would count, had it the classes that are answered now."""
        reference = self._reference
        if not len(reference.by_class_CSB) or not block.answers:
            return None
        weights = block.predicted_C / np.maximum(reference.predicted_C, 1)
        return np.asarray(np.tensordot(weights, reference.by_class_CSB, axes=1))


def _chance(usual: Values, examples: int) -> float:
    """The squared differences that chance makes in a cumulative distribution of so many."""
    return float((usual * (1 - usual)).sum()) / max(1, examples)


def _whole(seen: Values, candidate: Values, name: str) -> tuple[float, str]:
    """What a candidate leaves unexplained if it befell all inputs, and it in words."""
    return float(((seen - candidate) ** 2).sum()), name


def _part(seen: Values, candidate: Values, name: str) -> tuple[float, str]:
    """The same at the share of inputs that fits best, which is one number more to choose."""
    size = float((candidate**2).sum())
    share = min(1.0, max(0.0, float((seen * candidate).sum()) / size)) if size else 0.0
    left = float(((seen - share * candidate) ** 2).sum()) + PART * float((seen**2).sum())
    return left, f"about {share:.0%} of inputs: {name}"


def _changed(about: Mapping[str, Any], inputs: Inputs) -> Iterator[tuple[str, Inputs]]:
    """Every corruption; of images in other directions, of rows in other columns, too."""
    for name, corrupt in corruptions(about["kind"], inputs.shape[1:]).items():
        if about["kind"] == "row":
            yield from _by_column(name, corrupt, inputs, about["columns"])
            continue
        for direction, mirror in MIRRORS.get(name.partition(" ")[0], {"": _same}).items():
            yield name + direction, _mirrored(inputs, corrupt, mirror)


def _by_column(
    name: str, corrupt: Corrupt, inputs: Inputs, columns: Sequence[str]
) -> Iterator[tuple[str, Inputs]]:
    """A change of rows in each of the columns that it is found to draw."""
    seen = set()
    for seed in range(COLUMN_TRIES):
        changed = corrupt(inputs, np.random.default_rng(seed))
        is_same = (changed == inputs) | (np.isnan(changed) & np.isnan(inputs))
        hit = np.flatnonzero(~is_same.all(axis=0)).tolist()
        where = f" ({columns[hit[0]]})" if len(hit) == 1 else ""
        if hit and where not in seen:
            seen.add(where)
            yield name + where, changed


def _mirrored(inputs: Inputs, corrupt: Corrupt, mirror: Mirror) -> Inputs:
    """Mirrored, changed, and mirrored back."""
    given = np.ascontiguousarray(mirror(inputs))
    return np.ascontiguousarray(mirror(corrupt(given, np.random.default_rng(0))))
