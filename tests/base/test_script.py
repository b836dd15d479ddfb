import os
import subprocess
import sys

import pytest
from support import PATIENCE_SECONDS, ROOT, started


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=False,
        env={**os.environ, "LAB_DEBUG": "", **environment},
    )  # fmt: skip


def test_importing_it_changes_nothing():
    hooks = "sys.excepthook, sys.unraisablehook"
    state = f"[{hooks}, *map(signal.getsignal, signal.valid_signals()), *os.environ]"
    done = python(
        f"import os, signal, sys\nbefore = {state}\nimport lab, lab.base.script\n"
        f"print({state} == before, threading.active_count() if 'threading' in dir() else 1)"
    )
    assert (done.stdout, done.stderr) == ("True 1\n", "")


def test_an_interrupt_while_modules_are_imported_is_one_line():
    lost = "try:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    pass"
    done = python(f"import signal\nfrom lab.base.script import begin\nbegin()\n{lost}")

    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "-c: interrupted; nothing half-written was left behind\n"


def test_a_locale_that_knows_ascii_alone_is_not_heeded():
    begins = "import sys\nfrom lab.base.script import begin\nbegin()"
    done = python(f"{begins}\nprint(sys.flags.utf8_mode, sys.argv)", LC_ALL="C", PYTHONUTF8="0")

    assert (done.stdout, done.stderr) == ("1 ['-c']\n", "")


def test_missing_packages_are_one_line():
    hide = "import importlib.util\nimportlib.util.find_spec = lambda name: None\n"
    done = python(f"{hide}from lab.base.script import begin\nbegin()")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("-c: the packages of requirements.txt are not installed")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="orphans have no new parent there")
@pytest.mark.parametrize(
    ("handler", "line"),
    [
        ("default_int_handler", "-c: interrupted; nothing half-written was left behind\n"),
        ("SIG_IGN", ""),  # as nohup does, and a shell's &
    ],
)
def test_a_stage_ends_when_its_dvc_is_killed(handler, line):
    stage = (
        "import os, signal, time\n"
        "from lab.base.script import *\n"
        f"signal.signal(signal.SIGINT, signal.{handler})\n"
        "def main():\n"
        "    print('training', flush=True)\n"
        "    time.sleep(3600)\n"
        "run_script(main)"
    )
    dvc = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {stage!r}])\n"
        "time.sleep(3600)"
    )
    with started(
        sys.executable, "-c", dvc, env={**os.environ, "DVC_STAGE": "train@relu"},
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "training\n"
        process.kill()
        # The pipes end when the stage has closed its end, too.
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert errors == line


def run(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    imports = "import atexit, errno, signal, sys\n"
    imports += "from lab.base.errors import *\nfrom lab.base.script import *"
    return python(f"{imports}\ndef main():\n    {body}\nrun_script(main)", **environment)


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        ("raise DataError('x.npy: is\\n  bad')", 2, "-c: x.npy: is bad\n"),
        ("raise OSError(errno.ENOSPC, 'No space left', 'm/x')", 2,
         "-c: m/x: No space left; free some space, then run again\n"),
        ("open('lab/base/params.py/x', 'w')", 2,
         "-c: lab/base/params.py/x: Not a directory; "
         "remove the file that stands where a folder belongs, then run again\n"),
        ("signal.raise_signal(signal.SIGINT)", 130,
         "-c: interrupted; nothing half-written was left behind\n"),
        ("raise MemoryError", 2,
         "-c: out of memory: lower train.seeds_per_stack or train.batch_size\n"),
        ("import torch; torch.empty(2**50)", 2,
         "-c: out of memory: lower train.seeds_per_stack or train.batch_size\n"),
        ("pass", 0, ""),
    ],
)  # fmt: skip
def test_what_a_user_can_fix_is_one_line(body, code, line):
    done = run(body)

    assert (done.returncode, done.stderr) == (code, line)


@pytest.mark.parametrize(
    "lost",
    [
        "\n    try:\n        {}\n    except BaseException: pass",
        "\n    try:\n        {}\n    except BaseException: raise DataError('a file is damaged')",
        "\n    try:\n        {}\n    except BaseException as error: raise SystemError from error",
        "\n    class Held:\n        def __del__(self): {}\n    Held()",
    ],
)
def test_an_interrupt_that_a_library_loses_is_none_the_less_one(lost, tmp_path):
    """What it returns is no result: found where a report was written of what was never read."""
    file = tmp_path / "results.json"
    body = lost.format("signal.raise_signal(signal.SIGINT)")
    write = f"write_json(Path({str(file)!r}), 1)"
    done = run(f"from lab.base.files import write_json, Path{body}\n    {write}")

    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "-c: interrupted; nothing half-written was left behind\n"
    assert list(tmp_path.iterdir()) == []


def test_after_its_work_a_script_does_what_libraries_want_done_and_ends_at_once():
    held = "type('Held', (), {'__del__': lambda self: print('put away')})()"
    done = run(f"sys.modules['held'] = {held}; atexit.register(print, 'a library'); print('work')")

    assert (done.returncode, done.stdout, done.stderr) == (0, "work\na library\n", "")


def test_a_bug_keeps_its_traceback():
    done = run("1 / 0")

    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("name", ["lab/base/no_such_module.py", "models/best/no-such-file"])
def test_a_missing_file_that_nobody_asked_the_user_for_is_a_bug(name):
    done = run(f"open({name!r})")

    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr


def test_a_module_of_ours_that_is_gone_is_a_bug():
    done = run("from lab.base import renamed_meanwhile")

    assert done.returncode == 1
    assert "ImportError: cannot import name 'renamed_meanwhile'" in done.stderr


def test_debugging_shows_the_traceback_before_the_line():
    done = run("raise DataError('x.npy: is bad')", LAB_DEBUG="1")

    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("\n-c: x.npy: is bad\n")
