"""Which commit the anchor is, by git's tags; what it has of results is `lab.evidence.anchors`'."""

import contextlib
from pathlib import Path

from lab.base.git import GitError, git

TAG = "anchor"
RELEASES = "v[0-9]*"


def anchor_of(root: Path, base: str) -> tuple[str, str] | None:
    """The anchor's tag and its commit; None where there is neither.

    Args:
        root: the project's root.
        base: the baseline; a release that it does not contain is not of its past.

    Raises:
        GitError: git refuses.
    """
    newest = ("--sort=-version:refname", "--sort=-creatordate")  # the last one counts first
    releases = git(root, "tag", "--list", RELEASES, "--merged", base, *newest).splitlines()
    for name in (TAG, *releases[:1]):
        with contextlib.suppress(GitError):
            found = git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}")
            return name, found
    return None
