"""Records runs for the MLflow UI without ever standing in training's way.

Files are the truth and MLflow is a view. A script hands over what happened by putting it into a
queue in memory; a second process (`lab.tracking.writer`) imports MLflow, writes the local
store and mirrors it to a server when one is configured. A second process rather than a thread:
importing MLflow is 2 s of Python that would hold the interpreter lock while training waits for it,
and whatever breaks, hangs or crashes there cannot take training along. It goes on when the script
has ended; what it is told stands in a journal, so that the next one goes on when it is killed.
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
from typing import Any

from lab.base.errors import LabError
from lab.base.home import home
from lab.base.script import is_debugging
from lab.tracking import journal
from lab.tracking.destination import NOT_OURS, host_of, quiet_mlflow, server_url
from lab.tracking.journal import Message

ROOT = Path(__file__).resolve().parents[2]
# Seconds the end of a script waits, at most: a training for all of it, other scripts for the local
# store (importing MLflow and creating the store takes about 5 s, on a loaded machine much longer)
# and then for the mirror.
PATIENCE = 0.2
STORE_PATIENCE = 60.0
MIRROR_PATIENCE = 0.6
LATE_PATIENCE = 20.0  # seconds in which runs are sent when no script waits for it
STARTS = 2  # of the process that writes, if it is killed

# A variable that is 0 where nobody will look for the run, and `wait` where somebody does at once.
SWITCH = "RECORD_RUNS"

NOT_RECORDED = "{}; this run is missing in the UI, its files are complete"
INCOMPLETE = "{}; this run is incomplete in the UI, its files are complete"
LATER = "the next run, or `make sync`, records what is left"


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

        It is read before `recording` returns if that waits, so it must stay as it is until then.
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

    def champion(self, results: str) -> None:
        """Notes that the registered model of these results is the one in production."""
        self._put("champion", results)

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
def recording(run: RunSpec, *, waits: bool = True) -> Iterator[ActiveRun]:
    """Records a run while the block runs; the exception that leaves it decides the run's status.

    Several may be open at once in one process; they share one writer. What goes wrong is reported
    in one line on stderr and changes nothing else. `waits` until the local store has the run;
    otherwise that may be some seconds later, but not in a copy of the project, which DVC removes.
    """
    if not _is_on():
        yield ActiveRun(None)
        return
    patience = STORE_PATIENCE if waits or _is_awaited() else PATIENCE
    writer = _WriterProcess.current(patience, users=1)
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


def warm_up(*, waits: bool = True) -> None:
    """Starts the process that writes, for a script with something to do before it records."""
    if _is_on():
        _WriterProcess.current(STORE_PATIENCE if waits or _is_awaited() else PATIENCE)


def _is_on() -> bool:
    return os.environ.get(SWITCH) != "0"


def _is_awaited() -> bool:
    return os.environ.get(SWITCH) == "wait" or home() != Path.cwd()


class _WriterProcess:
    """The process that writes, as seen from the script: messages go into its journal.

    If the process dies, a second one reads the journal from its beginning. If it is not ready when
    the script ends, it goes on alone.
    """

    _open: "_WriterProcess | None" = None
    _lock = threading.Lock()

    @classmethod
    def current(cls, patience: float, users: int = 0) -> "_WriterProcess":
        """The writer of the recordings that are open now, or a new one, with so many more."""
        with cls._lock:
            cls._open = cls._open or cls(patience)
            cls._open._users += users
            return cls._open

    def __init__(self, patience: float) -> None:
        self._users = 0
        self._runs = 0
        self._starts = 0
        self._patience = patience
        self._links: list[str] = []
        self._journal = journal.place(uuid.uuid4().hex)
        self._inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()  # None is the end
        self._reports: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._is_claimed = threading.Event()  # the journal, by the process
        self._is_kept = threading.Event()  # all messages stand in the journal
        self._start()
        threading.Thread(target=self._keep, daemon=True).start()

    def _start(self) -> None:
        self._starts += 1
        self._process = _start_process(self._journal.stem, self._patience == PATIENCE)
        if self._process:
            threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
            if self._starts > 1:
                self._wake()
        else:
            self._give_up()

    def put(self, message: Message | None) -> None:
        self._inbox.put(message)

    def begin(self, run: RunSpec) -> int:
        with self._lock:
            self._runs += 1
            key = self._runs
        described = {**dataclasses.asdict(run), "recording": uuid.uuid4().hex}
        self.put(("begin", key, described, _now_ms()))
        return key

    def end(self, key: int, status: str) -> None:
        """Ends one recording; the last one waits for the process."""
        self.put(("end", key, status, _now_ms()))
        with self._lock:
            self._users -= 1
            if self._users:
                return
            type(self)._open = None
        self.put(None)
        if status == "KILLED":  # whoever pressed Ctrl-C shall not wait; the writer ends by itself
            self._is_kept.wait(1.0)
            return
        self._finish()

    def _keep(self) -> None:
        """Writes messages down as they come."""
        try:
            message = self._inbox.get()
            self._wake()
            self._is_claimed.wait()
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            with self._journal.open("a", encoding="utf-8") as file:
                while message is not None:
                    file.write(journal.line(message))
                    file.flush()
                    self._wake()
                    message = self._inbox.get()
        except OSError as error:
            reason = f"{journal.FOLDER} cannot be written ({error.strerror})"
            self._reports.put({"line": INCOMPLETE.format(reason)})
        self._is_kept.set()
        self._wake()

    def _wake(self) -> None:
        """Lets the process look into the journal; for the last time, when all is there."""
        pipe = self._process and self._process.stdin
        with contextlib.suppress(OSError, ValueError):
            if pipe:
                pipe.write(b"\n")
                pipe.flush()
            if pipe and self._is_kept.is_set():
                pipe.close()

    def _finish(self) -> None:
        """Waits for the process a little; then it goes on alone."""
        began = time.monotonic()
        self._is_kept.wait(STORE_PATIENCE)
        report = self._next_report(self._patience)
        if report and report.get("mirrored"):
            left = self._patience - (time.monotonic() - began)
            report = self._next_report(min(left, 2 * MIRROR_PATIENCE))
        with contextlib.suppress(OSError):
            journal.leave(self._journal)
        if report is None:
            report = {"links": self._links, "line": "" if self._links else _on_its_way()}
        elif self._process:
            self._process.kill()  # it has nothing left to do that cannot be done again
            self._process.wait()
        if line := report.get("line"):
            print(f"tracking: {line}", file=sys.stderr, flush=True)
        for link in report.get("links", ()):
            print(f"tracking: {link}", flush=True)

    def _next_report(self, patience: float) -> dict[str, Any] | None:
        """None if there is none in time."""
        with contextlib.suppress(queue.Empty):
            report = self._reports.get(timeout=max(patience, 0.0))
            return report or {"line": "the process that writes to MLflow died; " + LATER}
        return None

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        is_over = False
        with contextlib.suppress(OSError, ValueError), process.stdout or contextlib.nullcontext():
            for line in process.stdout or ():
                report = json.loads(line)
                if report.get("claimed"):
                    self._is_claimed.set()
                elif "there" in report:
                    self._links = report["there"]
                elif "notice" in report:
                    print(f"tracking: {report['notice']}", file=sys.stderr, flush=True)
                else:
                    is_over |= "line" in report or not report.get("mirrored")
                    self._reports.put(report)
        if is_over or self._starts == STARTS:
            self._give_up()
        else:
            self._start()

    def _give_up(self) -> None:
        self._is_claimed.set()  # what comes is written down for the next script
        self._reports.put(None)


def _start_process(name: str, stands_back: bool) -> "subprocess.Popen[bytes] | None":
    """Starts it in the project's home, with the code of this checkout."""
    arguments = [str(os.getpid()), name, *(["--stand-back"] * stands_back)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = {key: value for key, value in os.environ.items() if key not in NOT_OURS}
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "lab.tracking.writer", *arguments],
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


def _on_its_way() -> str:
    with contextlib.suppress(LabError):  # which the process reports
        if url := server_url():
            return f"the run is on its way to {host_of(url)}; `make sync` waits for it"
    return ""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
