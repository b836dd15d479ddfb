"""Which local runs a server has, and who may send the others.

The local store is the queue: a run is unsent until this folder's `SentRuns` say that the server
has it. So runs from before a server was configured are unsent too, and nothing is queued twice.
"""

import collections
import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lab.base import mlflow_ui
from lab.base.errors import LabError
from lab.base.home import home
from lab.tracking.destination import EXPERIMENT, server_url

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACTS = Path("mlruns")
FOLDER = ARTIFACTS / ".mirror"
FILE = "ledger.db"
PARENT_TAG = "mlflow.parentRunId"
RESULTS_TAG = "results_sha256"  # of a model's run, by which its comparison finds it
RECORDING_TAG = "recording"  # tells a run from all others before MLflow has given it an id
FILES_TAG = "files"  # the names of a run's artifacts, a line each: whether one is gone can be seen
MODEL = "model"  # the folder of a run's model on a server, whatever its name is in the local list
CHECKS_FILES = 1  # version of a ledger that holds no run whose files were not there to be sent


def artifacts_in(folder: Path, above: str = "") -> Iterator[tuple[str, Path]]:
    """The files of a folder, and their names as a run's, which may have another folder above."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield Path(above, path.relative_to(folder)).as_posix(), path


class SentRuns:
    """The runs that one server has, on disk; safe to use from several threads and processes."""

    def __init__(self, url: str, folder: Path = FOLDER) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._url = "?".join(filter(None, [url, mlflow_ui.workspace_query()]))
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            folder / FILE, timeout=30, check_same_thread=False, isolation_level=None
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS sent (url TEXT, local_id TEXT, server_id TEXT,"
            " PRIMARY KEY (url, local_id)) WITHOUT ROWID"
        )
        self._database.execute(f"PRAGMA user_version = {CHECKS_FILES}")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS experiment (url TEXT PRIMARY KEY, id TEXT) WITHOUT ROWID"
        )

    def server_id(self, local_id: str) -> str | None:
        """The run's id on the server, None while it is unsent."""
        query = "SELECT server_id FROM sent WHERE url = ? AND local_id = ?"
        with self._lock:
            row = self._database.execute(query, (self._url, local_id)).fetchone()
        return row[0] if row else None

    def add(self, local_id: str, server_id: str) -> None:
        """Notes that the server has all of a run."""
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO sent VALUES (?, ?, ?)", (self._url, local_id, server_id)
            )

    def note_experiment(self, experiment: str) -> None:
        """Remembers the server's id of the experiment, for links to its runs."""
        with self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO experiment VALUES (?, ?)", (self._url, experiment)
            )

    def experiment(self) -> str:
        """The server's id of the experiment; empty before anything was sent."""
        query = "SELECT id FROM experiment WHERE url = ?"
        with self._lock:
            row = self._database.execute(query, (self._url,)).fetchone()
        return row[0] if row else ""


def runs_of_commit(commit: str) -> str:
    """The address of a commit's runs on the configured server; empty where none was sent to one."""
    folder = home() / FOLDER
    if not (folder / FILE).exists():
        return ""
    try:
        server = server_url()
    except LabError:
        return ""
    experiment = SentRuns(server, folder).experiment() if server else ""
    return mlflow_ui.commit_page(server, experiment, commit) if experiment else ""


def forget(local_ids: Iterable[str], folder: Path = FOLDER) -> None:
    """Notes that no server has all of these runs any more: they go on."""
    if (folder / FILE).exists():
        with contextlib.closing(sqlite3.connect(folder / FILE, timeout=30)) as database:
            rows = [(local_id,) for local_id in local_ids]
            database.executemany("DELETE FROM sent WHERE local_id = ?", rows)
            database.commit()


def forget_doubtful(local_ids: Iterable[str], folder: Path = FOLDER) -> None:
    """The same, after a move, unless it is certain that files were looked for at the right place.

    A server to which a run is sent again keeps each point and file once.
    """
    if (folder / FILE).exists():
        with contextlib.closing(sqlite3.connect(folder / FILE, timeout=30)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
        if version < CHECKS_FILES:
            forget(local_ids, folder)


def unsent(store: "MlflowClient", sent: SentRuns) -> dict[str, int]:
    """The trees that the server lacks in part or whole, oldest first: root id, runs to send."""
    from lab.tracking.server import pages

    parents: dict[str, str] = {}
    missing: list[str] = []
    if experiment := store.get_experiment_by_name(EXPERIMENT):
        for run in pages(store, experiment.experiment_id):
            parents[run.info.run_id] = run.data.tags.get(PARENT_TAG, "")
            if not sent.server_id(run.info.run_id):
                missing.append(run.info.run_id)
    # Newest first is how MLflow lists them. A child whose parent was deleted stands alone.
    roots = [parents[run] if parents[run] in parents else run for run in reversed(missing)]
    return dict(collections.Counter(roots))


@contextlib.contextmanager
def claimed(recording: str, folder: Path = FOLDER) -> Iterator[bool]:
    """Whether this process alone may write or send the runs of a recording, until the block ends.

    A recording has its name before its run exists, so no other process finds the run unclaimed.
    The operating system gives a claim up when its process dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{recording}.lock")
    with contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()


@contextlib.contextmanager
def claimed_tree(store: "MlflowClient", root: str, folder: Path = FOLDER) -> Iterator[bool]:
    """The same for a tree that is in the store."""
    recording = recording_of(store, root)
    with claimed(recording, folder) as is_claimed:
        # Another process may have continued the run in between, under another name.
        yield is_claimed and recording_of(store, root) == recording


def recording_of(store: "MlflowClient", root: str) -> str:
    """The name of the recording that wrote a tree last; old ones have none but their id."""
    return store.get_run(root).data.tags.get(RECORDING_TAG) or root


def end_abandoned(store: "MlflowClient", root: str) -> None:
    """Ends a claimed tree that is still said to be running: its process is gone."""
    from lab.tracking.server import pages

    run = store.get_run(root)
    query = f"tags.`{PARENT_TAG}` = '{root}'"
    for each in (*pages(store, run.info.experiment_id, query), run):
        if each.info.status == "RUNNING":
            store.set_terminated(each.info.run_id, "FAILED")
