"""Which revisions a report compares: the working tree, and the commit that is its baseline."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from lab.base.errors import LabError
from lab.base.git import GitError, git


class RevisionError(LabError):
    """A revision cannot be found, read or made again; the message says what to do."""


@dataclass(frozen=True)
class Base:
    """The commit to compare with, and how many commits the default branch has moved on since.

    `named` is what the user asked for; without it the base is the merge-base with
    `default_branch`.
    """

    commit: str
    named: str | None
    default_branch: str | None
    behind: int | None


def head(root: Path) -> str:
    """The commit that is checked out.

    Raises:
        RevisionError: this is no git repository, or it has no commit yet.
    """
    try:
        git(root, "rev-parse", "--git-dir")
    except GitError as error:
        raise RevisionError(
            f"not a git repository, and the report compares revisions ({error}); run `git init`"
        ) from None
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitError:
        raise RevisionError("no commit yet; run `git add --all && git commit`") from None


def resolve_base(root: Path, named: str | None) -> Base:
    """Finds the baseline: the revision named, or the merge-base of HEAD with the default branch.

    Raises:
        RevisionError: there is no such revision, or a shallow clone does not reach it.
    """
    branch = _default_branch(root)
    if named:
        commit = _commit_of(root, named)
    elif branch is None:
        raise RevisionError(
            "no default branch found (origin/HEAD, main or master)"
            f"{_shallow_hint(root)}; name the baseline: `make report BASE=<revision>`"
        )
    else:
        commit = _merge_base(root, branch)
    return Base(commit, named or None, branch, _behind(root, commit, branch))


def _commit_of(root: Path, named: str) -> str:
    if named.startswith("-"):
        raise RevisionError(f"BASE: a revision does not start with -; got {named!r}")
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
    except GitError:
        advice = _shallow_hint(root) or "; `git log --oneline --all` lists the revisions"
        raise RevisionError(f"BASE: no such revision; got {named!r}{advice}") from None


def _merge_base(root: Path, branch: str) -> str:
    try:
        found = git(root, "merge-base", "HEAD", branch)
    except GitError:
        advice = _shallow_hint(root) or "; name the baseline: `make report BASE=<revision>`"
        raise RevisionError(f"HEAD and {branch} have no commit in common{advice}") from None
    return found.splitlines()[0]


def _shallow_hint(root: Path) -> str:
    if git(root, "rev-parse", "--is-shallow-repository") != "true":
        return ""
    return (
        "; this is a shallow clone: run `git fetch --unshallow origin` "
        "(actions/checkout: `fetch-depth: 0`)"
    )


def _default_branch(root: Path) -> str | None:
    """What origin calls its default branch, else one of the usual names."""
    with contextlib.suppress(GitError):
        return git(root, "rev-parse", "--abbrev-ref", "--verify", "--quiet", "origin/HEAD")
    for name in ("origin/main", "origin/master", "main", "master"):
        with contextlib.suppress(GitError):
            git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            return name
    return None


def _behind(root: Path, commit: str, branch: str | None) -> int | None:
    if branch is None:
        return None
    try:
        return int(git(root, "rev-list", "--count", f"{commit}..{branch}"))
    except GitError:
        return None
