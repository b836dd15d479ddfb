"""DVC's locks after a kill: what no running process holds is taken away, and the rest has a reason.

`.dvc/tmp/rwlock` names, for each path, the number and the command line of the process that works
there. Of a process that was killed DVC asks only whether there is one of that number. In a
container numbers start anew, so there soon is one, of something else, and DVC is busy for ever.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from lab.base.dvc import LOCKED, DVCError, opened
from lab.base.script import STAGE_LOCK, run_script

if sys.platform != "win32":
    import fcntl

RWLOCK = ".dvc/tmp/rwlock"
LOCKS = (".dvc/tmp/lock", ".dvc/tmp/rwlock.lock")
WRITING_SECONDS = 0.5  # that a DVC which runs just now may take to write it
CLOCK_SECONDS = 2.0  # by which the start of a process is known
KINDS = ("write", "read")  # one process of a path, or a list of them


def repair(root: Path = Path()) -> None:
    """Removes what killed DVCs left in the lock file.

    A file that is no such file is what one left that was killed while it wrote; DVC refuses to run
    with it. One that somebody is writing just now stays, and so does all that a running DVC, or
    one that cannot be told from it, holds.
    """
    _remove_usual_locks(root)
    file = root / RWLOCK
    if damaged := _damaged(file):
        time.sleep(WRITING_SECONDS)
        if _damaged(file) == damaged:
            file.unlink(missing_ok=True)
    if _without_the_dead(file, root) is None:
        return
    with contextlib.suppress(DVCError), _nobody_works(root):
        if kept := _without_the_dead(file, root):
            file.write_text(json.dumps(kept), encoding="utf-8")


def require_free(root: Path = Path()) -> None:
    """Stops what takes an hour and then records it in DVC, where DVC could not be run.

    Only a lock of `core.hardlink_lock` is looked for, which is a file: any other ends with its
    process.

    Raises:
        DVCError: there is such a lock.
    """
    for file in _lock_files(root):
        raise DVCError(f"{file.relative_to(root)}: DVC's lock is held; {LOCKED}")


def _lock_files(root: Path) -> list[Path]:
    """Files whose presence locks DVC; none without `core.hardlink_lock`."""
    from dvc.dirs import global_config_dir, system_config_dir

    found = [root / name for name in LOCKS if (root / name).exists()]
    folders = [root / ".dvc", Path(global_config_dir()), Path(system_config_dir())]
    configs = [folder / name for folder in folders for name in ("config", "config.local")]
    if not found or not any(b"hardlink_lock" in _content(config) for config in configs):
        return []  # without DVC's own reading of them, which takes half a second
    with opened(root) as repo:
        return found if repo.config["core"].get("hardlink_lock") else []


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _remove_usual_locks(root: Path) -> None:
    """Removes files that are locks of the usual kind, and that nobody has locked.

    They stay behind, empty or with a number, and once `core.hardlink_lock` is set DVC takes them
    for locks of that kind, for ever. Those name another file.
    """
    for file in _lock_files(root) if sys.platform != "win32" else ():
        with contextlib.suppress(OSError), file.open("rb") as lock:  # it is in use, or gone
            if not lock.read().strip().endswith(b".lock"):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink()


def _damaged(file: Path) -> tuple[int, bytes] | None:
    """When it was written, and what, if DVC cannot read it."""
    try:
        content = file.read_bytes()
        _holders(json.loads(content))
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return file.stat().st_mtime_ns, content
    return None


def _holders(lock: Any) -> list[tuple[int, str]]:
    """Number and command line of all that the file names."""
    return [
        (int(holder["pid"]), str(holder["cmd"]))
        for kind in KINDS
        for of_path in lock.get(kind, {}).values()
        for holder in (of_path if kind == "read" else [of_path])
    ]


def _without_the_dead(file: Path, root: Path) -> dict[str, Any] | None:
    """The file's content without those that cannot be running; None where all can."""
    try:
        lock, written = json.loads(file.read_bytes()), file.stat().st_mtime
    except (OSError, ValueError):
        return None
    dead = {each for each in _holders(lock) if not may_hold(*each, written, root)}
    if not dead:
        return None
    kept: dict[str, Any] = {"write": {}, "read": {}}
    for path, holder in lock.get("write", {}).items():
        if (holder["pid"], holder["cmd"]) not in dead:
            kept["write"][path] = holder
    for path, holders in lock.get("read", {}).items():
        if alive := [each for each in holders if (each["pid"], each["cmd"]) not in dead]:
            kept["read"][path] = alive
    return kept


def may_hold(number: int, command: str, written: float, root: Path) -> bool:
    """Whether the process of this number can be the one that wrote itself into the lock file.

    It cannot where it runs another command, or began after the file was last written and works in
    another folder. (Either could be by chance: clocks are set, and DVC is also run from elsewhere.)
    One that is gone can: DVC itself forgets it.

    Args:
        number: of the process.
        command: `sys.argv` of the one that wrote itself in, with spaces between.
        written: when the file was last written, in seconds since 1970.
        root: the project's root.
    """
    try:
        process = psutil.Process(number)
        if process.status() == psutil.STATUS_ZOMBIE or not is_command(command, process.cmdline()):
            return False
        if process.create_time() <= written + CLOCK_SECONDS:
            return True
        return Path(process.cwd()).is_relative_to(root.resolve())
    except psutil.Error:  # gone, or another user's
        return True


def is_command(arguments: str, words: list[str]) -> bool:
    """Whether a command line can be that of a Python program with these `sys.argv`.

    >>> is_command("/bin/dvc repro", ["/bin/python", "/bin/dvc", "repro"])
    True
    >>> is_command("/lib/dvc/__main__.py repro", ["python", "-m", "dvc", "repro"])
    True
    >>> is_command("/bin/dvc repro", ["sh", "-c", "/bin/dvc repro && dvc push"])
    False
    """
    joined = " ".join(words)
    if not words or arguments == joined or "multiprocessing" in joined:
        return True  # unreadable; a program of its own; one that has its parent's arguments
    if "python" not in Path(words[0]).name.lower():
        return False
    if joined.endswith(f" {arguments}"):
        return "-c" not in joined[: -len(arguments)].split()
    if arguments.startswith("-c") and "-c" in words:
        return True
    if "-m" not in words:
        return False
    module, *rest = words[words.index("-m") + 1 :]
    is_named = module.replace(".", "/") in arguments.replace("\\", "/")
    return is_named and arguments.endswith("".join(f" {word}" for word in rest))


@contextlib.contextmanager
def _nobody_works(root: Path) -> Iterator[None]:
    """Holds DVC's own lock of the project while the block runs.

    Raises:
        DVCError: a DVC holds it, or a stage runs meanwhile, perhaps in another container.
    """
    from dvc.lock import LockError

    with contextlib.ExitStack() as until, opened(root) as repo:
        try:
            until.enter_context(repo.lock)
            if sys.platform != "win32":
                stage = until.enter_context((root / STAGE_LOCK).open("a", encoding="utf-8"))
                fcntl.flock(stage, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (LockError, OSError) as error:
            raise DVCError(f"DVC is at work: {error}") from None
        yield


if __name__ == "__main__":
    run_script(repair)
