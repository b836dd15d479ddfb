"""`make merge`: a merge whose commit holds results of its own, though both branches changed theirs.

Nobody can merge results by hand, and no line of them has to be: those that one branch alone changed
are as it has them, and what both changed is made again, from DVC's cache where that has it.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.base import dvc, gto, remote
from lab.base.branches import default_branch, exists
from lab.base.errors import LabError, shortened
from lab.base.git import GitError, git, git_bytes, git_entries
from lab.base.script import run_script
from lab.base.yaml import read_yaml

LOCK, METRICS = "dvc.lock", "metrics"  # what git tracks of the results
MAX_BYTES = 2**24  # of a dvc.lock
NAMED = 5  # files in a message
GO_ON = "`git add` them and run `make merge` again, or undo it all with `git merge --abort`"
OURS, THEIRS = 2, 3  # as git's index numbers the sides of a conflict

Stages = Mapping[str, Any]  # of a dvc.lock, by name


def main() -> None:
    """Merges the branch that is named, or goes on with a merge that was begun.

    Raises:
        LabError: something is in the way.
    """
    match sys.argv[1:]:
        case [named, make]:
            command = [make, "--no-print-directory", "repro"]
            merge(Path(), named, lambda: subprocess.run(command, check=False).returncode == 0)
        case _:
            raise LabError("usage: python -m lab.base.merging BRANCH MAKE")


def merge(root: Path, named: str, reproduce: Callable[[], bool]) -> None:
    """Merges a branch into the one that is checked out, and commits.

    Args:
        root: the project's root.
        named: the branch; empty takes origin's default one.
        reproduce: runs the pipeline; whether it went well.

    Raises:
        LabError: the tree is dirty, there is no such branch, files other than results conflict, or
            the pipeline fails. Where a merge is under way then, the message says how to go on.
    """
    if not _is_merging(root) and not _begun(root, named):
        return
    _resolve_results(root)
    if left := _conflicts(root):
        raise LabError(f"conflicts in {_listed(left)}: resolve them, {GO_ON}")
    if changed := git_entries(root, "diff", "--name-only", "-z", "--", "."):
        raise LabError(f"not added to the merge: {_listed(changed)}: {GO_ON}")
    remote.transfer("pull")
    dvc.restore(root)
    went_well = reproduce()
    git(root, "add", "--all", "--", LOCK, METRICS)  # in any case: git aborts no other merge
    if not went_well:
        raise LabError(f"the merged pipeline fails, see above: correct its files, {GO_ON}")
    git(root, "commit", "--quiet", "--no-edit", "--cleanup=strip")
    print("merged, with results of its own; what is left is `git push`", flush=True)


def _begun(root: Path, named: str) -> bool:
    """Starts the merge; False where git needs none."""
    if changed := git_entries(root, "diff", "--name-only", "-z", "HEAD", "--", "."):
        raise LabError(f"uncommitted changes in {_listed(changed)}; commit or stash them first")
    branch = _branch(root, named)
    before = git(root, "rev-parse", "HEAD")
    print(f"merging {branch} ({git(root, 'rev-parse', '--short', branch)})", flush=True)
    try:
        git(root, "merge", "--no-commit", "--quiet", branch)
    except GitError:
        if not _is_merging(root):  # refused, for an untracked file in its way for instance
            raise
    if _is_merging(root):
        return True
    is_same = git(root, "rev-parse", "HEAD") == before
    print("nothing to merge" if is_same else "moved forward to it: its results are its own")
    return False


def _branch(root: Path, named: str) -> str:
    branch = named or default_branch(root)
    if branch is None:
        raise LabError(
            "no default branch found; run `git remote set-head origin --auto`, or name the branch: "
            "`make merge WITH=origin/NAME`"
        )
    name = branch.partition("/")[0]
    if name in git(root, "remote").splitlines():
        try:
            git(root, "fetch", "--quiet", name)
        except GitError as error:
            print(f"{name} cannot be fetched, what is here of it is merged ({error})", flush=True)
    if branch.startswith("-") or not exists(root, branch):
        raise LabError(f"WITH: no such branch; got {shortened(repr(branch), 60)}; correct it")
    return branch


def _is_merging(root: Path) -> bool:
    return exists(root, "MERGE_HEAD")


def _conflicts(root: Path) -> list[str]:
    """The files in conflict, by their paths from the top of the repository."""
    return git_entries(root, "diff", "--name-only", "--diff-filter=U", "-z")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return shortened(", ".join(names[:NAMED])) + more


# --- results -------------------------------------------------------------------------------------


def _resolve_results(root: Path) -> None:
    """Ends the conflicts in results: `dvc.lock` stage by stage, and files as it then names them.

    And in the list of what was in production, which the branch that is merged knows better.
    """
    prefix = git(root, "rev-parse", "--show-prefix")
    paths = [path.removeprefix(prefix) for path in _conflicts(root) if path.startswith(prefix)]
    sides = _resolve_lock(root) if LOCK in paths else {}
    for path in paths:
        if path.startswith(f"{METRICS}/"):
            _take(root, path, sides.get(path))
        elif path == gto.LEDGER:
            _take(root, path, THEIRS)


def _resolve_lock(root: Path) -> dict[str, int]:
    """Writes the merged `dvc.lock`; the side from which each output is, by path."""
    from dvc.utils.serialize import dump_yaml

    base, ours, theirs = (_stages(root, side) for side in (1, OURS, THEIRS))
    merged = dict(_merged(base, ours, theirs))
    stages = {name: (ours, theirs)[side == THEIRS][name] for name, side in merged.items()}
    dump_yaml(root / LOCK, {"schema": "2.0", "stages": stages})
    git(root, "add", "--", LOCK)
    return {
        str(out["path"]): side
        for name, side in merged.items()
        for out in stages[name].get("outs", [])
    }


def _merged(base: Stages, ours: Stages, theirs: Stages) -> Iterator[tuple[str, int]]:
    """The stages of a merge and the side whose entry holds; what both changed is made again."""
    for name in dict.fromkeys([*ours, *theirs]):
        side = THEIRS if ours.get(name) == base.get(name) else OURS
        if name in (theirs if side == THEIRS else ours):
            yield name, side


def _stages(root: Path, side: int) -> Stages:
    """The stages of one side's `dvc.lock`; none where it has no such file, or a damaged one."""
    try:
        content = git_bytes(root, "show", f":{side}:./{LOCK}")
        stages = read_yaml(content, LOCK, MAX_BYTES)["stages"]
    except (LabError, LookupError, TypeError):
        return {}
    return stages if isinstance(stages, dict) else {}


def _take(root: Path, path: str, side: int | None) -> None:
    """Puts one side's version of a file in its place; none where it removed it, or none holds."""
    held = {
        int(entry.split("\t")[0].split()[2])
        for entry in git_entries(root, "ls-files", "--unmerged", "-z", "--", path)
    }
    if side not in held:
        git(root, "rm", "--quiet", "--force", "--", path)
        return
    git(root, "checkout", "--quiet", "--ours" if side == OURS else "--theirs", "--", path)
    git(root, "add", "--", path)


if __name__ == "__main__":
    run_script(main)
