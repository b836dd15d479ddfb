"""Files that are whole or absent: written beside their place, then renamed into it."""

import contextlib
import glob
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lab.base.errors import DataError
from lab.base.git import GitError, git, git_entries, is_in_git
from lab.base.script import stop_if_interrupted

if sys.platform != "win32":
    import fcntl


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder that becomes `path` when the block succeeds.

    A reader sees the old file or the new one, never a part; a failure leaves the old one.
    The bytes are on disk before the rename, so a power cut cannot leave an empty file.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    with naming(path), replacing_all([path]) as (temporary,):
        yield temporary


@contextlib.contextmanager
def replacing_all(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """As `replacing`, of files that belong together: none is renamed before all are on disk.

    Raises:
        OSError: as for `replacing`; it may name a temporary file, see `naming`.
    """
    with contextlib.ExitStack() as until:
        temporaries = [until.enter_context(_reserved(path)) for path in paths]
        yield temporaries
        for temporary in temporaries:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
        stop_if_interrupted()
        for path, temporary in zip(paths, temporaries, strict=True):
            temporary.replace(path)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets errors name `path` instead of a temporary file, which is gone by then."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename2 = None
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def _reserved(path: Path) -> Iterator[Path]:
    """A locked temporary file beside `path`, gone at the end; what killed processes left goes too.

    DVC hashes whole folders: a file left there would change the hash for ever.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        _remove_unless_locked(left)
    descriptor, name = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent
    )
    os.close(descriptor)
    temporary = Path(name)
    try:
        with _locked(temporary):
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Marks a file as in use; the operating system takes the mark away when the process dies."""
    if sys.platform == "win32":  # cannot rename what is open
        yield
        return
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)  # before it was locked, another process took it for a leftover
    try:
        yield
    finally:
        os.close(descriptor)


def _remove_unless_locked(path: Path) -> None:
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):  # it is in use, or gone
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)


def read_bytes(path: Path, limit: int) -> bytes:
    """The bytes of a file that may be anything: a device, a pipe, larger than memory.

    Raises:
        DataError: it is no plain file, or has more than `limit` bytes.
        OSError: it is missing or cannot be read.
    """
    if stat.S_ISDIR(mode := path.stat().st_mode) or stat.S_ISREG(mode):
        with path.open("rb") as file:
            content = file.read(limit + 1)
        if len(content) <= limit:
            return content
        raise DataError(f"{path}: must have at most {limit:,} bytes; got more; remove it")
    raise DataError(f"{path}: must be a plain file; got something else; remove it")


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces `path` by `content`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8 with Unix line ends, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by `value` as JSON, a list of numbers on one line; NaN is refused."""
    text = json.dumps(value, indent=2, allow_nan=False)
    text = re.sub(r"\[[-+\d.,e\s]+\]", lambda numbers: " ".join(numbers[0].split()), text)
    write_text(path, text.replace("[ ", "[").replace(" ]", "]") + "\n")


def put_back(*paths: Path) -> None:
    """Brings back what git tracks of these files, where they are gone; other files stay.

    DVC removes a stage's outputs before it runs. A stage that fails shall leave the previous
    results, not gaps. Where git cannot give them, that is said, and the stage runs all the same.
    """
    missing = [path.as_posix() for path in paths if not path.exists()]
    try:
        if missing and (tracked := git_entries(Path(), "ls-files", "-z", "--", *missing)):
            git(Path(), "checkout-index", "--quiet", "--", *tracked)
    except GitError as error:
        if is_in_git(Path()):
            back = f"if this stage fails, `git checkout {missing[0]}` brings that file back"
            print(f"{error}; {back}", file=sys.stderr, flush=True)


def sha256(content: bytes | memoryview) -> str:
    """Hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def _umask() -> int:
    """The process's umask, which `mkstemp` ignores; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
