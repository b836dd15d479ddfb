"""Whether an input lies beyond anything that the network was trained on; a few cheap numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import shortened

REFERENCE = "reference"  # the entry of a network's metadata: `ranges`, as JSON
AT_ONCE = 4_096  # examples; contrast needs 8 bytes a pixel of them
NUMBERS_AT_ONCE = 2**22
Ranges = Mapping[str, Sequence[float]]  # lowest, highest


def ranges(inputs: NDArray[Any], kind: str, columns: list[str]) -> dict[str, list[float]]:
    """The lowest and the highest value of each statistic over training examples [N, ...].

    Nothing of texts, whose ids have no order.

    >>> ranges(np.array([[1.0, np.nan], [3.0, 5.0]]), "row", ["age", "size"])
    {'age': [1.0, 3.0], 'size': [5.0, 5.0]}
    """
    found: dict[str, list[float]] = {}
    for start in range(0, len(inputs), AT_ONCE):
        for name, values in _statistics(inputs[start : start + AT_ONCE], kind, columns).items():
            known = values[~np.isnan(values)].tolist()
            if known:
                known += found.get(name, [])
                found[name] = [min(known), max(known)]
    return found


def unlike(
    reference: Ranges, inputs: NDArray[Any], kind: str, columns: list[str]
) -> list[str | None]:
    """Of each input what is beyond the range of training, in words; None where nothing is.

    >>> unlike({"age": (1.0, 3.0)}, np.array([[2.0], [40.0]]), "row", ["age"])
    [None, 'age is 40, in training 1 to 3']
    """
    said: list[str | None] = [None] * len(inputs)
    for name, values, is_beyond in _beyond(reference, inputs, kind, columns):
        low, high = reference[name]
        for row in np.flatnonzero(is_beyond).tolist() if is_beyond.any() else ():
            if said[row] is None:
                what = f"{values[row]:.4g}, in training {low:.4g} to {high:.4g}"
                said[row] = f"{shortened(name, 60)} is {what}"
    return said


def are_unlike(
    reference: Ranges, inputs: NDArray[Any], kind: str, columns: list[str]
) -> NDArray[np.bool_]:
    """The same as a truth value [N], which takes no time where many are."""
    found = np.zeros(len(inputs), np.bool_)
    step = max(1, NUMBERS_AT_ONCE // max(1, inputs[:1].size))
    for start in range(0, len(inputs), step):
        part = slice(start, start + step)
        for _, _, is_beyond in _beyond(reference, np.asarray(inputs[part]), kind, columns):
            found[part] |= is_beyond
    return found


def _beyond(
    reference: Ranges, inputs: NDArray[Any], kind: str, columns: list[str]
) -> Iterator[tuple[str, NDArray[Any], NDArray[np.bool_]]]:
    """A statistic, its values and which of them lie beyond the range, one after the other."""
    for name, values in _statistics(inputs, kind, columns).items():
        if name in reference:
            low, high = reference[name]
            slack = 1e-6 * (high - low)  # of float32 sums in another order
            yield name, values, (values < low - slack) | (values > high + slack)


def _statistics(inputs: NDArray[Any], kind: str, columns: list[str]) -> dict[str, NDArray[Any]]:
    """Values [N] by name."""
    if kind == "row":
        names = columns or [f"input {place}" for place in range(1, inputs.shape[1] + 1)]
        return {name: inputs[:, place] for place, name in enumerate(names)}
    if not kind.endswith("image"):
        return {}
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    flat /= 255 if inputs.dtype == np.uint8 else 1
    # As mean and std have it, in half of their time on one image.
    mean = flat.sum(axis=1) / flat.shape[1]
    variance = np.einsum("np,np->n", flat, flat) / flat.shape[1] - mean**2
    return {"brightness": mean, "contrast": np.sqrt(np.maximum(variance, 0.0))}
