"""Records runs for the MLflow UI without ever standing in training's way.

Files are the truth and MLflow is a view. A script hands over what happened by putting it into a
queue in memory; a second process (`lab.tracking.recorder`) imports MLflow, writes the local
store and mirrors it to a server when one is configured. A second process rather than a thread:
importing MLflow is 2 s of Python that would hold the interpreter lock while training waits for it,
and whatever breaks, hangs or crashes there cannot take training along.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lab.base.errors import LabError
from lab.base.script import run_script

Value = str | int | float | bool

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = "fair-trial"  # the name under which MLflow lists the runs
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # UI without GenAI pages
ARTIFACTS = Path("mlruns")
LOCAL_STORE = "sqlite:///mlflow.db"  # MLflow's own default since 3.13, in the working directory
# Seconds the end of a script waits, at most: for the local store (importing MLflow and creating
# the store takes about 5 s, on a loaded machine much longer), and for the mirror.
STORE_PATIENCE = 60.0
MIRROR_PATIENCE = 0.6
STARTS = 2  # of the process that writes, if it is killed

NOT_RECORDED = "{}; this run is missing in the UI, its files are complete"


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a run was trained on: `digest` is a SHA-256, `context` says in which role."""

    name: str
    digest: str
    context: str = "training"


@dataclasses.dataclass(frozen=True)
class Run:
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
    children: Sequence["Run"] = ()
    fingerprint: str = ""
    is_again: bool = False


class Recorder:
    """Takes notes during a run. No method waits, touches a disk or raises."""

    def __init__(self, writer: "_Writer", key: int):
        self._writer = writer
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

    def model(self, build: Path) -> None:
        """Notes a folder with `weights.safetensors` and `model.json` as the run's model.

        `mlflow.pyfunc.load_model("runs:/<run id>/model")` then predicts digits from images.
        """
        self._put("model", str(build.resolve()))

    def _put(self, *message: Any) -> None:
        self._writer.put((message[0], self._key, *message[1:]))


@contextlib.contextmanager
def recording(run: Run) -> Iterator[Recorder]:
    """Records a run while the block runs; the exception that leaves it decides the run's status.

    Several may be open at once in one process; they share one writer. What goes wrong is said in
    one line on stderr and changes nothing else.
    """
    writer = _Writer.shared()
    key = writer.begin(run)
    status = "FINISHED"
    try:
        yield Recorder(writer, key)
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
    _Writer.warm_up()


class _Writer:
    """The process that writes, as seen from the script: lines of JSON go in, reports come out.

    If it dies, a second one is told everything again; it goes on with the runs that it finds.
    """

    _open: "_Writer | None" = None
    _lock = threading.Lock()

    @classmethod
    def warm_up(cls) -> "_Writer":
        """The writer of the recordings that are open now, or a new one."""
        with cls._lock:
            if cls._open is None:
                cls._open = cls()
            return cls._open

    @classmethod
    def shared(cls) -> "_Writer":
        """The writer, with one recording more."""
        writer = cls.warm_up()
        with cls._lock:
            writer._users += 1
        return writer

    def __init__(self) -> None:
        self._users = 0
        self._runs = 0
        self._starts = 0
        self._is_over = False  # whether the process has said its last word, or nobody waits for it
        self._messages: list[tuple[Any, ...] | None] = []
        self._news = threading.Condition()
        self._reports: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._start()

    def _start(self) -> None:
        self._starts += 1
        self._process = _start_process()
        if self._process and self._process.stdin and self._process.stdout:
            pipes = self._process.stdin, self._process.stdout
            self._feeder = threading.Thread(target=self._feed, args=(pipes[0],), daemon=True)
            self._feeder.start()
            threading.Thread(target=self._listen, args=(pipes[1],), daemon=True).start()
        else:
            self._reports.put(None)

    def put(self, message: tuple[Any, ...] | None) -> None:
        with self._news:
            self._messages.append(message)
            self._news.notify_all()

    def begin(self, run: Run) -> int:
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

    def _feed(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            for message in self._all_messages():
                pipe.write(json.dumps(message, default=str).encode() + b"\n")
                pipe.flush()

    def _all_messages(self) -> Iterator[tuple[Any, ...]]:
        """Those so far, then the others as they come."""
        for number in itertools.count():
            with self._news:
                while number == len(self._messages):
                    self._news.wait()
            message = self._messages[number]
            if message is None:
                return
            yield message

    def _listen(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            for line in pipe:
                report = json.loads(line)
                if "notice" in report:
                    print(f"tracking: {report['notice']}", file=sys.stderr, flush=True)
                else:
                    self._is_over |= "line" in report or not report.get("mirrored")
                    self._reports.put(report)
        if self._is_over or self._starts == STARTS:
            self._reports.put(None)
        else:
            self._start()


def _start_process() -> "subprocess.Popen[bytes] | None":
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "lab.tracking.recorder", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("TRACKING_DEBUG") else subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # Ctrl-C ends the script, which then ends the run properly
        )
    except OSError as error:
        reason = f"cannot start the process that writes to MLflow: {error.strerror}"
        print(f"tracking: {NOT_RECORDED.format(reason)}", file=sys.stderr, flush=True)
        return None


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **quiet_mlflow()}


def quiet_mlflow() -> dict[str, str]:
    """Environment variables that keep MLflow from talking to the network and the terminal."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_CONFIGURE_LOGGING": "false",
    }


def local_store(environment: Mapping[str, str] = os.environ) -> str:
    """The MLflow URI runs are always written to; a server in `MLFLOW_TRACKING_URI` is a mirror."""
    uri = environment.get("MLFLOW_TRACKING_URI", "").strip()
    return LOCAL_STORE if not uri or is_server(uri) else uri


def is_server(uri: str) -> bool:
    """Whether an MLflow tracking URI names a server rather than a file or a database."""
    return uri.lower().startswith(("http://", "https://"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def open_ui() -> None:
    """Serves the MLflow UI on the local store until interrupted.

    Raises:
        LabError: `UI_PORT` is not a port, or the port is taken.
    """
    port = _port()
    page = f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"
    print(f"MLflow UI: {page} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", local_store()]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        **quiet_mlflow(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # two more processes, for prompts
        "PYTHONWARNINGS": "ignore",
    }
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run([*command, "--uvicorn-opts", "--log-level warning"], env=environment)


def _port() -> int:
    text = os.environ.get("UI_PORT", "5000")
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65_536):
        raise LabError(f"UI_PORT: a port is a number from 1 to 65535; got {text!r}; correct it")
    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LabError(
                f"UI_PORT: port {port} cannot be used ({error.strerror}); "
                f"use another: make ui UI_PORT={port + 1}"
            ) from None
    return port


def main() -> None:
    """`python -m lab.tracking.recording ui`.

    Raises:
        LabError: any other arguments.
    """
    if sys.argv[1:] != ["ui"]:
        raise LabError(
            f"lab.tracking.recording: takes one argument, ui; got {sys.argv[1:]}; use make ui"
        )
    open_ui()


if __name__ == "__main__":
    run_script(main)
