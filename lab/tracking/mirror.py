"""Copies a tree of local runs to a server: each run once, each metric point once.

A *tree* is a parent run and its children. A run on the server carries the local run's id as a
tag, so whoever sends a tree again finds what an interrupted attempt left there, reads back which
points arrived, and adds the rest. Two senders must not send one tree at once; see
`lab.tracking.outbox`.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from lab.tracking.recording import EXPERIMENT
from lab.tracking.server import Server, UnreachableError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN_TAG = "local_run_id"
TREE_TAG = "local_tree_id"
PARENT_TAG = "mlflow.parentRunId"
MAX_ENTRIES = 1_000  # metrics, params and tags in one request; this and the next are MLflow's
MAX_TAGS = 100  # tags in one request, and params
Point = tuple[str, int, int, str]  # metric, step, time in ms, value as Python writes it


class Ledger(Protocol):
    """Remembers which local runs the server has."""

    def server_id(self, local_id: str) -> str | None:
        """The run's id on the server, None while it is unsent."""

    def add(self, local_id: str, server_id: str) -> None:
        """Notes that the server has all of a run."""


@dataclasses.dataclass
class _Copy:
    """What the server is known to have of one run."""

    server_id: str = ""
    artifact_uri: str = ""
    points: collections.Counter[Point] = dataclasses.field(default_factory=collections.Counter)
    params: dict[str, str] = dataclasses.field(default_factory=dict)
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    files: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)  # size, time
    has_dataset: bool = False
    has_unknown_points: bool = False  # a request with points got no answer, or another sender ran
    is_complete: bool = False


class Tree:
    """A parent run and its children on their way to a server."""

    def __init__(self, root: str, store: "MlflowClient", there: Server, ledger: Ledger):
        self.root = root
        self._store = store
        self._server = there
        self._ledger = ledger
        self._copies: dict[str, _Copy] = {}
        self._experiment = ""
        self._must_search = True
        self._may_be_twice = False  # an unanswered request may have made a second copy

    @property
    def is_complete(self) -> bool:
        """Whether the server has everything, to the last status."""
        return bool(self._copies) and all(copy.is_complete for copy in self._copies.values())

    @property
    def link(self) -> str:
        """Address of the parent's page."""
        where, copy = self._server.where, self._copies[self.root]
        return f"{where.url}/#/experiments/{self._experiment}/runs/{copy.server_id}"

    def send(self, pool: ThreadPoolExecutor, on_sent: Callable[[], object] = lambda: None) -> None:
        """Sends what the server lacks of the tree as it stands now.

        Raises:
            ServerError: the first failure; calling again goes on where it stopped.
        """
        self._experiment = self._server.experiment(EXPERIMENT)
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

    def _local_runs(self) -> list["Run"]:
        """The parent, then its children."""
        root = self._store.get_run(self.root)
        query = f"tags.`{PARENT_TAG}` = '{self.root}'"
        children = list(pages(self._store, [root.info.experiment_id], query))
        for run in (root, *children):
            if run.info.run_id not in self._copies:
                sent = self._ledger.server_id(run.info.run_id)
                self._copies[run.info.run_id] = _Copy(sent or "", is_complete=bool(sent))
        return [root, *children]

    def _search(self) -> None:
        """Finds what earlier attempts left on the server; of two copies one is kept."""
        found = collections.defaultdict(list)
        for run in self._server.runs_tagged(self._experiment, TREE_TAG, self.root):
            tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
            found[tags.get(RUN_TAG, "")].append(run["info"])
        for local_id, copy in self._copies.items():
            infos = sorted(found[local_id], key=lambda info: str(info["run_id"]))
            if infos and not copy.server_id:
                copy.server_id, copy.artifact_uri = infos[0]["run_id"], infos[0]["artifact_uri"]
                copy.has_unknown_points = True
            for info in infos:
                if info["run_id"] != copy.server_id:
                    self._server.delete_run(info["run_id"])
        self._must_search = False

    def _place(self, run: "Run") -> _Copy:
        """The run's copy on the server, created if need be."""
        copy = self._copies[run.info.run_id]
        if not copy.server_id:
            tags = self._tags(run)
            try:
                info = self._server.create_run(
                    self._experiment, run.info.run_name, run.info.start_time, tags
                )
            except UnreachableError:
                self._must_search = self._may_be_twice = True
                raise
            copy.server_id, copy.artifact_uri = info["run_id"], info["artifact_uri"]
            copy.tags = tags
        return copy

    def _send_run(self, run: "Run", on_sent: Callable[[], object]) -> None:
        """A child, from nothing to its end."""
        if self._copies[run.info.run_id].is_complete:
            return
        self._place(run)
        self._send_data(run)
        for upload in self._uploads(run):
            upload()
        self._end(run, on_sent)

    def _send_data(self, run: "Run") -> None:
        copy = self._copies[run.info.run_id]
        if copy.is_complete:
            return
        here = collections.Counter(_points(self._store, run))
        if copy.has_unknown_points:
            copy.points = collections.Counter(self._points_there(copy, run))
            copy.has_unknown_points = False
        params, tags = _news(run.data.params, copy.params), _news(self._tags(run), copy.tags)
        for some_points, some_params, some_tags in _batches(here - copy.points, params, tags):
            copy.has_unknown_points = True  # until it is known that they arrived
            self._server.log_batch(copy.server_id, _metrics(some_points), some_params, some_tags)
            copy.has_unknown_points = False
            copy.points.update(some_points)
            copy.params.update(some_params)
            copy.tags.update(some_tags)
        if not copy.has_dataset and (datasets := _datasets(run)):
            self._server.log_inputs(copy.server_id, datasets)
            copy.has_dataset = True

    def _points_there(self, copy: _Copy, run: "Run") -> Iterator[Point]:
        for name in run.data.metrics:
            for point in self._server.metric_history(copy.server_id, name):
                yield _point(**point)

    def _tags(self, run: "Run") -> dict[str, str]:
        """The run's tags with the server's id of its parent, and where it came from."""
        tags = {**run.data.tags, RUN_TAG: run.info.run_id, TREE_TAG: self.root}
        if run.info.run_id != self.root:
            tags[PARENT_TAG] = self._copies[self.root].server_id
        else:
            tags.pop(PARENT_TAG, None)
        return tags

    def _uploads(self, run: "Run") -> list[Callable[[], None]]:
        """One task for each file the server lacks."""
        copy = self._copies[run.info.run_id]
        if copy.is_complete:
            return []
        files = dict(_files(_folder(run.info.artifact_uri)))
        for output in run.outputs.model_outputs if run.outputs else ():
            model = self._store.get_logged_model(output.model_id)
            files |= _files(_folder(model.artifact_location), model.name)
        return [
            functools.partial(self._upload, copy, name, path)
            for name, path in files.items()
            if copy.files.get(name) != _version(path)
        ]

    def _upload(self, copy: _Copy, name: str, path: Path) -> None:
        sent = _version(path)  # first: it may change while it is read
        content = _relabelled(path, copy.server_id) if path.name == "MLmodel" else path
        self._server.upload(copy.artifact_uri, name, content)
        copy.files[name] = sent

    def _end(self, run: "Run", on_sent: Callable[[], object]) -> None:
        copy = self._copies[run.info.run_id]
        if copy.is_complete or run.info.status == "RUNNING":
            return
        self._server.end_run(copy.server_id, run.info.status, run.info.end_time)
        self._ledger.add(run.info.run_id, copy.server_id)
        copy.is_complete = True
        on_sent()


def _all_of(pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], None]]) -> None:
    """Does all tasks even if some fail, then raises the first failure."""
    futures = [pool.submit(task) for task in tasks]
    failures = [error for future in futures if (error := future.exception())]
    if failures:
        raise failures[0]


def pages(store: "MlflowClient", experiments: list[str], query: str = "") -> Iterator["Run"]:
    """Runs that fit a query, newest first, a page of them in memory at a time."""
    token = None
    while True:
        page = store.search_runs(experiments, query, max_results=500, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _points(store: "MlflowClient", run: "Run") -> Iterator[Point]:
    for name in run.data.metrics:
        for metric in store.get_metric_history(run.info.run_id, name):
            yield _point(metric.key, metric.value, metric.timestamp, metric.step)


def _point(key: str, value: float, timestamp: int, step: int) -> Point:
    return key, step, timestamp, repr(float(value))  # as text, NaN equals NaN


def _metrics(points: Iterable[Point]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": float(value), "timestamp": timestamp, "step": step}
        for key, step, timestamp, value in points
    ]


def _news(here: dict[str, str], there: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in here.items() if there.get(key) != value}


def _batches(
    points: collections.Counter[Point], params: dict[str, str], tags: dict[str, str]
) -> Iterator[tuple[list[Point], dict[str, str], dict[str, str]]]:
    """Portions that fit into one request each."""
    rest = sorted(points.elements())
    params_left, tags_left = list(params.items()), list(tags.items())
    size = MAX_ENTRIES - 2 * MAX_TAGS
    while rest or params_left or tags_left:
        yield rest[:size], dict(params_left[:MAX_TAGS]), dict(tags_left[:MAX_TAGS])
        rest = rest[size:]
        params_left, tags_left = params_left[MAX_TAGS:], tags_left[MAX_TAGS:]


def _datasets(run: "Run") -> list[dict[str, Any]]:
    return [
        {
            "tags": [{"key": tag.key, "value": tag.value} for tag in entry.tags],
            "dataset": {
                "name": entry.dataset.name,
                "digest": entry.dataset.digest,
                "source_type": entry.dataset.source_type,
                "source": entry.dataset.source,
            },
        }
        for entry in (run.inputs.dataset_inputs if run.inputs else ())
    ]


def _folder(uri: str) -> Path:
    """Where the local store keeps artifacts; its addresses are file: ones or plain paths."""
    return Path(url2pathname(unquote(urlsplit(uri).path)) if uri.startswith("file:") else uri)


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield "/".join(filter(None, [prefix, path.relative_to(folder).as_posix()])), path


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _relabelled(file: Path, server_id: str) -> bytes:
    """A model's description without this machine's ids and paths."""
    from mlflow.models import Model

    model = Model.load(str(file))
    model.run_id, model.model_id, model.artifact_path = server_id, None, file.parent.name
    text: str = model.to_yaml()
    return text.encode()
