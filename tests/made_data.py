"""Made-up examples as `prepare.py` would leave them, for tests that need no pipeline."""

from collections.abc import Mapping

import numpy as np

from lab.base.params import DatasetParams
from lab.data.description import describe
from lab.data.examples import Dataset, Examples, Scaling
from lab.data.prepared import Prepared
from lab.data.splits import SPLITS, Part, Split

CLASSES = 10
HEIGHT, WIDTH = 20, 7  # pixels
PIXELS = HEIGHT * WIDTH
SETTINGS = DatasetParams(name="made", validation_size=60, split_seed=0)


def images(count: int, seed: int) -> Split:
    """Images whose class shows as a bright row, under noise: easy, but not trivial."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count).astype(np.uint8)
    pixels = random.integers(0, 100, (count, HEIGHT, WIDTH)).astype(np.uint8)
    pixels[np.arange(count), labels * 2] += 100
    return Split(pixels, labels)


def dataset(train: Split, test: Split, classes: int = CLASSES) -> Dataset:
    """Grey images of numbered classes, scaled so that white is 1."""
    return Dataset(
        train=Examples(train.inputs, train.labels),
        test=Examples(test.inputs, test.labels),
        class_names=[str(number) for number in range(classes)],
        kind="grey image",
        scaling=Scaling(shift=[0.0], scale=[255.0]),
    )


def parts(**splits: Split) -> Mapping[str, Part]:
    """Whole splits, as if they had been chosen from a data set."""
    return {
        name: Part(Examples(one.inputs, one.labels), np.arange(len(one.labels)))
        for name, one in splits.items()
    }


def prepared(train: Split, validation: Split, test: Split, classes: int = CLASSES) -> Prepared:
    """The three splits with their description."""
    made = dataset(train, test, classes)
    chosen = parts(**dict(zip(SPLITS, (train, validation, test), strict=True)))
    assert not isinstance(made.scaling, str)
    return Prepared(train, validation, test, describe("made", 0, made, chosen, made.scaling))
