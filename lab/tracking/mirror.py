"""Copies a tree of local runs to a server: each run once, each metric point once.

A *tree* is a parent run and its children. A run on the server carries the local run's id as a
tag, so whoever sends a tree again finds what an interrupted attempt left there, reads back which
points arrived, and adds the rest. Two senders must not send one tree at once; see
`lab.tracking.sent.claimed_tree`.
"""

import collections
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from lab.base import mlflow_ui
from lab.base.errors import shortened
from lab.tracking.destination import (
    RejectedError,
    ServerError,
    UnreachableError,
    host_of,
)
from lab.tracking.moving import path_of
from lab.tracking.sent import FILES_TAG, MODEL, PARENT_TAG, SentRuns, artifacts_in
from lab.tracking.server import Server, pages

RUN_TAG = "local_run_id"
TREE_TAG = "local_tree_id"
TimedPoint = tuple[str, int, int, str]  # metric, step, time in ms, value as Python writes it


@dataclasses.dataclass
class _Copy:
    """What the server is known to have of one run."""

    server_id: str = ""
    artifact_uri: str = ""
    points: collections.Counter[TimedPoint] = dataclasses.field(default_factory=collections.Counter)
    params: dict[str, str] = dataclasses.field(default_factory=dict)
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    files: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)  # size, time
    has_dataset: bool = False
    has_unknown_points: bool = False  # a request with points got no answer, or another sender ran
    is_complete: bool = False


class Tree:
    """A parent run and its children on their way to a server."""

    def __init__(self, root: str, store: MlflowClient, server: Server, sent: SentRuns) -> None:
        self.root = root
        self._store = store
        self._server = server
        self._there = server.client
        self._sent = sent
        self._copies: dict[str, _Copy] = {}
        self._must_search = True
        self._may_be_twice = False  # an unanswered request may have made a second copy

    @property
    def is_complete(self) -> bool:
        """Whether the server has everything, to the last status."""
        return bool(self._copies) and all(copy.is_complete for copy in self._copies.values())

    @property
    def is_placed(self) -> bool:
        """Whether the server has the parent, if not yet all of it."""
        return self.root in self._copies and bool(self._copies[self.root].server_id)

    @property
    def link(self) -> str:
        """Address of the parent's page."""
        copy = self._copies[self.root]
        return mlflow_ui.run_page(self._server.url, self._server.experiment(), copy.server_id)

    def send(self, pool: ThreadPoolExecutor, on_sent: Callable[[], object] = lambda: None) -> None:
        """Sends what the server lacks of the tree as it stands now.

        Raises:
            ServerError: the first failure; calling again goes on where it stopped.
        """
        self._sent.note_experiment(self._server.experiment())
        root, *children = self._local_runs()
        if self._must_search:
            self._search()
        self._place(root)
        sending = [functools.partial(self._send_run, run, on_sent) for run in children]
        _all_of(pool, [functools.partial(self._send_data, root), *self._uploads(root), *sending])
        if self._may_be_twice:
            self._search()
            self._may_be_twice = False
        self._end(root, on_sent)

    def _local_runs(self) -> list[Run]:
        """The parent, then its children."""
        root = self._store.get_run(self.root)
        query = f"tags.`{PARENT_TAG}` = '{self.root}'"
        children = list(pages(self._store, root.info.experiment_id, query))
        for run in (root, *children):
            if run.info.run_id not in self._copies:
                server_id = self._sent.server_id(run.info.run_id)
                self._copies[run.info.run_id] = _Copy(server_id or "", is_complete=bool(server_id))
        return [root, *children]

    def _search(self) -> None:
        """Finds what earlier attempts left on the server; of two copies one is kept."""
        found = collections.defaultdict(list)
        query = f"tags.{TREE_TAG} = '{self.root}'"
        for run in self._server.ask(list, pages(self._there, self._server.experiment(), query)):
            found[run.data.tags.get(RUN_TAG, "")].append(run.info)
        for local_id, copy in self._copies.items():
            infos = sorted(found[local_id], key=lambda info: info.run_id)
            if infos and not copy.server_id:
                copy.server_id, copy.artifact_uri = infos[0].run_id, infos[0].artifact_uri
                copy.has_unknown_points = True
            for info in infos:
                if info.run_id != copy.server_id:
                    self._server.ask(self._there.delete_run, info.run_id)
        self._must_search = False

    def _place(self, run: Run) -> None:
        """Creates the run's copy on the server if need be."""
        copy = self._copies[run.info.run_id]
        if copy.server_id:
            return
        tags = self._tags(run)
        create = functools.partial(self._there.create_run, self._server.experiment())
        try:
            info = self._server.ask(create, run.info.start_time, tags, run.info.run_name).info
        except UnreachableError:
            self._must_search = self._may_be_twice = True
            raise
        copy.server_id, copy.artifact_uri, copy.tags = info.run_id, info.artifact_uri, tags

    def _send_run(self, run: Run, on_sent: Callable[[], object]) -> None:
        """A child, from nothing to its end."""
        if self._copies[run.info.run_id].is_complete:
            return
        self._place(run)
        self._send_data(run)
        for upload in self._uploads(run):
            upload()
        self._end(run, on_sent)

    def _send_data(self, run: Run) -> None:
        copy = self._copies[run.info.run_id]
        if copy.is_complete:
            return
        if copy.has_unknown_points:
            copy.points = collections.Counter(
                self._server.ask(list, _points(self._there, copy.server_id, run.data.metrics))
            )
        points = _points(self._store, run.info.run_id, run.data.metrics)
        new_points = collections.Counter(points) - copy.points
        new_params = _changes(run.data.params, copy.params)
        new_tags = _changes(self._tags(run), copy.tags)
        copy.has_unknown_points = True  # until it is known that they arrived
        self._server.ask(
            self._there.log_batch,
            copy.server_id,
            [Metric(key, float(value), ms, step) for key, step, ms, value in new_points.elements()],
            [Param(*param) for param in new_params.items()],
            [RunTag(*tag) for tag in new_tags.items()],
        )
        copy.has_unknown_points = False
        copy.points += new_points
        copy.params |= new_params
        copy.tags |= new_tags
        if not copy.has_dataset and run.inputs and run.inputs.dataset_inputs:
            self._server.log_datasets(copy.server_id, run.inputs.dataset_inputs)
            copy.has_dataset = True

    def _tags(self, run: Run) -> dict[str, str]:
        """The run's tags with the server's id of its parent, and where it came from."""
        tags = {**run.data.tags, RUN_TAG: run.info.run_id, TREE_TAG: self.root}
        if run.info.run_id != self.root:
            tags[PARENT_TAG] = self._copies[self.root].server_id
        else:
            tags.pop(PARENT_TAG, None)
        return tags

    def _uploads(self, run: Run) -> list[Callable[[], None]]:
        """One task for each file the server lacks."""
        copy = self._copies[run.info.run_id]
        if copy.is_complete:
            return []
        return [
            functools.partial(self._upload, copy, name, path)
            for name, path in self._local_files(run).items()
            if path.is_file() and copy.files.get(name) != _version(path)
        ]

    def _local_files(self, run: Run) -> dict[str, Path]:
        """By their names on the server: what is there, and what was recorded but may be gone."""
        recorded = run.data.tags.get(FILES_TAG, "").splitlines()
        files: dict[str, Path] = {}
        if folder := path_of(run.info.artifact_uri):  # else a user lets the store keep them afar
            files = {**{name: folder / name for name in recorded}, **dict(artifacts_in(folder))}
        for output in run.outputs.model_outputs if run.outputs else ():
            model = self._store.get_logged_model(output.model_id)
            if folder := path_of(model.artifact_location):
                top = f"{MODEL}/"
                names = [f"{top}MLmodel", *(name for name in recorded if name.startswith(top))]
                files |= {name: folder / name.removeprefix(top) for name in names}
                files |= artifacts_in(folder, MODEL)
        return files

    def _upload(self, copy: _Copy, name: str, path: Path) -> None:
        version = _version(path)  # first: it may change while it is read
        with tempfile.TemporaryDirectory() as scratch:
            if path.name == "MLmodel":
                path = _relabelled(path, name, copy.server_id, Path(scratch))
            try:
                self._artifacts(copy, "log_artifact", str(path), name.rpartition("/")[0] or None)
            except RejectedError as error:
                raise RejectedError(f"{name}: {error}") from None
        copy.files[name] = version

    def _check_files(self, copy: _Copy) -> None:
        """Looks whether the uploads arrived: whatever answers 200 is no error to MLflow's client.

        Raises:
            UnreachableError: a file is missing.
        """
        folders = {name.rpartition("/")[0] for name in copy.files}
        listed = [self._artifacts(copy, "list_artifacts", folder or None) for folder in folders]
        there = {file.path: file.file_size for files in listed for file in files}
        for name, (size, _) in list(copy.files.items()):
            if there.get(name) != size and not (name.endswith("MLmodel") and name in there):
                del copy.files[name]
                raise UnreachableError(f"{host_of(self._server.url)} did not keep {name}")

    def _artifacts(self, copy: _Copy, method: str, *arguments: Any) -> Any:
        """Asks the place where the server keeps files: behind itself, in S3, in a shared folder."""
        host, place = host_of(self._server.url), copy.artifact_uri
        folder = path_of(place)
        try:
            if folder:
                _require_shared(folder, self._server.url)
            there = get_artifact_repository(place, tracking_uri=self._server.url)
            return self._server.ask(getattr(there, method), *arguments)
        except ServerError:
            raise
        except Exception as error:  # of any of the libraries for such places
            reason = shortened(f"{type(error).__name__}: {error}", 120)
            where = f"the folder {folder}" if folder else urlsplit(place).scheme
            advice = "; start the server with --serve-artifacts" if folder else ""
            raise RejectedError(
                f"{host} keeps files in {where}, which this machine cannot use ({reason}){advice}"
            ) from None

    def _end(self, run: Run, on_sent: Callable[[], object]) -> None:
        copy = self._copies[run.info.run_id]
        if copy.is_complete or run.info.status == "RUNNING":
            return
        for path in self._local_files(run).values():
            if not path.is_file():
                raise RejectedError(
                    f"{run.info.run_name}: {_shown(path)} is missing; "
                    "put it back, or delete the run in `make ui`"
                )
        self._check_files(copy)
        end = functools.partial(self._there.set_terminated, copy.server_id)
        self._server.ask(end, run.info.status, run.info.end_time)
        self._sent.add(run.info.run_id, copy.server_id)
        copy.is_complete = True
        on_sent()


def _all_of(pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], None]]) -> None:
    """Does all tasks even if some fail, then raises the first failure."""
    futures = [pool.submit(task) for task in tasks]
    failures = [error for future in futures if (error := future.exception())]
    if failures:
        raise failures[0]


def _points(client: MlflowClient, run_id: str, names: Iterable[str]) -> Iterator[TimedPoint]:
    for name in names:
        for metric in client.get_metric_history(run_id, name):
            # As text, NaN equals NaN.
            yield name, metric.step, metric.timestamp, repr(float(metric.value))


def _changes(here: dict[str, str], there: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in here.items() if there.get(key) != value}


def _shown(path: Path) -> Path:
    """As a reader of the message finds it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _require_shared(folder: Path, url: str) -> None:
    """MLflow's client would make a folder of the server's machine anew on this one.

    Raises:
        FileNotFoundError: the folder of all experiments is not here.
    """
    is_here = (urlsplit(url).hostname or "").startswith(("localhost", "127.", "::1"))
    root = folder.parents[2]  # <root>/<experiment>/<run>/artifacts
    if not is_here and not root.is_dir():
        raise FileNotFoundError(f"no {root} here")


def _relabelled(file: Path, name: str, server_id: str, folder: Path) -> Path:
    """A model's description without this machine's ids and paths."""
    from mlflow.models import Model

    model = Model.load(str(file))
    model.run_id, model.model_id, model.artifact_path = server_id, None, name.rpartition("/")[0]
    for flavor in model.flavors.values():
        if "model_code_path" in flavor:  # MLflow looks for its name beside this file
            flavor["model_code_path"] = Path(flavor["model_code_path"]).name
        for artifact in (flavor.get("artifacts") or {}).values():
            artifact["uri"] = artifact["path"]
    (folder / file.name).write_text(model.to_yaml(), encoding="utf-8")
    return folder / file.name
