"""What a data set of a task must be before anything is split, stored or trained.

Arrays are looked at in pieces, because they may be memory maps larger than memory.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import DataError, shortened
from lab.data.examples import (
    FEWEST_CLASSES,
    MOST_CLASSES,
    MOST_FEATURES,
    Dataset,
    Examples,
    Framing,
    InputDtype,
    Kind,
    Scaling,
    Tokeniser,
)
from lab.data.scaling import feature_count, pieces
from lab.data.splits import Part
from lab.data.tokens import token_ids

LONGEST_NAME = 64  # characters of a class, a column
TRIED = 500  # texts on which a tokeniser is tried
DIMENSIONS = {"grey image": 3, "colour image": 4, "text": 2, "row": 2}


def require_dataset(name: str, dataset: Dataset) -> None:
    """Checks all that can be said before splitting.

    Raises:
        DataError: with the name of the data set, the rule, what was got, and what to do.
    """
    if not isinstance(dataset, Dataset):
        raise _wrong(
            name, "the function must return a lab.data.examples.Dataset", type(dataset).__name__
        )
    _require_names(name, dataset)
    for which, examples in (("train", dataset.train), ("test", dataset.test)):
        if examples is None and which == "test":
            continue
        if not isinstance(examples, Examples):
            got = type(examples).__name__
            raise _wrong(name, f"{which} must be a lab.data.examples.Examples", got)
        _require_arrays(f"{name}: {which}", examples, dataset)
    if dataset.test is not None:
        here, there = dataset.train.inputs, dataset.test.inputs
        if (here.shape[1:], here.dtype) != (there.shape[1:], there.dtype):
            got = f"{here.dtype} {list(here.shape[1:])} and {there.dtype} {list(there.shape[1:])}"
            raise _wrong(name, "train and test inputs must have one shape and type", got)
    _require_scaling(name, dataset)
    _require_tokeniser(name, dataset)


def _require_names(name: str, dataset: Dataset) -> None:
    classes = list(dataset.class_names)
    if dataset.kind not in get_args(Kind):
        raise _wrong(name, f"kind must be one of {', '.join(get_args(Kind))}", repr(dataset.kind))
    if dataset.framing not in get_args(Framing):
        got = shortened(repr(dataset.framing), 60)
        raise _wrong(name, f"framing must be one of {', '.join(get_args(Framing))}", got)
    if not FEWEST_CLASSES <= len(classes) <= MOST_CLASSES:
        raise _wrong(name, f"must have {FEWEST_CLASSES} to {MOST_CLASSES:,} classes", len(classes))
    for what, texts in (("class_names", classes), ("columns", list(dataset.columns))):
        for text in texts:
            if not _is_name(text):
                rule = f"{what} must be printable texts of 1 to {LONGEST_NAME} characters"
                raise _wrong(name, rule, shortened(repr(text), 60))
        if len(set(texts)) < len(texts):
            twice = next(text for text in texts if texts.count(text) > 1)
            raise _wrong(name, f"{what} must differ", f"{twice!r} twice")


def _is_name(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= LONGEST_NAME and text.isprintable()


def _require_arrays(where: str, examples: Examples, dataset: Dataset) -> None:
    inputs, labels = examples.inputs, examples.labels
    for what, array in (("inputs", inputs), ("labels", labels)):
        if not isinstance(array, np.ndarray):
            raise _wrong(where, f"{what} must be a numpy array", type(array).__name__)
    if inputs.dtype.name not in get_args(InputDtype):
        raise _wrong(where, f"inputs must be {', '.join(get_args(InputDtype))}", inputs.dtype)
    if inputs.ndim < 2 or 0 in inputs.shape:
        raise _wrong(
            where, "inputs must be [N, ...] with at least one number each", list(inputs.shape)
        )
    _require_kind(where, inputs, dataset)
    if labels.dtype.kind not in "iu" or labels.shape != (len(inputs),):
        rule = f"labels must be whole numbers [{len(inputs)}], one for each example"
        raise _wrong(where, rule, f"{labels.dtype} {list(labels.shape)}")
    classes = len(dataset.class_names)
    for row in np.flatnonzero((labels < 0) | (labels >= classes))[:1]:
        raise _wrong(where, f"labels must be 0 to {classes - 1}", f"{labels[row]} at row {row}")
    for what in ("ids", "groups", "texts"):
        names = getattr(examples, what)
        if names is not None and len(names) != len(inputs):
            raise _wrong(where, f"{what} must be {len(inputs):,}, one for each example", len(names))
    if examples.ids is not None and len(set(examples.ids)) < len(examples.ids):
        raise _wrong(where, "ids must differ", f"{_first_twice(examples.ids)!r} twice")
    _require_values(where, inputs, dataset)


def _first_twice(names: Sequence[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _require_kind(where: str, inputs: NDArray[Any], dataset: Dataset) -> None:
    kind, wanted = dataset.kind, DIMENSIONS[dataset.kind]
    is_ids = inputs.dtype == np.int64
    if inputs.ndim != wanted or (kind == "colour image" and inputs.shape[1] != 3):
        shapes = ("[N, H, W]", "[N, 3, H, W]", "[N, L]", "[N, D]")
        shape = dict(zip(DIMENSIONS, shapes, strict=True))[kind]
        raise _wrong(where, f"inputs of kind {kind} must be {shape}", list(inputs.shape))
    if is_ids != (kind == "text"):
        rule = f"inputs of kind {kind} must be {'int64' if kind == 'text' else 'uint8 or float32'}"
        raise _wrong(where, rule, inputs.dtype)
    if is_ids != (dataset.vocabulary is not None):
        rule = "vocabulary must say how many token ids there are, and only for kind text"
        raise _wrong(where, rule, dataset.vocabulary)
    if dataset.columns and len(dataset.columns) != inputs.shape[-1]:
        rule = f"columns must be {inputs.shape[-1]} names, one for each"
        raise _wrong(where, rule, len(dataset.columns))


def _require_values(where: str, inputs: NDArray[Any], dataset: Dataset) -> None:
    if inputs.dtype == np.uint8:
        return
    scaling, size = dataset.scaling, dataset.vocabulary or 0
    may_miss = scaling == "standardise" or (
        isinstance(scaling, Scaling) and scaling.fill is not None
    )
    for piece in pieces(inputs):
        values = inputs[piece]
        if inputs.dtype == np.int64:
            wrong, rule = (values < 0) | (values >= size), f"token ids must be 0 to {size - 1}"
        elif may_miss:
            wrong, rule = np.isinf(values), "inputs must be finite, or missing (NaN)"
        else:
            wrong, rule = (
                ~np.isfinite(values),
                "inputs must be finite (a scaling with fill allows NaN)",
            )
        for place in np.argwhere(wrong)[:1]:
            got, row = values[tuple(place)], piece.start + int(place[0])
            column = dataset.columns[place[-1]] if dataset.columns else list(map(int, place[1:]))
            raise _wrong(where, rule, f"{got} at row {row}, {column}")


def _require_scaling(name: str, dataset: Dataset) -> None:
    inputs, scaling = dataset.train.inputs, dataset.scaling
    if scaling is None:
        return
    if inputs.dtype == np.int64:
        raise _wrong(name, "token ids must have no scaling", scaling)
    features = feature_count(inputs)
    if scaling == "standardise" and features <= MOST_FEATURES:
        return
    if scaling == "standardise":
        rule = f"at most {MOST_FEATURES:,} features can be standardised"
        raise _wrong(name, rule, f"{features:,}", "scale them in task/data, or all by one number")
    if not isinstance(scaling, Scaling):
        rule = 'scaling must be a lab.data.examples.Scaling, "standardise" or None'
        raise _wrong(name, rule, repr(scaling))
    if len(scaling.shift) not in (1, features):
        raise _wrong(
            name, f"scaling must have 1 value or {features}, one a feature", len(scaling.shift)
        )


def _require_tokeniser(name: str, dataset: Dataset) -> None:
    """Checks that it makes of texts the ids that are there."""
    tokeniser, examples = dataset.tokeniser, dataset.train
    if tokeniser is None:
        return
    if not isinstance(tokeniser, Tokeniser):
        got = type(tokeniser).__name__
        raise _wrong(name, "tokeniser must be a lab.data.examples.Tokeniser or None", got)
    if dataset.kind != "text" or examples.texts is None:
        raise _wrong(name, "tokeniser must stand only where there are texts", "one without them")
    if len(tokeniser.pieces) != dataset.vocabulary:
        rule = f"tokeniser must have {dataset.vocabulary:,} pieces, as vocabulary says"
        raise _wrong(name, rule, f"{len(tokeniser.pieces):,}")
    texts, inputs = examples.texts[:TRIED], examples.inputs[:TRIED]
    made = token_ids(texts, tokeniser.model_dump(), inputs.shape[1])
    for row in np.flatnonzero((made != inputs).any(axis=1))[:1].tolist():
        rule = "tokeniser must make of every text the ids that stand in inputs"
        got = f"others of {shortened(repr(texts[row]), 60)}"
        raise _wrong(f"{name}: train", rule, got, "correct it, or leave tokeniser out")


def require_splits(
    name: str, dataset: Dataset, parts: Mapping[str, Part], say: Callable[[str], None]
) -> None:
    """Checks that every class can be learned, and that no test example also trains.

    Raises:
        DataError: a class has no example to train on, or an example stands in two splits.
    """
    for which, part in parts.items():
        counts = np.bincount(part.examples.labels[part.rows], minlength=len(dataset.class_names))
        for label in np.flatnonzero(counts == 0)[:1]:
            absent = [dataset.class_names[k] for k in np.flatnonzero(counts == 0).tolist()]
            if which == "train":
                got = f"none of class {label} ({absent[0]}) among {counts.sum():,}"
                raise _wrong(name, "every class needs an example to train on", got)
            say(f"{name}: the {which} split has no example of {shortened(', '.join(absent), 100)}")
    _require_groups_apart(name, parts)
    test, train = parts["test"], _digests(parts["train"], parts["validation"])
    repeated = [(row, train[digest]) for row, digest in _digested(test) if digest in train]
    if not repeated:
        return
    if not dataset.may_repeat:
        rule = "a test example must not stand in training or validation too"
        row, twin = repeated[0]
        got = f"{len(repeated):,} that do, the first {_named(test, row)} in test and {twin} outside"
        raise _wrong(
            name, rule, got, "remove them, or name examples that belong together as a group"
        )
    say(f"{name}: {len(repeated):,} test examples stand in training or validation too")


def _require_groups_apart(name: str, parts: Mapping[str, Part]) -> None:
    """An official test split may break groups apart."""
    taught = _groups(parts["train"]) | _groups(parts["validation"])
    for group in sorted(taught & _groups(parts["test"]))[:1]:
        rule = "examples of one group must stay on one side of the official test split"
        got = f"group {shortened(repr(group), 60)} in training and in test"
        raise _wrong(name, rule, got, "move its examples to one side")


def _groups(part: Part) -> set[str]:
    groups = part.examples.groups
    return set() if groups is None else {groups[row] for row in part.rows.tolist()}


def _digests(*parts: Part) -> dict[bytes, str]:
    return {digest: _named(part, row) for part in parts for row, digest in _digested(part)}


def _named(part: Part, row: int) -> str:
    ids = part.examples.ids
    return f"row {row}" if ids is None else shortened(ids[row], 80)


def _digested(part: Part) -> Iterator[tuple[int, bytes]]:
    for row in part.rows.tolist():
        content = np.ascontiguousarray(part.examples.inputs[row])
        yield row, hashlib.blake2b(content.data, digest_size=16).digest()


def _wrong(where: str, rule: str, got: object, remedy: str = "correct task/data") -> DataError:
    return DataError(f"data set {where}: {rule}; got {got}; {remedy}")
