"""A repository in which the pipeline has run: made once for all workers, copied for each test."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from repository import Repository
from support import SMALL


@pytest.fixture(scope="session")
def trained(shared: Path, raw_mnist: Path, empty_store: Path) -> Repository:
    """After its first `dvc repro`, committed; never write into it, nor let a stage run."""
    folder, ready = shared / "pipeline" / "repository", shared / "pipeline.ready"
    with FileLock(shared / "pipeline.lock"):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed half-way
            repository = Repository.created(folder, SMALL, raw_mnist, empty_store)
            ran = repository.repro()
            assert ran == ["prepare", "train@relu_8", "train@linear_4", "compare"]
            repository.commit()
            ready.touch()
    return Repository(folder)


@pytest.fixture
def repository(trained: Repository, tmp_path: Path) -> Repository:
    """A copy for one test, to do with it what it likes."""
    return trained.copied(tmp_path / "repository")
