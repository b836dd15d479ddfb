"""The process that writes runs to MLflow; `lab.tracking.recording` starts it and talks to it.

Its argument is the script's process id. Messages arrive on stdin, one JSON list a line: number,
kind, key of the recording, the rest. Reports leave on stdout, one JSON object a line. When stdin
ends before a recording did, its script was killed, and the run is marked as failed.
"""

import contextlib
import gc
import importlib
import itertools
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from lab.base.errors import LabError, shortened
from lab.base.script import is_debugging
from lab.tracking.destination import local_store, server_url
from lab.tracking.moving import DATABASE
from lab.tracking.recording import INCOMPLETE, MIRROR_PATIENCE, NOT_RECORDED
from lab.tracking.sender import Live, stand_back
from lab.tracking.sent import claimed, claimed_tree, forget, recording_of
from lab.tracking.store import Store

CLAIM_PATIENCE = 5.0  # seconds that a killed script's writer is given to end its runs
_REPORTS = 1  # file descriptor

Inbox = queue.SimpleQueue[list[Any] | None]


class Writer:
    """Does what the messages say: writes the local store, informs the mirror."""

    def __init__(self, url: str, script: int) -> None:
        self.store = Store(local_store())
        self.live = Live(self.store.client, url) if url else None
        self._open: set[int] = set()
        self._script = script
        self._claims = contextlib.ExitStack()

    def run(self, messages: Iterable[list[Any]]) -> None:
        """Writes what arrives until the last message.

        Raises:
            Exception: whatever MLflow raises when the store cannot be written.
        """
        with self._claims:
            try:
                self._write(messages)
            except Exception:
                for key in self._open:
                    with contextlib.suppress(Exception):  # the first one says more
                        self.store.end(key, "FAILED", time.time_ns() // 1_000_000)
                raise
            report(recorded=True, mirrored=bool(self.live))
            if self.live:
                report(**self.live.finish(MIRROR_PATIENCE - 0.1))

    def _write(self, messages: Iterable[list[Any]]) -> None:
        self.store.end_abandoned()
        for number, *rest in messages:
            self._handle(*rest)
            report(written=number)
        for key in list(self._open):
            self._handle("end", key, "FAILED", time.time_ns() // 1_000_000)

    def _handle(self, kind: str, key: int, *rest: Any) -> None:
        if kind == "begin":
            return self._begin(key, *rest)
        if kind == "end" and rest[0] == "FINISHED" and self._is_script_gone():
            # Killed while it waited for this process: its stage did not finish, and the next
            # attempt shall continue the run, not add another.
            rest = ("FAILED", *rest[1:])
        try:
            getattr(self.store, kind)(key, *rest)
        except Exception as error:  # of a file, of a task's data, of a picture of them
            if kind != "show":
                raise
            text = str(error) if isinstance(error, LabError) else type(error).__name__
            report(notice=f"{text}; the run has not all its pictures")
        if self.live:
            self.live.send_others()
        if kind == "end":
            self._open.remove(key)
        return None

    def _is_script_gone(self) -> bool:
        return sys.platform != "win32" and os.getppid() != self._script

    def _begin(self, key: int, run: dict[str, Any], start_ms: int) -> None:
        root = self._claim(run)
        self.store.begin(key, run, start_ms, root)
        ids = self.store.ids(key)
        self._open.add(key)
        if run["children"]:
            threading.Thread(target=_warm_up, daemon=True).start()
        if root:
            forget(ids)
        if self.live:
            self.live.add(ids[0], len(ids))

    def _claim(self, run: dict[str, Any]) -> str | None:
        """A run to continue, if there is one that no other process is writing or sending."""
        own = run["recording"]
        while not self._claims.enter_context(claimed(own)):  # by a sender of what is left of it
            time.sleep(0.1)
        deadline = time.monotonic() + CLAIM_PATIENCE
        while roots := self.store.to_continue(run):
            for root in roots:
                if recording_of(self.store.client, root) == own:
                    return root
                if self._claims.enter_context(claimed_tree(self.store.client, root)):
                    return root
            if time.monotonic() > deadline:
                return None
            time.sleep(0.1)
        return None


def _warm_up() -> None:
    """Imports, while the script trains, what its end would have to wait for."""
    stand_back()
    with contextlib.suppress(Exception):
        for name in ("mlflow.pyfunc", "git"):  # MLflow wants both to record a model
            importlib.import_module(name)
        importlib.import_module("lab.tracking.showing").warm_up()
    gc.freeze()  # what all these modules hold; to look through it takes longer than to record


def _receive(source: BinaryIO, inbox: Inbox) -> None:
    for line in source:
        if not line.endswith(b"\n"):
            break  # the script was killed while it wrote
        inbox.put(json.loads(line))
    inbox.put(None)


def _until_none(inbox: Inbox) -> Iterator[list[Any]]:
    while (message := inbox.get()) is not None:
        yield message


def report(**values: Any) -> None:
    """Reports something to the script."""
    with contextlib.suppress(OSError):
        os.write(_REPORTS, json.dumps(values).encode() + b"\n")


def _server_url() -> str:
    """Where to mirror runs; nowhere when the variables that say it are wrong."""
    try:
        return server_url()
    except LabError as error:
        report(notice=str(error))
        return ""


def main() -> None:
    """Serves one script."""
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, inbox), daemon=True).start()
    outcome = NOT_RECORDED
    messages = _until_none(inbox)
    if not DATABASE.exists():  # a script that ends before it records leaves no store behind
        first = list(itertools.islice(messages, 1))
        if not first:
            os._exit(0)
        messages = itertools.chain(first, messages)
    try:
        writer = Writer(_server_url(), int(sys.argv[1]))
        outcome = INCOMPLETE
        writer.run(messages)
    except Exception as error:
        if is_debugging():
            traceback.print_exc()
        text = shortened(str(error), 200) or type(error).__name__
        if "out-of-date database schema" in text:  # so MLflow says of a newer one, too
            text = (
                "mlflow.db has the tables of another version of MLflow; of an older one: "
                f"`mlflow db upgrade {local_store()}`; of a newer one: install that version, "
                "or move mlflow.db away"
            )
        report(line=outcome.format(f"MLflow's local store: {text}"))
    os._exit(0)  # requests under way must not hold up the script


if __name__ == "__main__":
    # Reports have stdout for themselves; whatever else prints there goes to stderr.
    _REPORTS = os.dup(1)
    os.dup2(2, 1)
    main()
