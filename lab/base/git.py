"""git's own answers, by its command line."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lab.base.errors import LabError, shortened

LARGEST_NEW_FILE = 50_000_000  # bytes; code is smaller, and git would keep a copy
SOMEBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "lab"), ("EMAIL", "lab@localhost"), ("DATE", "@0 +0000"))
}


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


def commit_of_working_tree(root: Path) -> str:
    """A commit of all that lies in the working tree and is not ignored, large new files left out.

    It is on no branch, and the index stays as it is; the same tree on the same HEAD is the same
    commit.

    Raises:
        GitError: git is missing, or refuses.
    """
    others = git_entries(root, "ls-files", "-z", "--others", "--exclude-standard")
    new = [path for path in others if _is_small_file(root / path)]
    with tempfile.TemporaryDirectory() as temporary:
        index, copy = root / git(root, "rev-parse", "--git-path", "index"), Path(temporary, "index")
        if index.exists():
            shutil.copy(index, copy)
        variables = {**SOMEBODY, "GIT_INDEX_FILE": str(copy)}

        def write(*arguments: str, given: str = "") -> str:
            done = git_bytes(root, *arguments, given=given.encode(), variables=variables)
            return done.decode().strip()

        write("add", "--update", ":/")
        if new:
            from_input = ("--pathspec-from-file=-", "--pathspec-file-nul")
            write("--literal-pathspecs", "add", *from_input, given="\0".join(new))
        tree = write("write-tree")
        return write("commit-tree", tree, "-p", "HEAD", "-m", "What lies in the working tree")


def _is_small_file(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= LARGEST_NEW_FILE
    except OSError:
        return False
