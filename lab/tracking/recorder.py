"""The process that writes runs to MLflow; `lab.tracking.recording` starts it and talks to it.

Its argument is the script's process id. Messages arrive on stdin, one JSON list a line: kind, key
of the recording, the rest. Reports leave on stdout, one JSON object a line. When stdin ends before
a recording did, its script was killed, and the run is marked as failed.
"""

import contextlib
import json
import os
import queue
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from lab.base.errors import LabError
from lab.base.files import replacing
from lab.tracking import outbox, server
from lab.tracking import recording as tracking
from lab.tracking.mirror import PARENT_TAG, pages
from lab.tracking.recording import ARTIFACTS, EXPERIMENT

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVED_MODEL = Path(__file__).with_name("served_model.py")
MAX_BATCH = 1_000  # metrics in one log_batch; MLflow's limit
MAX_DIGEST = 36  # characters MLflow keeps of a dataset's digest
_REPORTS = 1  # file descriptor
FINGERPRINT_TAG = "fingerprint"
RECORDING_TAG = "recording"  # tells a run from all others before MLflow has given it an id
CLAIM_PATIENCE = 5.0  # seconds that a killed script's recorder is given to end its runs
LOCKED_PATIENCE = 30.0  # seconds to try again while another process holds the database

Point = tuple[str, int, str]  # metric, step, value as Python writes it
Result = TypeVar("Result")


class Store:
    """The local MLflow store, as far as recording needs it."""

    def __init__(self, uri: str):
        from mlflow import MlflowClient  # 2 s, hence here

        self.uri = uri
        with _store_lock():  # two processes must not both create the tables
            if uri.startswith("sqlite:///"):
                _prepare_sqlite(Path(uri.removeprefix("sqlite:///")))
            self.client = cast("MlflowClient", _Patient(MlflowClient(tracking_uri=uri)))
            self.experiment = _experiment_id(self.client)
        # MLflow's ids of each recording, by the child's name; None is the parent.
        self._ids: dict[int, dict[str | None, str]] = {}
        self._points: dict[str, set[Point]] = {}  # of runs that are continued, by MLflow's id

    def begin(self, key: int, run: dict[str, Any], start_ms: int, root: str | None = None) -> None:
        """Creates a run and its children, or continues those of the unfinished run `root`."""
        found = self._continue(root) if root else {}
        parent = self._begin(run, start_ms, None, found.get(run["name"]))
        self._ids[key] = {None: parent}
        for child in run["children"]:
            there = found.get(child["name"])
            self._ids[key][child["name"]] = self._begin(child, start_ms, parent, there)

    def to_continue(self, run: dict[str, Any]) -> list[str]:
        """The runs that this one continues, newest first: itself, if it was begun before."""
        queries = [f"tags.{RECORDING_TAG} = '{run['recording']}'"]
        if run["fingerprint"]:
            ended = "" if run["is_again"] else " AND attributes.status != 'FINISHED'"
            queries.append(f"tags.{FINGERPRINT_TAG} = '{run['fingerprint']}'{ended}")
        for query in queries:
            if found := [each.info.run_id for each in pages(self.client, [self.experiment], query)]:
                return found
        return []

    def _continue(self, root: str) -> dict[str, str]:
        """MLflow's ids of the tree below `root` by name; it runs again."""
        query = f"tags.`{PARENT_TAG}` = '{root}'"
        found = {}
        for run in (self.client.get_run(root), *pages(self.client, [self.experiment], query)):
            run_id = run.info.run_id
            found[run.info.run_name] = run_id
            self._points[run_id] = {
                (point.key, point.step, repr(point.value))
                for name in run.data.metrics
                for point in self.client.get_metric_history(run_id, name)
            }
            self.client.update_run(run_id, "RUNNING")
        return found

    def _begin(
        self, run: dict[str, Any], start_ms: int, parent: str | None, there: str | None
    ) -> str:
        from mlflow.entities import Param, RunTag

        tags = {name: str(value) for name, value in run["tags"].items()}
        if run["note"]:
            tags["mlflow.note.content"] = run["note"]
        if run["fingerprint"]:
            tags[FINGERPRINT_TAG] = run["fingerprint"]
        if recording := run.get("recording"):  # children have none
            tags[RECORDING_TAG] = recording
        if parent:
            tags[PARENT_TAG] = parent
        if there:
            self.client.log_batch(there, tags=[RunTag(*tag) for tag in tags.items()])
            return there
        created = self.client.create_run(
            self.experiment, start_time=start_ms, tags=tags, run_name=run["name"]
        )
        run_id: str = created.info.run_id
        params = [Param(name, str(value)) for name, value in run["params"].items()]
        self.client.log_batch(run_id, params=params)
        if run["dataset"]:
            self.client.log_inputs(run_id, datasets=[_dataset_input(run["dataset"])])
        return run_id

    def metrics(
        self, key: int, child: str | None, values: dict[str, float], step: int, time_ms: int
    ) -> None:
        """Adds one point to each of some metrics."""
        from mlflow.entities import Metric

        run_id = self._id(key, child)
        known = self._points.get(run_id, set())
        points = [
            Metric(name, value, time_ms, step)
            for name, value in values.items()
            if (name, step, repr(value)) not in known
        ]
        for first in range(0, len(points), MAX_BATCH):
            self.client.log_batch(run_id, points[first : first + MAX_BATCH])

    def tags(self, key: int, child: str | None, values: dict[str, str]) -> None:
        """Sets tags."""
        from mlflow.entities import RunTag

        tags = [RunTag(name, value) for name, value in values.items()]
        self.client.log_batch(self._id(key, child), tags=tags)

    def artifact(self, key: int, path: str, folder: str) -> None:
        """Copies a file or a folder into the run's artifacts."""
        copy = self.client.log_artifacts if Path(path).is_dir() else self.client.log_artifact
        target = str(Path(folder) / Path(path).name) if Path(path).is_dir() else folder
        copy(self._id(key, None), path, target or None)

    def model(self, key: int, build: str) -> None:
        """Logs a network as a model that MLflow loads."""
        import mlflow

        run_id = self._id(key, None)
        outputs = self.client.get_run(run_id).outputs
        if outputs and outputs.model_outputs:  # an interrupted script came that far
            return
        mlflow.set_tracking_uri(self.uri)

        def log_model() -> None:
            with mlflow.start_run(run_id=run_id):
                mlflow.pyfunc.log_model(name="model", **served_model(Path(build)))

        _patiently(log_model)

    def end(self, key: int, status: str, end_ms: int) -> None:
        """Ends a run and its children."""
        for run_id in reversed(self._ids[key].values()):
            self.client.set_terminated(run_id, status, end_ms)

    def ids(self, key: int) -> list[str]:
        """MLflow's ids of a run and its children, in this order."""
        return list(self._ids[key].values())

    def _id(self, key: int, child: str | None) -> str:
        return self._ids[key][child]


def served_model(build: Path) -> dict[str, Any]:
    """Arguments of `mlflow.pyfunc.save_model` and `log_model` for a network of `models/best`."""
    return {
        "python_model": str(SERVED_MODEL),
        "artifacts": {
            "weights": str(build / "weights.safetensors"),
            "model": str(build / "model.json"),
        },
        # Given, because MLflow would start another Python to find them out.
        "pip_requirements": [
            f"{name}=={version(name)}" for name in ("mlflow", "numpy", "safetensors", "torch")
        ],
    }


def _prepare_sqlite(file: Path) -> None:
    """Opens the database once; MLflow would try a hopeless one again for minutes.

    MLflow creates its tables in a hundred steps over seconds, and never gets over one that was
    interrupted in between. So a new database is made elsewhere, and put in its place when it is
    complete.

    Raises:
        sqlite3.Error: it is no database, or cannot be opened.
    """
    if not file.exists():
        from mlflow import MlflowClient

        with replacing(file) as temporary:
            MlflowClient(tracking_uri=f"sqlite:///{temporary}").search_experiments(max_results=1)
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA schema_version")


def _experiment_id(client: "MlflowClient") -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return str(found.experiment_id)
    where = ARTIFACTS.resolve().as_uri()
    return str(client.create_experiment(EXPERIMENT, where, tracking.EXPERIMENT_TAGS))


def _dataset_input(dataset: dict[str, str]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"sha256": dataset["digest"]})
    entity = Dataset(dataset["name"], dataset["digest"][:MAX_DIGEST], "local", source)
    return DatasetInput(entity, [InputTag("mlflow.data.context", dataset["context"])])


@contextlib.contextmanager
def _store_lock() -> Iterator[None]:
    from filelock import FileLock

    ARTIFACTS.mkdir(exist_ok=True)
    with FileLock(ARTIFACTS / ".lock", timeout=LOCKED_PATIENCE):
        yield


class _Patient:
    """MLflow's client, with patience while another process holds the database.

    Each call is one transaction or can be repeated: one that found the database locked did nothing.
    """

    def __init__(self, client: "MlflowClient"):
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found
        return lambda *values, **named: _patiently(lambda: found(*values, **named))


def _patiently(action: Callable[[], Result]) -> Result:
    """Does it again while another process holds the database."""
    deadline = time.monotonic() + LOCKED_PATIENCE
    while True:
        try:
            return action()
        except Exception as error:
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Recorder:
    """Does what the messages say: writes the local store, tells the mirror."""

    def __init__(self, address: str, script: int):
        self.store = Store(tracking.local_store())
        self.live = outbox.Live(self.store.client, address) if address else None
        self._open: set[int] = set()
        self._script = script
        self._claims = contextlib.ExitStack()

    def run(self, messages: "queue.SimpleQueue[list[Any] | None]") -> None:
        """Writes what arrives until the last message.

        Raises:
            Exception: whatever MLflow raises when the store cannot be written.
        """
        with self._claims:
            while (message := messages.get()) is not None:
                self._obey(*message)
            for key in list(self._open):
                self._obey("end", key, "FAILED", time.time_ns() // 1_000_000)
            if self.live:
                report(recorded=True, mirrored=True)
                report(**self.live.finish(tracking.MIRROR_PATIENCE - 0.1))
            else:
                report(recorded=True, mirrored=False)

    def _obey(self, kind: str, key: int, *rest: Any) -> None:
        if kind == "begin":
            return self._begin(key, *rest)
        if kind == "end" and rest[0] == "FINISHED" and self._is_script_gone():
            # Killed while it waited for this process: its stage did not finish, and the next
            # attempt shall continue the run, not add another.
            rest = ("FAILED", *rest[1:])
        getattr(self.store, kind)(key, *rest)
        if self.live:
            self.live.drain()
        if kind == "end":
            self._open.remove(key)
        return None

    def _is_script_gone(self) -> bool:
        return sys.platform != "win32" and os.getppid() != self._script

    def _begin(self, key: int, run: dict[str, Any], start_ms: int) -> None:
        root = self._claim(run)
        with outbox.claiming():
            self.store.begin(key, run, start_ms, root)
            ids = self.store.ids(key)
            if not root:
                self._claims.enter_context(outbox.claimed(ids[0]))
        self._open.add(key)
        if root:
            outbox.forget(ids)
        if self.live:
            self.live.add(ids[0], len(ids))

    def _claim(self, run: dict[str, Any]) -> str | None:
        """A run to continue, if there is one that no other process is writing or sending."""
        deadline = time.monotonic() + CLAIM_PATIENCE
        while roots := self.store.to_continue(run):
            for root in roots:
                if self._claims.enter_context(outbox.claimed(root)):
                    return root
            if time.monotonic() > deadline:
                return None
            time.sleep(0.1)
        return None


def _receive(source: BinaryIO, messages: "queue.SimpleQueue[list[Any] | None]") -> None:
    for line in source:
        if not line.endswith(b"\n"):
            break  # the script was killed while it wrote
        messages.put(json.loads(line))
    messages.put(None)


def report(**values: Any) -> None:
    """Tells the script something."""
    with contextlib.suppress(OSError):
        os.write(_REPORTS, json.dumps(values).encode() + b"\n")


def _address() -> str:
    """Where to mirror runs; nowhere when the variables that say it are wrong."""
    try:
        return server.address()
    except LabError as error:
        report(notice=str(error))
        return ""


def main() -> None:
    """Serves one script."""
    messages: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, messages), daemon=True).start()
    try:
        Recorder(_address(), int(sys.argv[1])).run(messages)
    except Exception as error:
        if os.environ.get("TRACKING_DEBUG"):
            traceback.print_exc()
        text = " ".join(str(error).split())[:200] or type(error).__name__
        report(line=tracking.NOT_RECORDED.format(f"MLflow's local store: {text}"))
    os._exit(0)  # requests under way must not hold up the script


if __name__ == "__main__":
    # Reports have stdout for themselves; whatever else prints there goes to stderr.
    _REPORTS = os.dup(1)
    os.dup2(2, 1)
    main()
