"""The errors a user can mend, and how a script reports them."""

import errno
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

EXIT_MISUSE = 2
OUT_OF_MEMORY = "out of memory: lower train.seeds_per_stack or train.batch_size"
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
PARENT_SECONDS = 0.2  # between two looks at whether DVC still runs
INTERRUPT_SECONDS = 5.0  # that an interrupted script is given to end by itself
INTERRUPTED = "interrupted; nothing half-written was left behind"

# Faults of the machine rather than of this code: said in one line, without a traceback.
_MACHINE_ERRNOS = {
    errno.ENOSPC: "free some space, then run again",
    errno.EDQUOT: "raise the quota or free some space, then run again",
    errno.EROFS: "make the folder writable, then run again",
    errno.EACCES: "make it accessible (check owner and mode), then run again",
    errno.EPERM: "make it accessible (check owner and mode), then run again",
    errno.EIO: "check the disk, then run again",
    errno.EFBIG: "raise the file size limit, then run again",
    errno.EMFILE: "raise the limit on open files (ulimit -n), then run again",
    errno.ENOENT: "check the path, then run again",
    errno.ENAMETOOLONG: "use a shorter path, then run again",
    errno.ELOOP: "mend the links that lead to each other, then run again",
    errno.EEXIST: "remove the file that stands where a folder belongs, then run again",
    errno.ENOTDIR: "remove the file that stands where a folder belongs, then run again",
    errno.EISDIR: "remove the folder that stands where a file belongs, then run again",
}


class LabError(Exception):
    """Something the user can mend: the message says where, which rule, what value, what to do."""


class ParamsError(LabError):
    """`params.yaml`, or a name given on the command line, breaks a rule."""


class DataError(LabError):
    """An input file is missing, damaged or of the wrong shape."""


class SourceError(LabError):
    """No source could deliver the data set."""


def run_script(main: Callable[[], None]) -> None:
    """Runs a script's `main` and turns every error a user can mend into one line and exit 2.

    Anything else is a bug and keeps its traceback.
    """
    if "DVC_STAGE" in os.environ and sys.platform != "win32":
        threading.Thread(target=_end_with_dvc, daemon=True).start()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a report's signs are not in every encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _leave(INTERRUPTED, EXIT_INTERRUPTED)
    except LabError as error:
        _leave(_one_line(str(error)), EXIT_MISUSE)
    except BrokenPipeError:
        _leave("", EXIT_MISUSE)
    except MemoryError:
        _leave(OUT_OF_MEMORY, EXIT_MISUSE)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in ("allocate memory", "out of memory")):  # torch's
            raise
        _leave(OUT_OF_MEMORY, EXIT_MISUSE)
    except OSError as error:
        if error.errno not in _MACHINE_ERRNOS:
            raise
        where = shortened(str(error.filename or "a file"))
        _leave(f"{where}: {error.strerror}; {_MACHINE_ERRNOS[error.errno]}", EXIT_MISUSE)


def tell_of_interrupts() -> None:
    """Lets Ctrl-C be one line also while a script imports its modules, which takes seconds."""
    sys.excepthook = _interrupted_or_bug


def _interrupted_or_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        _leave(INTERRUPTED, EXIT_INTERRUPTED)
    sys.__excepthook__(kind, error, trace)


def shortened(text: str, limit: int = 240) -> str:
    r"""Text on one line, with an ellipsis where it is longer than `limit` characters.

    >>> shortened("no such\\n  file", limit=10)
    'no such...'
    """
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


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


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _leave(message: str, code: int) -> None:
    """Prints the line and ends the process at once, worker threads included."""
    script = os.path.basename(sys.argv[0])
    try:
        if message:
            print(f"{script}: {message}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)
