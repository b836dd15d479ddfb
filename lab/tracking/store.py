"""The local MLflow store, as far as recording needs it."""

import contextlib
import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag

from lab.base.errors import LabError
from lab.base.files import replacing, sha256
from lab.results import served_model as loader
from lab.results.storage import tracked
from lab.tracking import registry
from lab.tracking.destination import EXPERIMENT
from lab.tracking.moving import LOCKED_SECONDS, follow_folder, path_of, store_lock
from lab.tracking.sent import (
    ARTIFACTS,
    FILES_TAG,
    MODEL,
    PARENT_TAG,
    RECORDING_TAG,
    RESULTS_TAG,
    artifacts_in,
)
from lab.tracking.server import experiment_id, log_datasets, pages

FINGERPRINT_TAG = "fingerprint"
VERDICT_TAG = "verdict"
MAX_DIGEST = 36  # characters MLflow keeps of a data set's digest
LARGEST = 1.7976931348623157e308  # what MLflow's database keeps of an infinite number

MAX_TAG = 5_000  # characters MLflow keeps of a tag's value

Point = tuple[str, int, str]  # metric, step, value as Python writes it


class Store:
    """Writes runs, each under the key that its script gave it."""

    def __init__(self, uri: str) -> None:
        """Opens the store of the working directory, and creates it if need be.

        Raises:
            Exception: whatever MLflow raises when it cannot.
        """
        self.uri = uri
        with store_lock():
            if uri.startswith("sqlite:///"):
                _prepare_sqlite(Path(uri.removeprefix("sqlite:///")))
                follow_folder()
            self.client = MlflowClient(tracking_uri=uri)
            self.experiment = experiment_id(self.client, ARTIFACTS.resolve().as_uri())
        # MLflow's ids of each recording, by the child's name; None is the parent.
        self._ids: dict[int, dict[str | None, str]] = {}
        self._points: dict[str, set[Point]] = {}  # of runs that are continued, by MLflow's id
        self._models: dict[str, Mapping[str, str]] = {}  # what their metrics say, by run

    def begin(
        self, key: int, run: Mapping[str, Any], start_ms: int, root: str | None = None
    ) -> None:
        """Creates a run and its children, or continues those of the unfinished run `root`."""
        found = self._continue(root) if root else {}
        parent = self._begin(run, start_ms, None, found.get(run["name"]))
        self._ids[key] = {None: parent}
        for child in run["children"]:
            there = found.get(child["name"])
            self._ids[key][child["name"]] = self._begin(child, start_ms, parent, there)

    def to_continue(self, run: Mapping[str, Any]) -> list[str]:
        """The runs that this one continues, newest first: itself, if it was begun before."""
        queries = [f"tags.{RECORDING_TAG} = '{run['recording']}'"]
        if run["fingerprint"]:
            ended = "" if run["is_again"] else " AND attributes.status != 'FINISHED'"
            queries.append(f"tags.{FINGERPRINT_TAG} = '{run['fingerprint']}'{ended}")
        for query in queries:
            if found := [each.info.run_id for each in pages(self.client, self.experiment, query)]:
                return found
        return []

    def _continue(self, root: str) -> dict[str, Run]:
        """The tree below `root` by name; it runs again."""
        query = f"tags.`{PARENT_TAG}` = '{root}'"
        found = {}
        for run in (self.client.get_run(root), *pages(self.client, self.experiment, query)):
            run_id = run.info.run_id
            found[run.info.run_name] = run
            self._points[run_id] = {
                (point.key, point.step, _stored(point.value))
                for name in run.data.metrics
                for point in self.client.get_metric_history(run_id, name)
            }
            self.client.update_run(run_id, "RUNNING")
        return found

    def _begin(
        self, run: Mapping[str, Any], start_ms: int, parent: str | None, there: Run | None
    ) -> str:
        """Creates a run, or adds what an interrupted attempt did not write; MLflow's id."""
        tags = {name: str(value) for name, value in run["tags"].items()}
        own = {
            "mlflow.note.content": run["note"],
            FINGERPRINT_TAG: run["fingerprint"],
            RECORDING_TAG: run.get("recording"),  # children have none
            PARENT_TAG: parent,
        }
        tags |= {name: value for name, value in own.items() if value}
        there = there or self.client.create_run(
            self.experiment, start_time=start_ms, tags=tags, run_name=run["name"]
        )
        run_id: str = there.info.run_id
        params = [
            Param(name, str(value))
            for name, value in run["params"].items()
            if name not in there.data.params
        ]
        changed = [RunTag(*tag) for tag in tags.items() if there.data.tags.get(tag[0]) != tag[1]]
        self.client.log_batch(run_id, params=params, tags=changed)
        if run["dataset"] and not (there.inputs and there.inputs.dataset_inputs):
            log_datasets(self.client, run_id, [_dataset_input(run["dataset"])])
        return run_id

    def metrics(
        self, key: int, child: str | None, values: Mapping[str, float], step: int, time_ms: int
    ) -> None:
        """Adds one point to each of some metrics."""
        run_id = self._ids[key][child]
        known = self._points.get(run_id, set())
        of_model = {} if child else self._models.get(run_id, {})
        points = [
            Metric(name, value, time_ms, step, **of_model)
            for name, value in values.items()
            if (name, step, _stored(value)) not in known
        ]
        self.client.log_batch(run_id, points)

    def tags(self, key: int, child: str | None, values: Mapping[str, str]) -> None:
        """Sets tags."""
        tags = [RunTag(name, value) for name, value in values.items()]
        self.client.log_batch(self._ids[key][child], tags=tags)

    def artifact(self, key: int, path: str, folder: str) -> None:
        """Copies a file or a folder into the run's artifacts."""
        run_id, given = self._ids[key][None], Path(path)
        self.client.log_artifact(run_id, path, folder or None)
        below = dict(artifacts_in(given, given.name)) if given.is_dir() else [given.name]
        self._note_files(run_id, (Path(folder, name).as_posix() for name in below))

    def _note_files(self, run_id: str, added: Iterable[str]) -> None:
        """Notes the names of a run's files, as many as a tag holds, with the run itself."""
        there = self.client.get_run(run_id).data.tags.get(FILES_TAG, "").splitlines()
        names = dict.fromkeys([*there, *added])
        while len(tag := "\n".join(names)) > MAX_TAG:
            names.popitem()
        self.client.set_tag(run_id, FILES_TAG, tag)

    def model(self, key: int, build: str, name: str = "model") -> str:
        """Logs a network as a model that MLflow loads; its id.

        Metrics that come afterwards are the model's as well.
        """
        import mlflow
        from mlflow.models import Model

        run_id = self._ids[key][None]
        run = self.client.get_run(run_id)
        model_id = registry.model_of(run)
        if not model_id:  # otherwise an interrupted script came that far
            mlflow.set_tracking_uri(self.uri)
            with mlflow.start_run(run_id=run_id):
                model_id = Model.log(
                    None,
                    _Pyfunc,
                    name=name,
                    flavor_name="pyfunc.ModelFromCode",
                    validate_serving_input=False,
                    params={**registry.commit(run), **run.data.params},
                    **served_model(Path(build)),
                ).model_id
            registry.describe(self.client, run, model_id)
            if folder := path_of(self.client.get_logged_model(model_id).artifact_location):
                self._note_files(run_id, dict(artifacts_in(folder, MODEL)))
        self._models[run_id] = registry.of_dataset(run, model_id)
        return model_id

    def chosen(self, key: int, build: str, name: str, card: str, results: str) -> None:
        """Registers the chosen model: that of the run that trained it, if it is here.

        A network that is a program is so only in `build`, so it is logged anew.
        """
        described = json.loads(Path(build, "model.json").read_text(encoding="utf-8"))
        query = f"tags.{RESULTS_TAG} = '{results}'"
        trained = (run for run in pages(self.client, self.experiment, query) if results)
        found = next((run for run in trained if registry.model_of(run)), None)
        if found and described["form"] == "layers":
            model_id, run = registry.model_of(found), found
        else:
            model_id = self.model(key, build, name)
            run = self.client.get_run(self._ids[key][None])
        registry.register(self.client, EXPERIMENT, run, model_id, card, results)

    def champion(self, key: int, results: str) -> None:
        """Gives the alias to the registered model of these results; to none where it is not here.

        The run says which version it is.
        """
        version = registry.version_of(self.client, EXPERIMENT, results)
        registry.crown(self.client, EXPERIMENT, version)
        shown = version.version if version else "none: it was chosen elsewhere"
        self.client.set_tag(self._ids[key][None], "registered_version", str(shown))

    def show(self, key: int, model: str, root: str) -> None:
        """Adds pictures, a page and the model itself to the run of a model that `root` trained.

        Raises:
            LabError: a file of the model or of the data is missing or damaged, or of another run.
        """
        from lab.tracking import showing

        run_id = self._ids[key][None]
        results = self.client.get_run(run_id).data.tags.get(RESULTS_TAG)
        with tempfile.TemporaryDirectory() as scratch:
            folder, build = Path(scratch, "show"), Path(scratch, "model")
            showing.write_model(model, Path(root), build)
            showing.show(model, Path(root), folder)
            if results != sha256(Path(root, tracked(model)[0]).read_bytes()):
                raise LabError(f"{model} was trained again before its pictures were drawn")
            self.model(key, str(build), model)
            self.client.log_artifacts(run_id, str(folder))
            self._note_files(run_id, dict(artifacts_in(folder)))
        # Results that were there before were judged before: DVC does not compare them again.
        for run in pages(self.client, self.experiment, f"tags.{RESULTS_TAG} = '{results}'"):
            if verdict := run.data.tags.get(VERDICT_TAG):
                self.client.set_tag(run_id, VERDICT_TAG, verdict)
                break

    def judged(self, key: int, verdicts: Mapping[str, str]) -> None:
        """Tags the runs that trained what was compared, by the SHA-256 of their results."""
        for results, verdict in verdicts.items():
            for run in pages(self.client, self.experiment, f"tags.{RESULTS_TAG} = '{results}'"):
                self.client.set_tag(run.info.run_id, VERDICT_TAG, verdict)

    def end(self, key: int, status: str, end_ms: int) -> None:
        """Ends a run and its children."""
        for run_id in reversed(self._ids[key].values()):
            self.client.set_terminated(run_id, status, end_ms)

    def ids(self, key: int) -> list[str]:
        """MLflow's ids of a run and its children, in this order."""
        return list(self._ids[key].values())


class _Pyfunc:
    """What `mlflow.pyfunc.log_model` does, without predicting the input example.

    MLflow would load the model for that, and a script's end would wait seconds for torch.
    """

    @staticmethod
    def save_model(*, validate_serving_input: bool, **arguments: Any) -> None:
        """As `mlflow.pyfunc.save_model`."""
        import mlflow

        mlflow.pyfunc.save_model(**arguments)


def served_model(build: Path) -> dict[str, Any]:
    """Arguments of `mlflow.pyfunc.save_model` and `log_model` for a folder like `models/best`."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    files = {"model": "model.json", "weights": "weights.safetensors", "program": "network.pt2"}
    described = json.loads((build / "model.json").read_text(encoding="utf-8"))
    inputs = TensorSpec(np.dtype(described["dtype"]), (-1, *described["shape"]))
    return {
        "python_model": str(Path(loader.__file__)),
        "artifacts": {
            # As addresses: of a path MLflow takes %20 for a space.
            key: (build / name).resolve().as_uri()
            for key, name in files.items()
            if (build / name).is_file()
        },
        "signature": ModelSignature(
            Schema([inputs]), Schema([TensorSpec(np.dtype(np.int64), (-1,))])
        ),
        "input_example": np.load(build / "example.npy", allow_pickle=False),
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
        with replacing(file) as temporary:
            # Relative: what stands in a path, %20 for example, may mean something in an address.
            uri = f"sqlite:///{os.path.relpath(temporary)}"
            MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    with contextlib.closing(sqlite3.connect(file, timeout=LOCKED_SECONDS)) as database:
        database.execute("PRAGMA schema_version")


def _stored(value: float) -> str:
    """A value as the database gives it back; as text, NaN equals NaN.

    >>> _stored(float("-inf"))
    '-1.7976931348623157e+308'
    """
    return repr(max(-LARGEST, min(value, LARGEST)) if math.isinf(value) else float(value))


def _dataset_input(dataset: Mapping[str, str]) -> DatasetInput:
    source = json.dumps({"sha256": dataset["digest"]})
    entity = Dataset(dataset["name"], dataset["digest"][:MAX_DIGEST], "local", source)
    return DatasetInput(entity, [InputTag("mlflow.data.context", dataset["context"])])
