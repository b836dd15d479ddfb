"""What several test files use: the tiny task, folders as they are, the project's code, commands."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 600  # for what takes seconds: it ends what hangs, on the slowest machine

# The task of all tests but those of tests/task, and a params.yaml whose models train in a second.
TINY = ROOT / "tests/tiny"
SMALL = (TINY / "params.yaml").read_text(encoding="utf-8")
CHECK = SMALL[SMALL.index("check:") :]  # the section that dvc.yaml cannot do without
RESULTS = ("metrics/", "dvc.lock", "registry.json")
REPLACED = ("task/", "params.yaml")  # what a fork changes


def is_one_line(message: str) -> bool:
    return bool(message) and "\n" not in message and "Traceback" not in message


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def tracked_files() -> list[str]:
    """What git tracks of this repository, or would with `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=True,
    ).stdout.splitlines()  # fmt: skip
    return [name for name in listed if (ROOT / name).exists()]


def copy_of_the_code(folder: Path, leave: tuple[str, ...] = ()) -> None:
    """What git would commit of this repository with the tiny task in place of the one in use.

    Without results and what `leave` names.
    """
    for name in tracked_files():
        if not name.startswith((*RESULTS, *REPLACED, *leave)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    lay_out_the_tiny_task(folder)


def lay_out_the_tiny_task(folder: Path) -> None:
    """What somebody with another task changes: `task/` and `params.yaml`."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TINY, folder, ignore=ignored, dirs_exist_ok=True)


def run_in(folder: Path, environment: Mapping[str, str], *command: str, code: int = 0) -> str:
    """Runs a command that is to end with `code`; returns all that it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8",
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    return output


def create_store(file: Path) -> None:
    """A database with MLflow's tables and no run; creating them takes seconds."""
    code = f"import mlflow; mlflow.MlflowClient('sqlite:///{file}').search_experiments()"
    run_in(file.parent, os.environ, sys.executable, "-c", code)


@contextlib.contextmanager
def started(*command: str | Path, **how: Any) -> Iterator["subprocess.Popen[str]"]:
    """Starts a command in a session of its own; nothing of it is left after the block.

    A test that fails would else leave processes that slow the next ones down, and pipes whose
    warning fails an innocent one.
    """
    with subprocess.Popen(command, encoding="utf-8", start_new_session=True, **how) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
