"""Records runs for the MLflow UI without ever standing in training's way.

Files are the truth and MLflow is a view. A script hands over what happened by putting it into a
queue in memory; a second process (`lab.tracking.writer`) imports MLflow, writes the local
store and mirrors it to a server when one is configured. A second process rather than a thread:
importing MLflow is 2 s of Python that would hold the interpreter lock while training waits for it,
and whatever breaks, hangs or crashes there cannot take training along.
"""

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lab.base.home import home
from lab.base.script import is_debugging
from lab.tracking.destination import NOT_OURS, quiet_mlflow

ROOT = Path(__file__).resolve().parents[2]
# Seconds the end of a script waits, at most: for the local store (importing MLflow and creating
# the store takes about 5 s, on a loaded machine much longer), and for the mirror.
STORE_PATIENCE = 60.0
MIRROR_PATIENCE = 0.6
STARTS = 2  # of the process that writes, if it is killed

SWITCH = "RECORD_RUNS"  # a variable that is 0 where nobody will look for the run

NOT_RECORDED = "{}; this run is missing in the UI, its files are complete"
INCOMPLETE = "{}; this run is incomplete in the UI, its files are complete"

Message = tuple[Any, ...]  # kind, key of the recording, the rest


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a run was trained on: `digest` is a SHA-256, `context` says in which role."""

    name: str
    digest: str
    context: str = "training"


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """One line of MLflow's run list; `note` is Markdown that its page shows.

    Children are nested below their parent, one per seed; their names must differ. A run that did
    not finish is continued by the next one with the same fingerprint: its points are kept, and
    those that come again are not recorded twice. `is_again` continues one that finished, too.
    """

    name: str
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    note: str = ""
    dataset: Dataset | None = None
    children: Sequence["RunSpec"] = ()
    fingerprint: str = ""
    is_again: bool = False


class ActiveRun:
    """A run that goes on. No method waits, touches a disk or raises."""

    def __init__(self, writer: "_WriterProcess | None", key: int = 0) -> None:
        self._writer = writer  # None: nothing is recorded
        self._key = key

    def metrics(
        self, values: Mapping[str, float], step: int | None = None, child: str | None = None
    ) -> None:
        """Notes metrics of the run, or of the child with that name."""
        finite_or_not = {name: float(value) for name, value in values.items()}
        self._put("metrics", child, finite_or_not, step or 0, _now_ms())

    def tags(self, values: Mapping[str, str], child: str | None = None) -> None:
        """Notes tags that were not known when the run began."""
        self._put("tags", child, {name: str(value) for name, value in values.items()})

    def artifact(self, path: Path, folder: str = "") -> None:
        """Notes a file, or a folder with all below it, to be copied into the run's artifacts.

        It is read before `recording` returns, so it must stay as it is until then.
        """
        self._put("artifact", str(path.resolve()), folder)

    def model(self, build: Path, name: str = "model") -> None:
        """Notes a folder with `weights.safetensors` and `model.json` as the run's model.

        `mlflow.pyfunc.load_model("runs:/<run id>/<name>")` then predicts classes from inputs.
        """
        self._put("model", str(build.resolve()), name)

    def chosen(self, build: Path, name: str, card: str, results: str) -> None:
        """Notes such a folder as the model to register, with a card in Markdown.

        The run that trained it has it already, if it was recorded here: the one of these results.
        """
        self._put("chosen", str(build.resolve()), name, card, results)

    def trained(self, model: str) -> None:
        """Notes that the files of a trained model are written; the run then shows them."""
        self._put("show", model, str(Path.cwd()))

    def judged(self, verdicts: Mapping[str, str]) -> None:
        """Notes verdicts on runs that are over, by the SHA-256 of their results."""
        self._put("judged", dict(verdicts))

    def _put(self, kind: str, *rest: Any) -> None:
        if self._writer:
            self._writer.put((kind, self._key, *rest))


@contextlib.contextmanager
def recording(run: RunSpec) -> Iterator[ActiveRun]:
    """Records a run while the block runs; the exception that leaves it decides the run's status.

    Several may be open at once in one process; they share one writer. What goes wrong is reported
    in one line on stderr and changes nothing else.
    """
    if not _is_on():
        yield ActiveRun(None)
        return
    writer = _WriterProcess.current(users=1)
    key = writer.begin(run)
    status = "FINISHED"
    try:
        yield ActiveRun(writer, key)
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except BaseException:
        status = "FAILED"
        raise
    finally:
        writer.end(key, status)


def warm_up() -> None:
    """Starts the process that writes, for a script with something to do before it records."""
    if _is_on():
        _WriterProcess.current()


def _is_on() -> bool:
    return os.environ.get(SWITCH) != "0"


class _WriterProcess:
    """The process that writes, as seen from the script: lines of JSON go in, reports come out.

    A message is kept until the process reports it written. If the process dies, a second one gets
    what is left, and the beginnings of the runs that are open: it goes on with those that it finds.
    """

    _open: "_WriterProcess | None" = None
    _lock = threading.Lock()

    @classmethod
    def current(cls, users: int = 0) -> "_WriterProcess":
        """The writer of the recordings that are open now, or a new one, with so many more."""
        with cls._lock:
            cls._open = cls._open or cls()
            cls._open._users += users
            return cls._open

    def __init__(self) -> None:
        self._users = 0
        self._runs = 0
        self._starts = 0
        self._is_over = False  # no process will write what comes now, or nobody waits for it
        self._message = 0  # number of the last one
        self._unwritten: dict[int, Message | None] = {}  # None is the end of all messages
        self._changes = threading.Lock()
        self._reports: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._start()

    def _start(self) -> None:
        self._starts += 1
        self._process = _start_process()
        with self._changes:
            self._inbox: queue.SimpleQueue[tuple[int, Message | None]] = queue.SimpleQueue()
            for numbered in self._unwritten.items():
                self._inbox.put(numbered)
        if self._process and self._process.stdin and self._process.stdout:
            feed = (self._process.stdin, self._inbox)
            self._feeder = threading.Thread(target=_feed, args=feed, daemon=True)
            self._feeder.start()
            listen = (self._process.stdout,)
            threading.Thread(target=self._listen, args=listen, daemon=True).start()
        else:
            self._give_up()

    def put(self, message: Message | None) -> None:
        with self._changes:
            if not self._is_over:
                self._message += 1
                self._unwritten[self._message] = message
                self._inbox.put((self._message, message))

    def _drop_written(self, number: int) -> None:
        """Forgets a message, and the beginning of a run with its end."""
        with self._changes:
            kind, key, *_ = self._unwritten[number] or ("", 0)
            if kind == "end":
                of_run = [n for n, each in self._unwritten.items() if each and each[1] == key]
                for written in of_run:
                    del self._unwritten[written]
            elif kind != "begin":
                del self._unwritten[number]

    def begin(self, run: RunSpec) -> int:
        with self._lock:
            self._runs += 1
            key = self._runs
        described = {**dataclasses.asdict(run), "recording": uuid.uuid4().hex}
        self.put(("begin", key, described, _now_ms()))
        return key

    def end(self, key: int, status: str) -> None:
        """Ends one recording; the last one waits until everything is written."""
        self.put(("end", key, status, _now_ms()))
        with self._lock:
            self._users -= 1
            if self._users:
                return
            type(self)._open = None
        self.put(None)
        if status == "KILLED":  # whoever pressed Ctrl-C shall not wait; the writer ends by itself
            if self._process:
                self._feeder.join(timeout=1.0)
            return
        self._finish()

    def _finish(self) -> None:
        report = self._next_report(STORE_PATIENCE)
        if report.get("recorded"):
            report = self._next_report(2 * MIRROR_PATIENCE) if report["mirrored"] else {}
        self._is_over = True
        if self._process:
            self._process.kill()  # it has nothing left to do that cannot be done again
            self._process.wait()
        if line := report.get("line"):
            print(f"tracking: {line}", file=sys.stderr, flush=True)
        for link in report.get("links", ()):
            print(f"tracking: {link}", flush=True)

    def _next_report(self, patience: float) -> dict[str, Any]:
        try:
            report = self._reports.get(timeout=patience)
        except queue.Empty:
            return {"line": NOT_RECORDED.format("MLflow's local store takes too long")}
        return report or {"line": NOT_RECORDED.format("the process that writes to MLflow died")}

    def _listen(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            for line in pipe:
                report = json.loads(line)
                if "written" in report:
                    self._drop_written(report["written"])
                elif "notice" in report:
                    print(f"tracking: {report['notice']}", file=sys.stderr, flush=True)
                else:
                    self._is_over |= "line" in report or not report.get("mirrored")
                    self._reports.put(report)
        if self._is_over or self._starts == STARTS:
            self._give_up()
        else:
            self._start()

    def _give_up(self) -> None:
        with self._changes:
            self._is_over = True
            self._unwritten.clear()
        self._reports.put(None)


def _feed(pipe: IO[bytes], inbox: "queue.SimpleQueue[tuple[int, Message | None]]") -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        while True:
            number, message = inbox.get()
            if message is None:
                return
            pipe.write(json.dumps((number, *message), default=str).encode() + b"\n")
            pipe.flush()


def _start_process() -> "subprocess.Popen[bytes] | None":
    """Starts it in the project's home, with the code of this checkout."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = {key: value for key, value in os.environ.items() if key not in NOT_OURS}
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "lab.tracking.writer", str(os.getpid())],
            cwd=home(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if is_debugging() else subprocess.DEVNULL,
            env={**own, "PYTHONPATH": path, **quiet_mlflow()},
            start_new_session=True,  # Ctrl-C ends the script, which then ends the run properly
        )
    except OSError as error:
        reason = f"cannot start the process that writes to MLflow: {error.strerror}"
        print(f"tracking: {NOT_RECORDED.format(reason)}", file=sys.stderr, flush=True)
        return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
