"""The baseline of the event that started a run, in the run's own checkout; needs no package."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lab.base.branches import ORIGIN, exists
from lab.base.errors import LabError, shortened
from lab.base.git import GitError, git

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class Asked(NamedTuple):
    """What to compare with, as `lab.evidence.revisions.resolve_base` takes it; empty is None."""

    named: str
    branch: str


def of_event(root: Path, event: Mapping[str, Any]) -> Asked:
    """The commit or the branch that an event's commit is to be compared with.

    A pull request has where it left the branch that it goes into; an entry of a merge queue the
    commit that it is put onto; a push what the branch was at before. A dispatched run names a
    commit or a branch in its input `base`, and where it left that is the baseline.

    Raises:
        LabError: the event is none of those, or git lacks a commit that it names.
    """
    if "pull_request" in event:
        ref = _text(event, "pull_request.base.ref")
        return _left(root, ref, _commit(event, "pull_request.base.sha"))
    if "merge_group" in event:
        ref = _text(event, "merge_group.base_ref").removeprefix("refs/heads/")
        return Asked(_commit(event, "merge_group.base_sha"), _branch(root, ref))
    default = _branch(root, _text(event, "repository.default_branch", needed=False))
    if "before" in event:
        before = _text(event, "before", needed=False)
        # The branch is new, or its history was replaced.
        return Asked(
            before if COMMIT.fullmatch(before) and exists(root, before) else "HEAD", default
        )
    if base := _text(event, "inputs.base", needed=False).strip():
        return _left(root, base, base)
    return Asked("", default)


def _left(root: Path, ref: str, commit: str) -> Asked:
    """Where HEAD left a branch of origin; a commit where the checkout has no such branch."""
    if branch := _branch(root, ref):
        return Asked("", branch)
    if not exists(root, commit):
        raise LabError(f"base: no such branch or commit; got {shortened(commit, 60)}; correct it")
    try:
        return Asked(git(root, "merge-base", "HEAD", commit).splitlines()[0], "")
    except GitError:
        raise LabError(
            f"HEAD and the base {shortened(commit, 60)} have no commit in common"
        ) from None


def _branch(root: Path, name: str) -> str:
    """A branch as origin's; empty where the checkout has none of the name."""
    return f"{ORIGIN}{name}" if name and exists(root, f"refs/remotes/{ORIGIN}{name}") else ""


def _commit(event: Mapping[str, Any], where: str) -> str:
    found = _text(event, where)
    if not COMMIT.fullmatch(found):
        raise LabError(
            f"GITHUB_EVENT_PATH: {where}: must be a commit; got {shortened(repr(found), 60)}"
        )
    return found


def _text(event: Mapping[str, Any], where: str, *, needed: bool = True) -> str:
    """The text at a place of the event; empty where it is not needed and not there."""
    found: Any = event
    for key in where.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return found
    if needed:
        raise LabError(f"GITHUB_EVENT_PATH: {where}: must be there; run the job again")
    return ""
