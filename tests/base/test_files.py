import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE_SECONDS, ROOT, started

from lab.base import files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "new" / "x.json"
    files.write_json(target, {"a": [1, 2]})
    files.write_json(target, {"a": [3]})

    assert target.read_text() == '{\n  "a": [3]\n}\n'
    assert names(target.parent) == ["x.json"]


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x"
    files.write_text(target, "old")

    with pytest.raises(FileNotFoundError), files.replacing(target) as temporary:
        temporary.with_name("absent").rename(temporary)

    assert target.read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_not_a_number_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x", {"a": float("nan")})

    assert names(tmp_path) == []


def test_an_error_names_the_file_and_not_its_temporary_neighbour(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_text(tmp_path / "x", "text")

    assert caught.value.filename == str(tmp_path / "x")
    assert names(tmp_path) == []


def test_permissions_follow_the_umask(tmp_path):
    previous = os.umask(0o027)
    try:
        files.write_text(tmp_path / "x", "text")
    finally:
        os.umask(previous)

    if sys.platform != "win32":
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_what_a_killed_process_left_goes_and_what_another_is_writing_stays(tmp_path):
    target = tmp_path / "x.json"
    (tmp_path / ".x.json.left.json").write_text("half a fi")
    with files.replacing(target) as other:
        files.write_text(target, "mine")
        other.write_text("theirs")

    assert target.read_text() == "theirs"
    assert names(tmp_path) == ["x.json"]


def test_files_that_belong_together_are_all_written_before_one_is_renamed(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        files.write_text(path, "old")

    def fail_at_the_second() -> None:
        with files.replacing_all(paths) as (first, second):
            first.write_text("new")
            second.unlink()

    with pytest.raises(FileNotFoundError):
        fail_at_the_second()

    assert [path.read_text() for path in paths] == ["old", "old"]
    assert names(tmp_path) == ["a", "b"]


def test_an_interrupt_while_modules_are_imported_is_one_line():
    done = subprocess.run(
        [sys.executable, "-c", "import lab\nraise KeyboardInterrupt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "-c: interrupted; nothing half-written was left behind\n"


def test_put_back_brings_back_what_git_tracks_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.put_back(Path("no git here"))
    for name in ("gone", "changed"):
        Path(name).write_text("tracked")
    for command in ("init", "add ."):
        subprocess.run(["git", *command.split()], capture_output=True, check=True)
    Path("gone").unlink()
    Path("changed").write_text("new")

    files.put_back(Path("gone"), Path("changed"), Path("unknown"))

    assert {path: Path(path).read_text() for path in ("gone", "changed")} == {
        "gone": "tracked",
        "changed": "new",
    }
    assert not Path("unknown").exists()


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
        "from lab.base.errors import *\n"
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


def run(body: str) -> subprocess.CompletedProcess[str]:
    code = f"import errno\nfrom lab.base.errors import *\ndef main():\n    {body}\nrun_script(main)"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        ("raise DataError('x.npy: is\\n  bad')", 2, "-c: x.npy: is bad\n"),
        ("raise OSError(errno.ENOSPC, 'No space left', 'm/x')", 2,
         "-c: m/x: No space left; free some space, then run again\n"),
        ("open('lab/base/params.py/x', 'w')", 2,
         "-c: lab/base/params.py/x: Not a directory; "
         "remove the file that stands where a folder belongs, then run again\n"),
        ("raise KeyboardInterrupt", 130, "-c: interrupted; nothing half-written was left behind\n"),
        ("raise MemoryError", 2,
         "-c: out of memory: lower train.seeds_per_stack or train.batch_size\n"),
        ("import torch; torch.empty(2**50)", 2,
         "-c: out of memory: lower train.seeds_per_stack or train.batch_size\n"),
        ("pass", 0, ""),
    ],
)  # fmt: skip
def test_what_a_user_can_mend_is_one_line(body, code, line):
    done = run(body)

    assert (done.returncode, done.stderr) == (code, line)


def test_a_bug_keeps_its_traceback():
    done = run("1 / 0")

    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
