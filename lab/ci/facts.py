"""What git says of a pull request: fetched as data, read without a checkout, believed.

Nothing of it is run. DVC is not asked either, because it would read files of the pull request.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.base import gto
from lab.base.git import GitError, git, git_bytes
from lab.ci.github import Api
from lab.ci.pulls import Pull
from lab.evidence.changes import budget_of, changes, margin_of, metric_of, params_of
from lab.evidence.revision_results import RevisionResults, has_same_test, read_results
from lab.evidence.revisions import RevisionError
from lab.evidence.schema import Changes, ModelSide
from lab.evidence.snapshots import Committed, model_params
from lab.evidence.tags import anchor_of

REFERENCES = "refs/fair-trial"
TAGS = ("anchor*", "v*", f"{gto.PREFIX}#*")  # what may be an anchor
# All that is read of a revision; larger files are taken for missing.
READ = ("params.yaml", "requirements.txt", "metrics")
LARGEST_FILE = 4_000_000
MOST_QUEUED = 50  # commits of a merge queue that are looked at
FETCH_SECONDS = 300.0


# https://docs.github.com/en/actions/managing-workflow-runs/skipping-workflow-runs
SKIPS = re.compile(
    r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]|^skip-checks: *true$", re.MULTILINE
)


class Revision:
    """What is read of one commit."""

    def __init__(self, root: Path, commit: str) -> None:
        self.commit, self._root = commit, root
        self.files = Committed(root, commit, READ, LARGEST_FILE)

    @cached_property
    def skips(self) -> str | None:
        """The words in its message for which GitHub starts no run."""
        found = SKIPS.search(git(self._root, "log", "-1", "--format=%B", self.commit))
        return found and found[0]

    @cached_property
    def results(self) -> RevisionResults:
        """Those that git holds; whether they are stale is another question."""
        try:
            return read_results(self.files, {})
        except RevisionError:  # its params are damaged
            return RevisionResults.none(self.files, [])

    @cached_property
    def models(self) -> Mapping[str, Any]:
        """The models of its params, as far as these can be read."""
        try:
            return model_params(self.files) or {}
        except RevisionError:
            return {}

    @cached_property
    def margin(self) -> float | None:
        """Of its params."""
        return margin_of(self.files)

    @cached_property
    def metric(self) -> str | None:
        """Of its params."""
        return metric_of(self.files)

    @cached_property
    def budget(self) -> int | None:
        """Of its params: 0 where they name none, None where they are broken."""
        return budget_of(self.files)

    @cached_property
    def seeds(self) -> int | None:
        """How many its params have a side; None where they are broken."""
        try:
            return len(params_of(self.files)["train"]["seeds"])
        except (LookupError, TypeError):
            return None

    @cached_property
    def renamed(self) -> Mapping[str, str]:
        """What its params say that models were called before."""
        try:
            was = params_of(self.files)["compare"]["was"]
        except (LookupError, TypeError):
            return {}
        return was if isinstance(was, dict) else {}


@dataclass(frozen=True)
class CommitPair:
    """A commit, where it left the branch that it goes into, and how far that has gone on."""

    root: Path
    head: Revision
    base: Revision
    branch: str
    behind: int

    @property
    def is_confirmed(self) -> bool:
        """Whether either side asks for fresh seeds: a branch does not set its own bar."""
        return bool(self.head.budget or self.base.budget)

    @cached_property
    def anchor(self) -> tuple[str, str] | None:
        """The tag and the commit that nothing may fall below."""
        return anchor_of(self.root, self.base.commit)

    @cached_property
    def anchored(self) -> Mapping[str, ModelSide]:
        """What git holds of the anchor's models; nothing where it was tested on other examples."""
        if self.anchor is None:
            return {}
        there = Revision(self.root, self.anchor[1]).results
        is_same = has_same_test(there, self.base.results)
        return there.sides if is_same else {}

    def changes(self, stages: Mapping[str, Sequence[str]]) -> Changes:
        """What changed between the two; `stages` names what depends on a file, as somebody says."""
        before, after = self.base.files, self.head.files
        return changes(
            self.root,
            self.base.commit,
            before,
            after,
            lambda path: stages.get(path, ()),
            self.head.commit,
        )


def of_pull(root: Path, api: Api, server: str, pull: Pull) -> CommitPair:
    """The trial of a pull request.

    Raises:
        GitError: git cannot fetch it, or it moved on meanwhile, or has nothing in common.
    """
    head = fetched(root, api, server, f"refs/pull/{pull.number}/head")
    if head != pull.head.sha:
        raise GitError(f"#{pull.number} has moved on to {head[:12]}; that commit has its own run")
    return trial(root, api, server, head, pull.base.ref)


def trial(root: Path, api: Api, server: str, head: str, branch: str) -> CommitPair:
    """The trial of a commit that was fetched, against where it left a branch.

    Raises:
        GitError: git cannot fetch the branch, or it has nothing in common with the commit.
    """
    tip = fetched(root, api, server, f"refs/heads/{branch}")
    _fetch(root, api, server, *(f"+refs/tags/{one}:refs/tags/{one}" for one in TAGS))
    try:
        base = git(root, "merge-base", head, tip).splitlines()[0]
    except GitError:
        raise GitError(f"{head[:12]} and {branch} have no commit in common") from None
    behind = int(git(root, "rev-list", "--count", f"{base}..{tip}"))
    return CommitPair(root, Revision(root, head), Revision(root, base), branch, behind)


def fetched(root: Path, api: Api, server: str, reference: str) -> str:
    """Fetches a reference of origin; the commit it is at.

    Raises:
        GitError: there is none, or origin cannot be reached.
    """
    here = f"{REFERENCES}/{reference.removeprefix('refs/')}"
    _fetch(root, api, server, f"+{reference}:{here}")
    return git(root, "rev-parse", "--verify", "--quiet", f"{here}^{{commit}}")


def _fetch(root: Path, api: Api, server: str, *references: str) -> None:
    options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
    git_bytes(
        root,
        "fetch",
        *options,
        "origin",
        *references,
        variables=login(api, server),
        timeout=FETCH_SECONDS,
    )


def before(trial: CommitPair) -> Sequence[str]:
    """The commits between the two, by first parents, the newest first."""
    ends = f"{trial.base.commit}..{trial.head.commit}^"
    most = f"--max-count={MOST_QUEUED}"
    return git(trial.root, "rev-list", "--first-parent", most, ends).splitlines()


def login(api: Api, server: str) -> dict[str, str]:
    """The token for git, for GitHub's own address alone and in no file and no command line."""
    login = base64.b64encode(f"x-access-token:{api.token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {login}",
        "GIT_TERMINAL_PROMPT": "0",
    }
