"""Sends runs: `Live` those of a script while it goes on, `send_queue` all that are unsent."""

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlflow import MlflowClient

from lab.base.errors import LabError
from lab.tracking.destination import (
    DeniedError,
    RejectedError,
    ServerError,
    UnreachableError,
    host_of,
)
from lab.tracking.mirror import Tree
from lab.tracking.recording import LATE_PATIENCE
from lab.tracking.sent import SentRuns, claimed_tree, end_abandoned, unsent
from lab.tracking.server import Server

# At once: enough for a server 200 ms away; at 32 MLflow on SQLite stops answering for 20 s.
RUNS, TREES = 16, 8
LIVE_SECONDS = 2.0  # between two looks at a run that goes on, at least, and
LIVE_SHARE = 0.05  # of the time spent looking, at most: each look reads all points of the run
LAST_SECONDS = 0.2  # between two attempts while the script waits for its end
ATTEMPTS = 3  # of one tree, before it stays unsent
BACKGROUND = 19  # niceness on Linux: what training leaves over


class Live:
    """Sends the runs of this process while they go on, and what is unsent beside them."""

    def __init__(self, store: MlflowClient, url: str) -> None:
        self._store = store
        self._url = url
        self._environment = dict(os.environ)  # MLflow changes it when a model is recorded
        self._sent = SentRuns(url)
        self._server: Server | None = None
        self._sizes: dict[str, int] = {}  # own trees: root id, number of runs
        self._trees: dict[str, Tree] = {}
        self._unsent: dict[str, int] = {}  # by earlier scripts
        self._problem = ""
        self._is_ending = False
        self._wake = threading.Event()
        self._done = threading.Event()
        self._may_send_others = threading.Event()
        self._pool = ThreadPoolExecutor(RUNS, initializer=stand_back)
        threading.Thread(target=self._work, daemon=True).start()

    def add(self, root: str, size: int) -> None:
        """Takes a tree of this process, which its caller has claimed."""
        self._sizes[root] = size
        self._wake.set()

    def send_others(self) -> None:
        """From now on sends earlier runs as well.

        Not at once: what the script is about to continue must not be under way to a server.
        """
        self._may_send_others.set()

    def finish(self, patience: float) -> dict[str, Any]:
        """Waits until the trees, which have ended by now, are sent.

        Returns:
            `links` to those that are, and a `line` when runs stay unsent.
        """
        self._is_ending = True
        self._wake.set()
        self._done.wait(patience)
        complete = [tree for tree in list(self._trees.values()) if tree.is_complete]
        left = sum(self._sizes.values()) - sum(self._sizes[tree.root] for tree in complete)
        # An own tree is among the unsent if it was begun while they were listed.
        left += sum(size for root, size in list(self._unsent.items()) if root not in self._sizes)
        line = left_line(left, host_of(self._url), self._problem) if left else ""
        return {"links": [tree.link for tree in complete], "line": line}

    def links(self) -> list[str]:
        """To the runs that the server knows of, while the rest of them is on its way."""
        return [tree.link for tree in list(self._trees.values()) if tree.is_placed]

    def _work(self) -> None:
        stand_back()
        try:
            own = set(self._sizes)
            self._unsent = unsent(self._store, self._sent)
            self._unsent = {root: size for root, size in self._unsent.items() if root not in own}
            began = time.monotonic()
            while not self._look():
                pause = max(LIVE_SECONDS, (time.monotonic() - began) / LIVE_SHARE)
                self._wake.wait(LAST_SECONDS if self._is_ending else pause)
                self._wake.clear()
                began = time.monotonic()
        except (LabError, DeniedError) as error:
            self._problem = str(error)
        except Exception as error:  # a bug here, or the local store's trouble: never training's
            self._problem = f"mirror: {type(error).__name__}"
        finally:
            self._done.set()

    def _look(self) -> bool:
        """Sends what is new in the own trees; whether that was the last of it."""
        is_last = self._is_ending
        try:
            server = self._connect()
            for root in list(self._sizes):
                tree = self._trees.setdefault(root, Tree(root, self._store, server, self._sent))
                tree.send(self._pool)
            self._problem = ""
        except (UnreachableError, RejectedError) as error:
            self._problem = str(error)
            return False
        return is_last

    def _connect(self) -> Server:
        if not self._server:
            self._server = Server(self._url, self._environment)
            threading.Thread(target=self._send_unsent, args=(self._server,), daemon=True).start()
        return self._server

    def _send_unsent(self, server: Server) -> None:
        """Sends what earlier runs left, until the own runs come to their end."""
        stand_back()
        self._may_send_others.wait()
        with contextlib.suppress(Exception), ThreadPoolExecutor(2, initializer=stand_back) as pool:
            for root in list(self._unsent):
                if self._is_ending:
                    return
                with contextlib.suppress(RejectedError):
                    send = functools.partial(Tree.send, pool=pool)
                    send_unclaimed(root, self._store, server, self._sent, send)
                    del self._unsent[root]  # also when another process sends it, and will say so


def send_unclaimed(
    root: str, store: MlflowClient, server: Server, sent: SentRuns, send: Callable[[Tree], object]
) -> bool:
    """Sends a tree unless another process records or sends it; whether it did.

    Raises:
        ServerError: the first failure.
    """
    with claimed_tree(store, root) as is_mine:
        if is_mine:
            end_abandoned(store, root)
            send(Tree(root, store, server, sent))
        return is_mine


def send_queue(
    queue: dict[str, int],
    store: MlflowClient,
    server: Server,
    sent: SentRuns,
    on_sent: Callable[[], object] = lambda: None,
    attempts: int = ATTEMPTS,
) -> str:
    """Sends the trees with these roots, several at once, until the server gives up.

    Returns:
        Why some stay unsent; nothing when none does.
    """
    stop = threading.Event()
    until = time.monotonic() + LATE_PATIENCE
    problems: list[str] = []

    def send(tree: Tree) -> None:
        for attempt in range(attempts):
            try:
                return tree.send(runs, on_sent)
            except UnreachableError:
                if attempt + 1 == attempts or stop.wait(0.5 * 2**attempt):
                    raise
        return None

    def send_root(root: str) -> None:
        try:
            while not stop.is_set() and not send_unclaimed(root, store, server, sent, send):
                if time.monotonic() > until or store.get_run(root).info.status == "RUNNING":
                    return problems.append("another process records or sends some of them")
                time.sleep(LAST_SECONDS)
        except ServerError as error:
            problems.append(str(error))
            if not isinstance(error, RejectedError):
                stop.set()
        return None

    with ThreadPoolExecutor(RUNS) as runs, ThreadPoolExecutor(TREES) as trees:
        try:
            list(trees.map(send_root, queue))
        except BaseException:
            stop.set()
            raise
    return problems[-1] if problems else ""


def left_line(left: int, host: str, problem: str) -> str:
    """What is reported when runs stay unsent.

    >>> left_line(3, "localhost:5000", "")
    '3 runs still to send to localhost:5000: run `make sync` (the next run sends them too)'
    """
    runs = f"{left} run{'s' * (left != 1)} still to send"
    where = f"{problem}; {runs}" if problem else f"{runs} to {host}"
    return f"{where}: run `make sync` (the next run sends them too)"


def stand_back() -> None:
    """Leaves the processor to training; Linux knows a niceness of each thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND)
