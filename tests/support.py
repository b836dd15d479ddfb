"""What several test files use: IDX files, folders as they are, the project's code and commands."""

import contextlib
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
SMALL_TRAIN, SMALL_TEST = 300, 100  # images of the small data set
PATIENCE_SECONDS = 600  # for what takes seconds: it ends what hangs, on the slowest machine

# A params.yaml whose models train in a second, on the 10,000 images that do not validate.
SMALL = """\
dataset:
  name: MNIST
  validation_size: 50000
  split_seed: 0
train:
  seeds: [0, 1, 2]
  seeds_per_stack: 2
  epochs: 1
  batch_size: 100
  precision: float32
models:
  relu_8:
    {network: feed_forward, hidden: [8], activation: relu, dropout: 0.0, optimizer: adam,
     learning_rate: 0.01, schedule: linear, weight_decay: 0.0}
  linear_4:
    {network: feed_forward, hidden: [4], activation: linear, dropout: 0.0, optimizer: adam,
     learning_rate: 0.01, schedule: linear, weight_decay: 0.0}
compare:
  margin: 0.001
"""


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def head(path: Path, dimensions: int, count: int) -> bytes:
    """The first images or labels of a real file, as an IDX file of its own."""
    header, item = 4 + 4 * dimensions, 784 if dimensions == 3 else 1
    with path.open("rb") as file:
        content = file.read(header + count * item)
    shape = (count, 28, 28) if dimensions == 3 else (count,)
    return idx_bytes(np.frombuffer(content, np.uint8, offset=header).reshape(shape))


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
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [name for name in listed if (ROOT / name).exists()]


def copy_of_the_code(folder: Path, leave: tuple[str, ...] = ()) -> None:
    """What git would commit of this repository, without results and what `leave` names."""
    for name in tracked_files():
        if not name.startswith(("metrics/", "dvc.lock", *leave)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run_in(folder: Path, environment: Mapping[str, str], *command: str, code: int = 0) -> str:
    """Runs a command that is to end with `code`; returns all that it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True,
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
    with subprocess.Popen(command, text=True, start_new_session=True, **how) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
