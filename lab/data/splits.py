"""The three splits of the examples: which example stands in which, and by what rule."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import DataError, ParamsError
from lab.base.params import DatasetParams
from lab.data.examples import Dataset, Examples

SPLITS = ("train", "validation", "test")
REPREPARE = "run `dvc repro prepare`"
PARAM = "params.yaml: dataset"

Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Inputs `[N, ...]` and labels `[N]` (uint8 or uint16) of one split."""

    inputs: NDArray[Any]
    labels: NDArray[Any]


@dataclass(frozen=True)
class Part:
    """Some rows of the examples, in their order; not read before they are needed."""

    examples: Examples
    rows: NDArray[np.intp]


def split(dataset: Dataset, settings: DatasetParams) -> dict[str, Part]:
    """Which examples train, validate and test.

    All splits keep the order of the source; training shuffles by itself.

    Raises:
        ParamsError: the params leave a split without examples, or do not fit the data set.
    """
    examples, seed = dataset.train, settings.split_seed
    if dataset.test is None:
        if settings.test_fraction is None:
            raise ParamsError(
                f"{PARAM}.test_fraction: missing key: {settings.name} has no official test split; "
                "add the fraction of the examples to test on, such as 0.2"
            )
        is_test = choose_test(examples, settings.test_fraction, seed)
        test = Part(examples, np.flatnonzero(is_test))
    elif settings.test_fraction is not None:
        raise ParamsError(
            f"{PARAM}.test_fraction: {settings.name} has an official test split; "
            f"got {settings.test_fraction}; remove it"
        )
    else:
        is_test = np.zeros(len(examples.labels), dtype=np.bool_)
        test = Part(dataset.test, np.arange(len(dataset.test.labels)))
    rest = np.flatnonzero(~is_test)
    chosen = _choose_validation(examples, rest, settings, len(dataset.class_names))
    return {
        "train": Part(examples, rest[~chosen]),
        "validation": Part(examples, rest[chosen]),
        "test": test,
    }


def _choose_validation(
    examples: Examples, rest: NDArray[np.intp], settings: DatasetParams, classes: int
) -> Rows:
    size, seed = settings.validation_size, settings.split_seed
    if examples.groups is None:
        return choose_validation(examples.labels[rest], size, seed, classes)
    return choose_groups([examples.groups[row] for row in rest], size, seed)


def choose_test(examples: Examples, fraction: float, seed: int) -> Rows:
    """Marks the examples to test on: those whose keyed hash falls below `fraction`.

    The hash is of the example's group, else its id, else its bytes, and of nothing else. So an
    example that trains never comes to test or the other way round when others are added, removed
    or put into another order; examples that are equal stay together, whatever their labels.

    Raises:
        ParamsError: no example is left to test or to train on.
    """
    names = examples.groups or examples.ids
    is_test = np.fromiter(
        (
            _position(
                names[row].encode() if names else examples.inputs[row].tobytes(), "test", seed
            )
            < fraction
            for row in range(len(examples.labels))
        ),
        dtype=np.bool_,
        count=len(examples.labels),
    )
    if not 0 < is_test.sum() < len(is_test):
        raise ParamsError(
            f"{PARAM}.test_fraction: must leave examples to train and to test on; got {fraction} "
            f"of {len(is_test):,} examples, by which {is_test.sum():,} test; correct the value"
        )
    return is_test


def choose_groups(groups: Sequence[str], size: int, seed: int) -> Rows:
    """Marks whole groups, in the order of their keyed hash, until `size` examples or more.

    Raises:
        ParamsError: no group is left to train on.
    """
    sizes = Counter(groups)
    ordered = sorted(sizes, key=lambda name: _position(name.encode(), "validation", seed))
    before = itertools.accumulate((sizes[name] for name in ordered), initial=0)
    chosen = {name for name, count in zip(ordered, before, strict=False) if count < size}
    if len(chosen) == len(ordered):
        raise ParamsError(
            f"{PARAM}.validation_size: must leave a group to train on; got {size} of "
            f"{len(groups):,} examples in {len(ordered)} groups; correct the value"
        )
    return np.array([group in chosen for group in groups], dtype=np.bool_)


def _position(name: bytes, purpose: str, seed: int) -> float:
    """Where a name falls from 0 to 1, by a hash with a key (BLAKE2b, RFC 7693)."""
    digest = hashlib.blake2b(name, digest_size=8, key=f"{purpose} {seed}".encode()).digest()
    return int.from_bytes(digest, "big") / 2**64


def choose_validation(labels: NDArray[Any], size: int, seed: int, classes: int) -> Rows:
    """Marks the examples of a stratified validation set.

    Each class gives its proportional share, rounded so that the shares sum to `size` (largest
    remainder, the smaller class first among equals). Within a class, every example draws a 64-bit
    key and those with the smallest keys are chosen. The keys come straight from the bit generator,
    the only stream that NumPy promises never to change (NEP 19).

    Args:
        labels: whole numbers `[N]`, from 0 to classes - 1.
        size: Number of examples to mark.
        seed: Seed of the PCG64 bit generator.
        classes: Number of classes.

    Returns:
        bool `[N]`, exactly `size` of them true.

    Raises:
        ParamsError: `size` is not between 1 and N - 1.
    """
    if not 0 < size < len(labels):
        raise ParamsError(
            f"{PARAM}.validation_size: must be from 1 to {len(labels) - 1}, "
            f"so that examples are left to train on; got {size}; correct the value"
        )
    keys = np.random.PCG64(seed).random_raw(len(labels))
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label, share in enumerate(shares(np.bincount(labels, minlength=classes), size)):
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


def label_dtype(classes: int) -> type[np.uint8] | type[np.uint16]:
    """The smallest type that holds the labels of so many classes."""
    return np.uint8 if classes <= 256 else np.uint16


def require_labels(where: str, labels: NDArray[Any], count: int, classes: int) -> None:
    """Checks type, number and range; `where` names the file.

    Raises:
        DataError: They are not `count` small whole numbers from 0 to `classes` - 1.
    """
    if labels.dtype not in (np.uint8, np.uint16) or labels.shape != (count,):
        raise DataError(
            f"{where}: labels must be uint8 or uint16 [{count}], one for each example; "
            f"got {labels.dtype} {list(labels.shape)}; {REPREPARE}"
        )
    if labels.max() >= classes:
        raise DataError(
            f"{where}: labels must be 0 to {classes - 1}; got {labels.max()}; {REPREPARE}"
        )
