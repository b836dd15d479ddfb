"""A scratch copy of the project for the faults of `tests.faults`, and what must be true of it.

Two revisions of parameters give two sets of results. A case starts with old results and new
parameters, so that whatever a fault leaves behind is told apart: a whole old file, a whole new
one, or something that must not be.
"""

import collections
import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from lab.base.stages import read_stages
from tests.support import CHECK, copy_of_the_code, create_store

ROOT = Path(__file__).parent.parent
PARAMS = """\
dataset: {{name: tiny, validation_size: 200, split_seed: {split_seed}}}
train: {{seeds: [0, 1, 2, 3], seeds_per_stack: 2, epochs: {epochs}, batch_size: 10,
        precision: float32}}
models:
  relu_8: {{network: feed_forward, hidden: [8], activation: relu, dropout: 0.1, optimizer: adam,
           learning_rate: 0.01, schedule: linear, weight_decay: 0.0}}
  linear_4: {{network: feed_forward, hidden: [4], activation: linear, dropout: 0.0, optimizer: adam,
             learning_rate: 0.01, schedule: linear, weight_decay: 0.0}}
compare: {{margin: 0.001}}
"""
OLD = PARAMS.format(split_seed=1, epochs=4) + CHECK
NEW = PARAMS.format(split_seed=0, epochs=10) + CHECK

MARK = "FAULT_CASE"  # environment variable that tells a case's processes from all others
PATIENCE = 240.0  # seconds for a command that takes a few
LEAVE_SECONDS = 20.0  # until no process may be left
RESULTS = ("data", "models", "metrics", "dvc.lock", "report")
NOT_COMPARED = "report/costs"  # times


@dataclass(frozen=True)
class Command:
    """A command under test: its arguments, and the stages it runs; all that they follow is new."""

    arguments: tuple[str, ...]
    runs: str | None  # a stage or a group of them, "" for all; None: it needs all, and runs none

    def includes(self, stage: str) -> bool:
        return self.runs is not None and (
            self.runs in ("", stage) or stage.startswith(f"{self.runs}@")
        )


PYTHON = "python"
COMMANDS = {
    "prepare": Command((PYTHON, "prepare.py"), "prepare"),
    "train": Command((PYTHON, "train.py", "relu_8"), "train@relu_8"),
    "train_parallel": Command((PYTHON, "train_parallel.py", "--workers", "2"), "train"),
    "compare": Command((PYTHON, "compare.py"), "compare"),
    "report": Command((PYTHON, "report.py", "--base", "HEAD~1"), None),
    "sync": Command((PYTHON, "sync.py"), None),
    "dvc repro": Command(("dvc", "repro"), ""),
}


class Project:
    """A folder in which the project's commands run as a user runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MLFLOW", "DAGSHUB", "GIT_", "DVC", "COV"))
        }
        author = {
            f"GIT_{who}_{what}": "t@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        self.environment = {
            **kept,
            **author,
            MARK: self.mark,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": f"{folder}.dvc-site",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "npm_config_offline": "true",  # no case may reach a network
            "npm_config_cache": f"{folder}.npm",
            "https_proxy": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
            "no_proxy": "127.0.0.1",
        }

    def start(self, *command: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command, cwd=self.folder, env={**self.environment, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str, **environment: str) -> "Ended":
        began = time.monotonic()
        process = self.start(*command, **environment)
        return self.ended(process, began)

    def ended(self, process: "subprocess.Popen[str]", began: float) -> "Ended":
        """Waits for a command; what its orphans still hold of the pipes is not waited for."""
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill_everything()
            output, errors = process.communicate()
            errors += "\nhung"
        return Ended(process.returncode, output, errors, time.monotonic() - began)

    def must(self, *command: str) -> str:
        done = self.run(*command)
        if done.code != 0:
            raise RuntimeError(f"{command}: {done.code}\n{done.output}{done.errors}")
        return done.output

    def processes(self) -> dict[int, str]:
        """Every living process of this project's commands: its command line."""
        found = {}
        wanted = f"{MARK}={self.mark}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if wanted in (process / "environ").read_bytes().split(b"\0"):
                    line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if line:  # a zombie has none
                        found[int(process.name)] = line
        return found

    def kill_everything(self) -> None:
        while left := self.processes():
            for number in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.01)

    def await_silence(self, patience: float = LEAVE_SECONDS) -> dict[int, str]:
        """Waits until no process is left; those that stay."""
        deadline = time.monotonic() + patience
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def files(self, *tops: str) -> dict[str, str]:
        """SHA-256 of each result file, those with temporary names included."""
        return hashes(self.folder, tops or RESULTS)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str
    errors: str
    seconds: float

    @property
    def last_line(self) -> str:
        return (self.errors.strip().splitlines() or self.output.strip().splitlines() or [""])[-1]


def hashes(folder: Path, tops: Sequence[str]) -> dict[str, str]:
    found = {}
    for top in tops:
        start = folder / top
        for path in [start] if start.is_file() else sorted(start.rglob("*")):
            name = str(path.relative_to(folder))
            with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
                if path.is_file() and not name.startswith(NOT_COMPARED):
                    found[name] = hash_of(path)
    return found


_known: dict[tuple[int, ...], str] = {}


def stages(lock: str) -> list[tuple[str, str]]:
    """The entries of a `dvc.lock`, which DVC replaces one after the other."""
    found = YAML(typ="safe", pure=True).load(lock)
    return [(stage, repr(entry)) for stage, entry in found["stages"].items()]


def hash_of(path: Path) -> str:
    """SHA-256; a file whose inode, times and size are known has been read before."""
    stat = path.stat()
    key = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    if key not in _known or stat.st_size < 100_000:
        _known[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return _known[key]


def is_temporary(name: str) -> bool:
    """Whether a path is one that no reader looks at."""
    return any(part.startswith(".") for part in Path(name).parts)


class Bench:
    """The old and the new results, made once, and the states in which commands start."""

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None],
        is_data_alone: bool = False,
        change: Callable[[Path], None] = lambda _: None,
        dataset: str = "",
    ) -> None:
        """Runs the pipeline twice; with `is_data_alone` only `prepare.py`, for tests in seconds.

        `change` may lay out another task, whose section of params.yaml starts as `dataset` says.
        """
        self.folder = folder
        self.is_data_alone = is_data_alone
        say("making the reference results, old and new")
        build = Project(folder / "build")
        copy_of_the_code(build.folder)
        change(build.folder)
        build.must("git", "init", "-q", "-b", "main")
        usual = "name: tiny, validation_size: 200"
        self.old = self._results(build, "old", OLD.replace(usual, dataset or usual))
        self.new = self._results(build, "new", NEW.replace(usual, dataset or usual))
        self.stages = read_stages(self.new)
        self.empty_store = self.folder / "empty.db"
        if not self.is_data_alone:
            create_store(self.empty_store)

    def _results(self, build: Project, name: str, params: str) -> Path:
        (build.folder / "params.yaml").write_text(params, encoding="utf-8")
        if self.is_data_alone:
            build.must("python", "prepare.py")
        else:
            build.must("dvc", "repro", "check")
            linked_copy(build.folder / ".dvc", self.folder / f"{name}.checked")
            build.must("dvc", "repro")
            build.must("git", "add", "-A")
            build.must("git", "commit", "-qm", name)
            build.must("python", "report.py", "--base", "HEAD")
        linked_copy(build.folder, self.folder / name)
        return self.folder / name

    def begin(self, project: Project, command: str) -> None:
        """Lays out old results, new parameters, and what the command needs new."""
        clear(project.folder)
        linked_copy(self.new, project.folder, leave=(*RESULTS, ".dvc"))
        new = self.before(command)
        # Its cache must not hold the results already.
        cache = self.folder / "new.checked" if new else self.old / ".dvc"
        linked_copy(cache, project.folder / ".dvc")
        for top in RESULTS:
            linked_copy(self.old / top, project.folder / top)
        for stage in new:
            for top in self.stages[stage].outputs:
                remove(project.folder / top)
                linked_copy(self.new / top, project.folder / top)
        remove(project.folder / "report")
        if self.is_data_alone:
            return
        self._mix_lock(project.folder, new)
        if command == "report":
            linked_copy(self.new / "report", project.folder / "report")
        if command != "sync":
            self.begin_store(project)

    def begin_store(self, project: Project) -> None:
        """Leaves MLflow's local store without a run."""
        remove(project.folder / "mlruns")
        if not self.is_data_alone:
            shutil.copyfile(self.empty_store, project.folder / "mlflow.db")

    def before(self, command: str) -> list[str]:
        """The stages whose results are new when it starts: all that those it runs follow."""
        run = COMMANDS[command]
        if run.runs is None:
            return list(self.stages)
        found: set[str] = set()
        todo = [name for name in self.stages if run.includes(name)]
        while todo:
            new = {*self.stages[todo.pop()].follows} - found
            found |= new
            todo += new
        return [name for name in self.stages if name in found and not run.includes(name)]

    def written(self, command: str) -> list[str]:
        """Where its results are."""
        run = COMMANDS[command]
        named = [name for name in self.stages if run.includes(name)]
        return [path for name in named for path in self.stages[name].outputs]

    def _mix_lock(self, folder: Path, stages: Sequence[str]) -> None:
        yaml = YAML()
        lock = yaml.load(self.old / "dvc.lock")
        newer = yaml.load(self.new / "dvc.lock")
        for stage in stages:
            lock["stages"][stage] = newer["stages"][stage]
        remove(folder / "dvc.lock")
        if len(stages) == len(lock["stages"]):
            shutil.copyfile(self.new / "dvc.lock", folder / "dvc.lock")
        elif not stages:
            shutil.copyfile(self.old / "dvc.lock", folder / "dvc.lock")
        else:
            yaml.dump(lock, folder / "dvc.lock")

    def undisturbed(self, project: Project, command: str, **environment: str) -> "Right":
        """How a command ends, and what it leaves, when nothing goes wrong.

        Raises:
            RuntimeError: it does not give the bytes that `dvc repro` gives.
        """
        self.begin(project, command)
        start = project.files()
        done = project.run(*COMMANDS[command].arguments, **environment)
        files = project.files()
        wanted = hashes(self.new, self.written(command))
        other = [name for name in wanted if files.get(name) != wanted[name] and name != "dvc.lock"]
        if done.code != 0 or other:
            raise RuntimeError(f"{command}: {done.code}, {other}\n{done.output}{done.errors}")
        project.await_silence()  # of a training the runs are there a little later
        return Right(start, files, runs_of(project.folder), done.seconds)


@dataclass(frozen=True)
class Right:
    """An undisturbed run: result files before and after, MLflow runs, seconds."""

    start: Mapping[str, str]
    files: Mapping[str, str]
    runs: Sequence["StoredRun"]
    seconds: float


# What is only ever replaced by renaming may share its bytes with the snapshot, so that laying
# out a hundred megabytes takes no time and DVC finds the files it knows.
SHARED = ("data", "models", "metrics", "cache")


def linked_copy(source: Path, target: Path, leave: Sequence[str] = ()) -> None:
    """Copies a tree: hard links to big files that nobody writes in place, copies of the rest."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        place(source, target)
        return
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if name.parts[0] in leave:
            continue
        if path.is_dir():
            (target / name).mkdir(parents=True, exist_ok=True)
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            place(path, target / name)


def place(source: Path, target: Path) -> None:
    if any(f"/{part}/" in str(source) for part in SHARED):
        with contextlib.suppress(OSError):
            target.hardlink_to(source)
            return
    shutil.copy2(source, target)


def own(path: Path) -> None:
    """Gives a file bytes of its own, that may be written in place; time and mode stay."""
    copy = path.with_name(path.name + ".own")
    shutil.copy2(path, copy)
    copy.replace(path)


def remove(path: Path) -> None:
    """Removes a file, a folder, or a link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        remove(path)


# --- MLflow's local store ------------------------------------------------------------------------


@dataclass(frozen=True)
class StoredRun:
    """A run of the local store; points are (metric, step, value), costs left out."""

    name: str
    status: str
    parent: str
    points: tuple[tuple[str, int, float], ...]


def runs_of(folder: Path) -> list[StoredRun]:
    """Every run, oldest first."""
    file = folder / "mlflow.db"
    if not file.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT run_uuid, name, status FROM runs ORDER BY start_time, rowid"
        ).fetchall()
        tags = database.execute(
            "SELECT run_uuid, value FROM tags WHERE key = 'mlflow.parentRunId'"
        ).fetchall()
        points = database.execute(
            "SELECT run_uuid, key, step, value FROM metrics WHERE key NOT LIKE 'cost/%'"
        ).fetchall()
    parents = dict(tags)
    names = {run: name for run, name, _ in rows}
    return [
        StoredRun(
            name,
            status,
            names.get(parents.get(run, ""), ""),
            tuple(sorted((key, step, value) for owner, key, step, value in points if owner == run)),
        )
        for run, name, status in rows
    ]


def store_losses(right: Right, runs: Sequence[StoredRun]) -> Iterator[str]:
    """What is wrong with the local store after a command has succeeded at last."""
    running = sorted({run.name for run in runs if run.status == "RUNNING"})
    if running:
        yield f"still said to be running: {', '.join(running)}"
    wanted = collections.Counter(right.runs)
    found = collections.Counter(run for run in runs if run.status == "FINISHED")
    for run in wanted - found:
        yield f"{run.name}: not recorded as undisturbed"
    for run in found - wanted:
        yield f"{run.name}: recorded once too often, or otherwise than undisturbed"
