"""Fixtures that more than one test file needs."""

from pathlib import Path

import pytest
from filelock import FileLock

from lab import dataset

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def raw_mnist(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder of the four real, verified MNIST files; never write into it.

    It is the checkout's own where `dvc repro` has run; else the files are fetched once for all
    workers of pytest-xdist.
    """
    own = ROOT / dataset.RAW / "MNIST"
    if all((own / file).is_file() for file in dataset.CHECKSUMS["MNIST"]):
        return own
    shared = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        shared = shared.parent
    with FileLock(shared / "raw_mnist.lock"):
        dataset.fetch("MNIST", shared / "raw_mnist", print)
    return shared / "raw_mnist" / "MNIST"
