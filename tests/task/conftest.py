"""Real MNIST, and a small part of it."""

from pathlib import Path

import pytest
from filelock import FileLock

from task.data import sources
from task.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from tests.support import ROOT
from tests.task.idx_files import SMALL_TEST, SMALL_TRAIN, head


@pytest.fixture(scope="session")
def raw_mnist(shared: Path) -> Path:
    """The folder of the four real, verified MNIST files; never write into it.

    It is the checkout's own where `dvc repro` has run; else the files are fetched once for all.
    """
    own = ROOT / "data/raw/MNIST"
    if all((own / file).is_file() for file in sources.CHECKSUMS["MNIST"]):
        return own
    with FileLock(shared / "raw_mnist.lock"):
        sources.fetch("MNIST", shared / "raw_mnist", print)
    return shared / "raw_mnist" / "MNIST"


@pytest.fixture(scope="session")
def small(raw_mnist: Path) -> dict[str, bytes]:
    """A small data set made of real images: the first of each of MNIST's files."""
    return {
        TRAIN_IMAGES: head(raw_mnist / TRAIN_IMAGES, 3, SMALL_TRAIN),
        TRAIN_LABELS: head(raw_mnist / TRAIN_LABELS, 1, SMALL_TRAIN),
        TEST_IMAGES: head(raw_mnist / TEST_IMAGES, 3, SMALL_TEST),
        TEST_LABELS: head(raw_mnist / TEST_LABELS, 1, SMALL_TEST),
    }
