"""The data sets that `dataset.name` in params.yaml may name: MNIST and two of its relatives.

An edit here makes stage `prepare` run again, and training only if its examples come out different.
"""

import functools
from collections.abc import Callable
from pathlib import Path

from lab.data.examples import Dataset, Scaling
from task.data import idx, sources

WHITE = 255.0  # the byte of a pixel that a network sees as 1


def official(name: str, raw: Path, say: Callable[[str], None]) -> Dataset:
    """A data set in MNIST's format, with its own split into training and test.

    Args:
        name: a key of `sources.CHECKSUMS`.
        raw: its folder of raw files, `data/raw/<name>`.
        say: takes one line of progress at a time.
    """
    train, test = idx.read(sources.fetch(name, raw.parent, say))
    return Dataset(
        train=train,
        test=test,
        class_names=idx.CLASS_NAMES[name],
        kind="grey image",
        scaling=Scaling(shift=[0.0], scale=[WHITE]),
        framing="fit" if name == "FashionMNIST" else "ink",  # clothes were not drawn with a pen
        may_repeat=True,
    )


DATASETS = {name: functools.partial(official, name) for name in sources.CHECKSUMS}
