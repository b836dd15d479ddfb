"""The images: how they are split, kept and read.

`split` holds validation images out of the official training ones; `save_prepared` and
`load_prepared` keep the result as memory-mapped arrays; `describe` says what is in them.
"""

import hashlib
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lab.base import files
from lab.base.errors import DataError, ParamsError, shortened

CLASSES = 10
IMAGE_SIDE = 28  # pixels
SPLITS = ("train", "validation", "test")
PREPARED = Path("data/prepared")
DESCRIPTION = Path("metrics/dataset.json")
MAX_DESCRIPTION_BYTES = 2**20

# Class names as the data sets' own pages give them (KMNIST: the romanised hiragana).
CLASS_NAMES = {
    "MNIST": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "FashionMNIST": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "KMNIST": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

REPREPARE = "run `dvc repro prepare`"
REMAKE = "run `dvc repro --force prepare`"

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]


def parse_idx(content: bytes, where: str, dimensions: int) -> NDArray[np.uint8]:
    """Reads an IDX file of unsigned bytes.

    Args:
        content: The unpacked file.
        where: Names the file in errors.
        dimensions: 3 for images, 1 for labels.

    Returns:
        A read-only array that shares `content`'s memory.

    Raises:
        DataError: The magic number, a dimension or the length is wrong.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section
        "File formats". The magic number is 0x00000800 + the number of dimensions.

    >>> header = bytes([0, 0, 8, 1, 0, 0, 0, 2])
    >>> parse_idx(header + bytes([7, 9]), "labels", dimensions=1)
    array([7, 9], dtype=uint8)
    """
    advice = "remove the file, then run `dvc repro prepare`"
    header = struct.Struct(f">I{dimensions}I")
    if len(content) < header.size:
        raise DataError(f"{where}: no IDX header; got {len(content)} bytes; {advice}")
    magic, *shape = header.unpack_from(content)
    if magic != 0x0800 + dimensions:
        raise DataError(
            f"{where}: the magic number must be 0x{0x0800 + dimensions:08x}; "
            f"got 0x{magic:08x}; {advice}"
        )
    expected = header.size + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{where}: shape {tuple(shape)} needs {expected:,} bytes; "
            f"got {len(content):,}; {advice}"
        )
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8 `[N, 28, 28]`, 0 to 255.
        labels: uint8 `[N]`, 0 to 9.
    """

    images: Images
    labels: Labels


@dataclass(frozen=True)
class Prepared:
    """The three splits; `test` is the official one and chooses nothing."""

    train: Split
    validation: Split
    test: Split


def split(idx: dict[str, bytes], validation_size: int, seed: int) -> Prepared:
    """Holds a stratified validation set out of the official training images.

    All three splits keep the order of the official files; training shuffles by itself.

    Args:
        idx: What `fetch` returned.
        validation_size: Exact number of validation images.
        seed: Chooses which ones.

    Raises:
        DataError: A file is not what its name says.
        ParamsError: `validation_size` leaves no image to train on.
    """
    official = _official(idx, TRAIN_IMAGES, TRAIN_LABELS)
    chosen = choose_validation(official.labels, validation_size, seed)
    return Prepared(
        train=Split(official.images[~chosen], official.labels[~chosen]),
        validation=Split(official.images[chosen], official.labels[chosen]),
        test=_official(idx, TEST_IMAGES, TEST_LABELS),
    )


def _official(idx: dict[str, bytes], images_file: str, labels_file: str) -> Split:
    images = parse_idx(idx[images_file], images_file, dimensions=3)
    labels = parse_idx(idx[labels_file], labels_file, dimensions=1)
    _require_images(images_file, images)
    _require_labels(labels_file, labels, len(images))
    return Split(images, labels)


def choose_validation(labels: Labels, size: int, seed: int) -> NDArray[np.bool_]:
    """Marks the images of a stratified validation set.

    Each class gives its proportional share, rounded so that the shares sum to `size` (largest
    remainder, the smaller class first among equals). Within a class, every image draws a 64-bit
    key and those with the smallest keys are chosen. The keys come straight from the bit generator,
    the only stream that NumPy promises never to change (NEP 19).

    Args:
        labels: uint8 `[N]`, 0 to 9.
        size: Number of images to mark.
        seed: Seed of the PCG64 bit generator.

    Returns:
        bool `[N]`, exactly `size` of them true.

    Raises:
        ParamsError: `size` is not between 1 and N - 1.
    """
    if not 0 < size < len(labels):
        raise ParamsError(
            f"params.yaml: dataset.validation_size: must be from 1 to {len(labels) - 1}, "
            f"so that images are left to train on; got {size}; correct the value"
        )
    keys = np.random.PCG64(seed).random_raw(len(labels))
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label, share in enumerate(_shares(np.bincount(labels, minlength=CLASSES), size)):
        members = np.flatnonzero(labels == label)
        chosen[members[np.argsort(keys[members], kind="stable")[:share]]] = True
    return chosen


def _shares(counts: NDArray[np.intp], size: int) -> list[int]:
    """Proportional whole shares that sum to `size`, by largest remainder.

    >>> _shares(np.array([3, 3, 4]), 5)
    [2, 1, 2]
    """
    total = int(counts.sum())
    shares = counts * size // total
    by_remainder = np.argsort(-(counts * size % total), kind="stable")
    shares[by_remainder[: size - int(shares.sum())]] += 1
    return [int(share) for share in shares]


# --- prepared files ------------------------------------------------------------------------------


def save_prepared(prepared: Prepared, folder: Path) -> None:
    """Writes the six arrays: `{train,validation,test}_{images,labels}.npy`.

    They are all written before the first is renamed, so a full disk cannot leave a new training
    set beside an old validation set, which may overlap.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    parts: dict[str, Split] = {name: getattr(prepared, name) for name in SPLITS}
    arrays = {
        **{f"{name}_images.npy": part.images for name, part in parts.items()},
        **{f"{name}_labels.npy": part.labels for name, part in parts.items()},
    }
    paths = [folder / name for name in arrays]
    with files.naming(folder), files.replacing_all(paths) as temporaries:
        for temporary, array in zip(temporaries, arrays.values(), strict=True):
            _write_npy(temporary, array)


def _write_npy(path: Path, array: NDArray[np.uint8]) -> None:
    array = np.ascontiguousarray(array)
    header = np.lib.format.header_data_from_array_1_0(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)  # np.save's own write says of a full disk only how many bytes went


def load_prepared(folder: Path) -> Prepared:
    """Memory-maps the prepared arrays; the images are not read here.

    The maps are copy-on-write: PyTorch needs writable memory, and the files stay as they are.

    Raises:
        DataError: A file is missing, damaged, or of the wrong shape or type.
    """
    return Prepared(*(_load_split(folder, name) for name in SPLITS))


def _load_split(folder: Path, name: str) -> Split:
    images_path = folder / f"{name}_images.npy"
    labels_path = folder / f"{name}_labels.npy"
    images, labels = _load_array(images_path), _load_array(labels_path)
    _require_images(str(images_path), images)
    _require_labels(str(labels_path), labels, len(images))
    return Split(images, labels)


def _load_array(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; {REPREPARE}")
    try:
        array = np.lib.format.open_memmap(path, mode="c")
    except OSError:
        raise
    except Exception as error:
        # NumPy evaluates the header as Python text, and hostile ones raise nearly anything.
        reason = shortened(str(error) or type(error).__name__)
        raise DataError(f"{path}: not a whole .npy file ({reason}); {REPREPARE}") from None
    expected = array.offset + array.nbytes
    if path.stat().st_size != expected:
        raise DataError(
            f"{path}: shape {array.shape} needs {expected:,} bytes; "
            f"got {path.stat().st_size:,}; {REPREPARE}"
        )
    return array


def _require_images(where: str, images: NDArray[Any]) -> None:
    rule = f"images must be uint8 [N, {IMAGE_SIDE}, {IMAGE_SIDE}]"
    is_right = images.ndim == 3 and images.shape[1:] == (IMAGE_SIDE, IMAGE_SIDE) and len(images)
    if images.dtype != np.uint8 or not is_right:
        raise DataError(f"{where}: {rule}; got {images.dtype} {list(images.shape)}; {REPREPARE}")


def _require_labels(where: str, labels: NDArray[Any], count: int) -> None:
    if labels.dtype != np.uint8 or labels.shape != (count,):
        raise DataError(
            f"{where}: labels must be uint8 [{count}], one for each image; "
            f"got {labels.dtype} {list(labels.shape)}; {REPREPARE}"
        )
    if labels.max() >= CLASSES:
        raise DataError(
            f"{where}: labels must be 0 to {CLASSES - 1}; got {labels.max()}; {REPREPARE}"
        )


# --- description ---------------------------------------------------------------------------------


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SplitDescription(_Strict):
    """What one split holds; `sha256` is over its image bytes, then its label bytes."""

    images: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    images_per_class: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=CLASSES, max_length=CLASSES)
    ]


class Description(_Strict):
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
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "top level"
        got = shortened(repr(first["input"]), limit=60)
        raise DataError(f"{path}: {key}: {first['msg']}; got {got}; {REPREPARE}") from None
