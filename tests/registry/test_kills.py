"""A promotion that is killed: whenever that is, the next run leaves everything in agreement."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from promotions import Shelf
from support import PATIENCE_SECONDS, started

PAGE = "report/promotion/report.html"  # written just before anything is decided
MOMENTS = 50  # fractions of the time from there to the end; a fifth of them lie before it
KILLING = """\
#!/bin/sh
case "$*" in
  *"$KILLED_AT"*)
    case $KILLED in
      before) kill -9 -$PPID; exit 1;;
      after) "$GIT" "$@"; kill -9 -$PPID; exit;;
      alone) kill -9 $PPID;;
    esac
esac
exec "$GIT" "$@"
"""
# git calls it while it holds the locks of references.
HOLDING = """\
#!/bin/sh
test "$1" = prepared && grep -q "$HELD" && : > held && sleep 1
exit 0
"""


@pytest.fixture(scope="module")
def ready(stocked: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A version in production, and a better one that is to take its place."""
    made = stocked.copied(tmp_path_factory.mktemp("ready") / "repository")
    made.environment["RECORD_RUNS"] = "wait"
    made.promote()
    made.take("better")
    shutil.rmtree(made.folder / "report/promotion")
    return made


@pytest.fixture
def shelf(ready: Shelf, tmp_path: Path) -> Shelf:
    copy = ready.copied(tmp_path / "repository")
    copy.environment["RECORD_RUNS"] = "wait"
    return copy


def agrees(shelf: Shelf) -> None:
    """After the next run, and nothing is left for the one after it."""
    shelf.promote()
    recorded = shelf.environment["RECORD_RUNS"] != "0"
    assert [*shelf.contradictions(recorded=recorded)] == []
    assert [(one.number, one.version) for one in shelf.steps()] == [(1, 1), (2, 2)]
    head = shelf.head()
    assert "is in production already" in shelf.promote()
    assert shelf.head() == head


@pytest.mark.parametrize(
    ("command", "when"),
    [
        ("model#production#2", "after"),
        pytest.param("model#production#2", "alone", marks=pytest.mark.slow),
        pytest.param("update-ref -m", "after", marks=pytest.mark.slow),
        pytest.param("model#production#2", "before", marks=pytest.mark.slow),
        pytest.param("message model@v2.0.0", "before", marks=pytest.mark.slow),
        pytest.param("message model@v2.0.0", "after", marks=pytest.mark.slow),
        pytest.param("commit-tree", "after", marks=pytest.mark.slow),
        pytest.param("update-index --add --cacheinfo", "before", marks=pytest.mark.slow),
    ],
)
def test_killed_at_a_command_of_git(shelf, tmp_path, command, when):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(KILLING, encoding="utf-8")
    (folder / "git").chmod(0o755)
    path = shelf.environment["PATH"]
    variables = {"KILLED_AT": command, "KILLED": when, "GIT": shutil.which("git", path=path)}
    environment = {**shelf.environment, **variables, "PATH": f"{folder}{os.pathsep}{path}"}
    with started(
        sys.executable, "promote.py", cwd=shelf.folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL

    agrees(shelf)


@pytest.mark.parametrize(
    ("reference", "how"),
    [
        ("refs/tags/model#production#2", signal.SIGKILL),
        pytest.param("refs/tags/model#production#2", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("refs/heads/main", signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_ended_while_git_holds_a_lock(shelf, reference, how):
    """git comes to an end by itself, and no lock stays that somebody would have to remove."""
    hook, held = shelf.folder / ".git/hooks/reference-transaction", shelf.folder / "held"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOLDING, encoding="utf-8")
    hook.chmod(0o755)
    with started(
        sys.executable, "promote.py", cwd=shelf.folder,
        env={**shelf.environment, "HELD": f"{reference}$"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        while not held.exists():
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, how)
        process.wait()
    lock = shelf.folder / f".git/{reference}.lock"
    assert lock.exists()
    until = time.monotonic() + PATIENCE_SECONDS
    while lock.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    hook.unlink()
    held.unlink()

    agrees(shelf)


def test_a_lock_of_somebody_else_is_one_line_that_says_what_to_do(shelf):
    (shelf.folder / ".git/index.lock").touch()

    said = shelf.promote(code=2)
    assert "index.lock': File exists; if no git is at work, one that was killed left it" in said


@pytest.fixture(scope="module")
def seconds(ready: Shelf, tmp_path_factory: pytest.TempPathFactory) -> tuple[float, float]:
    """Of an undisturbed promotion: until all is judged, and from there to its end."""
    copy = ready.copied(tmp_path_factory.mktemp("undisturbed") / "repository")
    copy.environment["RECORD_RUNS"] = "wait"
    return run(copy)


def run(shelf: Shelf, before: float = PATIENCE_SECONDS, after: float = PATIENCE_SECONDS):
    """A promotion, killed so many seconds after its start, or after all is judged."""
    began, judged = time.monotonic(), 0.0
    with started(
        sys.executable, "promote.py", cwd=shelf.folder, env=shelf.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        while process.poll() is None and (now := time.monotonic()):
            judged = judged or (now if (shelf.folder / PAGE).exists() else 0.0)
            if now > began + before or (judged and now > judged + after):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            time.sleep(0.001)
    judged = judged or time.monotonic()
    return judged - began, time.monotonic() - judged


@pytest.mark.slow
@pytest.mark.parametrize("number", range(MOMENTS))
def test_killed_at_any_moment(shelf, seconds, number):
    """Most of them early in what is decided and written; MLflow has its part in each fifth."""
    until, rest = seconds
    if number % 5:
        shelf.environment["RECORD_RUNS"] = "0"
    fifth = MOMENTS // 5
    if number < fifth:
        run(shelf, before=until * (number + 0.5) / fifth)
    else:
        run(shelf, after=rest * ((number - fifth) / (MOMENTS - fifth)) ** 2)

    agrees(shelf)
