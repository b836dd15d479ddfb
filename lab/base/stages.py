"""The stages of a revision as DVC resolves them, and what of them is not as their last run left it.

See `lab.base.dvc` on the calls into DVC; they were tried with DVC 3.67.1.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lab.base.conflicts import ConflictError, require_none_in
from lab.base.dvc import DVCError, opened
from lab.base.errors import shortened

PARAMS_FILE = "params.yaml"

# `unchanged`: as recorded; also what lies in DVC's cache alone and was written by the stage that
# recorded it. `new`: never recorded. `unknown`: DVC failed to tell.
Status = Literal["unchanged", "modified", "missing", "new", "unknown"]
_STATUSES: dict[str, Status] = {"deleted": "missing", "modified": "modified", "new": "new"}
ABSENT = object()  # in place of a param's value


@dataclass(frozen=True)
class Tracked:
    """A file or folder of a stage: the hash that `dvc.lock` recorded, and whether it has it now."""

    recorded: str | None
    status: Status


@dataclass(frozen=True)
class Param:
    """A param of a stage: the value that `dvc.lock` recorded, and the value now; or ABSENT."""

    recorded: Any
    present: Any
    is_changed: bool


@dataclass(frozen=True)
class Stage:
    """A stage of a `dvc.yaml` with its templates filled in, and what is known of its last run.

    Or an import that is not frozen: its command is empty, its dependency is where it comes from.

    Paths are relative to the project, with slashes. Of a frozen stage DVC asks neither
    dependencies nor params, and no other stage runs on its behalf.
    """

    name: str
    command: str
    last_command: str | None  # None: it never ran
    dependencies: Mapping[str, Tracked]
    params: Mapping[str, Param]
    outputs: Mapping[str, Tracked]
    follows: Sequence[str]  # stages whose outputs it reads
    always_runs: bool


def read_stages(root: Path, commit: str | None = None) -> dict[str, Stage]:
    """The stages of the working tree or of a commit, in the order of `dvc.yaml`.

    Raises:
        DVCError: DVC cannot read the pipeline there.
    """
    from dvc.repo.reproduce import get_active_graph

    with opened(root, commit) as repo:
        with _reading(repo):
            found = [stage for stage in repo.index.stages if _may_run(stage)]
            graph = get_active_graph(repo.index.graph)
            last = _last_commands(repo, found)
        names = {stage: _name(repo, stage) for stage in found}
        return {
            name: _stage(
                repo, stage, name, last.get(stage),
                [names[other] for other in graph.successors(stage) if other in names],
            )
            for stage, name in names.items()
        }  # fmt: skip


def _may_run(stage: Any) -> bool:
    """Whether it is of a dvc.yaml, or an import (a .dvc file) that DVC is to fetch anew by itself.

    What else a .dvc file names is just data: whoever reads it knows when it changed.
    """
    from dvc.stage import PipelineStage

    return isinstance(stage, PipelineStage) or bool(stage.deps and not stage.frozen)


def hash_at(root: Path, commit: str, path: str) -> str | None:
    """The hash by which DVC would know a file or folder of a commit; None when there is none."""
    with opened(root, commit) as repo:
        return _hash_of(repo, repo.fs.join(repo.root_dir, path), repo.fs)


@contextlib.contextmanager
def _reading(repo: Any) -> Iterator[None]:
    """Whatever DVC raises at files not as it writes them, it means that it cannot read them."""
    try:
        yield
    except Exception as error:
        _require_no_conflict(repo)
        reason = shortened(str(error).replace(f"{repo.root_dir}/", "") or type(error).__name__)
        raise DVCError(f"DVC cannot read the pipeline: {reason}; `dvc status` says more") from None


def _require_no_conflict(repo: Any) -> None:
    """Says what git left in the files, of the working tree or of a commit, that DVC could not read.

    Raises:
        DVCError: it left something.
    """
    from dvc.fs import LocalFileSystem

    of_commit = "" if isinstance(repo.fs, LocalFileSystem) else " of the commit"
    for name in ("dvc.yaml", "dvc.lock", PARAMS_FILE):
        path = repo.fs.join(repo.root_dir, name)
        content = repo.fs.read_bytes(path) if repo.fs.isfile(path) else b""
        try:
            require_none_in(content, f"{name}{of_commit}", Path(repo.root_dir))
        except ConflictError as error:
            raise DVCError(str(error)) from None


def _last_commands(repo: Any, found: Sequence[Any]) -> dict[Any, str]:
    """The command of each stage's last run, which DVC compares but does not keep."""
    from dvc.dvcfile import Lockfile

    pipelines = [stage for stage in found if stage.path.endswith("dvc.yaml")]
    files = {stage.path for stage in pipelines}
    locks = {path: Lockfile(repo, f"{os.path.splitext(path)[0]}.lock").load() for path in files}  # noqa: PTH122
    last = {stage: "" for stage in found if stage not in pipelines}
    for stage in pipelines:
        entry = (locks[stage.path].get("stages") or {}).get(stage.name)
        if entry:
            last[stage] = _one_text(entry.get("cmd", ""))
    return last


def _one_text(command: str | list[str]) -> str:
    return command if isinstance(command, str) else "\n".join(command)


def _name(repo: Any, stage: Any) -> str:
    file = repo.fs.relpath(stage.path, repo.root_dir)
    if not file.endswith("dvc.yaml"):
        return Path(file).as_posix()
    return stage.name if file == "dvc.yaml" else f"{Path(file).as_posix()}:{stage.name}"


def _stage(
    repo: Any, stage: Any, name: str, last_command: str | None, follows: Sequence[str]
) -> Stage:
    from dvc.dependency import ParamsDependency

    params: dict[str, Param] = {}
    dependencies: dict[str, Tracked] = {}
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency):
            params |= _params(repo, dependency, stage.frozen)
        else:
            dependencies[_path(repo, dependency)] = _tracked(repo, dependency, stage.frozen)
    return Stage(
        name=name,
        command=_one_text(stage.cmd or ""),
        last_command=last_command,
        dependencies=dependencies,
        params=params,
        outputs={_path(repo, out): _tracked(repo, out, is_trusted=False) for out in stage.outs},
        follows=tuple(follows),
        always_runs=bool(stage.always_changed or stage.is_callback),
    )


def _path(repo: Any, item: Any) -> str:
    if not item.is_in_repo:
        return str(item.def_path)
    return Path(repo.fs.relpath(item.fs_path, repo.root_dir)).as_posix()


def _params(repo: Any, dependency: Any, is_frozen: bool) -> dict[str, Param]:
    """The params of one file; keys of another file than params.yaml are DVC's `file:key`."""
    path = _path(repo, dependency)
    prefix = "" if path == PARAMS_FILE else f"{path}:"
    recorded = dict(dependency.hash_info.value or {}) if dependency.hash_info else {}
    with _reading(repo):
        present = dependency.read_params() if dependency.exists else {}
        status = {} if is_frozen else dependency.workspace_status()
    changed = status.get(str(dependency), {})  # by key; one word where it is true of all
    return {
        f"{prefix}{key}": Param(
            recorded.get(key, ABSENT),
            present.get(key, ABSENT),
            isinstance(changed, str) or key in changed,
        )
        for key in dependency.params or dict.fromkeys([*present, *recorded])
    }


def _tracked(repo: Any, item: Any, is_trusted: bool) -> Tracked:
    recorded = str(item.hash_info.value) if item.hash_info else None
    if is_trusted:
        return Tracked(recorded, "unchanged")
    try:
        if recorded is None:  # as dependencies on what is no file also have none
            return Tracked(None, "new" if item.workspace_status() else "unchanged")
        return Tracked(recorded, _status(repo, item))
    except Exception:  # of a file system far away, or of a damaged cache
        return Tracked(recorded, "unknown")


def _status(repo: Any, item: Any) -> Status:
    """What DVC says, where nothing is missing that it could lay out from its cache."""
    cached = [out for out in _overlapping(repo, item) if out.use_cache]
    if all(out.exists for out in cached):
        said = item.workspace_status().values()
        return next((_STATUSES.get(word, "modified") for word in said), "unchanged")
    own = next((out for out in cached if out.fs_path == item.fs_path), None)
    if own is not None:
        return "unchanged" if own.hash_info == item.hash_info else "modified"
    if not all(out.get_obj() for out in cached):
        return "unchanged"  # nobody can tell without the cache: the stage that wrote it is believed
    is_same = _hash_of(repo, item.fs_path, repo.dvcfs) == item.hash_info.value
    return "unchanged" if is_same else "modified"


def _overlapping(repo: Any, item: Any) -> list[Any]:
    """The outputs of any stage that are the item, or lie in it, or that it lies in."""
    trie, key = repo.index.outs_trie, item.fs.parts(item.fs_path)
    inside = trie.values(prefix=key) if trie.has_node(key) else []
    return [*inside, *(step.value for step in trie.prefixes(key) if step.key != key)]


def _hash_of(repo: Any, path: str, files: Any) -> str | None:
    """A hash over files of the working tree or a commit, and with `repo.dvcfs` of the cache too."""
    from dvc_data.hashfile.build import build

    if files is repo.dvcfs:
        path = f"/{repo.fs.relpath(path, repo.root_dir)}"
    if not files.exists(path):
        return None
    ignored = None if files is repo.dvcfs else repo.dvcignore
    *_, found = build(repo.cache.local, path, files, "md5", ignore=ignored, dry_run=True)
    return str(found.hash_info.value)
