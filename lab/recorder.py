"""The process that writes runs to MLflow; `lab.tracking` starts it and talks to it.

Messages arrive on stdin, one JSON list a line: kind, key of the recording, the rest. Reports
leave on stdout, one JSON object a line. When stdin ends before a recording did, its script was
killed, and the run is marked as failed.
"""

import contextlib
import dataclasses
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lab import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "fair-trial"
ARTIFACTS = Path("mlruns")
SERVED_MODEL = Path(__file__).with_name("served_model.py")
MAX_BATCH = 1_000  # metrics in one log_batch; MLflow's limit
MAX_DIGEST = 36  # characters MLflow keeps of a dataset's digest
LOCKED_PATIENCE = 30.0  # seconds to try again while another process holds the database


@dataclasses.dataclass
class _Recording:
    """One tree of runs: MLflow ids by the child's name; None is the parent."""

    ids: dict[str | None, str]


class Store:
    """The local MLflow store, as far as recording needs it."""

    def __init__(self, uri: str):
        from mlflow import MlflowClient  # 2 s, hence here

        self.uri = uri
        with _store_lock():  # two processes must not both create the tables
            self.client = MlflowClient(tracking_uri=uri)
            self.experiment = _experiment_id(self.client)
        self._recordings: dict[int, _Recording] = {}

    def begin(self, key: int, run: dict[str, Any], start_ms: int) -> None:
        """Creates a run and its children."""
        parent = self._create(run, start_ms, None)
        self._recordings[key] = _Recording({None: parent})
        for child in run["children"]:
            self._recordings[key].ids[child["name"]] = self._create(child, start_ms, parent)

    def _create(self, run: dict[str, Any], start_ms: int, parent: str | None) -> str:
        from mlflow.entities import Param

        tags = {name: str(value) for name, value in run["tags"].items()}
        if run["note"]:
            tags["mlflow.note.content"] = run["note"]
        if parent:
            tags["mlflow.parentRunId"] = parent
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

        points = [Metric(name, value, time_ms, step) for name, value in values.items()]
        for first in range(0, len(points), MAX_BATCH):
            self.client.log_batch(self._id(key, child), points[first : first + MAX_BATCH])

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

        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=self._id(key, None)):
            mlflow.pyfunc.log_model(name="model", **served_model(Path(build)))

    def end(self, key: int, status: str, end_ms: int) -> None:
        """Ends a run and its children."""
        for run_id in reversed(self._recordings[key].ids.values()):
            self.client.set_terminated(run_id, status, end_ms)

    def _id(self, key: int, child: str | None) -> str:
        return self._recordings[key].ids[child]


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


def _experiment_id(client: "MlflowClient") -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return str(found.experiment_id)
    return str(client.create_experiment(EXPERIMENT, artifact_location=ARTIFACTS.resolve().as_uri()))


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


def _patiently(action: Callable[[], None]) -> None:
    """Does it again while another process holds the database.

    The database is left as it was by an attempt that found it locked (one transaction each).
    """
    deadline = time.monotonic() + LOCKED_PATIENCE
    while True:
        try:
            return action()
        except Exception as error:
            if "database is locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def record(messages: "queue.SimpleQueue[list[Any] | None]") -> None:
    """Writes what arrives until the last message.

    Raises:
        Exception: whatever MLflow raises when the store cannot be written.
    """
    store = Store(tracking.local_store())
    open_recordings: set[int] = set()
    while (message := messages.get()) is not None:
        kind, key, *rest = message
        _patiently(lambda: getattr(store, kind)(key, *rest))  # noqa: B023 (called at once)
        if kind == "begin":
            open_recordings.add(key)
        elif kind == "end":
            open_recordings.remove(key)
    for key in open_recordings:
        store.end(key, "FAILED", time.time_ns() // 1_000_000)


def _receive(source: BinaryIO, messages: "queue.SimpleQueue[list[Any] | None]") -> None:
    for line in source:
        if not line.endswith(b"\n"):
            break  # the script was killed while it wrote
        messages.put(json.loads(line))
    messages.put(None)


def _report(**report: Any) -> None:
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(report).encode() + b"\n")


def main() -> None:
    """Serves one script."""
    messages: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, messages), daemon=True).start()
    try:
        record(messages)
    except Exception as error:
        if os.environ.get("TRACKING_DEBUG"):
            raise
        text = " ".join(str(error).split())[:200] or type(error).__name__
        _report(line=tracking.NOT_RECORDED.format(f"MLflow's local store: {text}"))
        return
    _report(recorded=True, mirrored=False)


if __name__ == "__main__":
    main()
