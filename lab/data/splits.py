"""The three splits of the examples, and how validation images are held out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import DataError, ParamsError

CLASSES = 10
IMAGE_SIDE = 28  # pixels
SPLITS = ("train", "validation", "test")
REPREPARE = "run `dvc repro prepare`"

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]


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


def split(official: Split, test: Split, validation_size: int, seed: int) -> Prepared:
    """Holds a stratified validation set out of the official training images.

    All three splits keep the order of the official files; training shuffles by itself.

    Args:
        official: The official training examples.
        test: The official test examples.
        validation_size: Exact number of validation images.
        seed: Chooses which ones.

    Raises:
        ParamsError: `validation_size` leaves no image to train on.
    """
    chosen = choose_validation(official.labels, validation_size, seed)
    return Prepared(
        train=Split(official.images[~chosen], official.labels[~chosen]),
        validation=Split(official.images[chosen], official.labels[chosen]),
        test=test,
    )


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
    for label, share in enumerate(shares(np.bincount(labels, minlength=CLASSES), size)):
        members = np.flatnonzero(labels == label)
        chosen[members[np.argsort(keys[members], kind="stable")[:share]]] = True
    return chosen


def shares(counts: NDArray[np.intp], size: int) -> list[int]:
    """Proportional whole shares that sum to `size`, by largest remainder.

    >>> shares(np.array([3, 3, 4]), 5)
    [2, 1, 2]
    """
    total = int(counts.sum())
    shares = counts * size // total
    by_remainder = np.argsort(-(counts * size % total), kind="stable")
    shares[by_remainder[: size - int(shares.sum())]] += 1
    return [int(share) for share in shares]


def require_images(where: str, images: NDArray[Any]) -> None:
    """Checks type and shape; `where` names the file.

    Raises:
        DataError: They are not uint8 [N, 28, 28] with N > 0.
    """
    rule = f"images must be uint8 [N, {IMAGE_SIDE}, {IMAGE_SIDE}]"
    is_right = images.ndim == 3 and images.shape[1:] == (IMAGE_SIDE, IMAGE_SIDE) and len(images)
    if images.dtype != np.uint8 or not is_right:
        raise DataError(f"{where}: {rule}; got {images.dtype} {list(images.shape)}; {REPREPARE}")


def require_labels(where: str, labels: NDArray[Any], count: int) -> None:
    """Checks type, number and range; `where` names the file.

    Raises:
        DataError: They are not `count` bytes from 0 to 9.
    """
    if labels.dtype != np.uint8 or labels.shape != (count,):
        raise DataError(
            f"{where}: labels must be uint8 [{count}], one for each image; "
            f"got {labels.dtype} {list(labels.shape)}; {REPREPARE}"
        )
    if labels.max() >= CLASSES:
        raise DataError(
            f"{where}: labels must be 0 to {CLASSES - 1}; got {labels.max()}; {REPREPARE}"
        )
