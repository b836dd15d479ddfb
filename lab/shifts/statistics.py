"""A few numbers of each input, in which inputs of another kind show."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_COLUMNS = 1_000
LEAST = 1e-12  # what is divided by

Inputs = NDArray[Any]
Values = NDArray[np.float64]


def statistics(
    kind: str, inputs: Inputs, columns: Sequence[str], padding: int = 0
) -> dict[str, Values]:
    """Numbers [N] of inputs [N, ...] in stored form, by name.

    Args:
        kind: as `metrics/dataset.json` has it.
        inputs: of images, rows or token ids.
        columns: what the numbers of a row are called.
        padding: the token that fills texts up.
    """
    match kind:
        case "text":
            return _of_texts(inputs, padding)
        case "row":
            listed = columns[: min(MOST_COLUMNS, inputs.shape[1])]
            return {name: inputs[:, k].astype(np.float64) for k, name in enumerate(listed)}
    return _of_images(inputs)


def padding_of(inputs: Inputs) -> int:
    """What most of these texts [N, L] end with."""
    ids, counts = np.unique(inputs[:, -1], return_counts=True)
    return int(ids[counts.argmax()])


def _of_images(inputs: Inputs) -> dict[str, Values]:
    values = inputs.astype(np.float32)
    if inputs.dtype.kind == "f":
        values = np.nan_to_num(values)
    channels = values if values.ndim == 4 else values[:, None]
    grey = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
    sizes = np.abs(grey)
    total = np.maximum(sizes.sum(axis=(1, 2)), LEAST)
    height, width = grey.shape[1:]
    rows, columns = sizes.sum(axis=2) / total[:, None], sizes.sum(axis=1) / total[:, None]
    down, right = rows @ np.arange(height), columns @ np.arange(width)
    across = (sizes @ np.arange(width, dtype=np.float32) / total[:, None]) @ np.arange(height)
    tall = np.sqrt(np.maximum(rows @ np.arange(height) ** 2 - down**2, 0))
    wide = np.sqrt(np.maximum(columns @ np.arange(width) ** 2 - right**2, 0))
    found = {
        "brightness": grey.mean(axis=(1, 2)),
        "contrast": grey.std(axis=(1, 2)),
        "sharpness": _steps(grey, 2),
        "edges across": _steps(grey, 1),
        "ink": (grey > (127.5 if inputs.dtype == np.uint8 else 0.5)).mean(axis=(1, 2)),
        "height of the centre": down,
        "place of the centre": right,
        "height": tall,
        "width": wide,
        "slant": (across - down * right) / np.maximum(tall * wide, LEAST),
    }
    if values.ndim == 4:
        found["colourfulness"] = (channels.max(axis=1) - channels.min(axis=1)).mean(axis=(1, 2))
        found["red less blue"] = (channels[:, 0] - channels[:, -1]).mean(axis=(1, 2))
    return {name: value.astype(np.float64) for name, value in found.items()}


def _steps(grey: Inputs, axis: int) -> Inputs:
    """Mean step from one pixel to the next; 0 where there is no next one."""
    if grey.shape[axis] < 2:
        return np.zeros(len(grey))
    return np.asarray(np.abs(np.diff(grey, axis=axis)).mean(axis=(1, 2)))


def _of_texts(inputs: Inputs, padding: int) -> dict[str, Values]:
    is_token = inputs != padding
    ordered = np.sort(np.where(is_token, inputs, padding), axis=1)
    distinct = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
    return {
        "number of tokens": is_token.sum(axis=1).astype(np.float64),
        "number of different tokens": distinct.astype(np.float64),
        "mean token id": np.where(is_token, inputs, 0).sum(axis=1) / np.maximum(1, is_token.sum(1)),
    }
