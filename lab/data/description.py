"""`metrics/dataset.json`: which data a revision trained and tested on, and what they look like.

After stage `prepare` it is the only source of shape, type, scaling and classes.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from lab.base import files
from lab.base.records import Record, read_record
from lab.data.examples import (
    FEWEST_CLASSES,
    MOST_CLASSES,
    Dataset,
    Framing,
    InputDtype,
    Kind,
    Scaling,
    Tokeniser,
)
from lab.data.scaling import rows_at_once
from lab.data.splits import REPREPARE, Part, label_dtype

DESCRIPTION = Path("metrics/dataset.json")
MAX_DESCRIPTION_BYTES = 2**23

Text = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class SplitDescription(Record):
    """What one split holds; `sha256` is over the bytes of its inputs, then of its labels."""

    examples: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    examples_per_class: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=MOST_CLASSES)]


class Description(Record):
    """`metrics/dataset.json`; the fields are those of `lab.data.examples.Dataset`.

    `shape` and `dtype` are those of one example's input.
    """

    schema_version: Literal[3]
    name: str
    split_seed: int
    kind: Kind
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=8)]
    dtype: InputDtype
    scaling: Scaling | None
    vocabulary: Annotated[int, Field(ge=1)] | None
    columns: list[Text]
    class_names: Annotated[list[Text], Field(min_length=FEWEST_CLASSES, max_length=MOST_CLASSES)]
    framing: Framing
    tokeniser: Tokeniser | None
    train: SplitDescription
    validation: SplitDescription
    test: SplitDescription

    @model_validator(mode="after")
    def _classes_agree(self) -> "Description":
        for part in (self.train, self.validation, self.test):
            if len(part.examples_per_class) != len(self.class_names):
                raise ValueError("examples_per_class must have one entry a class")
        return self


def describe(
    name: str, split_seed: int, dataset: Dataset, parts: Mapping[str, Part], scaling: Scaling | None
) -> Description:
    """Counts and checksums of the splits of data set `name`, and what its examples look like."""
    inputs, classes = dataset.train.inputs, len(dataset.class_names)
    return Description(
        schema_version=3,
        name=name,
        split_seed=split_seed,
        kind=dataset.kind,
        shape=list(inputs.shape[1:]),
        dtype=cast(InputDtype, inputs.dtype.name),
        scaling=scaling,
        vocabulary=dataset.vocabulary,
        columns=list(dataset.columns),
        class_names=list(dataset.class_names),
        framing=dataset.framing,
        tokeniser=dataset.tokeniser,
        **{name: _describe_part(part, classes) for name, part in parts.items()},
    )


def _describe_part(part: Part, classes: int) -> SplitDescription:
    labels = part.examples.labels[part.rows].astype(label_dtype(classes))
    return SplitDescription(
        examples=len(labels),
        sha256=checksum(part.examples.inputs, part.rows, labels),
        examples_per_class=np.bincount(labels, minlength=classes).tolist(),
    )


def checksum(inputs: NDArray[Any], rows: NDArray[np.intp] | None, labels: NDArray[Any]) -> str:
    """SHA-256 of some rows of the inputs (None: all), then of the labels of these rows."""
    digest, step = hashlib.sha256(), rows_at_once(inputs)
    for start in range(0, len(labels), step):
        piece = slice(start, start + step)
        digest.update(np.ascontiguousarray(inputs[piece if rows is None else rows[piece]]).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def write_description(description: Description, path: Path) -> None:
    """Writes `metrics/dataset.json`."""
    files.write_json(path, description.model_dump())


def read_description(path: Path) -> Description:
    """Reads `metrics/dataset.json`.

    Raises:
        DataError: The file is missing or not a description.
    """
    return read_record(path, Description, MAX_DESCRIPTION_BYTES, REPREPARE)
