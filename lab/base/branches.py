"""Which branch is the default one, whatever its name is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lab.base.git import GitError, git

ORIGIN = "origin/"


def default_branch(root: Path) -> str | None:
    """What origin calls its default branch, else what is most likely meant; None leaves it open.

    Its HEAD says so where git has asked for it, as `git clone` does and actions/checkout does not.
    Then come the name that new repositories get here, git's two usual ones, and a branch that is
    the only one.
    """
    with contextlib.suppress(GitError):
        return git(root, "rev-parse", "--abbrev-ref", "--verify", "--quiet", "origin/HEAD")
    for name in _likely(root):
        if exists(root, name):
            return name
    only = branches_of_origin(root)
    return only[0] if len(only) == 1 else None


def _likely(root: Path) -> Iterator[str]:
    with contextlib.suppress(GitError):
        configured = git(root, "config", "init.defaultBranch")
        yield from (f"{ORIGIN}{configured}", configured)
    yield from ("origin/main", "origin/master", "main", "master")


def branches_of_origin(root: Path) -> list[str]:
    """The branches of origin as they are known here, as `origin/NAME`."""
    listed = git(
        root, "for-each-ref", "--format=%(refname:short)%00%(symref)", "refs/remotes/origin"
    )
    found = [line.split("\0") for line in listed.splitlines()]
    return [name for name, symbolic in found if not symbolic]


def exists(root: Path, branch: str) -> bool:
    """Whether there is a commit of this name; one that begins with - is none."""
    try:
        commit_named(root, branch)
    except GitError:
        return False
    return True


def commit_named(root: Path, name: str) -> str:
    """The hash of the commit that git knows by a name.

    Raises:
        GitError: there is none, or what it names is no commit.
    """
    ask = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    found = git(root, *ask, name)  # alone, as whatever follows `:/text` belongs to the text
    if found.startswith("^"):
        raise GitError(f"{name}: all but a commit, which is no commit")
    return git(root, *ask, f"{found}^{{commit}}")


def short_name(branch: str) -> str:
    """A branch without `origin/`."""
    return branch.removeprefix(ORIGIN)
