"""Which revisions a report compares: the working tree, and the commit that is its baseline."""

import re
from dataclasses import dataclass
from pathlib import Path

from lab.base.branches import commit_named, default_branch, short_name
from lab.base.errors import LabError
from lab.base.git import GitError, NoRepositoryError, git

EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38,62})/(.+)")


class RevisionError(LabError):
    """A revision cannot be found, read or made again; the message says what to do."""


@dataclass(frozen=True)
class Base:
    """The commit to compare with, and how many commits a branch has moved on since.

    `named` is what the user asked for; without it the base is the merge-base with `branch`, which
    stands here without `origin/`.
    """

    commit: str
    named: str | None
    branch: str | None
    behind: int | None


def head(root: Path) -> str:
    """The commit that is checked out.

    Raises:
        RevisionError: this is no git repository, or it has no commit yet.
        GitError: git is missing, or refuses this one.
    """
    try:
        git(root, "rev-parse", "--git-dir")
    except NoRepositoryError as error:
        raise RevisionError(
            f"not a git repository, and the report compares revisions ({error}); run `git init`"
        ) from None
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitError:
        raise RevisionError("no commit yet; run `git add --all && git commit`") from None


def resolve_base(root: Path, named: str | None, branch: str | None = None) -> Base:
    """Finds the baseline: the revision named, or the merge-base of HEAD with a branch.

    Args:
        root: the project's root.
        named: a revision; None takes the merge-base.
        branch: such as `origin/release`; None takes the default branch.

    Raises:
        RevisionError: there is no such revision, or a shallow clone does not reach it.
    """
    branch = branch or default_branch(root)
    if named:
        commit = _commit_of(root, named)
    elif branch is None:
        raise RevisionError(
            f"no default branch found{_shallow_hint(root)}; run `git remote set-head origin --auto`"
            ", or name the baseline: `make report BASE=<revision>`"
        )
    else:
        commit = _merge_base(root, branch)
    return Base(commit, named or None, branch and short_name(branch), _behind(root, commit, branch))


def _commit_of(root: Path, named: str) -> str:
    if named.startswith("-"):
        raise RevisionError(f"BASE: a revision does not start with -; got {named!r}")
    try:
        return commit_named(root, named)
    except GitError:
        pass
    found = _experiments(root, named)
    if len(found) > 1:
        raise RevisionError(
            f"BASE: {len(found)} experiments have this name; got {named!r}; "
            f"name one of {', '.join(found)}"
        )
    if found:
        return commit_named(root, found[0])
    advice = _shallow_hint(root) or (
        "; `git log --oneline --all` lists the revisions, `dvc exp list --all-commits` experiments"
    )
    raise RevisionError(f"BASE: no such revision; got {named!r}{advice}")


def _experiments(root: Path, name: str) -> list[str]:
    """The references of the experiments that DVC may mean by a name.

    It keeps them as refs/exps/<2 digits>/<38 digits>/<name>, after the commit that they began at,
    and takes that of the commit that is checked out before any other.
    """
    listed = git(root, "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    found = [ref for ref in listed if (is_one := EXPERIMENT.fullmatch(ref)) and is_one[3] == name]
    here = head(root)
    began_here = f"refs/exps/{here[:2]}/{here[2:]}/{name}"
    return [began_here] if began_here in found else found


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


def _behind(root: Path, commit: str, branch: str | None) -> int | None:
    if branch is None:
        return None
    try:
        return int(git(root, "rev-list", "--count", f"{commit}..{branch}"))
    except GitError:
        return None
