"""A repository in which the pipeline runs as a user runs it: real DVC, git and MLflow's store."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
from support import PATIENCE_SECONDS, copy_of_the_code, run_in, started

from lab.base.stages import read_stages

LINKED = ("data", ".dvc/cache")  # whose files are only ever replaced, never written in place


class Repository:
    """A clone of this repository, with its own git history, params and MLflow store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
            "COLUMNS": "200",
        }  # fmt: skip

    @classmethod
    def created(cls, folder: Path, store: Path) -> "Repository":
        """The code with the tiny task and an empty store, committed; nothing has run."""
        copy_of_the_code(folder)
        shutil.copy(store, folder / "mlflow.db")
        repository = cls(folder)
        repository.run("git", "init", "-q", "-b", "main")
        repository.commit()
        return repository

    def copied(self, folder: Path) -> "Repository":
        """A repository of its own in the same state, DVC's cache and MLflow's runs included."""
        linked = [self.folder / name for name in LINKED]

        def link_or_copy(source: str, target: str) -> None:
            is_linked = any(Path(source).is_relative_to(top) for top in linked)
            (os.link if is_linked else shutil.copy2)(source, target)

        shutil.copytree(self.folder, folder, copy_function=link_or_copy)
        with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
            for statement in (
                "UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)",
                "UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)",
            ):
                database.execute(statement, (str(self.folder), str(folder)))
        return Repository(folder)

    def run(self, *command: str, code: int = 0) -> str:
        return run_in(self.folder, self.environment, *command, code=code)

    def dvc(self, *arguments: str, code: int = 0) -> str:
        return self.run("dvc", *arguments, code=code)

    def repro(self, *arguments: str) -> list[str]:
        """Runs `dvc repro`; the stages it ran."""
        return stages_run(self.dvc("repro", *arguments))

    def stages(self) -> list[str]:
        """The stages of dvc.yaml, in its order."""
        return list(read_stages(self.folder))

    def stale(self) -> list[str]:
        """The stages that DVC would run."""
        return list(json.loads(self.dvc("status", "--json")))

    def edit(self, old: str, new: str, path: str = "params.yaml") -> None:
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def json(self, path: str) -> dict:
        return json.loads((self.folder / path).read_text(encoding="utf-8"))

    def tracked(self) -> dict[str, bytes]:
        """The result files git tracks."""
        files = sorted((self.folder / "metrics").rglob("*"))
        return {str(path): path.read_bytes() for path in files if path.is_file()}

    def recorded(self) -> list[tuple[str, str]]:
        """Name and status of all MLflow runs, in the order in which they began."""
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            return database.execute("SELECT name, status FROM runs ORDER BY rowid").fetchall()

    def kill(self, command: str, when: str) -> None:
        """Kills a command and what it started as soon as it prints something."""
        with started(
            *command.split(), cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            output = ""
            for line in process.stdout or ():
                output += line
                if when in line:
                    break  # and `started` kills
            else:
                raise AssertionError(output)
        # The writer of its runs, in a session of its own, says that they failed, and may still be
        # importing MLflow. A user needs longer for the next command than it does for that.
        left = [one for one in psutil.process_iter() if _cwd(one) == self.folder]
        psutil.wait_procs(left, timeout=PATIENCE_SECONDS)

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "results")


def _cwd(process: psutil.Process) -> Path | None:
    try:
        return Path(process.cwd())
    except psutil.Error:
        return None


def stages_run(output: str) -> list[str]:
    """The stages of which DVC said that it ran them."""
    return re.findall(r"Running stage '(.+)':", output)
