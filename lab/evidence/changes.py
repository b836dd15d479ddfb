"""What differs between two revisions: values, packages, files of code."""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lab.base.git import git, git_entries
from lab.base.gto import LEDGER
from lab.base.params import MAX_MARGIN, MAX_SEEDS
from lab.base.stages import ABSENT, Stage
from lab.evidence.revisions import RevisionError
from lab.evidence.schema import MAX_LISTED, Change, Changes, CodeChange
from lab.evidence.snapshots import Snapshot, pins, read_yaml
from lab.evidence.text import all_bounded, bounded
from lab.results.schema import ACCURACY, SCORE_NAME

SHOWN_BY_VALUE = ("params.yaml", "requirements.txt")
MAX_READERS = 50  # stages named for a file


# --- values --------------------------------------------------------------------------------------


class ValueChange(NamedTuple):
    """A leaf in which two trees differ; ABSENT where one lacks it."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """One line: `models.relu_128.learning_rate 0.001 → 0.002`."""
        before, after = value_text(self.before), value_text(self.after)
        return f"{self.key} {before or 'absent'} → {after or 'absent'}"


def value_changes(before: Any, after: Any, key: str = "") -> list[ValueChange]:
    """The leaves in which two trees differ, by dotted keys.

    >>> [str(change) for change in value_changes({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}})]
    ['a.b 1 → 3']
    """
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for name in dict.fromkeys(itertools.chain(before, after)):
            inner = f"{key}.{name}" if key else str(name)
            found += value_changes(before.get(name, ABSENT), after.get(name, ABSENT), inner)
        return found
    same = before is after or (type(before) is type(after) and before == after)
    if same or (_is_number(before) and _is_number(after) and before == after):
        return []
    return [ValueChange(key, before, after)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def value_text(value: Any) -> str | None:
    """A value as `params.yaml` could hold it on one line; None for ABSENT."""
    if value is ABSENT:
        return None
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except TypeError:  # a key that is a list or a date
        return str(value)


def change_entry(key: str, before: Any, after: Any) -> Change:
    """A change of a value as report.json takes it."""
    values = [value_text(value) for value in (before, after)]
    baseline, candidate = (None if value is None else bounded(value) for value in values)
    return Change(key=bounded(key), baseline=baseline, candidate=candidate)


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileChange:
    """A file that differs, and the lines it gained and lost (0 for binary files)."""

    path: str
    added: int
    removed: int


def file_changes(root: Path, base: str, head: str | None = None) -> list[FileChange]:
    """What `head` changed against `base`, results left out; None is the working tree."""
    found = []
    ends = [base, head] if head else [base]
    for entry in git_entries(
        root, "diff", "--numstat", "-z", "--no-renames", "--relative", *ends, "--"
    ):
        added, removed, path = entry.split("\t", 2)
        numbers = [int(count) if count.isdigit() else 0 for count in (added, removed)]
        found.append(FileChange(path, *numbers))
    others = ("ls-files", "-z", "--others", "--exclude-standard")
    for path in () if head else git_entries(root, *others):
        with contextlib.suppress(OSError):
            found.append(FileChange(path, (root / path).read_bytes().count(b"\n"), 0))
    return sorted(
        (change for change in found if not is_written_by_pipeline(change.path)),
        key=lambda change: change.path,
    )


def uncommitted(root: Path) -> list[str]:
    """Changed and new files that are not what the pipeline itself writes."""
    status = git_entries(
        root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "."
    )
    prefix = git(root, "rev-parse", "--show-prefix")
    paths = [entry[3:].removeprefix(prefix) for entry in status]
    return sorted(path for path in paths if not is_written_by_pipeline(path))


def is_written_by_pipeline(path: str) -> bool:
    """Whether git tracks the file as a result or a record of one, not as a cause."""
    return path.startswith("metrics/") or path in ("dvc.lock", LEDGER)


def readers(path: str, stages: Mapping[str, Stage]) -> list[str]:
    """The stages that depend on a file, or on a folder that it lies in."""
    return [
        name
        for name, stage in stages.items()
        if any(path == read or path.startswith(f"{read}/") for read in stage.dependencies)
    ]


# --- both ----------------------------------------------------------------------------------------


def changes(
    root: Path,
    base: str,
    before: Snapshot,
    after: Snapshot,
    readers_of: Callable[[str], Sequence[str]],
    head: str | None = None,
) -> Changes:
    """All that differs between a commit and the working tree, or another commit.

    Args:
        root: the project's root.
        base: the commit.
        before: its files.
        after: those of the working tree, or of `head`.
        readers_of: the stages that depend on a file.
        head: the other commit; None for the working tree.
    """
    params = [
        change_entry(*change) for change in value_changes(params_of(before), params_of(after))
    ]
    packages = [change_entry(*change) for change in value_changes(pins(before), pins(after))]
    code = [
        CodeChange(
            path=bounded(change.path),
            added=change.added,
            removed=change.removed,
            stages=all_bounded(readers_of(change.path), MAX_READERS),
        )
        for change in file_changes(root, base, head)
        if change.path not in SHOWN_BY_VALUE
    ]
    return Changes(
        params=params[:MAX_LISTED],
        params_total=len(params),
        code=code[:MAX_LISTED],
        code_total=len(code),
        packages=packages[:MAX_LISTED],
        packages_total=len(packages),
    )


def params_of(snapshot: Snapshot) -> Any:
    """The params of a revision, whatever schema they had; empty where they cannot be read."""
    try:
        return read_yaml(snapshot, "params.yaml") or {}
    except RevisionError:
        return {}


def margin_of(snapshot: Snapshot) -> float | None:
    """A revision's own margin, so that nobody lowers the bar unseen."""
    try:
        margin = params_of(snapshot)["compare"]["margin"]
    except (KeyError, TypeError):
        return None
    return margin if isinstance(margin, float) and 0 < margin <= MAX_MARGIN else None


def budget_of(snapshot: Snapshot) -> int | None:
    """A revision's own budget of seeds; 0 where it names none, None where it is broken."""
    try:
        budget = params_of(snapshot)["compare"].get("budget", 0)
    except (KeyError, TypeError, AttributeError):
        return None
    return budget if type(budget) is int and 0 <= budget <= MAX_SEEDS else None


def metric_of(snapshot: Snapshot) -> str | None:
    """The score that a revision is judged by, so that nobody changes the yardstick unseen."""
    try:
        metric = params_of(snapshot)["compare"].get("metric", ACCURACY.name)
    except (KeyError, TypeError, AttributeError):
        return None
    return metric if isinstance(metric, str) and re.fullmatch(SCORE_NAME, metric) else None
