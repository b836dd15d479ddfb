"""Who changes `task/` and `params.yaml` has a green suite: it does not know the subject."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE_SECONDS, REPLACED, ROOT, lay_out_the_tiny_task, tracked_files

OWN = "tests/task/"  # tests of the task in use
QUICK = ("base", "data", "report", "results", "training", "verdict", "test_documents.py",
         "test_scripts.py", "test_command_lines.py", "pipeline/test_mistakes.py")  # fmt: skip
TESTS = [name for name in tracked_files() if name.startswith("tests/") and name.endswith(".py")]


@pytest.mark.parametrize(
    "name", [name for name in TESTS if not name.startswith((OWN, "tests/tiny/"))]
)
def test_only_tests_of_the_task_import_it(name: str) -> None:
    """Others would get what a fork has in its place."""
    for node in ast.parse(
        (ROOT / name).read_text(encoding="utf-8")
    ).body:  # inside functions it is the tiny one
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not [one for one in names if one.split(".")[0] == "task"]
        assert not [one for one in names if one.startswith("tests.task")]


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A clone with another task and its params, and no test of the task that was there."""
    folder = tmp_path / "fork"
    for name in tracked_files():
        if not name.startswith((*REPLACED, OWN)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    lay_out_the_tiny_task(folder)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Another task"]):
        subprocess.run(["git", *who, *command], cwd=folder, check=True)
    return folder


@pytest.mark.slow
def test_the_suite_passes_for_another_task(fork: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *(f"tests/{part}" for part in QUICK)],
        cwd=fork, env={**kept, "PATH": path}, capture_output=True, encoding="utf-8",
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-5_000:]
    assert "passed" in done.stdout
