"""The local store after its folder was moved or copied, read back with MLflow's own client."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from trained import write_layers

from lab.tracking.recording import ROOT

SLOW = pytest.mark.slow

RECORDS = """
import sys
from pathlib import Path
from lab.tracking.store import Store
name, *written = sys.argv[1:]
store = Store("sqlite:///mlflow.db")
if name:
    run = {"name": name, "params": {}, "tags": {}, "note": "", "dataset": None, "children": [],
           "fingerprint": "", "is_again": False, "recording": name}
    store.begin(1, run, 1_000)
    Path(f"{name}.txt").write_text(name)
    store.artifact(1, str(Path(f"{name}.txt").resolve()), "results")
    store.model(1, str(Path("build").resolve()))
    store.end(1, "FINISHED", 2_000)
"""
READS = """
import sys, mlflow, numpy as np
client = mlflow.MlflowClient("sqlite:///mlflow.db")
mlflow.set_tracking_uri("sqlite:///mlflow.db")
experiment = client.get_experiment_by_name("fair-trial").experiment_id
for run in client.search_runs([experiment], order_by=["attributes.run_name"]):
    (file,) = client.list_artifacts(run.info.run_id, "results")
    path = client.download_artifacts(run.info.run_id, file.path)
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    print(open(path).read(), len(model.predict(np.full((2, 4), 7, np.uint8))))
"""


def python(folder: Path, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        encoding="utf-8",
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A store with one run, which no test may write."""
    folder = tmp_path_factory.mktemp("made") / "project"
    (folder / "build").mkdir(parents=True)
    write_layers(folder / "build")
    shutil.copy(empty_store, folder / "mlflow.db")
    python(folder, RECORDS, "first")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A store of its own where it lies."""
    shutil.copytree(made, tmp_path / "project")
    python(tmp_path / "project", RECORDS, "")
    return tmp_path / "project"


def addresses(folder: Path) -> str:
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return "\n".join(database.iterdump())


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


# `p%20q` was read as `p q`, the others end an address, or begin another part of it.
@pytest.mark.parametrize("name", ["p%20q", pytest.param("50% #1, ü?'\"", marks=SLOW)])
def test_a_store_that_was_moved_works_where_it_is(project: Path, name: str) -> None:
    moved = project.rename(project.with_name(name))
    python(moved, RECORDS, "second")

    assert python(moved, READS) == "first 2\nsecond 2\n"
    assert str(project) + "/mlruns" not in addresses(moved)
    assert [path.name for path in moved.parent.iterdir()] == [name]
    for model in moved.rglob("MLmodel"):
        assert f"file://{project}/" not in model.read_text(encoding="utf-8")


def test_a_copy_and_the_original_do_not_touch_each_other(project: Path) -> None:
    copied = project.with_name("copied")
    shutil.copytree(project, copied)
    before = files(project), addresses(project)
    python(copied, RECORDS, "second")

    assert (files(project), addresses(project)) == before
    shutil.rmtree(project)
    assert python(copied, READS) == "first 2\nsecond 2\n"


@SLOW
def test_what_was_recorded_at_the_old_place_after_a_copy_is_fetched(project: Path) -> None:
    """Until now a store went on writing there."""
    copied = project.with_name("copied")
    shutil.copytree(project, copied)
    for gone in copied.glob("mlruns/*"):
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    python(copied, RECORDS, "")
    shutil.rmtree(project)

    assert python(copied, READS) == "first 2\n"


@SLOW
def test_what_lies_elsewhere_stays_there(project: Path) -> None:
    """A bucket, a disk with more room, another project's folder, an experiment of a user."""
    kept = ["s3://bucket/mlruns/1", "/a/disk/mlruns", f"{project}2/mlruns/3"]
    with contextlib.closing(sqlite3.connect(project / "mlflow.db")) as database, database:
        for number, location in enumerate(kept, 7):
            database.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, workspace)"
                " VALUES (?, ?, ?, 'default')",
                (number, f"own {number}", location),
            )
    moved = project.rename(project.with_name("moved"))
    python(moved, RECORDS, "")

    with contextlib.closing(sqlite3.connect(moved / "mlflow.db")) as database:
        query = "SELECT artifact_location FROM experiments WHERE experiment_id >= 7"
        assert [row for (row,) in database.execute(query)] == kept
    assert python(moved, READS) == "first 2\n"


@pytest.mark.parametrize("name", ["p%20q", pytest.param("a?b#c", marks=SLOW)])
def test_a_store_is_created_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "build").mkdir(parents=True)
    write_layers(tmp_path / name / "build")
    python(tmp_path / name, RECORDS, "first")

    assert python(tmp_path / name, READS) == "first 2\n"
    assert [path.name for path in tmp_path.iterdir()] == [name]
