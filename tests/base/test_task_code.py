"""Whose mistake it is: the task's, in one line, or this project's, with its traceback."""

import errno
import types

import pytest

from lab.base.errors import DataError, TaskError
from lab.base.task_code import running_task_code


def module(name: str, source: str) -> types.ModuleType:
    made = types.ModuleType(name)
    exec(compile(source, f"/somewhere/{name.rpartition('.')[2]}.py", "exec"), made.__dict__)  # noqa: S102
    return made


TASK = module(
    "task.networks.mine",
    """
def wrong(): return 1 / 0
def library(): return int("x")
def calls(other): return other()
def missing(): open("/nowhere/at/all.csv")
def full(): raise OSError(28, "No space left on device")
def memory(): raise RuntimeError("CUDA out of memory")
def quiet(): raise ValueError
def long(): raise ValueError("word " * 1000)
""",
)
LAB = module("lab.data.mine", "def wrong(): return [][0]\ndef refuses(error): raise error")


def line(function, *arguments) -> str:
    with pytest.raises(TaskError) as caught, running_task_code("task/networks/mine.py"):
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_task_s_own_line_is_named() -> None:
    assert line(TASK.wrong) == "mine.py:2: ZeroDivisionError: division by zero; correct it"
    assert line(TASK.library).startswith("mine.py:3: ValueError: invalid literal")
    assert line(TASK.calls, TASK.wrong).startswith("mine.py:2: ")
    assert line(TASK.quiet) == "mine.py:8: ValueError: no message; correct it"
    assert len(line(TASK.long)) < 260


def test_what_a_library_raises_at_once_is_the_called_file_s() -> None:
    """As a torch.nn.Sequential of layers that do not fit, with no line of the task's own."""
    assert line(int, "x").startswith("task/networks/mine.py: ValueError: invalid literal")


def test_a_file_of_the_user_s_that_is_missing_is_named() -> None:
    assert line(TASK.missing) == "mine.py:5: /nowhere/at/all.csv: no such file; put it there"


@pytest.mark.parametrize(
    ("function", "arguments", "kind"),
    [
        (TASK.calls, [LAB.wrong], IndexError),  # called back by the task
        (TASK.memory, [], RuntimeError),
        (TASK.calls, [lambda: LAB.refuses(MemoryError())], MemoryError),
        (LAB.refuses, [DataError("a line of its own")], DataError),
    ],
)
def test_other_faults_stay_what_they_are(function, arguments, kind) -> None:
    with pytest.raises(kind), running_task_code("task/networks/mine.py"):
        function(*arguments)


def test_a_full_disk_is_the_machine_s() -> None:
    with pytest.raises(OSError, match="No space left") as caught, running_task_code("task/data"):
        TASK.full()
    assert caught.value.errno == errno.ENOSPC
