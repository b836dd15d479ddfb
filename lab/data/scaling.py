"""How a network sees the numbers of an example: found in the training examples alone."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.data.examples import Scaling
from lab.data.splits import Part

PIECE_BYTES = 2**24


def pieces(inputs: NDArray[Any]) -> Iterator[slice]:
    """Consecutive rows of at most 16 MiB."""
    rows = rows_at_once(inputs)
    for start in range(0, len(inputs), rows):
        yield slice(start, start + rows)


def rows_at_once(inputs: NDArray[Any]) -> int:
    """How many rows of an array, which may be larger than memory, are looked at together."""
    return max(1, PIECE_BYTES // max(1, inputs[:1].nbytes))


def feature_count(inputs: NDArray[Any]) -> int:
    """How many features are scaled each by itself: channels of images, columns of rows."""
    channels = {3: 1, 4: int(inputs.shape[1])}
    return channels.get(inputs.ndim, int(inputs.shape[-1]))


def fitted(scaling: Scaling | str | None, train: Part) -> Scaling | None:
    """The scaling as numbers; "standardise" is found in the training examples alone.

    Mean and standard deviation of each feature, in two passes of float64. A feature that never
    varies has the scale 1, one that is never known the mean 0.
    """
    if not isinstance(scaling, str):
        return scaling
    inputs, rows = train.examples.inputs, train.rows
    features, step = feature_count(inputs), rows_at_once(inputs)
    axes = {3: None, 4: (0, 2, 3)}.get(inputs.ndim, tuple(range(inputs.ndim - 1)))

    def summed(form: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[np.float64]:
        total = np.zeros(features)
        for start in range(0, len(rows), step):
            values = inputs[rows[start : start + step]].astype(np.float64)
            total = total + np.nansum(form(values), axis=axes)
        return total

    known = np.maximum(summed(lambda x: ~np.isnan(x)), 1)
    mean = summed(lambda x: x) / known
    across = mean.reshape(-1, 1, 1) if inputs.ndim == 4 else mean
    sd = np.sqrt(summed(lambda x: (x - across) ** 2) / known)
    sd[sd == 0] = 1.0
    fill = mean.tolist() if inputs.dtype == np.float32 else None
    return Scaling(shift=mean.tolist(), scale=sd.tolist(), fill=fill)
