"""Fixtures that more than one test file needs."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from processes import ray_node
from repository import Repository
from support import ROOT, TINY, copy_of_the_code, create_store

from lab.base import params


@pytest.fixture(scope="module", autouse=True)
def task_in_use(request: pytest.FixtureRequest) -> Iterator[None]:
    """Makes `task` the tiny one in this process; tests of tests/task have the repository's own."""
    if request.path.is_relative_to(ROOT / "tests/task"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch, imported_anew("task"):
        patch.syspath_prepend(TINY)
        patch.setattr(params, "NETWORKS", TINY / "task/networks")
        yield


@contextlib.contextmanager
def imported_anew(package: str) -> Iterator[None]:
    """Forgets what was imported of a package, before the block and after it."""

    def taken() -> dict[str, object]:
        names = [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]
        return {name: sys.modules.pop(name) for name in names}

    before = taken()
    try:
        yield
    finally:
        taken()
        sys.modules.update(before)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder that all workers of pytest-xdist have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def code(shared: Path) -> Path:
    """The code with the tiny task, made once for all; never write into it."""
    folder, ready = shared / "code", shared / "code.ready"
    with FileLock(shared / "code.lock"):
        if not ready.exists():
            copy_of_the_code(folder, leave=("docs/", "tests/"))
            ready.touch()
    return folder


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
def trained(shared: Path, empty_store: Path) -> Repository:
    """A repository after its first `dvc repro`, committed, made once for all workers.

    Never write into it, nor let a stage run.
    """
    folder, ready = shared / "pipeline" / "repository", shared / "pipeline.ready"
    with FileLock(shared / "pipeline.lock"):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed half-way
            repository = Repository.created(folder, empty_store)
            ran = repository.repro()
            assert sorted(ran) == sorted(repository.stages())
            repository.commit()
            ready.touch()
    return Repository(folder)


@pytest.fixture
def repository(trained: Repository, tmp_path: Path) -> Repository:
    """A copy for one test, to do with it what it likes."""
    return trained.copied(tmp_path / "repository")


@pytest.fixture
def no_checkout_is_left(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Temporary folders are made in one of the test's own, where `checked_out` leaves none."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert [*folder.glob("revision-*")] == []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Two Ray nodes of one core each; the environment variables that let a script join them."""
    pytest.importorskip("ray", reason="needs `make cluster`")
    folder = tmp_path_factory.mktemp("ray")
    token = folder / "token"
    token.write_text(secrets.token_hex(32), encoding="utf-8")
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    environment = {**os.environ, **variables}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    head = ["--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false"]
    with ray_node(environment, *head), ray_node(environment, f"--address={address}"):
        yield {**variables, "address": address}


def pytest_configure() -> None:
    """Lets tests be stopped, and keeps them away from the repository that they are run from.

    Ctrl-C reaches what they start, also where it is ignored: under nohup, or after a &. A hook of
    git hands down variables that lead every git back to the user's repository, wherever it is run.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["RECORD_RUNS"] = "wait"  # most look at the runs at once
    command = ["git", "rev-parse", "--local-env-vars"]
    for name in subprocess.run(
        command, capture_output=True, encoding="utf-8", check=True
    ).stdout.split():
        os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts first what takes long, so that pytest-xdist's workers end at about the same time."""
    long = ("tracking/", "parallel/", "pipeline/", "test_workflows", "evidence/", "test_secrets")
    items.sort(
        key=lambda item: next(
            (place for place, name in enumerate(long) if f"tests/{name}" in item.path.as_posix()),
            len(long),
        )
    )
