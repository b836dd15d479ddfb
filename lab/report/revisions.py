"""What git and DVC know of a revision: its files, how its results came about, how to remake them.

A revision is read without being checked out: its files through `git cat-file`, what DVC did
through `dvc.lock`, which names every stage's command, params and the MD5 of what it read and wrote.
Only a baseline without usable results is checked out, into a temporary worktree.
"""

import configparser
import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lab.base.errors import LabError, ParamsError
from lab.base.yaml import read_yaml as parse_yaml

Say = Callable[[str], None]

MAX_YAML_BYTES = 4_000_000  # dvc.lock has 3 kB a model
MODEL_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
LARGEST_PRELOADED_BYTES = 2_000_000  # a revision's files up to this size are read in one go
RESULTS = ("metrics/runs/", "metrics/dataset.json")  # the files a report is made of


class RevisionError(LabError):
    """A revision cannot be found, read or remade; the message says what to do."""


# --- git -----------------------------------------------------------------------------------------


def git(root: Path, *arguments: str) -> str:
    """The output of a git command, without the last line end.

    Raises:
        RevisionError: git is not there or refuses; the message is its last line.
    """
    return _git_bytes(root, *arguments).decode(errors="replace").rstrip("\n")


def _git_bytes(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    command = ["git", "--no-optional-locks", "-c", "core.quotepath=off", *arguments]
    try:
        done = subprocess.run(command, cwd=root, input=given, capture_output=True)
    except FileNotFoundError:
        raise RevisionError("git is not installed; the report compares git revisions") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise RevisionError(f"git {arguments[0]}: {lines[-1]}")
    return done.stdout


@dataclass(frozen=True)
class Base:
    """The revision to compare with, and how far the trunk has moved on since.

    `named` is what the user asked for; without it the base is the merge-base with `trunk`.
    """

    commit: str
    named: str | None
    trunk: str | None
    behind: int | None


def head(root: Path) -> str:
    """The commit that is checked out.

    Raises:
        RevisionError: this is no git repository, or it has no commit yet.
    """
    try:
        git(root, "rev-parse", "--git-dir")
    except RevisionError as error:
        raise RevisionError(
            f"not a git repository, and the report compares revisions ({error}); run `git init`"
        ) from None
    try:
        return git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except RevisionError:
        raise RevisionError("no commit yet; run `git add --all && git commit`") from None


def resolve_base(root: Path, named: str | None) -> Base:
    """Finds the baseline: the revision named, or the merge-base of HEAD with the default branch.

    Raises:
        RevisionError: there is no such revision, or a shallow clone does not reach it.
    """
    trunk = _trunk(root)
    if named:
        commit = _commit_of(root, named)
    elif trunk is None:
        raise RevisionError(
            "no default branch found (origin/HEAD, main or master)"
            f"{_shallow_hint(root)}; name the baseline: `make report BASE=<revision>`"
        )
    else:
        commit = _merge_base(root, trunk)
    return Base(commit, named or None, trunk, _behind(root, commit, trunk))


def _commit_of(root: Path, named: str) -> str:
    if named.startswith("-"):
        raise RevisionError(f"BASE: a revision does not start with -; got {named!r}")
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}")
    except RevisionError:
        advice = _shallow_hint(root) or "; `git log --oneline --all` lists the revisions"
        raise RevisionError(f"BASE: no such revision; got {named!r}{advice}") from None


def _merge_base(root: Path, trunk: str) -> str:
    try:
        found = git(root, "merge-base", "HEAD", trunk)
    except RevisionError:
        advice = _shallow_hint(root) or "; name the baseline: `make report BASE=<revision>`"
        raise RevisionError(f"HEAD and {trunk} have no commit in common{advice}") from None
    return found.splitlines()[0]


def _shallow_hint(root: Path) -> str:
    if git(root, "rev-parse", "--is-shallow-repository") != "true":
        return ""
    return (
        "; this is a shallow clone: run `git fetch --unshallow origin` "
        "(actions/checkout: `fetch-depth: 0`)"
    )


def _trunk(root: Path) -> str | None:
    """The default branch: what origin calls so, else one of the usual names."""
    with contextlib.suppress(RevisionError):
        return git(root, "rev-parse", "--abbrev-ref", "--verify", "--quiet", "origin/HEAD")
    for name in ("origin/main", "origin/master", "main", "master"):
        with contextlib.suppress(RevisionError):
            git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            return name
    return None


def _behind(root: Path, commit: str, trunk: str | None) -> int | None:
    if trunk is None:
        return None
    try:
        return int(git(root, "rev-list", "--count", f"{commit}..{trunk}"))
    except RevisionError:
        return None


def uncommitted(root: Path) -> list[str]:
    """Changed and new files that are not what the pipeline itself writes."""
    status = git(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    prefix = git(root, "rev-parse", "--show-prefix")
    paths = [entry[3:].removeprefix(prefix) for entry in status.split("\0") if entry]
    return sorted(path for path in paths if not is_written_by_pipeline(path))


def is_written_by_pipeline(path: str) -> bool:
    """Whether git tracks the file as a result, not as a cause of one."""
    return path.startswith("metrics/") or path == "dvc.lock"


@dataclass(frozen=True)
class FileChange:
    """A file that differs, and the lines it gained and lost (0 for binary files)."""

    path: str
    added: int
    removed: int


def file_changes(root: Path, base: str) -> list[FileChange]:
    """What the working tree changed against `base`, results left out, new files included."""
    listed = git(root, "diff", "--numstat", "-z", "--no-renames", "--relative", base, "--")
    found = []
    for entry in filter(None, listed.split("\0")):
        added, removed, path = entry.split("\t", 2)
        numbers = [int(count) if count.isdigit() else 0 for count in (added, removed)]
        found.append(FileChange(path, *numbers))
    new = git(root, "ls-files", "-z", "--others", "--exclude-standard")
    for path in filter(None, new.split("\0")):
        with contextlib.suppress(OSError):
            found.append(FileChange(path, (root / path).read_bytes().count(b"\n"), 0))
    return sorted(
        (change for change in found if not is_written_by_pipeline(change.path)),
        key=lambda change: change.path,
    )


# --- files of a revision -------------------------------------------------------------------------


class Snapshot(Protocol):
    """The files of one revision; paths are relative to the repository's root, with slashes."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none."""

    def listing(self, folder: str) -> list[str]:
        """Every file below a folder, sorted."""


class WorkingTree:
    """Files as they lie on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none."""
        with _impossible_names():
            file = self.root / path
            return file.read_bytes() if file.is_file() else None
        return None

    def listing(self, folder: str) -> list[str]:
        """Every file below a folder, sorted."""
        with _impossible_names():
            if ".." not in PurePosixPath(folder).parts:
                found = [path for path in (self.root / folder).rglob("*") if path.is_file()]
                return sorted(path.relative_to(self.root).as_posix() for path in found)
        return []


@contextlib.contextmanager
def _impossible_names() -> Iterator[None]:
    """Ends the block when no file can have such a name."""
    try:
        yield
    except ValueError:  # a null character, or outside of the tree
        return
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise


class Committed:
    """Files of a commit, read by two git processes."""

    def __init__(self, root: Path, commit: str) -> None:
        self._root = root
        self._objects: dict[str, str] = {}
        small = []
        for entry in filter(None, git(root, "ls-tree", "-r", "-l", "-z", commit).split("\0")):
            kind, path = entry.split("\t", 1)
            _, type_, name, size = kind.split()
            if type_ == "blob":
                self._objects[path] = name
                if int(size) <= LARGEST_PRELOADED_BYTES:
                    small.append(name)
        self._contents = _blobs(root, small)

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none."""
        name = self._objects.get(path)
        if name is None:
            return None
        if name not in self._contents:
            self._contents[name] = _git_bytes(self._root, "cat-file", "blob", name)
        return self._contents[name]

    def listing(self, folder: str) -> list[str]:
        """Every file below a folder, sorted."""
        return sorted(path for path in self._objects if path.startswith(f"{folder}/"))


def _blobs(root: Path, names: Iterable[str]) -> dict[str, bytes]:
    wanted = "".join(f"{name}\n" for name in dict.fromkeys(names))
    output = _git_bytes(root, "cat-file", "--batch", given=wanted.encode())
    found, position = {}, 0
    while position < len(output):
        line_end = output.index(b"\n", position)
        name, kind, *size = output[position:line_end].decode().split()
        if kind == "missing":
            raise RevisionError(
                f"git lacks the object {name} (a partial clone?); run `git fetch --refetch origin`"
            )
        end = line_end + 1 + int(size[0])
        found[name] = output[line_end + 1 : end]
        position = end + 1
    return found


def read_yaml(snapshot: Snapshot, path: str) -> Any:
    """A YAML file of a revision; None when there is none.

    Raises:
        RevisionError: it is not YAML, or absurdly large.
    """
    content = snapshot.read(path)
    if content is None:
        return None
    try:
        return parse_yaml(content, path, MAX_YAML_BYTES)
    except ParamsError as error:
        raise RevisionError(str(error)) from None


# --- stages --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """A stage as it last ran (from dvc.lock) or as it is defined (dvc.yaml; no values then).

    Paths and params are keys; MD5s and the values of params are values.
    """

    command: str
    dependencies: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


Stages = Mapping[str, Stage]


def locked_stages(snapshot: Snapshot) -> dict[str, Stage]:
    """What `dvc.lock` says of each stage's last run; empty without the file.

    Raises:
        RevisionError: the file is damaged.
    """
    tree = read_yaml(snapshot, "dvc.lock")
    try:
        return {name: _locked(entry) for name, entry in ((tree or {}).get("stages") or {}).items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RevisionError("dvc.lock: not as DVC writes it; run `dvc repro`") from None


def _locked(entry: dict[str, Any]) -> Stage:
    params: dict[str, Any] = {}
    for values in (entry.get("params") or {}).values():
        params |= values
    return Stage(
        command=_command(entry["cmd"]),
        dependencies={str(dep["path"]): str(dep["md5"]) for dep in entry.get("deps") or []},
        params=params,
        outputs={str(out["path"]): str(out["md5"]) for out in entry.get("outs") or []},
    )


def defined_stages(snapshot: Snapshot) -> dict[str, Stage]:
    """The stages of `dvc.yaml` with `foreach` and `${...}` resolved from `params.yaml`.

    Raises:
        RevisionError: a file is damaged, or uses templates that only DVC resolves.
    """
    tree = read_yaml(snapshot, "dvc.yaml")
    params = read_yaml(snapshot, "params.yaml") or {}
    found: dict[str, Stage] = {}
    try:
        for name, entry in ((tree or {}).get("stages") or {}).items():
            if "foreach" not in entry:
                found[name] = _defined(entry, params)
                continue
            items = entry["foreach"]
            items = _value(params, items[2:-1]) if isinstance(items, str) else items
            keyed = items.items() if isinstance(items, dict) else ((item, item) for item in items)
            for key, item in keyed:
                scope = {**params, "key": key, "item": item}
                found[f"{name}@{key}"] = _defined(entry["do"], scope)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RevisionError("dvc.yaml: uses what only DVC itself can resolve") from None
    return found


def _defined(entry: dict[str, Any], scope: Mapping[str, Any]) -> Stage:
    def paths(kinds: Sequence[str]) -> list[str]:
        entries = [one for kind in kinds for one in entry.get(kind) or []]
        names = [next(iter(one)) if isinstance(one, dict) else one for one in entries]
        return [_resolved(str(name), scope) for name in names]

    return Stage(
        command=_resolved(_command(entry["cmd"]), scope),
        dependencies=dict.fromkeys(paths(["deps"]), ""),
        params=dict.fromkeys(paths(["params"])),
        outputs=dict.fromkeys(paths(["outs", "metrics", "plots"]), ""),
    )


def _command(command: str | list[str]) -> str:
    return command if isinstance(command, str) else "\n".join(command)


def _resolved(text: str, scope: Mapping[str, Any]) -> str:
    """Fills in `${a.b}`.

    >>> _resolved("python train.py ${key}", {"key": "relu_128"})
    'python train.py relu_128'
    """

    def filled(path: re.Match[str]) -> str:
        value = _value(scope, path[1].strip())
        if isinstance(value, dict | list):
            raise ValueError(path[1])
        return str(value)

    return re.sub(r"\$\{([^}]*)\}", filled, text)


def _value(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


def result_stages(stages: Stages) -> set[str]:
    """The stages that write what a report is made of, and all that they depend on."""
    wanted = {
        name
        for name, stage in stages.items()
        if any(out.startswith(RESULTS) for out in stage.outputs)
    }
    queue = deque(wanted)
    while queue:
        for path in stages[queue.popleft()].dependencies:
            for name, stage in stages.items():
                if path in stage.outputs and name not in wanted:
                    wanted.add(name)
                    queue.append(name)
    return wanted


def staleness(snapshot: Snapshot) -> dict[str, list[str]]:
    """Why stages that make results are not up to date in a revision; empty when all are.

    It is what `dvc status` would say there, worked out from `dvc.lock` without a checkout. Data
    that lie in DVC's cache alone are taken at the word of the stage that wrote them.

    Raises:
        RevisionError: `dvc.lock`, `dvc.yaml` or `params.yaml` is damaged.
    """
    locked = locked_stages(snapshot)
    try:
        defined = defined_stages(snapshot)
    except RevisionError:
        defined = locked  # templates beyond ours: then dvc.lock alone must do
    params = read_yaml(snapshot, "params.yaml") or {}
    written = {path: md5 for stage in locked.values() for path, md5 in stage.outputs.items()}
    found = {}
    wanted = [name for name in defined if name in result_stages(defined)]
    for name in wanted:
        reasons = (
            _faults(snapshot, params, defined[name], locked[name], written)
            if name in locked
            else ["never ran"]
        )
        if reasons:
            found[name] = reasons
    queue = deque(found)
    while queue:  # what depends on a stale stage is stale, too
        above = queue.popleft()
        for name in wanted:
            if name not in found and set(defined[above].outputs) & set(defined[name].dependencies):
                found[name] = [f"depends on {above}"]
                queue.append(name)
    return found


def _faults(
    snapshot: Snapshot, params: Any, defined: Stage, locked: Stage, written: Mapping[str, str]
) -> list[str]:
    """Why one stage is not up to date."""
    reasons = []
    if defined.command != locked.command:
        reasons.append(f"command: {locked.command} → {defined.command}")
    for path in sorted(set(defined.dependencies) | set(locked.dependencies)):
        was = locked.dependencies.get(path)
        now = _md5(snapshot, path) or written.get(path) or _added_md5(snapshot, path)
        if path not in defined.dependencies:
            reasons.append(f"{path} is no longer read")
        elif was is None:
            reasons.append(f"{path} is read now")
        elif now is not None and was != now:
            reasons.append(f"{path} changed")
        elif now is None and not any(out.startswith(f"{path}/") for out in written):
            reasons.append(f"{path} is missing")
    for key in sorted(set(defined.params) | set(locked.params)):
        if key not in defined.params:
            reasons.append(f"{key} is no longer read")
            continue
        reasons += [
            shown(*change)
            for change in differences(
                {key: locked.params.get(key)}, {key: _value_or_none(params, key)}
            )
        ]
    for path, md5 in locked.outputs.items():
        if path.startswith("metrics/") and (now := _md5(snapshot, path)) != md5:
            reasons.append(f"{path} is {'missing' if now is None else 'not what the stage wrote'}")
    return reasons


def _value_or_none(tree: Any, path: str) -> Any:
    try:
        return _value(tree, path)
    except (KeyError, TypeError, IndexError):
        return None


def stage_changes(baseline: Stage | None, candidate: Stage) -> list[str]:
    """Why a stage of the candidate had to run, given how it last ran at the baseline."""
    if baseline is None:
        return ["new stage"]
    reasons = []
    if baseline.command != candidate.command:
        reasons.append(f"command: {baseline.command} → {candidate.command}")
    reasons += [shown(*change) for change in differences(baseline.params, candidate.params)]
    before, after = baseline.dependencies, candidate.dependencies
    for path in sorted(set(before) | set(after)):
        if path not in after:
            reasons.append(f"{path} is no longer read")
        elif path not in before:
            reasons.append(f"{path} is read now")
        elif before[path] != after[path]:
            reasons.append(f"{path} changed")
    return reasons


def _md5(snapshot: Snapshot, path: str) -> str | None:
    """The MD5 by which DVC knows a file, or a folder of files that git tracks."""
    content = snapshot.read(path)
    if content is not None:
        return hashlib.md5(content, usedforsecurity=False).hexdigest()
    if not path.startswith("metrics/"):
        return None  # a folder of DVC's own
    entries = []
    for file in snapshot.listing(path):
        digest = hashlib.md5(snapshot.read(file) or b"", usedforsecurity=False).hexdigest()
        entries.append({"md5": digest, "relpath": str(PurePosixPath(file).relative_to(path))})
    # Source: dvc-data, hashfile/tree.py: a folder is the JSON list of its files, sorted by path.
    text = json.dumps(entries, sort_keys=True).encode()
    return f"{hashlib.md5(text, usedforsecurity=False).hexdigest()}.dir" if entries else None


def _added_md5(snapshot: Snapshot, path: str) -> str | None:
    """The MD5 of a file or folder under `dvc add`, which `PATH.dvc` holds."""
    tree = read_yaml(snapshot, f"{path}.dvc")
    try:
        return str(tree["outs"][0]["md5"])
    except (KeyError, TypeError, IndexError):
        return None


# --- params --------------------------------------------------------------------------------------

Difference = tuple[str, Any, Any]
ABSENT = object()


def differences(before: Any, after: Any, key: str = "") -> list[Difference]:
    """The leaves in which two trees differ, as (dotted key, before, after); ABSENT when not there.

    >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}})
    [('a.b', 1, 3)]
    """
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for name in dict.fromkeys(itertools.chain(before, after)):
            inner = f"{key}.{name}" if key else str(name)
            found += differences(before.get(name, ABSENT), after.get(name, ABSENT), inner)
        return found
    same = before is after or (type(before) is type(after) and before == after)
    return (
        []
        if same or (_is_number(before) and _is_number(after) and before == after)
        else [(key, before, after)]
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(key: str, before: Any, after: Any) -> str:
    """A difference on one line: `models.relu_128.learning_rate 0.001 → 0.002`."""
    return f"{key} {value_text(before) or 'absent'} → {value_text(after) or 'absent'}"


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


def model_params(snapshot: Snapshot) -> dict[str, Any] | None:
    """The entries of `models:` of a revision, whatever schema its params had; None without any.

    Raises:
        RevisionError: the file is damaged, or a name in it is none that files can be named after.
    """
    tree = read_yaml(snapshot, "params.yaml")
    models = tree.get("models") if isinstance(tree, dict) else None
    if not isinstance(models, dict):
        return None
    for name in models:
        if not MODEL_NAME.fullmatch(str(name)):
            raise RevisionError(f"params.yaml: no name for a model: {str(name)[:80]!r}")
    return {str(name): value for name, value in models.items()}


def pins(snapshot: Snapshot) -> dict[str, str]:
    """The versions that `requirements.txt` pins, by package."""
    content = (snapshot.read("requirements.txt") or b"").decode(errors="replace")
    pinned = {}
    for line in content.splitlines():
        name, separator, rest = line.partition("==")
        if separator and name and not name.startswith((" ", "#", "-")):
            pinned[name.strip()] = rest.split()[0].rstrip(";\\") if rest.split() else ""
    return pinned


# --- DVC's cache ---------------------------------------------------------------------------------


def cache_folder(root: Path) -> Path:
    """Where DVC keeps its cache, by `.dvc/config.local`, `.dvc/config` or its default."""
    for name in ("config.local", "config"):
        config = configparser.ConfigParser(interpolation=None)
        with contextlib.suppress(configparser.Error, OSError, ValueError, RuntimeError):
            text = (root / ".dvc" / name).read_text()
            config.read_string("\n".join(line.strip() for line in text.splitlines()))
            if folder := config.get("cache", "dir", fallback=None):
                return (root / ".dvc" / folder).resolve()
    return (root / ".dvc" / "cache").resolve()


def cached_file(cache: Path, folder_md5: str, name: str) -> Path | None:
    """A file of a cached folder (`<md5>.dir`); None when the cache lacks it."""
    try:
        entries = json.loads(_cached(cache, folder_md5).read_bytes())
        path = _cached(cache, next(one["md5"] for one in entries if one["relpath"] == name))
    except (OSError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return None
    return path if path.is_file() else None


def _cached(cache: Path, md5: str) -> Path:
    if not MD5.fullmatch(md5):
        raise ValueError(md5)
    return cache / "files" / "md5" / md5[:2] / md5[2:]


# --- reproduction --------------------------------------------------------------------------------


@contextlib.contextmanager
def reproduced(root: Path, commit: str, say: Say) -> Iterator[WorkingTree]:
    """Runs a revision's own pipeline in a temporary worktree that shares this one's DVC cache.

    It runs with the packages that are installed now. What is in the cache is not computed again.

    Raises:
        RevisionError: the revision has no pipeline, or its pipeline fails.
    """
    with tempfile.TemporaryDirectory(prefix="baseline-", ignore_cleanup_errors=True) as temporary:
        worktree = Path(temporary).resolve() / "worktree"
        git(root, "worktree", "add", "--detach", "--quiet", str(worktree), commit)
        try:
            place = worktree / git(root, "rev-parse", "--show-prefix")
            if not (place / "dvc.yaml").is_file() or not (place / ".dvc").is_dir():
                raise RevisionError("this revision has no pipeline (dvc.yaml) to reproduce")
            _share(root, place)
            _repro(place, say)
            yield WorkingTree(place)
        finally:
            with contextlib.suppress(RevisionError):  # the folder itself goes in any case
                git(root, "worktree", "remove", "--force", str(worktree))


def _share(root: Path, place: Path) -> None:
    """Lets the worktree use this one's cache and raw files, so that nothing is fetched twice."""
    cache = cache_folder(root)
    cache.mkdir(parents=True, exist_ok=True)
    (place / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {cache}\n")
    if (root / "data" / "raw").is_dir():  # the stage verifies them by checksum
        shutil.copytree(root / "data" / "raw", place / "data" / "raw")


def _repro(place: Path, say: Say) -> None:
    left_out = ("GIT_", "PYTHONPATH", "PYTHONHOME", "DVC_", "MLFLOW_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([programs, environment.get("PATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "train"],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    last: deque[str] = deque(maxlen=1)
    with process:
        for line in process.stdout or ():
            if line.strip():
                say(f"  {line.rstrip()}")
                last.append(line.strip())
    if process.returncode:
        raise RevisionError(f"`dvc repro train` failed there: {' '.join(last)[:200]}")
