"""A commit laid out in a repository of its own, which is gone afterwards."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab.base.git import WITHOUT_HOOKS, git, git_bytes

# The whole tree, whatever part of it the user chose to see; submodules are laid out one by one.
WHOLE = ("-c", "core.sparseCheckout=false", "-c", "submodule.recurse=false")
SUBMODULE = b"160000"


@contextlib.contextmanager
def checked_out(root: Path, commit: str) -> Iterator[Path]:
    """The project as a commit has it, in a temporary repository that borrows git's objects.

    It is no linked worktree of git: making one runs the user's hooks, a kill leaves an entry of it
    behind, and DVC looks for its files where `core.worktree` says, which every submodule has.

    Args:
        root: the project's root, in the working tree that the commit is taken from.
        commit: its hash.

    Yields:
        The root of the project there.

    Raises:
        GitError: git lacks the commit, or cannot lay it out.
    """
    with tempfile.TemporaryDirectory(prefix="revision-", ignore_cleanup_errors=True) as temporary:
        top = Path(temporary).resolve() / "checkout"
        prefix = git(root, "rev-parse", "--show-prefix")
        _lay_out(root / git(root, "rev-parse", "--show-cdup"), commit, top)
        yield top / prefix


def _lay_out(source: Path, commit: str, top: Path) -> None:
    """Writes the files of a commit as `source` would: with its line ends, filters, large files.

    Of the submodules those are laid out that are checked out in `source`.
    """
    own = top / ".git"
    kind = git(source, "rev-parse", "--show-object-format")
    formats = {"GIT_DEFAULT_HASH": kind, "GIT_DEFAULT_REF_FORMAT": "files"}
    git_bytes(source, "init", "--quiet", "--template=", str(top), variables=formats)
    (own / "objects/info").mkdir(exist_ok=True)
    (own / "objects/info/alternates").write_bytes(os.fsencode(_of_git(source, "objects")) + b"\n")
    if (shallow := _of_git(source, "shallow")).exists():
        shutil.copy(shallow, own / "shallow")
    references = git_bytes(source, "for-each-ref", "--format=%(objectname) %(refname)")
    (own / "packed-refs").write_bytes(references)  # a stage may ask `git describe`
    (own / "HEAD").write_text(f"{commit}\n", encoding="ascii")
    index, there = {"GIT_INDEX_FILE": str(own / "index")}, f"--work-tree={top}"
    git_bytes(source, *WITHOUT_HOOKS, *WHOLE, there, "read-tree", "--reset", "-u", commit,
              variables=index)  # fmt: skip
    for entry in git_bytes(source, "ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
        if entry.startswith(SUBMODULE):
            described, path = entry.split(b"\t", 1)
            inner = os.fsdecode(path)
            if (source / inner / ".git").exists():
                _lay_out(source / inner, described.split()[2].decode(), top / inner)


def _of_git(source: Path, name: str) -> Path:
    """Where git keeps something of a repository, which may be shared by several working trees."""
    found = git_bytes(source, "rev-parse", "--git-path", name).rstrip(b"\n")
    return (source / os.fsdecode(found)).resolve()
