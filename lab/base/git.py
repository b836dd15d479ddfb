"""git's own answers, by its command line."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.base.errors import LabError, shortened


class GitError(LabError):
    """git is missing, or refuses."""


def git(root: Path, *arguments: str) -> str:
    """The output of a git command, without the last line end.

    Raises:
        GitError: git is missing, or refuses; the message ends with its last line.
    """
    return git_bytes(root, *arguments).decode(errors="replace").rstrip("\n")


def git_bytes(
    root: Path,
    *arguments: str,
    given: bytes = b"",
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> bytes:
    """The output of a git command as it is; `given` is its input, `variables` join those here.

    Raises:
        GitError: as for `git`, or it takes longer than `timeout` seconds.
    """
    command = ["git", "--no-optional-locks", "-c", "core.quotepath=off", *arguments]
    environment = {**os.environ, **(variables or {})}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            input=given,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise GitError("git is not installed; install it, then run again") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {arguments[0]}: no end after {timeout:.0f} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise GitError(f"git {arguments[0]}: {shortened(lines[-1])}")
    return done.stdout


def git_entries(root: Path, *arguments: str) -> list[str]:
    """What a git command lists with `-z`."""
    return [entry for entry in git(root, *arguments).split("\0") if entry]
