"""Fixtures that more than one test file needs."""

import signal
from pathlib import Path

import pytest
from filelock import FileLock
from support import SMALL_TEST, SMALL_TRAIN, create_store, head

from lab.data import sources
from lab.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder that all workers of pytest-xdist have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def raw_mnist(shared: Path) -> Path:
    """The folder of the four real, verified MNIST files; never write into it.

    It is the checkout's own where `dvc repro` has run; else the files are fetched once for all.
    """
    own = ROOT / sources.RAW / "MNIST"
    if all((own / file).is_file() for file in sources.CHECKSUMS["MNIST"]):
        return own
    with FileLock(shared / "raw_mnist.lock"):
        sources.fetch("MNIST", shared / "raw_mnist", print)
    return shared / "raw_mnist" / "MNIST"


@pytest.fixture(scope="session")
def empty_store(shared: Path) -> Path:
    """A database without a run, made once for all; copy it to `mlflow.db`."""
    file = shared / "mlflow.db"
    with FileLock(shared / "mlflow.lock"):
        if not file.is_file():
            create_store(shared / "made.db")
            (shared / "made.db").rename(file)
    return file


@pytest.fixture(scope="session")
def small(raw_mnist: Path) -> dict[str, bytes]:
    """A small data set made of real images: the first of each of MNIST's files."""
    return {
        TRAIN_IMAGES: head(raw_mnist / TRAIN_IMAGES, 3, SMALL_TRAIN),
        TRAIN_LABELS: head(raw_mnist / TRAIN_LABELS, 1, SMALL_TRAIN),
        TEST_IMAGES: head(raw_mnist / TEST_IMAGES, 3, SMALL_TEST),
        TEST_LABELS: head(raw_mnist / TEST_LABELS, 1, SMALL_TEST),
    }


def pytest_configure() -> None:
    """Lets Ctrl-C reach what tests start, also where it is ignored: under nohup, or after a &."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts first what takes long, so that pytest-xdist's workers end at about the same time."""
    long = ("tracking/", "parallel/", "pipeline/", "test_workflows", "evidence/", "test_secrets")
    items.sort(
        key=lambda item: next(
            (place for place, name in enumerate(long) if f"tests/{name}" in item.path.as_posix()),
            len(long),
        )
    )
