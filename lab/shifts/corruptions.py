"""What befalls inputs on their way to a model: named changes, each a function of the inputs alone.

They ask a model how robust it is, and the monitor what it notices. How strong each is stands here
and nowhere else, so that two tables with the same words mean the same.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Inputs = NDArray[Any]
Corrupt = Callable[[Inputs, np.random.Generator], Inputs]

ANGLES = 5, 15, 30  # degrees
DARKER, BRIGHTER = 0.7, 0.1  # a factor; a share of the range that is added
NOISE = 0.1  # standard deviation, as a share of the range
BLURS = 3  # passes of 1, 2, 1
PUSH = 0.1  # of either side
COLUMN_NOISE = 0.5  # standard deviations of the column
UNIT = 2.54  # inches that should be centimetres
DROPPED = 0.3  # of the words
PADDING = 0  # the token that fills texts up
AT_ONCE = 2**22  # numbers of images that are rotated together


def corruptions(kind: str, shape: Sequence[int]) -> dict[str, Corrupt]:
    """Changes that inputs of a kind may meet, by words for a table.

    Each takes inputs [N, ...] in stored form, N > 0, and returns new ones of their shape and type.
    Which column of rows is hit is drawn once a call.

    Args:
        kind: as `metrics/dataset.json` has it.
        shape: of one input.
    """
    if kind == "text":
        return {"words dropped": _dropped, "words shuffled": _shuffled, "cut in half": _halved}
    if kind == "row":
        return {"noise": _noisy_rows, "one column missing": _missing, "another unit": _converted}
    found: dict[str, Corrupt] = {
        "darker": lambda inputs, _: _stored(inputs * DARKER, inputs),
        "brighter": lambda inputs, _: _stored(inputs + BRIGHTER * _top(inputs), inputs),
        "noise": _noisy,
        "blur": _blurred,
        **{f"rotated by {angle} degrees": partial(_rotated, angle=angle) for angle in ANGLES},
        "shifted": _pushed,
        "inverted": lambda inputs, _: _stored(_top(inputs) - inputs.astype(np.float32), inputs),
        "0 to 1 in place of 0 to 255": lambda inputs, _: _stored(inputs / 255.0, inputs),
    }
    if len(shape) == 3:
        found["channels swapped"] = lambda inputs, _: np.ascontiguousarray(inputs[:, ::-1])
    return found


def _top(inputs: Inputs) -> float:
    """White."""
    return 255.0 if inputs.dtype == np.uint8 else 1.0


def _stored(values: Inputs, like: Inputs) -> Inputs:
    """As images are stored: whole numbers are rounded and end at black and white."""
    if like.dtype != np.uint8:
        return values.astype(like.dtype)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _noisy(inputs: Inputs, random: np.random.Generator) -> Inputs:
    noise = random.standard_normal(inputs.shape, np.float32)
    return _stored(inputs + np.float32(NOISE * _top(inputs)) * noise, inputs)


def _blurred(inputs: Inputs, _: np.random.Generator) -> Inputs:
    values = inputs.astype(np.float32)
    for axis in (-2, -1):
        for _pass in range(BLURS):
            wide = np.concatenate(
                [values.take([0], axis), values, values.take([-1], axis)], axis=axis
            )
            size = values.shape[axis]
            parts = [wide.take(range(start, start + size), axis) for start in range(3)]
            values = (parts[0] + 2 * parts[1] + parts[2]) / 4
    return _stored(values, inputs)


def _pushed(inputs: Inputs, _: np.random.Generator) -> Inputs:
    """Down and to the right; what was at the edges stays there, too."""
    height, width = inputs.shape[-2:]
    rows = np.maximum(np.arange(height) - max(1, round(PUSH * height)), 0)
    columns = np.maximum(np.arange(width) - max(1, round(PUSH * width)), 0)
    return np.ascontiguousarray(inputs[..., rows[:, None], columns])


def _rotated(inputs: Inputs, _: np.random.Generator, angle: float) -> Inputs:
    """Counter-clockwise around the centre, bilinearly; beyond an edge lies what is at the edge."""
    height, width = inputs.shape[-2:]
    down = np.arange(height)[:, None] - (height - 1) / 2
    right = np.arange(width)[None, :] - (width - 1) / 2
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    from_down = np.clip(cosine * down + sine * right + (height - 1) / 2, 0, height - 1)
    from_right = np.clip(-sine * down + cosine * right + (width - 1) / 2, 0, width - 1)
    top, left = np.floor(from_down).astype(np.intp), np.floor(from_right).astype(np.intp)
    low, far = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    part_down = (from_down - top).astype(np.float32)
    part_right = (from_right - left).astype(np.float32)
    found = np.empty_like(inputs)
    step = max(1, AT_ONCE // max(1, int(np.prod(inputs.shape[1:]))))
    for start in range(0, len(inputs), step):
        values = inputs[start : start + step].astype(np.float32)
        above = values[..., top, left] * (1 - part_right) + values[..., top, far] * part_right
        below = values[..., low, left] * (1 - part_right) + values[..., low, far] * part_right
        turned = above * (1 - part_down) + below * part_down
        found[start : start + step] = _stored(turned, inputs)
    return found


def _noisy_rows(inputs: Inputs, random: np.random.Generator) -> Inputs:
    spread = np.nan_to_num(inputs.astype(np.float64)).std(axis=0)
    noise: Inputs = COLUMN_NOISE * spread * random.standard_normal(inputs.shape)
    return (inputs + noise).astype(inputs.dtype)


def _missing(inputs: Inputs, random: np.random.Generator) -> Inputs:
    """0, which is what many clients send of a value that they lack."""
    found = inputs.copy()
    found[:, random.integers(inputs.shape[1])] = 0
    return found


def _converted(inputs: Inputs, random: np.random.Generator) -> Inputs:
    found = inputs.copy()
    column = random.integers(inputs.shape[1])
    found[:, column] = (inputs[:, column] * UNIT).astype(inputs.dtype)
    return found


def _dropped(inputs: Inputs, random: np.random.Generator) -> Inputs:
    """Tokens but for the first, which may be a mark; the others close up."""
    is_kept = random.random(inputs.shape) >= DROPPED
    is_kept[:, :1] = True
    return _left_aligned(inputs, is_kept)


def _shuffled(inputs: Inputs, random: np.random.Generator) -> Inputs:
    """Tokens between the first and the last, which may be marks."""
    lengths = (inputs != PADDING).sum(axis=1, keepdims=True)
    places = np.broadcast_to(np.arange(inputs.shape[1]), inputs.shape)
    is_inside = (places > 0) & (places < lengths - 1)
    keys = np.where(is_inside, 0.5 + 0.4 * random.random(inputs.shape), places)
    keys = np.where(is_inside | (places == 0), keys, places + 1.0)
    return np.take_along_axis(inputs, keys.argsort(axis=1, kind="stable"), axis=1)


def _halved(inputs: Inputs, _: np.random.Generator) -> Inputs:
    lengths = (inputs != PADDING).sum(axis=1, keepdims=True)
    return _left_aligned(inputs, np.arange(inputs.shape[1]) < (lengths + 1) // 2)


def _left_aligned(inputs: Inputs, is_kept: Inputs) -> Inputs:
    order = (~is_kept).argsort(axis=1, kind="stable")
    closed = np.take_along_axis(np.where(is_kept, inputs, PADDING), order, axis=1)
    return closed.astype(inputs.dtype)
