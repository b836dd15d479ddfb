"""Which commit the anchor is, by git's tags; what it has of results is `lab.evidence.anchors`'."""

import contextlib
from pathlib import Path

from lab.base import gto
from lab.base.git import GitError, git

TAG = "anchor"
RELEASES = "v[0-9]*"


def anchor_of(root: Path, base: str) -> tuple[str, str] | None:
    """What the anchor is called, and its commit; None where there is none.

    It is the tag, else what was put into production last, else the newest release.

    Args:
        root: the project's root.
        base: the baseline; what it does not contain is not of its past.

    Raises:
        GitError: git refuses.
    """
    with contextlib.suppress(GitError):
        found = git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{TAG}^{{commit}}")
        return TAG, found
    if production := gto.assigned(root, base):
        return production[-1].title, production[-1].commit
    newest = ("--sort=-version:refname", "--sort=-creatordate")  # the last one counts first
    releases = git(root, "tag", "--list", RELEASES, "--merged", base, *newest).splitlines()
    for name in releases[:1]:
        with contextlib.suppress(GitError):
            found = git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}")
            return name, found
    return None
