"""Folds of the examples that are not for testing: models of one fold never saw its examples."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base.files import sha256
from lab.base.params import Params
from lab.data.description import SplitDescription
from lab.data.prepared import Prepared
from lab.data.splits import Split
from lab.parallel.work import Done, OnEpoch, Seeds, Stack, train

MOST_POOLED = 200_000  # examples of training and validation; a fold's are held in memory
SEED = 0  # of the order in which examples come to folds


@dataclass(frozen=True)
class Fold:
    """One of some folds; its examples are held out, those of all others train."""

    number: int
    count: int


@dataclass(frozen=True)
class Judges:
    """Some seeds of a model that are trained on all folds but one."""

    model: str
    seeds: Seeds
    fold: Fold


def train_judges(
    tree: Params, job: Judges, data: Prepared, on_epoch: OnEpoch, *, has_checkpoints: bool
) -> Done:
    """Trains them in this process; what the fold holds out takes validation's place.

    Without checkpoints, which would lie among the model's own, and these are removed all at once.
    """
    stack = Stack(job.model, job.seeds)
    return train(tree, stack, of_fold(data, job.fold), on_epoch, has_checkpoints=False)


def pooled(data: Prepared) -> NDArray[np.intp]:
    """The examples of training and validation that are looked at, counted through both."""
    total = len(data.train.labels) + len(data.validation.labels)
    if total <= MOST_POOLED:
        return np.arange(total)
    return np.sort(np.random.default_rng(SEED).choice(total, MOST_POOLED, replace=False))


def held_out(labels: NDArray[Any], count: int) -> NDArray[np.intp]:
    """The fold of each example: every fold has its share of every class.

    >>> held_out(np.array([0, 0, 1, 1]), 2).tolist() in ([0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1],
    ...     [1, 0, 1, 0])
    True
    """
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), np.intp)
    fold[by_class] = np.arange(len(labels)) % count
    return fold


def labels_of(data: Prepared) -> NDArray[Any]:
    """The labels of what is pooled."""
    return np.concatenate([data.train.labels, data.validation.labels])[pooled(data)]


def of_fold(data: Prepared, fold: Fold) -> Prepared:
    """The data as a training sees them: validation is what the fold holds out."""
    labels = labels_of(data)
    is_held_out = held_out(labels, fold.count) == fold.number
    rows, classes = pooled(data), len(data.description.class_names)
    parts = {
        name: Split(_taken(data, rows[own]), labels[own])
        for name, own in (("train", ~is_held_out), ("validation", is_held_out))
    }
    described = {
        name: SplitDescription(
            examples=len(part.labels),
            sha256=sha256(f"{data.description.train.sha256} {fold} {name}".encode()),
            examples_per_class=np.bincount(part.labels, minlength=classes).tolist(),
        )
        for name, part in parts.items()
    }
    description = data.description.model_copy(update=described)
    train, validation = parts["train"], parts["validation"]
    return replace(data, train=train, validation=validation, description=description)


def _taken(data: Prepared, rows: NDArray[np.intp]) -> NDArray[Any]:
    """Inputs counted through training and validation."""
    first, second = data.train.inputs, data.validation.inputs
    is_first = rows < len(first)
    taken = np.empty((len(rows), *first.shape[1:]), first.dtype)
    taken[is_first], taken[~is_first] = first[rows[is_first]], second[rows[~is_first] - len(first)]
    return taken
