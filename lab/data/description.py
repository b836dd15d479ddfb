"""`metrics/dataset.json`: which data a revision trained and tested on, by count and checksum."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StringConstraints, ValidationError

from lab.base import files
from lab.base.errors import DataError
from lab.base.records import Record, first_problem
from lab.data.prepared import PREPARED
from lab.data.splits import CLASSES, REPREPARE, SPLITS, Prepared, Split

DESCRIPTION = Path("metrics/dataset.json")
MAX_DESCRIPTION_BYTES = 2**20
REMAKE = "run `dvc repro --force prepare`"


class SplitDescription(Record):
    """What one split holds; `sha256` is over its image bytes, then its label bytes."""

    images: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    images_per_class: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=CLASSES, max_length=CLASSES)
    ]


class Description(Record):
    """`metrics/dataset.json`: which data a revision trained and tested on."""

    schema_version: Literal[1]
    name: str
    split_seed: int
    train: SplitDescription
    validation: SplitDescription
    test: SplitDescription


def describe(name: str, split_seed: int, prepared: Prepared) -> Description:
    """Counts and checksums of the prepared splits of data set `name`."""
    return Description(
        schema_version=1,
        name=name,
        split_seed=split_seed,
        train=_describe_split(prepared.train),
        validation=_describe_split(prepared.validation),
        test=_describe_split(prepared.test),
    )


def _describe_split(part: Split) -> SplitDescription:
    return SplitDescription(
        images=len(part.labels),
        sha256=_sha256(part),
        images_per_class=np.bincount(part.labels, minlength=CLASSES).tolist(),
    )


def _sha256(part: Split) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(part.images).data)
    digest.update(np.ascontiguousarray(part.labels).data)
    return digest.hexdigest()


def verify(prepared: Prepared, description: Description) -> None:
    """Compares the prepared images with their checksums, at more than a gigabyte a second.

    DVC takes a file for unchanged while its time and size are, which a decaying disk leaves alone.

    Raises:
        DataError: Some image or label is not what `prepare.py` wrote.
    """
    for name in SPLITS:
        expected: str = getattr(description, name).sha256
        got = _sha256(getattr(prepared, name))
        if got != expected:
            raise DataError(
                f"{PREPARED}/{name}_*.npy: SHA-256 must be {expected[:12]}... ({DESCRIPTION}); "
                f"got {got[:12]}...; {REMAKE}"
            )


def write_description(description: Description, path: Path) -> None:
    """Writes `metrics/dataset.json`."""
    files.write_json(path, description.model_dump())


def read_description(path: Path) -> Description:
    """Reads `metrics/dataset.json`.

    Raises:
        DataError: The file is missing or not a description.
    """
    try:
        return Description.model_validate_json(files.read_bytes(path, MAX_DESCRIPTION_BYTES))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {REPREPARE}") from None
    except ValidationError as error:
        raise DataError(f"{path}: {first_problem(error)}; {REPREPARE}") from None
