"""Whether results belong to their code, params and data, and if not, why.

DVC answers (`lab.base.stages`); here its answers become words. What it cannot tell is stale.
"""

import contextlib
import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lab.base.dvc import DVCError
from lab.base.git import GitError, git_entries
from lab.base.stages import Stage, Status, Tracked, hash_at
from lab.evidence.changes import ValueChange, value_changes

Stages = Mapping[str, Stage]

IN_GIT = "metrics/"
REPORTED = ("metrics/runs/", "metrics/dataset.json")  # the files a report is made of
FOLDER_HASH = re.compile(r"[0-9a-f]{32}\.dir")
MAX_FILES = 5  # of a folder that changed, by name


def result_stages(stages: Stages) -> set[str]:
    """The stages that write what a report is made of, and all that they follow."""
    wanted = {
        name
        for name, stage in stages.items()
        if any(path.startswith(REPORTED) for path in stage.outputs)
    }
    queue = deque(wanted)
    while queue:
        new = set(stages[queue.popleft()].follows) - wanted
        wanted |= new
        queue.extend(new)
    return wanted


def staleness(root: Path, stages: Stages, commit: str | None = None) -> dict[str, list[str]]:
    """Why stages that make results are not up to date; empty when all are.

    It is what `dvc status` would say there. Data that lie in DVC's cache alone are taken at the
    word of the stage that wrote them.

    Args:
        root: the project's root.
        stages: those of the working tree, or of `commit`.
        commit: the revision that they are of; None for the working tree.
    """
    wanted = result_stages(stages)
    found: dict[str, list[str]] = {}
    folders = _Folders(root, commit)
    for name in (name for name in stages if name in wanted):
        if reasons := _reasons(stages[name], folders):
            found[name] = reasons
    queue = deque(found)
    while queue:
        above = queue.popleft()
        for name in stages:
            if name in wanted and name not in found and above in stages[name].follows:
                found[name] = [f"depends on {above}"]
                queue.append(name)
    return found


def committed_staleness(root: Path, stages: Stages, commit: str) -> dict[str, list[str]]:
    """Why results that git holds at a commit are not its own; empty when all are.

    Beside the stages that a report is made of, these are the ones that read them. Of what such a
    stage reads, only what git holds is asked: DVC's folders also hold what models left there that
    were removed, on some machines. A stage that never ran left nothing in git.
    """
    found = staleness(root, stages, commit)
    made = {path for stage in stages.values() for path in stage.outputs}
    folders, wanted = _Folders(root, commit), result_stages(stages)
    for name, stage in stages.items():
        is_in_git = any(path.startswith(IN_GIT) for path in stage.outputs)
        if name in wanted or not is_in_git or stage.last_command is None:
            continue
        read = {
            path: tracked
            for path, tracked in stage.dependencies.items()
            if path.startswith(IN_GIT) or not _is_made(path, made)
        }
        above = [f"depends on {other}" for other in stage.follows if other in found]
        if reasons := above[:1] or _reasons(replace(stage, dependencies=read), folders):
            found[name] = reasons
    return found


def _is_made(path: str, made: Collection[str]) -> bool:
    """Whether a file or folder is, holds, or lies in what a stage writes."""
    return any(
        path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")
        for other in made
    )


def lines(stale: Mapping[str, Sequence[str]]) -> list[str]:
    """The reasons of each stage on one line."""
    return [f"{stage}: {'; '.join(reasons)}" for stage, reasons in stale.items()]


def _reasons(stage: Stage, folders: "_Folders") -> list[str]:
    """Why DVC would run one stage again."""
    if stage.last_command is None:
        return ["never ran"]
    reasons = []
    if stage.always_runs:
        reasons.append("DVC runs it every time")
    if stage.command != stage.last_command:
        reasons.append(f"command: {stage.last_command} → {stage.command}")
    for path, tracked in sorted(stage.dependencies.items()):
        reasons += _dependency_reasons(path, tracked, folders)
    for key, param in sorted(stage.params.items()):
        if param.is_changed:
            changes = value_changes(param.recorded, param.present, key)
            reasons += [str(change) for change in changes] or [f"{key} changed"]
    for path, tracked in stage.outputs.items():
        if tracked.status != "unchanged":
            reasons.append(f"{path} {OUTPUT_WORDS[tracked.status]}")
    return reasons


OUTPUT_WORDS: Mapping[Status, str] = {
    "modified": "is not what the stage wrote",
    "missing": "is missing",
    "new": "was not written by the last run",
    "unknown": "cannot be checked",
}


def _dependency_reasons(path: str, tracked: Tracked, folders: "_Folders") -> list[str]:
    match tracked.status:
        case "unchanged":
            return []
        case "missing":
            return [f"{path} is missing"]
        case "new":
            return [f"{path} is read now"]
        case "unknown":
            return [f"{path} cannot be checked"]
        case "modified":
            return [f"{file} changed" for file in folders.changed_files(path, tracked)]


class _Folders:
    """Which files make a folder another than the one that a stage read, as far as git knows."""

    def __init__(self, root: Path, commit: str | None) -> None:
        self._root, self._commit = root, commit
        self._known: dict[tuple[str, str | None], list[str]] = {}

    def changed_files(self, path: str, tracked: Tracked) -> list[str]:
        """The changed files of a folder; the path itself where they are unknown or many."""
        key = (path, tracked.recorded)
        if key not in self._known:
            files: list[str] = []
            if FOLDER_HASH.fullmatch(tracked.recorded or ""):
                with contextlib.suppress(GitError, DVCError):
                    files = self._compared(path, tracked.recorded or "")
            self._known[key] = files if 0 < len(files) <= MAX_FILES else [path]
        return self._known[key]

    def _compared(self, folder: str, recorded: str) -> list[str]:
        """What differs from the commit whose `dvc.lock` first had that hash of the folder."""
        root, here = self._root, self._commit
        log = ("log", "-z", "-1", "--format=%H", f"-S{recorded}", here or "HEAD", "--", "dvc.lock")
        for commit in git_entries(root, *log):
            if hash_at(root, commit, folder) == recorded:
                ends = [commit, here] if here else [commit]
                names = ("diff", "--name-only", "-z", "--no-renames", "--relative")
                files = git_entries(root, *names, *ends, "--", folder)
                if here is None:
                    others = ("ls-files", "-z", "--others", "--exclude-standard")
                    files += git_entries(root, *others, "--", folder)
                return sorted(files)
        return []


def stage_changes(baseline: Stage | None, candidate: Stage) -> list[str]:
    """Why a stage of the candidate had to run, given how it last ran at the baseline."""
    if baseline is None:
        return ["new stage"]
    reasons = []
    if baseline.last_command != candidate.last_command:
        reasons.append(f"command: {baseline.last_command} → {candidate.last_command}")
    reasons += [str(change) for change in _param_changes(baseline, candidate)]
    before, after = baseline.dependencies, candidate.dependencies
    for path in sorted(set(before) | set(after)):
        if path not in after:
            reasons.append(f"{path} is no longer read")
        elif path not in before:
            reasons.append(f"{path} is read now")
        elif before[path].recorded != after[path].recorded:
            reasons.append(f"{path} changed")
    return reasons


def _param_changes(baseline: Stage, candidate: Stage) -> list[ValueChange]:
    before, after = (
        {key: param.recorded for key, param in stage.params.items()}
        for stage in (baseline, candidate)
    )
    return value_changes(before, after)
