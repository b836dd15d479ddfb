"""DVC's locks after a kill, beside real processes that have the number of the killed one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dvc.repo import Repo
from pipelines import run
from support import started

from lab.base import dvc, locks
from lab.base.dvc import DVCError
from lab.base.locks import RWLOCK, repair, require_free

REPRO = [sys.executable, "-m", "dvc", "repro"]
DVC = f"{Path(sys.executable).parent}/dvc repro"  # as sys.argv has it
HARDLINK = "[core]\n    hardlink_lock = true\n"


@pytest.fixture
def file(tmp_path) -> Path:
    (tmp_path / RWLOCK).parent.mkdir(parents=True)
    return tmp_path / RWLOCK


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"data/raw": {"wri',
        b"\xff",
        b"[]",
        b"null",
        b'{"read": {"a": {"pid": 1}}}',
        b"[" * 9999,
    ],
)
def test_what_dvc_cannot_read_is_removed(file, tmp_path, content):
    file.write_bytes(content)
    repair(tmp_path)
    assert not file.exists()


def test_a_whole_lock_file_stays_and_a_missing_one_is_no_matter(file, tmp_path):
    repair(tmp_path)
    file.write_text("{}", encoding="utf-8")
    repair(tmp_path)
    assert file.read_text(encoding="utf-8") == "{}"


def test_a_lock_file_that_is_being_written_stays(file, tmp_path, monkeypatch):
    file.write_text("", encoding="utf-8")
    monkeypatch.setattr(locks.time, "sleep", lambda _: file.write_text('{"data', encoding="utf-8"))
    repair(tmp_path)
    assert file.read_text(encoding="utf-8") == '{"data'


def test_dvc_refuses_half_a_lock_file_and_runs_after_the_repair(pipeline):
    Path(RWLOCK).write_text("", encoding="utf-8")
    refused = subprocess.run(REPRO, capture_output=True, encoding="utf-8", check=False)
    assert "Unable to read RWLock-file" in refused.stderr
    repair()
    subprocess.run(REPRO, capture_output=True, check=True)


# --- whose number it is --------------------------------------------------------------------------


def hold(pid: int, command: str = DVC, path: str = "word.txt") -> None:
    """What a killed DVC leaves that ran the stage `word`, which is to run again."""
    holder = {"pid": pid, "cmd": command}
    place = str(Path(path).resolve())
    lock = {"write": {place: holder}, "read": {str(Path("data").resolve()): [holder]}}
    Path(RWLOCK).write_text(json.dumps(lock), encoding="utf-8")
    Path("word.txt").unlink(missing_ok=True)


def is_held() -> bool:
    lock = json.loads(Path(RWLOCK).read_text(encoding="utf-8"))
    return bool(lock.get("write") or lock.get("read"))


@pytest.mark.parametrize(
    "command",
    [
        ["sleep", "600"],
        ["sh", "-c", "sleep 600; dvc repro"],
        [sys.executable, "-c", "import time; time.sleep(600)", DVC.split()[0], "repro"],
    ],
    ids=["another program", "a shell that is to run DVC", "its words as arguments"],
)  # fmt: skip
def test_a_lock_of_a_number_that_something_else_has_now_is_taken_away(pipeline, command):
    with started(*command) as process:
        hold(process.pid)
        refused = subprocess.run(REPRO, capture_output=True, encoding="utf-8", check=False)
        assert f"(PID {process.pid})" in refused.stderr

        repair()

        assert not is_held()
        subprocess.run(REPRO, capture_output=True, check=True)
    assert Path("word.txt").exists()


def test_a_zombie_holds_nothing(pipeline):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        while Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").split()[2] != "Z":
            time.sleep(0.01)
        hold(process.pid)
        repair()
        assert not is_held()


def test_a_dvc_of_another_folder_that_began_later_holds_nothing_here(pipeline, tmp_path):
    """The same number, the same command line: only the time and the folder differ."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "dvc").write_text("import time; time.sleep(600)", encoding="utf-8")
    with started(sys.executable, "dvc", "repro", cwd=other) as process:
        hold(process.pid, "dvc repro")
        repair()
        assert is_held()  # it may have been there when the file was written
        os.utime(RWLOCK, (1e9, 1e9))
        repair()
        assert not is_held()


@pytest.mark.parametrize(
    "how", [[f"{Path(sys.executable).parent}/dvc"], [sys.executable, "-m", "dvc"]]
)
def test_a_running_dvc_keeps_its_lock(pipeline, how):  # fmt: skip
    text = (
        Path("dvc.yaml")
        .read_text(encoding="utf-8")
        .replace("echo ${word} >", "touch on; sleep 600; echo >")
    )
    Path("dvc.yaml").write_text(text, encoding="utf-8")
    with started(*how, "repro", "word") as process:
        while not Path("on").exists():
            assert process.poll() is None
            time.sleep(0.02)
        before = Path(RWLOCK).read_text(encoding="utf-8")
        assert f'"pid": {process.pid}' in before
        os.utime(RWLOCK, (1e9, 1e9))  # whatever the clock says
        repair()
        assert Path(RWLOCK).read_text(encoding="utf-8") == before


def test_a_stage_that_runs_in_another_container_keeps_it_too(pipeline):
    """There the numbers are others: what has DVC's number here is not what runs."""
    code = (
        "import time\nfrom lab.base.script import run_script\n"
        "def main():\n    print(flush=True)\n    time.sleep(600)\nrun_script(main)"
    )
    root = Path(locks.__file__).parents[2]
    variables = {"DVC_STAGE": "word", "DVC_ROOT": str(pipeline), "PYTHONPATH": str(root)}
    with (
        started("sleep", "600") as other,
        started(
            sys.executable, "-c", code, env={**os.environ, **variables}, stdout=subprocess.PIPE
        ) as stage,
    ):
        assert stage.stdout
        stage.stdout.readline()
        hold(other.pid)
        repair()
        assert is_held()
        stage.kill()
        stage.wait()
        repair()
        assert not is_held()


def test_a_lock_that_dvc_holds_itself_lets_nothing_be_taken_away(pipeline):
    with started("sleep", "600") as other, Repo(".") as repo, repo.lock:
        hold(other.pid)
        repair()
        assert is_held()


def test_locks_of_others_stay_beside_one_that_is_taken_away(pipeline):
    with started("sleep", "600") as other:
        hold(other.pid)
        lock = json.loads(Path(RWLOCK).read_text(encoding="utf-8"))
        mine = {"pid": os.getpid(), "cmd": " ".join(sys.argv)}
        lock["write"]["/x"] = mine
        lock["read"][str(Path("data").resolve())].append(mine)
        Path(RWLOCK).write_text(json.dumps(lock), encoding="utf-8")
        repair()
    assert json.loads(Path(RWLOCK).read_text(encoding="utf-8")) == {
        "write": {"/x": mine},
        "read": {str(Path("data").resolve()): [mine]},
    }


@pytest.mark.skipif(sys.platform != "linux", reason="numbers of processes start anew on Linux")
def test_in_the_next_container_dvc_is_not_busy_for_ever(pipeline):
    """In a namespace of its own a shell has the number that the killed DVC had: 1."""
    try:
        run(pipeline, "unshare", "-pf", "--mount-proc", "true")
    except (AssertionError, FileNotFoundError):
        pytest.skip("namespaces are not allowed here")
    hold(1)
    root = Path(locks.__file__).parents[2]
    script = f"{sys.executable} -m dvc repro word || echo busy; "
    script += (
        f"PYTHONPATH={root} {sys.executable} -c 'from lab.base import locks; locks.repair()'; "
    )
    script += f"{sys.executable} -m dvc repro word"

    said = run(pipeline, "unshare", "-pf", "--mount-proc", "sh", "-c", script)

    assert "busy" in said
    assert "Running stage 'word'" in said
    assert Path("word.txt").exists()


# --- locks that outlive their process ------------------------------------------------------------


@pytest.mark.parametrize("name", locks.LOCKS)
def test_a_lock_that_is_a_file_is_said_before_anything_is_trained(pipeline, name):
    Path(".dvc/config").write_text(HARDLINK, encoding="utf-8")
    repair()
    require_free()
    run(pipeline, "dvc", "status")
    require_free()
    Path(name).write_text(f"{pipeline}/.dvc/tmp/0123.lock", encoding="utf-8")

    with pytest.raises(DVCError) as caught:
        require_free()
    assert str(caught.value).startswith(f"{name}: DVC's lock is held; wait for the other DVC to")
    assert str(caught.value).endswith(": remove .dvc/tmp/lock and .dvc/tmp/rwlock.lock")
    repair()
    assert Path(name).exists()  # nobody can tell whether its process runs


def test_files_of_the_usual_lock_are_none_of_the_other_kind(pipeline):
    """They stay behind, and DVC waits for them once it is configured so."""
    assert Path(".dvc/tmp/lock").exists()
    with Repo(".") as repo, repo.lock:
        Path(".dvc/config").write_text(HARDLINK, encoding="utf-8")
        repair()
        assert Path(".dvc/tmp/lock").exists()  # somebody has it
    refused = subprocess.run(REPRO, capture_output=True, encoding="utf-8", check=False)
    assert "Unable to acquire lock" in refused.stderr

    repair()

    subprocess.run(REPRO, capture_output=True, check=True)


def test_the_usual_lock_of_another_project_or_of_none_is_free(pipeline):
    require_free()
    with Repo(".") as repo, repo.lock:
        require_free()


def test_a_command_says_why_dvc_refused(pipeline):
    Path(".dvc/config").write_text(HARDLINK, encoding="utf-8")
    Path(".dvc/tmp/lock").write_text(f"{pipeline}/.dvc/tmp/0123.lock", encoding="utf-8")

    with pytest.raises(DVCError) as caught:
        dvc.run("commit", "-f", "word")
    assert str(caught.value) == (
        "dvc commit: ERROR: failed to commit word - Unable to acquire lock; " + dvc.LOCKED
    )
