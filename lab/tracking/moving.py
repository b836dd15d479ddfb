"""Lets the local store follow its folder: MLflow writes down where files are with the whole path.

After a move the old path is gone, or somebody else's; after a copy it is the original's. So whoever
opens the store first lets all addresses below the old place name the same files in this one.
"""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock

from lab.base.files import write_bytes
from lab.base.home import home
from lab.tracking.destination import EXPERIMENT
from lab.tracking.sent import ARTIFACTS, forget_doubtful

LOCKED_SECONDS = 30.0  # to wait while another process creates the store or holds it
DATABASE = Path("mlflow.db")
ADDRESSES = (  # tables of MLflow 3.17 and their columns; an older database has fewer
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
# MLflow gives the first experiment a folder below the store's own; ours is another witness, unless
# its folder has a name of its own: then a user chose it.
WITNESSES = """
    SELECT artifact_location FROM experiments
    WHERE experiment_id = 0 OR name = ? ORDER BY experiment_id
"""


def go_home() -> None:
    """Makes the project's home the working directory, with its store right for where it lies.

    Raises:
        sqlite3.Error: the database cannot be read or written.
    """
    os.chdir(home())
    with store_lock():
        follow_folder()


def store_lock() -> FileLock:
    """For who creates the store or sets it right: two processes must not do so at once."""
    ARTIFACTS.mkdir(exist_ok=True)
    return FileLock(ARTIFACTS / ".lock", timeout=LOCKED_SECONDS)


def follow_folder() -> None:
    """Sets right what `mlflow.db` says of places, if the working directory was moved or copied.

    For who holds the lock of the store.

    Raises:
        sqlite3.Error: the database cannot be read or written.
    """
    here = ARTIFACTS.resolve()
    if DATABASE.resolve().parent != Path.cwd() or not DATABASE.exists():
        return  # a database elsewhere, that others may use as well
    with contextlib.closing(sqlite3.connect(DATABASE, timeout=LOCKED_SECONDS)) as database:
        there = _place(database)
        if there is None or there == here:
            return
        runs = set()
        with database:
            for table, column, row, old in list(_addresses(database, there)):
                new = here / old.relative_to(there)
                if table in ("runs", "logged_models"):
                    _fetch(old, new)
                if table == "runs" and new.is_dir():
                    runs.add(new.parent.name)  # its id
                statement = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"  # noqa: S608
                database.execute(statement, (new.as_uri(), row))
    for model in here.glob("**/MLmodel"):
        content = model.read_bytes()
        moved = content.replace(f"{there.as_uri()}/".encode(), f"{here.as_uri()}/".encode())
        if moved != content:
            write_bytes(model, moved)
    forget_doubtful(runs)


def path_of(address: str) -> Path | None:
    """The folder that an address of the local store means; None when it lies on a server."""
    if address.startswith("file:"):
        return Path(url2pathname(urlsplit(address).path))
    return Path(address) if Path(address).is_absolute() else None


def _place(database: sqlite3.Connection) -> Path | None:
    """Where `mlruns` was when the store was last set right, or made."""
    try:
        locations = [path_of(text or "") for (text,) in database.execute(WITNESSES, (EXPERIMENT,))]
    except sqlite3.OperationalError:  # no such table: MLflow has yet to make them
        return None
    first, own = ([*locations, None, None])[:2]
    if first and first.name == "0":
        return first.parent
    return next((each for each in (first, own) if each and each.name == ARTIFACTS.name), None)


def _addresses(database: sqlite3.Connection, there: Path) -> Iterator[tuple[str, str, int, Path]]:
    """Table, column, row and path of all that is below the old place."""
    for table, column in ADDRESSES:
        columns = {name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")}
        if column in columns:
            for row, text in database.execute(f"SELECT rowid, {column} FROM {table}"):  # noqa: S608
                path = path_of(text or "")
                if path and path.is_relative_to(there):
                    yield table, column, row, path


def _fetch(old: Path, new: Path) -> None:
    """Copies what was recorded after a move, but written to the old place, which is left alone."""
    if old.is_dir() and not new.exists():
        with contextlib.suppress(OSError):  # it may be somebody else's by now; `make sync` says so
            shutil.copytree(old, new)
