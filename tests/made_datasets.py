"""Small data sets in which nothing is wrong, for tests that then break one thing in them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.data.description import Description, SplitDescription
from lab.data.examples import Kind
from lab.data.prepared import Prepared
from lab.data.splits import SPLITS, Split

SIDE, CLASSES = 12, 4
SIZES = {"train": 800, "validation": 200, "test": 400}

Arrays = dict[str, NDArray[Any]]  # `train_inputs` and so on


def images(seed: int = 0) -> Arrays:
    """A pattern a class under noise; labels are every class in turn."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(7).choice([98.0, 158.0], (CLASSES, SIDE, SIDE))
    arrays: Arrays = {}
    for split, size in SIZES.items():
        labels = (np.arange(size) % CLASSES).astype(np.uint8)
        pixels = patterns[labels] + random.normal(0, 40, (size, SIDE, SIDE))
        arrays[f"{split}_inputs"] = np.clip(pixels, 0, 255).astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    return arrays


def rows(seed: int = 0, columns: int = 8) -> Arrays:
    """Normal numbers whose means differ a little between classes."""
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    for split, size in SIZES.items():
        labels = (np.arange(size) % 2).astype(np.uint8)
        values = random.normal(0, 1, (size, columns)) + 0.7 * labels[:, None]
        arrays[f"{split}_inputs"] = values.astype(np.float32)
        arrays[f"{split}_labels"] = labels
    return arrays


def texts(seed: int = 0, length: int = 16, vocabulary: int = 200) -> Arrays:
    """Tokens, some classes preferring some, then padding (0) up to the length."""
    random = np.random.default_rng(seed)
    arrays: Arrays = {}
    for split, size in SIZES.items():
        labels = (np.arange(size) % 2).astype(np.uint8)
        tokens = random.integers(1, vocabulary, (size, length))
        tokens = np.where(random.random((size, length)) < 0.1, 1 + labels[:, None], tokens)
        lengths = random.integers(8, length, size)
        arrays[f"{split}_inputs"] = np.where(np.arange(length) < lengths[:, None], tokens, 0)
        arrays[f"{split}_labels"] = labels
    return arrays


MAKERS: dict[str, Any] = {"grey image": images, "row": rows, "text": texts}


def prepared(arrays: Arrays, kind: Kind = "grey image", **more: Any) -> Prepared:
    """The arrays as stage `prepare` leaves them."""
    classes = CLASSES if kind.endswith("image") else 2
    inputs = arrays["train_inputs"]
    parts = {
        name: SplitDescription(
            examples=len(labels := arrays[f"{name}_labels"]),
            sha256="0" * 64,
            examples_per_class=np.bincount(labels, minlength=classes).tolist(),
        )
        for name in SPLITS
    }
    described = {
        "schema_version": 3, "name": "made", "split_seed": 0, "kind": kind,
        "shape": list(inputs.shape[1:]), "dtype": inputs.dtype.name, "scaling": None,
        "vocabulary": 200 if kind == "text" else None,
        "columns": [f"c{k}" for k in range(inputs.shape[1])] if kind == "row" else [],
        "class_names": ["north", "east", "south", "west"][:classes], "framing": "fit",
        "tokeniser": None, **parts, **more,
    }  # fmt: skip
    splits = [Split(arrays[f"{name}_inputs"], arrays[f"{name}_labels"]) for name in SPLITS]
    return Prepared(*splits, Description.model_validate(described))
