"""Which local runs a server still lacks, and who sends them when.

The local store is the queue: a run is unsent until this folder's ledger says that the server has
it. So runs from before a server was configured are in the queue too, and nothing is queued twice.
While a script trains, `Live` sends in the background; `sync` sends everything that is left.
"""

import collections
import contextlib
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from lab.base.errors import LabError
from lab.tracking.mirror import PARENT_TAG, Tree, pages
from lab.tracking.recording import ARTIFACTS, EXPERIMENT
from lab.tracking.server import (
    MAX_REQUESTS,
    DeniedError,
    RejectedError,
    Server,
    UnreachableError,
    destination,
    host_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = ARTIFACTS / ".mirror"
# Between two looks at a run that is going on. Each pause is twice as long as the one before, so
# that looking takes next to nothing of a long training.
LIVE_SECONDS = 2.0
MAX_LIVE_SECONDS = 60.0
LAST_SECONDS = 0.2  # between two attempts while the script waits for its end
ATTEMPTS = 3  # of one tree, before it stays in the queue
MAX_WAIT = 8.0  # seconds between attempts
TREES = 8  # in memory at once while a queue is sent
BACKGROUND = 19  # niceness on Linux: what training leaves over


class Ledger:
    """Which local runs a server has, on disk; safe to use from several threads and processes."""

    def __init__(self, url: str, folder: Path = FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
        self._url = url
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            folder / "ledger.db", timeout=30, check_same_thread=False, isolation_level=None
        )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS sent (url TEXT, local_id TEXT, server_id TEXT,"
            " PRIMARY KEY (url, local_id)) WITHOUT ROWID"
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


def forget(local_ids: Iterable[str], folder: Path = FOLDER) -> None:
    """Notes that no server has all of these runs any more: they go on."""
    if (folder / "ledger.db").exists():
        with contextlib.closing(sqlite3.connect(folder / "ledger.db", timeout=30)) as database:
            rows = [(local_id,) for local_id in local_ids]
            database.executemany("DELETE FROM sent WHERE local_id = ?", rows)
            database.commit()


def claiming(folder: Path = FOLDER) -> FileLock:
    """Held for as long as nobody else may claim a tree.

    Who creates a tree holds it until the tree is claimed: nobody can take it in between.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "claiming.lock", is_singleton=True, poll_interval=0.005)


@contextlib.contextmanager
def claimed(root: str, folder: Path = FOLDER) -> Iterator[bool]:
    """Whether this process may write or send a tree, until the block ends; others then may not.

    The operating system lets go of a claim when its process dies.
    """
    lock = FileLock(folder / f"{root}.lock")
    with claiming(folder), contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            (folder / f"{root}.lock").unlink(missing_ok=True)
            lock.release()


def unsent(store: "MlflowClient", ledger: Ledger) -> dict[str, int]:
    """The trees that the server lacks in part or whole, oldest first: root id, runs to send."""
    experiment = store.get_experiment_by_name(EXPERIMENT)
    parents: dict[str, str] = {}
    missing: list[str] = []
    for run in pages(store, [experiment.experiment_id] if experiment else []):
        parents[run.info.run_id] = run.data.tags.get(PARENT_TAG, "")
        if not ledger.server_id(run.info.run_id):
            missing.append(run.info.run_id)
    # Newest first is how MLflow lists them. A child whose parent was deleted stands alone.
    roots = [parents[run] if parents[run] in parents else run for run in reversed(missing)]
    return dict(collections.Counter(roots))


class Live:
    """Sends the runs of this process while they go on, and what is queued beside them."""

    def __init__(self, store: "MlflowClient", address: str):
        self._store = store
        self._host = host_of(address)
        self._environment = dict(os.environ)  # MLflow changes it when a model is recorded
        self._ledger = Ledger(address)
        self._server: Server | None = None
        self._sizes: dict[str, int] = {}  # own trees: root id, number of runs
        self._trees: dict[str, Tree] = {}
        self._queued: dict[str, int] = {}
        self._problem = ""
        self._is_last_look = False
        self._wake = threading.Event()
        self._done = threading.Event()
        self._may_drain = threading.Event()
        self._pool = ThreadPoolExecutor(MAX_REQUESTS, initializer=_stand_back)
        threading.Thread(target=self._work, daemon=True).start()

    def add(self, root: str, size: int) -> None:
        """Takes a tree of this process, which its caller has claimed."""
        self._sizes[root] = size
        self._wake.set()

    def drain(self) -> None:
        """From now on sends earlier runs as well.

        Not at once: what the script is about to continue must not be under way to a server.
        """
        self._may_drain.set()

    def finish(self, patience: float) -> dict[str, Any]:
        """Waits until the trees, which have ended by now, are sent.

        Returns:
            `links` to those that are, and a `line` when runs are left in the queue.
        """
        self._is_last_look = True
        self._wake.set()
        self._done.wait(patience)
        sent = [tree for tree in self._trees.values() if tree.is_complete]
        left = sum(self._sizes.values()) - sum(self._sizes[tree.root] for tree in sent)
        # The queue may list an own tree, begun while the queue was read.
        left += sum(size for root, size in list(self._queued.items()) if root not in self._sizes)
        line = left_line(left, self._host, self._problem) if left else ""
        return {"links": [tree.link for tree in sent], "line": line}

    def _work(self) -> None:
        _stand_back()
        try:
            own = set(self._sizes)
            queue = unsent(self._store, self._ledger)
            self._queued = {root: size for root, size in queue.items() if root not in own}
            pause = LIVE_SECONDS
            while not self._look():
                self._wake.wait(LAST_SECONDS if self._is_last_look else pause)
                self._wake.clear()
                pause = min(2 * pause, MAX_LIVE_SECONDS)
        except (LabError, DeniedError) as error:
            self._problem = str(error)
        except Exception as error:  # a bug here, or the local store's trouble: never training's
            self._problem = f"mirror: {type(error).__name__}"
        finally:
            self._done.set()

    def _look(self) -> bool:
        """Sends what is new in the own trees; whether that was the last of it."""
        is_last = self._is_last_look
        try:
            there = self._connect()
            for root in list(self._sizes):
                tree = self._trees.setdefault(root, Tree(root, self._store, there, self._ledger))
                tree.send(self._pool)
            self._problem = ""
        except (UnreachableError, RejectedError) as error:
            self._problem = str(error)
            return False
        return is_last

    def _connect(self) -> Server:
        if not self._server:
            self._server = Server(destination(self._environment))
            threading.Thread(target=self._drain, args=(self._server,), daemon=True).start()
        return self._server

    def _drain(self, there: Server) -> None:
        """Sends what earlier runs left, until the own runs come to their end."""
        self._may_drain.wait()
        with contextlib.suppress(Exception), ThreadPoolExecutor(2, initializer=_stand_back) as pool:
            _stand_back()
            for root in list(self._queued):
                if self._is_last_look:
                    return
                with contextlib.suppress(RejectedError), claimed(root) as is_mine:
                    if not is_mine:  # another process records or sends it, and will say so
                        del self._queued[root]
                        continue
                    bury(self._store, root)
                    Tree(root, self._store, there, self._ledger).send(pool)
                    del self._queued[root]


def left_line(left: int, host: str, problem: str) -> str:
    """What is said when runs stay in the queue.

    >>> left_line(3, "localhost:5000", "")
    '3 runs still to send to localhost:5000: run `make sync` (the next run sends them too)'
    """
    runs = f"{left} run{'s' * (left != 1)} still to send"
    where = f"{problem}; {runs}" if problem else f"{runs} to {host}"
    return f"{where}: run `make sync` (the next run sends them too)"


def bury(store: "MlflowClient", root: str) -> None:
    """Ends a claimed tree that is still said to be running: its process is gone."""
    query = f"tags.`{PARENT_TAG}` = '{root}'"
    run = store.get_run(root)
    for each in (*pages(store, [run.info.experiment_id], query), run):
        if each.info.status == "RUNNING":
            store.set_terminated(each.info.run_id, "FAILED")


def _stand_back() -> None:
    """Leaves the processor to training; Linux knows a niceness of each thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND)


class Sync:
    """Sends queued trees, several at once, until all are sent or the server gives up."""

    def __init__(
        self, store: "MlflowClient", there: Server, ledger: Ledger, on_sent: Callable[[], object]
    ):
        self._store = store
        self._server = there
        self._ledger = ledger
        self._on_sent = on_sent
        self._problem = ""
        self._stop = threading.Event()
        self._runs = ThreadPoolExecutor(MAX_REQUESTS)

    def send(self, queue: dict[str, int]) -> str:
        """Sends the trees with these roots.

        Returns:
            Why some stay in the queue; nothing when none does.
        """
        with self._runs, ThreadPoolExecutor(TREES) as trees:
            try:
                list(trees.map(self._send_tree, queue))
            except BaseException:
                self._stop.set()
                raise
        return self._problem

    def _send_tree(self, root: str) -> None:
        if self._stop.is_set():
            return
        with claimed(root) as is_mine:
            if not is_mine:
                self._problem = "another process records or sends some of them"
                return
            bury(self._store, root)
            tree = Tree(root, self._store, self._server, self._ledger)
            try:
                self._insist(tree)
            except RejectedError as error:
                self._problem = str(error)
            except (UnreachableError, DeniedError) as error:
                self._problem = str(error)
                self._stop.set()

    def _insist(self, tree: Tree) -> None:
        for attempt in range(ATTEMPTS):
            try:
                return tree.send(self._runs, self._on_sent)
            except UnreachableError as error:
                wait = min(MAX_WAIT, max(error.retry_after, 0.5 * 2**attempt))
                if attempt == ATTEMPTS - 1 or self._stop.wait(wait):
                    raise
        return None
