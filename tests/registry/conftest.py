"""A repository with a few commits whose models differ, and promotions in copies of it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from promotions import Shelf
from repository import Repository


@pytest.fixture(scope="session")
def stocked(shared: Path, empty_store: Path) -> Shelf:
    """Commits of one model by how long it trains, made once for all; never write into it."""
    folder, ready = shared / "shelf" / "repository", shared / "shelf.json"
    with FileLock(shared / "shelf.lock"):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed half-way
            made = Shelf(Repository.created(folder, empty_store).folder)
            made.stock()
            ready.write_text(json.dumps(made.commits), encoding="utf-8")
    return Shelf(folder, json.loads(ready.read_text(encoding="utf-8")))


@pytest.fixture
def shelf(stocked: Shelf, tmp_path: Path) -> Shelf:
    """A copy for one test, at the first commit; its runs are not recorded."""
    copy = stocked.copied(tmp_path / "repository")
    copy.environment["RECORD_RUNS"] = "0"
    return copy


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository with one commit, and nothing in it that could be promoted."""
    folder = tmp_path / "small"
    folder.mkdir()
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["config", "user.name", "t"],
        ["config", "user.email", "t@example.org"],
        ["commit", "--quiet", "--allow-empty", "--message=first"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder
