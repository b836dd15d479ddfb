"""Grey images of four classes, drawn anew at every call and always the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lab.data.examples import Dataset, Examples, Scaling

SIDE = 8  # pixels
CLASS_NAMES = ("north", "east", "south", "west")
TRAIN, TEST = 1_000, 300  # examples
DARK, LIGHT = 98.0, 158.0  # of a class's pattern
NOISE = 60.0  # standard deviation


def tiny(raw: Path, say: Callable[[str], None], *, test_seed: int = 1) -> Dataset:
    """A pattern for each class, under noise in which some of it drowns.

    Args:
        raw: where a data set keeps what it was made from; this one needs nothing.
        say: takes one line of progress at a time.
        test_seed: of the test examples.
    """
    say("tiny: drawn")
    return Dataset(
        train=_drawn(TRAIN, seed=0),
        test=_drawn(TEST, test_seed),
        class_names=CLASS_NAMES,
        kind="grey image",
        scaling=Scaling(shift=[0.0], scale=[255.0]),
    )


def _drawn(count: int, seed: int) -> Examples:
    """Images whose label is every class in turn."""
    patterns = np.random.default_rng(7).choice([DARK, LIGHT], (len(CLASS_NAMES), SIDE, SIDE))
    labels = np.arange(count) % len(CLASS_NAMES)
    noise = np.random.default_rng(seed + 1_000).normal(0, NOISE, (count, SIDE, SIDE))
    pixels = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
    return Examples(pixels, labels)


DATASETS = {"tiny": tiny}
