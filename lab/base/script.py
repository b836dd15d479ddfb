"""How a root script starts and ends: one line and an exit code for all that is not a bug.

A script calls `begin` before it imports anything that takes seconds, and `run_script` last.
Importing a module of `lab` touches neither signals nor hooks; what does is called.
"""

import atexit
import contextlib
import errno
import importlib.util
import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType

from lab.base.errors import LabError, shortened

EXIT_MISUSE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
PARENT_SECONDS = 0.2  # between two looks at whether DVC still runs
INTERRUPT_SECONDS = 5.0  # that an interrupted script is given to end by itself
STAGE_LOCK = ".dvc/tmp/stage"  # locked by the operating system while a stage runs
INTERRUPTED = "interrupted; nothing half-written was left behind"
_TORCHS_OUT_OF_MEMORY = ("allocate memory", "out of memory")
OUT_OF_MEMORY = "out of memory: lower train.seeds_per_stack or train.batch_size"
NOT_INSTALLED = (
    "the packages of requirements.txt are not installed for this Python; "
    "run `make repro`, or after it `source .venv/bin/activate`"
)

# Faults of the machine rather than of this code. A file that is missing is none of them: only who
# opens a user's file knows that it is the user's, and says so; elsewhere it is a bug.
_MACHINE_ERRNOS = {
    errno.ENOSPC: "free some space, then run again",
    errno.EDQUOT: "raise the quota or free some space, then run again",
    errno.EROFS: "make the folder writable, then run again",
    errno.EACCES: "make it accessible (check owner and mode), then run again",
    errno.EPERM: "make it accessible (check owner and mode), then run again",
    errno.EIO: "check the disk, then run again",
    errno.EFBIG: "raise the file size limit, then run again",
    errno.EMFILE: "raise the limit on open files (ulimit -n), then run again",
    errno.ENAMETOOLONG: "use a shorter path, then run again",
    errno.ELOOP: "fix the links that lead to each other, then run again",
    errno.EEXIST: "remove the file that stands where a folder belongs, then run again",
    errno.ENOTDIR: "remove the file that stands where a folder belongs, then run again",
    errno.EISDIR: "remove the folder that stands where a file belongs, then run again",
}

_is_interrupted = False
_stage_lock: io.TextIOWrapper | None = None  # open as long as the process lives


def begin() -> None:
    """Lets Ctrl-C be one line from here on, and checks that the packages are installed.

    Where the locale knows ASCII alone, and Python was told to heed it, the script starts again in
    Python's UTF-8 mode: libraries could not write down a project's path.
    """
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    _on_interrupt(_leave_at_once)
    if importlib.util.find_spec("pydantic") is None:
        _leave(NOT_INSTALLED, EXIT_MISUSE)


def run_script(main: Callable[[], None]) -> None:
    """Runs a script's `main` and turns every error that a user can fix into one line and exit 2.

    Anything else is a bug and keeps its traceback; `LAB_DEBUG=1` shows every traceback.
    """
    _on_interrupt(_interrupt)
    sys.unraisablehook = _report_unless_interrupt
    if "DVC_STAGE" in os.environ and sys.platform != "win32":
        _show_that_a_stage_runs(os.environ.get("DVC_ROOT", "."))
        threading.Thread(target=_end_with_dvc, daemon=True).start()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a report's signs are not in every encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
        atexit._run_exitfuncs()  # what libraries want done at the end
        sys.stdout.flush()
    except BaseException as error:
        if not (ending := _ending(error)):
            raise
        _leave(*ending)
    # Python would take half a second to put torch away, and who is killed in it counts as failed.
    _leave("", 0)


def _ending(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit code of what is not a bug."""
    if _is_interrupted or isinstance(error, KeyboardInterrupt):  # whatever became of it on its way
        return INTERRUPTED, EXIT_INTERRUPTED
    match error:
        case LabError():
            return " ".join(str(error).split()), EXIT_MISUSE
        case BrokenPipeError():
            return "", EXIT_MISUSE
        case MemoryError():
            return OUT_OF_MEMORY, EXIT_MISUSE
        case RuntimeError() if any(sign in str(error) for sign in _TORCHS_OUT_OF_MEMORY):
            return OUT_OF_MEMORY, EXIT_MISUSE
        case OSError() if error.errno in _MACHINE_ERRNOS:
            where = shortened(str(error.filename or "a file"))
            return f"{where}: {error.strerror}; {_MACHINE_ERRNOS[error.errno]}", EXIT_MISUSE
    return None


def is_debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("LAB_DEBUG", "") not in ("", "0")


def stop_if_interrupted() -> None:
    """Interrupts the script once more; called before a file takes its place.

    Libraries lose an interrupt, in a finalizer or in C that clears errors, and what they return is
    then no result.
    """
    if _is_interrupted:
        raise KeyboardInterrupt


def _on_interrupt(handler: Callable[[int, FrameType | None], None]) -> None:
    """Takes Ctrl-C unless it is ignored: under nohup, or after a shell's &."""
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _leave_at_once):
        signal.signal(signal.SIGINT, handler)


def _leave_at_once(_number: int, _frame: FrameType | None) -> None:
    """While modules are imported nothing has to be ended, and some turn exceptions into others."""
    _leave(INTERRUPTED, EXIT_INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    global _is_interrupted
    _is_interrupted = True
    raise KeyboardInterrupt


def _report_unless_interrupt(lost: "sys.UnraisableHookArgs") -> None:
    """Of an interrupt in a finalizer Python would print a traceback and go on."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)


def _show_that_a_stage_runs(root: str) -> None:
    """Takes a lock that dies with the process, so that DVC's own is not taken for left over."""
    import fcntl

    global _stage_lock
    with contextlib.suppress(OSError):  # some network file systems know no locks
        _stage_lock = open(os.path.join(root, STAGE_LOCK), "a", encoding="utf-8")  # noqa: PTH118, PTH123, SIM115
        fcntl.flock(_stage_lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _end_with_dvc() -> None:
    """Interrupts the script when the DVC that started it was killed.

    It would train on, unseen, beside the one that the next `dvc repro` starts.
    """
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    time.sleep(INTERRUPT_SECONDS)  # who started DVC with nohup or & has signals ignored
    os._exit(EXIT_INTERRUPTED)


def _leave(message: str, code: int) -> None:
    """Prints the line and ends the process at once, worker threads included."""
    script = os.path.basename(sys.argv[0])
    try:
        if is_debugging() and sys.exc_info()[0]:
            traceback.print_exc()
        if message:
            print(f"{script}: {message}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)
