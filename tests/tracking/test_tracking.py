import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from support import run_in
from trained import write_layers

from lab.base.errors import LabError
from lab.base.machine import environment_tags
from lab.tracking import recording as tracking
from lab.tracking import ui


def a_run(seeds: int = 2) -> tracking.RunSpec:
    children = [
        tracking.RunSpec(f"relu_4 seed {seed}", {"seed": seed}, {"model": "relu_4"})
        for seed in range(seeds)
    ]
    return tracking.RunSpec(
        "relu_4",
        {"learning_rate": 0.001},
        {"model": "relu_4"},
        "Run `make repro`.",
        tracking.Dataset("MNIST", "a" * 64),
        children,
    )


def rows(query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect("mlflow.db") as database:
        return database.execute(query).fetchall()


@pytest.fixture
def build(tmp_path: Path) -> Path:
    write_layers(tmp_path)
    return tmp_path


def test_a_run_is_recorded_whole(
    tmp_path: Path, build: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics.csv").write_text("model\n", encoding="utf-8")
    with tracking.recording(a_run()) as active:
        active.metrics({"accuracy": 0.5}, step=1)
        active.metrics({"accuracy": float("nan")}, step=1, child="relu_4 seed 1")
        active.artifact(tmp_path / "metrics.csv", "results")
        active.model(build)
    assert capfd.readouterr() == ("", "")
    assert rows("SELECT name, status FROM runs ORDER BY name") == [
        ("relu_4", "FINISHED"),
        ("relu_4 seed 0", "FINISHED"),
        ("relu_4 seed 1", "FINISHED"),
    ]
    assert rows("SELECT value, is_nan, step FROM metrics ORDER BY is_nan") == [
        (0.5, 0, 1),
        (0.0, 1, 1),
    ]
    assert len(list(tmp_path.glob("mlruns/*/artifacts/results/metrics.csv"))) == 1
    assert len(list(tmp_path.glob("mlruns/models/*/artifacts/MLmodel"))) == 1


def test_a_run_that_nobody_will_look_for_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECORD_RUNS", "0")
    monkeypatch.setattr(subprocess, "Popen", None)
    tracking.warm_up()
    with tracking.recording(a_run()) as active:
        active.metrics({"accuracy": 0.5})
        active.artifact(tmp_path)

    assert [*tmp_path.iterdir()] == []


def test_importing_it_imports_neither_mlflow_nor_torch() -> None:
    unwanted = {"mlflow", "torch", "requests"}
    code = f"import sys, lab.tracking.recording; print({unwanted} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "set()\n"


def statuses() -> list[tuple[object, ...]]:
    return rows("SELECT DISTINCT status FROM runs")


def assert_its_run_becomes(status: str) -> None:
    """The writer, or the one that takes its place, notes it after the script has ended."""
    for _ in range(600):
        with contextlib.suppress(sqlite3.OperationalError):
            if statuses() == [(status,)]:
                break
        time.sleep(0.1)
    assert statuses() == [(status,)]


SCRIPT = """
import os, signal, subprocess, sys, time
from pathlib import Path
from lab.base.script import begin, run_script
begin()
from lab.tracking import recording as tracking
from lab.tracking import ui
def main():
    children = [tracking.RunSpec("seed 0")]
    waits = "WAITS" not in os.environ
    with tracking.recording(tracking.RunSpec("relu_4", children=children), waits=waits) as active:
        active.metrics({"accuracy": 0.5}, step=1)
        %s
    %s
    print("trained")
run_script(main)
"""


def script(action: str, then: str = "pass", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in the working directory, which is the test's own."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT % (action, then)],
        env={**os.environ, "PYTHONPATH": str(tracking.ROOT), **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=90,
    )


@pytest.fixture
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, "mlflow.db")
    return tmp_path


def test_an_exception_leaves_a_failed_run(folder: Path) -> None:
    done = script("raise ValueError('a bug')")
    assert "a bug" in done.stderr
    assert statuses() == [("FAILED",)]


@pytest.mark.parametrize(("number", "status"), [("SIGINT", "KILLED"), ("SIGKILL", "FAILED")])
def test_what_ends_a_script_early_is_noted_after_it(folder: Path, number: str, status: str) -> None:
    began = time.monotonic()
    done = script(f"time.sleep(0.5); os.kill(os.getpid(), signal.{number}); time.sleep(99)")
    assert time.monotonic() - began < 30
    assert "trained" not in done.stdout
    assert_its_run_becomes(status)


def test_a_script_killed_while_its_run_is_written_has_not_finished(folder: Path) -> None:
    """The next attempt continues the run; a finished one it would repeat."""
    kill = "os.kill, (os.getpid(), signal.SIGKILL)"
    script(f"import threading; threading.Timer(0.3, {kill}).start()")
    assert_its_run_becomes("FAILED")


def test_ctrl_c_while_its_run_is_written_interrupts_a_script(folder: Path) -> None:
    interrupt = "os.kill, (os.getpid(), signal.SIGINT)"
    done = script(f"import threading; threading.Timer(0.3, {interrupt}).start()")
    assert done.returncode == 130
    assert "trained" not in done.stdout
    assert_its_run_becomes("FAILED")


GOES_ON = """
import os, signal, subprocess, sys, time
from lab.base.script import begin
begin()
from lab.tracking import recording as tracking
from lab.tracking import ui
children = [tracking.RunSpec("seed 0"), tracking.RunSpec("seed 1")]
run = tracking.RunSpec("relu_4", {"epochs": 2}, {"try": sys.argv[1]}, children=children,
                   fingerprint="f" * 64, is_again=sys.argv[1] == "again")
with tracking.recording(run) as active:
    active.metrics({"accuracy": 0.5, "loss": float("nan")}, step=1, child="seed 0")
    if sys.argv[1] == "first":
        time.sleep(float(sys.argv[2]))
        os.kill(os.getpid(), signal.SIGKILL)
    active.metrics({"accuracy": 0.6}, step=2, child="seed 0")
"""


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "seconds", ["0", pytest.param("1", marks=SLOW), pytest.param("8", marks=SLOW)]
)
def test_the_run_of_a_killed_script_is_continued_by_the_next(folder: Path, seconds: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tracking.ROOT)}
    for attempt in ("first", "second"):
        command = [sys.executable, "-c", GOES_ON, attempt, seconds]
        subprocess.run(command, env=environment, timeout=90, check=attempt == "second")
    assert rows("SELECT name, status FROM runs ORDER BY name") == [
        ("relu_4", "FINISHED"),
        ("seed 0", "FINISHED"),
        ("seed 1", "FINISHED"),
    ]
    assert rows("SELECT key, step, value, is_nan FROM metrics ORDER BY key, step") == [
        ("accuracy", 1, 0.5, 0),
        ("accuracy", 2, 0.6, 0),
        ("loss", 1, 0.0, 1),
    ]
    assert rows("SELECT value FROM tags WHERE key = 'try'") == [("second",)]


def test_a_finished_run_is_continued_only_if_asked(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tracking.ROOT)}
    for attempt in ("second", "second", "again"):
        command = [sys.executable, "-c", GOES_ON, attempt]
        subprocess.run(command, env=environment, timeout=90, check=True)
    assert rows("SELECT count(*) FROM runs") == [(6,)]
    assert statuses() == [("FINISHED",)]


KILL_WRITER = "subprocess.run(['pkill', '-9', '-P', str(os.getpid())]); "


@pytest.mark.parametrize("seconds", [0.5, pytest.param(4, marks=SLOW), pytest.param(8, marks=SLOW)])
def test_a_second_process_writes_what_a_killed_one_left(folder: Path, seconds: float) -> None:
    done = script(f"time.sleep({seconds}); {KILL_WRITER}active.metrics({{'loss': 1}}, step=2)")
    assert (done.stdout, done.stderr) == ("trained\n", "")
    assert rows("SELECT name, status FROM runs ORDER BY name") == [
        ("relu_4", "FINISHED"),
        ("seed 0", "FINISHED"),
    ]
    assert rows("SELECT key, step, value FROM metrics ORDER BY key") == [
        ("accuracy", 1, 0.5),
        ("loss", 2, 1.0),
    ]


FORGETS = """
import sqlite3, time, tracemalloc
from contextlib import suppress
from lab.tracking import recording as tracking

def written():
    with suppress(sqlite3.OperationalError), sqlite3.connect("mlflow.db") as database:
        return database.execute("SELECT count(*) FROM metrics").fetchone()[0]

with tracking.recording(tracking.RunSpec("relu_4")) as active:
    tracemalloc.start()
    for step in range(1_000):
        active.metrics({f"loss_{number}": step / 7 for number in range(20)}, step=step)
    print(tracemalloc.get_traced_memory()[0])
    while written() != 20_000:
        time.sleep(0.2)
    time.sleep(0.5)
    print(tracemalloc.get_traced_memory()[0])
"""


@pytest.mark.slow
def test_what_is_written_is_not_kept_in_memory(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tracking.ROOT)}
    command = [sys.executable, "-c", FORGETS]
    done = subprocess.run(
        command, env=environment, timeout=120, check=True, capture_output=True, encoding="utf-8"
    )
    before, after = map(int, done.stdout.split())
    assert after < before / 4


def test_a_process_that_is_killed_again_and_again_is_reported(folder: Path) -> None:
    """Nothing is lost of what it was to write."""
    done = script(f"{KILL_WRITER}time.sleep(1); {KILL_WRITER}")
    assert done.stdout == "trained\n"
    assert done.stderr == (
        "tracking: the process that writes to MLflow died; the next run, or `make sync`, "
        "records what is left\n"
    )
    script("pass")
    assert rows("SELECT count(*) FROM runs") == [(4,)]
    assert statuses() == [("FINISHED",)]


def left() -> list[Path]:
    """The journals of what is not in the store yet."""
    return [*Path("mlruns/.journals").glob("*.jsonl")]


def write_others() -> None:
    """As `make sync` does, and the next script."""
    code = "from lab.tracking.writer import write_others; write_others(print, None, 60.0)"
    run_in(Path.cwd(), {**os.environ, "PYTHONPATH": str(tracking.ROOT)}, sys.executable, "-c", code)


LEAVES = {"RECORD_RUNS": "", "WAITS": ""}


def test_a_training_does_not_wait_until_its_run_is_written(folder: Path) -> None:
    done = script("began = time.monotonic()", "print(time.monotonic() - began < 1)", **LEAVES)
    assert (done.stdout, done.stderr) == ("True\ntrained\n", "")
    assert len(left()) == 1
    assert_its_run_becomes("FINISHED")
    for _ in range(100):
        if left():
            time.sleep(0.1)
    assert left() == []


@pytest.mark.parametrize(
    ("dies", "status"), [("script", "FAILED"), pytest.param("neither", "FINISHED", marks=SLOW)]
)
def test_what_was_killed_before_all_was_written_is_written_by_the_next(
    folder: Path, dies: str, status: str
) -> None:
    """A power cut, or a container that was stopped, kills the script and the writer together."""
    end = "os.kill(os.getpid(), signal.SIGKILL)" if dies == "script" else "pass"
    writer = "{active._writer._process.pid}"
    seconds = 0.1 if dies == "script" else 0.5  # in which a script comes to its end
    kill = f"subprocess.Popen(['sh', '-c', f'sleep {seconds}; pkill -9 -s {writer}'])"
    wait = "while not active._writer._journal.exists(): time.sleep(0.01)"
    indent = " " * 8
    script(f"pass\n{indent}{wait}\n{indent}{kill}; {end}", **LEAVES)
    time.sleep(1)
    assert len(left()) == 1

    write_others()
    assert left() == []
    assert statuses() == [(status,)]
    assert rows("SELECT key, step, value FROM metrics") == [("accuracy", 1, 0.5)]


def test_who_needs_the_runs_waits_for_those_that_are_being_written(folder: Path) -> None:
    script("pass", **LEAVES)
    write_others()
    assert (left(), statuses()) == ([], [("FINISHED",)])


@pytest.mark.parametrize(
    "damage",
    [
        lambda: Path("mlflow.db").write_bytes(b"not a database" * 100),
        lambda: Path("mlflow.db").unlink() or Path("mlflow.db").mkdir(),
        lambda: Path("mlruns").write_text("not a folder", encoding="utf-8"),
    ],
)
def test_a_broken_store_is_one_line_and_training_goes_on(
    folder: Path, damage: Callable[[], object]
) -> None:
    damage()
    done = script("pass")
    assert done.returncode == 0
    assert done.stdout == "trained\n"
    assert done.stderr.startswith("tracking: MLflow's local store: ")
    assert done.stderr.endswith("; this run is missing in the UI, its files are complete\n")
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_recorded_leaves_no_run_that_seems_to_go_on(folder: Path) -> None:
    done = script("active.artifact(Path('no such file'))", MLFLOW_ACTIVE_MODEL_ID="m-of-another")
    assert done.stdout == "trained\n"
    assert done.stderr.startswith("tracking: MLflow's local store: ")
    assert done.stderr.endswith("; this run is incomplete in the UI, its files are complete\n")
    assert statuses() == [("FAILED",)]
    assert rows("SELECT key, value FROM metrics") == [("accuracy", 0.5)]


def test_a_picture_that_fails_is_said_and_the_run_has_finished(folder: Path) -> None:
    done = script("active.trained('relu_4'); active.metrics({'loss': 1}, step=2)")
    assert done.stdout == "trained\n"
    assert done.stderr.startswith("tracking: ")
    assert done.stderr.endswith("; the run has not all its pictures\n")
    assert done.stderr.count("\n") == 1
    assert statuses() == [("FINISHED",)]
    assert rows("SELECT count(*) FROM metrics") == [(2,)]


def test_what_mlflow_reads_for_runs_of_its_own_is_left_out(folder: Path) -> None:
    done = script(
        "active.artifact(Path('mlflow.db'))",
        MLFLOW_ACTIVE_MODEL_ID="m-of-another", MLFLOW_RUN_ID="1" * 32,
        MLFLOW_ENABLE_ASYNC_LOGGING="true", MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING="true",
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("trained\n", "")
    assert statuses() == [("FINISHED",)]
    assert rows("SELECT key, value FROM metrics") == [("accuracy", 0.5)]


def test_what_an_experiment_of_dvc_records_outlives_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the code of the experiment, also where the project itself has other code by now."""
    temporary = folder / ".dvc/tmp/exps/standalone/tmp1"
    temporary.mkdir(parents=True)
    (folder / "lab").mkdir()
    (folder / "lab/__init__.py").write_text(
        "raise ImportError('of another time')", encoding="utf-8"
    )
    (temporary / "result.txt").write_text("of the experiment", encoding="utf-8")
    monkeypatch.chdir(temporary)
    done = script("active.artifact(Path('result.txt'))")
    shutil.rmtree(temporary)
    monkeypatch.chdir(folder)

    assert (done.stdout, done.stderr) == ("trained\n", "")
    assert statuses() == [("FINISHED",)]
    (result,) = folder.glob("mlruns/*/artifacts/result.txt")
    assert result.read_text(encoding="utf-8") == "of the experiment"


def test_a_wrong_variable_is_reported_at_once_and_training_goes_on(folder: Path) -> None:
    done = script("pass", DAGSHUB_REPO="owner/name")
    assert done.stdout == "trained\n"
    assert done.stderr == (
        "tracking: DAGSHUB_USER_TOKEN: needed to mirror runs to DAGSHUB_REPO, but not set; "
        "make one at DagsHub (Settings, Tokens) and set it\n"
    )
    assert statuses() == [("FINISHED",)]


def test_the_ui_refuses_a_port_that_is_taken_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ui"])
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("UI_PORT", str(other.getsockname()[1]))
        with pytest.raises(LabError, match="cannot be used"):
            ui.main()
    for wrong in ("0", "65536", "http", "-1", "\u0663"):
        monkeypatch.setenv("UI_PORT", wrong)
        with pytest.raises(LabError, match="UI_PORT: a port is a number"):
            ui.main()


def test_the_ui_has_the_library_it_needs() -> None:
    """A resolver once took graphene 2, with which the UI's pages answer 500."""
    assert version("graphene").startswith("3.")


def test_environment_tags_name_no_person_and_no_path() -> None:
    tags = environment_tags("cuda")
    assert tags["device"] == "cuda"
    assert len(tags["mlflow.source.git.commit"]) == 40
    chosen_by_people = ("branch", "mlflow.source.git.branch", "author_note")
    named = [value for name, value in tags.items() if name not in chosen_by_people]
    assert not [value for value in named if "/" in value and "@" not in value]
