"""What a reader is shown of an example's input: bounded, whatever the data are."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from lab.base.errors import DataError
from lab.data.examples import Examples, Scaling
from lab.data.prepared import PREPARED, Prepared, load_texts
from lab.data.scaling import fitted
from lab.data.splits import Part
from lab.evidence.schema import (
    MAX_COLUMNS,
    MAX_EXCERPT,
    MAX_SIDE,
    ColumnValue,
    ImageInput,
    RowInput,
    TextInput,
)
from lab.evidence.text import excerpt

LARGEST_DEVIATION = 1e18

Floats = npt.NDArray[np.float64]


def shown(
    root: Path, prepared: Prepared, rows: Sequence[int]
) -> Sequence[ImageInput | TextInput | RowInput]:
    """The inputs of some test examples of a project; a text that nobody kept is its token ids."""
    inputs = np.array([prepared.test.inputs[row] for row in rows])
    if prepared.description.kind == "text":
        try:
            kept = load_texts(root / PREPARED, len(prepared.test.labels))
            texts = [kept[row] for row in rows]
        except DataError:
            texts = [" ".join(map(str, ids_L.tolist())) for ids_L in inputs]
        return [TextInput(kind="text", text=excerpt(text, MAX_EXCERPT)) for text in texts]
    if prepared.description.kind == "row":
        return telling_columns(inputs, prepared.description.columns, _training_scaling(prepared))
    return images(inputs, prepared.description.scaling)


# --- images --------------------------------------------------------------------------------------


def images(inputs: npt.NDArray[Any], scaling: Scaling | None) -> list[ImageInput]:
    """Images `[N, H, W]` or `[N, 3, H, W]` as bytes; a large one is reduced, its form kept."""
    return [_image(one) for one in as_bytes(inputs, scaling)]


@np.errstate(over="ignore", invalid="ignore")
def as_bytes(inputs: npt.NDArray[Any], scaling: Scaling | None) -> npt.NDArray[np.uint8]:
    """Images of any numbers, all on one scale; bytes stay as they are.

    Black and white are the ends of the first range that holds all their numbers: 0 to 1 and 0 to
    255 as they are stored; then 0 to 1 and -1 to 1 as a network sees them; else the least and the
    greatest of each image. A missing number is taken for 0.

    >>> as_bytes(np.float32([[[0.0, 1.0]], [[0.5, 0.25]]]), None).tolist()
    [[[0, 255]], [[128, 64]]]
    """
    if inputs.dtype == np.uint8:
        return inputs
    stored = scaled = np.where(np.isfinite(inputs), inputs.astype(np.float64), 0.0)
    if scaling is not None:
        features = (-1, 1, 1) if inputs.ndim == 4 else (-1, 1)
        shift, scale = (np.reshape(values, features) for values in (scaling.shift, scaling.scale))
        scaled = (stored - shift) / scale
    for values, low, high in ((stored, 0, 1), (stored, 0, 255), (scaled, 0, 1), (scaled, -1, 1)):
        if low <= values.min() <= values.max() <= high:
            return _bytes((values - low) / (high - low))
    axes = tuple(range(1, scaled.ndim))
    low_N, high_N = (form(axis=axes, keepdims=True) for form in (scaled.min, scaled.max))
    return _bytes((scaled - low_N) / np.where(high_N > low_N, high_N - low_N, 1))


def _bytes(fractions: Floats) -> npt.NDArray[np.uint8]:
    values: npt.NDArray[np.uint8] = np.rint(255 * np.nan_to_num(fractions)).astype(np.uint8)
    return values


def _image(values: npt.NDArray[np.uint8]) -> ImageInput:
    is_colour = values.ndim == 3
    if is_colour:
        values = np.ascontiguousarray(np.moveaxis(values, 0, -1))
    picture = Image.fromarray(values)
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)  # leaves a small one alone
    return ImageInput(
        kind="colour image" if is_colour else "grey image",
        height=picture.height,
        width=picture.width,
        pixels=base64.b64encode(picture.tobytes()).decode(),
    )


# --- rows ----------------------------------------------------------------------------------------


def _training_scaling(prepared: Prepared) -> Scaling:
    """Mean and standard deviation of each column in training, however a network sees them."""
    train = prepared.train
    rows = np.arange(len(train.labels))
    found = fitted("standardise", Part(Examples(train.inputs, train.labels), rows))
    return cast(Scaling, found)  # None is for no scaling


@np.errstate(over="ignore", invalid="ignore")
def telling_columns(
    inputs: npt.NDArray[Any], names: Sequence[str], scaling: Scaling
) -> list[RowInput]:
    """Of each row `[N, D]` the columns farthest from the training mean, in units of the scale.

    A missing number (NaN) is as near as can be: the mean may take its place.
    """
    values_ND = inputs.astype(np.float64)
    distances_ND = (values_ND - np.array(scaling.shift)) / np.array(scaling.scale)
    distances_ND = np.clip(np.nan_to_num(distances_ND), -LARGEST_DEVIATION, LARGEST_DEVIATION)
    return [_row(*pair, names) for pair in zip(values_ND, distances_ND, strict=True)]


def _row(values_D: Floats, distances_D: Floats, names: Sequence[str]) -> RowInput:
    farthest = np.argsort(-np.abs(distances_D), kind="stable")[:MAX_COLUMNS]
    columns = [
        ColumnValue(
            name=names[column] if names else f"column {column}",
            value=float(values_D[column]) if np.isfinite(values_D[column]) else None,
            deviation=float(distances_D[column]),
        )
        for column in farthest.tolist()
    ]
    return RowInput(kind="row", columns=columns, column_count=len(values_D))
