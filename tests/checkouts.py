"""Folders to run `prepare.py` in, as a user runs it."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import PATIENCE_SECONDS, started

# Root may write where modes forbid it, unless it gives up the privilege.
BOUND_BY_MODES: list[str] = []
if os.geteuid() == 0 and shutil.which("setpriv"):
    privileges = "-dac_override,-dac_read_search"
    setpriv = str(shutil.which("setpriv"))
    BOUND_BY_MODES = [setpriv, "--inh-caps", privileges, "--bounding-set", privileges]


class Checkout:
    """A folder with a `params.yaml`; no network, neither torch nor npm."""

    def __init__(self, folder: Path, code: Path, params: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.code = code
        self.params = params
        self.write_params(params)
        broken = folder.parent / f"{folder.name}-broken"
        for module in ("torch", "torchvision"):
            (broken / module).mkdir(parents=True)
            (broken / module / "__init__.py").write_text(
                'raise ImportError("not here")', encoding="utf-8"
            )
        (broken / "bin").mkdir()
        self.bin = broken / "bin"
        self.environment = {**os.environ, "PYTHONPATH": str(broken), "PATH": str(self.bin)}

    def write_params(self, text: str) -> None:
        (self.folder / "params.yaml").write_text(text, encoding="utf-8")

    def start(
        self, before: Callable[[], None] | None = None
    ) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        return started(
            *BOUND_BY_MODES, sys.executable, self.code / "prepare.py", cwd=self.folder,
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=before,
        )  # fmt: skip

    def run(self, before: Callable[[], None] | None = None) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        with self.start(before) as process:
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, output, errors

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if not path.is_dir()
        )

    def refusal(self, before: Callable[[], None] | None = None) -> str:
        """Runs, expects the one line of an error a user can fix, and returns it."""
        code, _, errors = self.run(before)
        assert code == 2, errors
        assert errors.startswith("prepare.py: ")
        assert errors.count("\n") == 1
        return errors.removeprefix("prepare.py: ").rstrip()


@contextlib.contextmanager
def disk_full_at(number: int) -> Iterator[list[int]]:
    """Makes the write with this number (from 0) fail as on a full disk; counts the writes."""
    writes = [0]
    sync = os.fsync

    def fail_once(descriptor: int) -> None:
        writes[0] += 1
        if writes[0] == number + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fail_once)
        yield writes


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but `params.yaml`."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "params.yaml"
    }
