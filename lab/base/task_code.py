"""Code of `task/`: found by name, and its mistakes told from bugs of this project."""

import contextlib
import importlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.base.errors import LabError, TaskError, shortened

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def running_task_code(called: str) -> Iterator[None]:
    """Turns what code of `task/` raises into one line that names file and line.

    The block may only call that code. What `lab/` raises, called back from there, is a bug and
    stays one; so does what the machine is to blame for.

    Args:
        called: the file that is called, for what a library raises with no line of the task's code
            below it.

    Raises:
        TaskError: with file, line, and what was raised there.
    """
    try:
        yield
    except (LabError, MemoryError):
        raise
    except Exception as error:
        where = _place(error, called)
        if where is None or "memory" in str(error):  # torch's out of memory is a RuntimeError
            raise
        if isinstance(error, FileNotFoundError):
            raise TaskError(f"{where}: {error.filename}: no such file; put it there") from error
        if isinstance(error, OSError):
            raise
        said = shortened(str(error) or "no message", 200)
        raise TaskError(f"{where}: {type(error).__name__}: {said}; correct it") from error


def _place(error: Exception, called: str) -> str | None:
    """Where the task's code fails: its innermost line; None where `lab/` was called from there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}"
    _manager, _block, *frames = traceback.walk_tb(error.__traceback__)
    for frame, line in reversed(frames):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package == "task":
            return f"{_shown(frame.f_code.co_filename)}:{line}"
        if package == "lab":
            return None
    return called


def _shown(file: str | Path | None) -> str:
    path = Path(str(file))
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def imported(module: str, name: str) -> Any:
    """What a module of `task/` defines under a name.

    Raises:
        TaskError: the module does not import, or has nothing of that name.
    """
    with running_task_code(f"task/{module.replace('.', '/')}.py"):
        found = importlib.import_module(f"task.{module}")
    if not hasattr(found, name):
        raise TaskError(
            f"{_shown(found.__file__)}: must define {name}; got nothing of that name; add it"
        )
    return getattr(found, name)
