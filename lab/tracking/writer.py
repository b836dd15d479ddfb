"""The process that writes runs to MLflow; `lab.tracking.recording` starts it and talks to it.

Its arguments are the script's process id, the name of its journal, and whether it leaves the
processor to the script. A line on stdin says that something was added to the journal. Reports leave
on stdout, one JSON object a line. When stdin ends before a recording did, its script was killed,
and the run is marked as failed.
"""

import contextlib
import gc
import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lab.base.errors import LabError, shortened
from lab.base.script import is_debugging
from lab.tracking import journal
from lab.tracking.destination import LOCAL_STORE, server_url
from lab.tracking.recording import (
    INCOMPLETE,
    LATE_PATIENCE,
    MIRROR_PATIENCE,
    NOT_RECORDED,
    STORE_PATIENCE,
)
from lab.tracking.sent import claimed, claimed_tree, forget, recording_of

CLAIM_PATIENCE = 5.0  # seconds that a killed script's writer is given to end its runs
NICENESS = 5  # of a process that goes on when its script is over, and gets no other then
_REPORTS = 1  # file descriptor


class Writer:
    """Does what the messages of a journal say: writes the local store, informs the mirror.

    Of a script that is over, or of one that goes on: then `script` is its process id.
    """

    def __init__(
        self, file: Path, say: Callable[[str], None], script: int = 0, url: str = ""
    ) -> None:
        from lab.tracking.sender import Live
        from lab.tracking.store import Store

        self.store = Store(LOCAL_STORE)
        self.live = Live(self.store.client, url) if url else None
        self._file = file
        self._say = say
        self._script = script
        self._open: set[int] = set()
        self._claims = contextlib.ExitStack()

    def run(self, messages: Iterable[list[Any]]) -> None:
        """Writes what arrives until the last message, and forgets the journal.

        Raises:
            Exception: whatever MLflow raises when the store cannot be written.
        """
        with self._claims:
            try:
                for kind, key, *rest in messages:
                    self._handle(kind, key, *rest)
            finally:
                for key in list(self._open):
                    with contextlib.suppress(Exception):  # the first one says more
                        self._handle("end", key, "FAILED", time.time_ns() // 1_000_000)
                if not self._open:
                    self._file.unlink(missing_ok=True)
            if self._script:
                report(recorded=True, mirrored=bool(self.live))
            if self.live:
                found = self.live.finish(MIRROR_PATIENCE - 0.1)
                report(**self.live.finish(LATE_PATIENCE) if self._is_script_gone() else found)

    def _handle(self, kind: str, key: int, *rest: Any) -> None:
        if self.live and kind in ("show", "end"):
            report(there=self.live.links())
        if kind == "begin":
            return self._begin(key, *rest)
        if kind == "end" and rest[0] == "FINISHED" and self._is_script_killed():
            # While it waited for this process: its stage did not finish, and the next attempt
            # shall continue the run, not add another.
            rest = ("FAILED", *rest[1:])
        if kind == "judged" and self._script:  # of the runs that are judged some may be on the way
            write_others(self._say, self._file, STORE_PATIENCE / 2)
        try:
            getattr(self.store, kind)(key, *rest)
        except Exception as error:  # of a file, of a task's data, of a picture of them
            if kind != "show":
                raise
            text = str(error) if isinstance(error, LabError) else type(error).__name__
            self._say(f"{text}; the run has not all its pictures")
        if self.live:
            self.live.send_others()
        if kind == "end":
            self._open.remove(key)
        return None

    def _is_script_gone(self) -> bool:
        return sys.platform != "win32" and os.getppid() != self._script

    def _is_script_killed(self) -> bool:
        return self._is_script_gone() and not journal.is_left(self._file)

    def _begin(self, key: int, run: dict[str, Any], start_ms: int) -> None:
        self._open.add(key)
        root = self._claim(run)
        self.store.begin(key, run, start_ms, root)
        ids = self.store.ids(key)
        if run["children"] and self._script:  # whose end is still to come
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
    with contextlib.suppress(Exception):
        importlib.import_module("lab.tracking.sender").stand_back()
        for name in ("mlflow.pyfunc", "git"):  # MLflow wants both to record a model
            importlib.import_module(name)
        importlib.import_module("lab.tracking.showing").warm_up()
    gc.freeze()  # what all these modules hold; to look through it takes longer than to record


def write_others(say: Callable[[str], None], own: Path | None, patience: float) -> None:
    """Writes what scripts left that were killed together with their writers.

    Waits for the writers of scripts that have ended well.
    """
    until = time.monotonic() + patience
    is_waiting = True
    while is_waiting:
        is_waiting = False
        for file in set(journal.place("").parent.glob("*.jsonl")) - {own}:
            with claimed(file.stem, file.parent) as is_mine:
                if is_mine and file.exists():
                    _write_left(file, say)
                is_waiting |= not is_mine and journal.is_left(file)
        if is_waiting := is_waiting and time.monotonic() < until:
            time.sleep(0.1)


def _write_left(file: Path, say: Callable[[str], None]) -> None:
    try:
        with file.open(encoding="utf-8") as text:
            Writer(file, say).run(journal.added(text))
    except Exception as error:
        say(INCOMPLETE.format(_reason(error)).replace("this", "an earlier"))


class Script:
    """The script, as the process that writes sees it."""

    def __init__(self) -> None:
        self._news = threading.Event()
        self._has_spoken = False
        self._is_gone = False

    def listen(self) -> None:
        """Notes that something was written down, until the script has closed the pipe."""
        while os.read(0, 1 << 16):
            self._has_spoken = True
            self._news.set()
        self._is_gone = True
        _weigh(0)
        self._news.set()

    def has_news(self) -> bool:
        """Waits for the first thing that it says; whether there was any."""
        self._news.wait()
        return self._has_spoken

    def messages(self, file: Path) -> Iterator[list[Any]]:
        """What it says, as it says it."""
        file.touch()
        with file.open(encoding="utf-8") as text:
            is_last = False
            while not is_last:
                self._news.wait()
                self._news.clear()
                is_last = self._is_gone
                yield from journal.added(text)


def _import_store() -> None:
    with contextlib.suppress(Exception):  # of which whoever needs it hears
        importlib.import_module("lab.tracking.store")


def report(**values: Any) -> None:
    """Reports something to the script."""
    with contextlib.suppress(OSError):
        os.write(_REPORTS, json.dumps(values).encode() + b"\n")


def _say(notice: str) -> None:
    report(notice=notice)


def _server_url() -> str:
    """Where to mirror runs; nowhere when the variables that say it are wrong."""
    try:
        return server_url()
    except LabError as error:
        _say(str(error))
        return ""


def _reason(error: Exception) -> str:
    if is_debugging():
        traceback.print_exception(error)
    text = shortened(str(error), 200) or type(error).__name__
    if "out-of-date database schema" in text:  # so MLflow says of a newer one, too
        text = (
            "mlflow.db has the tables of another version of MLflow; of an older one: "
            f"`mlflow db upgrade {LOCAL_STORE}`; of a newer one: install that version, "
            "or move mlflow.db away"
        )
    return f"MLflow's local store: {text}"


def _weigh(niceness: int) -> None:
    """Says how much of the processor this session takes beside others, on Linux.

    There the niceness of a process may count only within its session: `sched(7)`, autogroup.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")


def main() -> None:
    """Serves one script."""
    process, name, *stands_back = sys.argv[1:]
    if stands_back:
        _weigh(19)
        with contextlib.suppress(OSError, AttributeError):  # no such thing on Windows
            os.nice(NICENESS)
    outcome = NOT_RECORDED
    try:
        file, script = journal.place(name), Script()
        threading.Thread(target=script.listen, daemon=True).start()
        threading.Thread(target=_import_store, daemon=True).start()
        if script.has_news():  # one that ends before it records leaves nothing behind
            with claimed(name, file.parent) as is_claimed:
                if is_claimed:  # else another script's process took this script for killed
                    report(claimed=True)
                    write_others(_say, file, 0.0)
                    writer = Writer(file, _say, int(process), _server_url())
                    outcome = INCOMPLETE
                    writer.run(script.messages(file))
    except Exception as error:
        report(line=outcome.format(_reason(error)))
    os._exit(0)  # requests under way must not hold up the script


if __name__ == "__main__":
    # Reports have stdout for themselves; whatever else prints there goes to stderr.
    _REPORTS = os.dup(1)
    os.dup2(2, 1)
    main()
