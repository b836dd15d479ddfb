"""Commits laid out beside a repository that knows nothing of it, whatever state that is in."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo
from pipelines import commit, run
from support import tree

from lab.base.checkouts import checked_out
from lab.base.dvc import Cache, share_cache
from lab.base.git import GitError, git

HOOKS = ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman",
         "pre-commit", "post-commit", "pre-push")  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    """What lies in a project, git's and DVC's own files left out."""
    left_out = (".git", ".dvc", "data/", "grids/")
    return {name: what for name, what in tree(folder).items() if not name.startswith(left_out)}


# --- a repository that is left alone -------------------------------------------------------------


@pytest.mark.parametrize("place", ["repository", "user", "dvc"])
def test_no_hook_runs_and_nothing_in_the_repository_changes(pipeline, tmp_path, monkeypatch, place):
    hooks = {"repository": pipeline / ".git" / "hooks", "user": tmp_path / "hooks"}.get(place)
    if hooks is None:
        run(pipeline, "dvc", "install")
    else:
        hooks.mkdir(exist_ok=True)
        for name in HOOKS:
            (hooks / name).write_text(
                f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n", encoding="utf-8"
            )
            (hooks / name).chmod(0o755)
    if place == "user":
        (tmp_path / "gitconfig").write_text(
            f"[core]\n hooksPath = {hooks}\n fsmonitor = true\n", encoding="utf-8"
        )
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    before = tree(pipeline)
    with checked_out(pipeline, git(pipeline, "rev-parse", "HEAD")) as found:
        assert files(found) == files(pipeline)
        assert tree(pipeline) == before  # what a kill leaves behind
        assert git(found, "status", "--porcelain") == ""
        place_of_it = found

    assert tree(pipeline) == before
    assert not place_of_it.exists()
    assert not (tmp_path / "ran").exists()


def test_an_older_commit_is_laid_out_whole_and_one_that_is_not_there_is_refused(pipeline):
    before, first = files(pipeline), git(pipeline, "rev-parse", "HEAD")
    (pipeline / "in.txt").unlink()
    (pipeline / "new").write_text("new", encoding="utf-8")
    commit(pipeline)

    with checked_out(pipeline, first) as found:
        assert files(found) == before
        assert git(found, "rev-parse", "HEAD") == first
    with pytest.raises(GitError, match=r"^git read-tree: fatal: "), checked_out(pipeline, "0" * 40):
        pass


# --- states of a repository in which DVC has to run ----------------------------------------------


def as_it_is(folder: Path) -> Path:
    return folder


def with_core_worktree(folder: Path) -> Path:
    git(folder, "config", "core.worktree", str(folder))
    return folder


def with_worktree_config(folder: Path) -> Path:
    git(folder, "config", "extensions.worktreeConfig", "true")
    git(folder, "config", "--worktree", "core.worktree", str(folder))
    return folder


def linked(folder: Path) -> Path:
    git(folder, "worktree", "add", "--quiet", "--detach", "../linked")
    return folder.parent / "linked"


def sparse(folder: Path) -> Path:
    git(folder, "update-index", "--refresh")
    git(folder, "sparse-checkout", "set", "--no-cone", "/*", "!/in.txt")
    assert not (folder / "in.txt").exists()
    return folder


def submodule(folder: Path) -> Path:
    outer = folder.parent / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    allowed = ("-c", "protocol.file.allow=always")
    git(outer, *allowed, "submodule", "--quiet", "add", str(folder), "inner")
    return outer / "inner"


def nested_submodule(folder: Path) -> Path:
    outer = submodule(folder).parent
    commit(outer)
    outermost = folder.parent / "outermost"
    outermost.mkdir()
    git(outermost, "init", "--quiet")
    allowed = ("-c", "protocol.file.allow=always")
    git(outermost, *allowed, "submodule", "--quiet", "add", str(outer), "outer")
    git(outermost, *allowed, "submodule", "--quiet", "update", "--init", "--recursive")
    return outermost / "outer" / "inner"


def subfolder_of_a_submodule(folder: Path) -> Path:
    return submodule(subfolder(folder).parent.parent) / "a project" / "№ 1"


def subfolder(folder: Path) -> Path:
    """A monorepo with the project deep in it."""
    project = folder.parent / "mono" / "a project" / "№ 1"
    project.parent.mkdir(parents=True)
    (folder / ".git").rename(folder.parent / "mono" / ".git")
    shutil.move(folder, project)
    os.chdir(project)
    commit(project)
    return project


@pytest.mark.parametrize("state", [
    as_it_is, with_core_worktree, with_worktree_config, linked, sparse, subfolder, submodule,
    nested_submodule, subfolder_of_a_submodule,
])  # fmt: skip
def test_dvc_runs_in_it_with_the_cache_of_the_project(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, state: Callable[[Path], Path]
):
    project = state(pipeline)
    cache = next(pipeline.parent.rglob(".dvc/cache"))
    with checked_out(project, git(project, "rev-parse", "HEAD")) as found:
        assert (found / "in.txt").read_text(encoding="utf-8") == "in\n"
        share_cache(cache, found)
        with monkeypatch.context() as there:
            there.chdir(found)
            with Repo() as repo:
                repo.reproduce(["data"])
        assert (found / "data" / "a").read_text(encoding="utf-8") == "in\n"
        assert Cache(found).folder.samefile(cache)


def test_submodules_of_a_project_come_along_where_they_are_checked_out(pipeline, tmp_path):
    for name in ("own", "deeper"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "--quiet")
        (tmp_path / name / "code.py").write_text(f"# {name}\n", encoding="utf-8")
        commit(tmp_path / name)
    allowed = ("-c", "protocol.file.allow=always")
    add = (*allowed, "submodule", "--quiet", "add")
    git(tmp_path / "own", *add, str(tmp_path / "deeper"), "deeper")
    commit(tmp_path / "own")
    git(pipeline, *add, str(tmp_path / "own"), "own ä")
    git(pipeline, *allowed, "submodule", "--quiet", "update", "--init", "--recursive")
    first = commit(pipeline)

    with checked_out(pipeline, first) as found:
        assert (found / "own ä" / "code.py").read_text(encoding="utf-8") == "# own\n"
        assert (found / "own ä" / "deeper" / "code.py").read_text(encoding="utf-8") == "# deeper\n"
    git(pipeline, "submodule", "--quiet", "deinit", "--force", "own ä")
    with checked_out(pipeline, first) as found:
        assert [*(found / "own ä").iterdir()] == []


def test_files_are_written_as_the_repository_writes_them(pipeline):
    git(pipeline, "config", "core.autocrlf", "true")
    git(pipeline, "config", "filter.large.smudge", "sed s/main/fetched/")
    git(pipeline, "config", "filter.large.clean", "sed s/fetched/main/")
    git(pipeline, "config", "filter.large.required", "true")
    (pipeline / ".gitattributes").write_text("code/main.sh filter=large\n", encoding="utf-8")
    first = commit(pipeline)

    with checked_out(pipeline, first) as found:
        assert (found / "code" / "main.sh").read_bytes() == b"fetched\r\n"
    git(pipeline, "config", "filter.large.smudge", "false")
    with pytest.raises(GitError, match=r"^git read-tree: "), checked_out(pipeline, first):
        pass


@pytest.mark.parametrize("how", ["--depth=1", "--filter=blob:none", "--shared"])
def test_a_clone_that_has_not_everything_is_enough(pipeline, tmp_path, how):
    run(pipeline, "git", "tag", "--annotate", "v1", "--message", "x")
    run(pipeline, "git", "config", "uploadpack.allowFilter", "true")
    before = files(pipeline)
    (pipeline / "in.txt").write_text("new", encoding="utf-8")
    commit(pipeline)
    origin = str(pipeline) if how == "--shared" else f"file://{pipeline}"
    run(tmp_path, "git", "clone", "--quiet", how, origin, "clone")
    older = "HEAD" if how == "--depth=1" else "v1"
    first = git(tmp_path / "clone", "rev-parse", f"{older}^{{commit}}")

    with checked_out(tmp_path / "clone", first) as found:
        assert files(found) == (files(pipeline) if older == "HEAD" else before)
        assert git(found, "log", "-1", "--format=%s") == "change"
        assert git(found, "describe", "--always") == ("v1" if older == "v1" else first[:7])


def test_a_repository_whose_path_is_odd_lends_its_objects(pipeline, tmp_path):
    place = tmp_path / 'a "b", #1 %s ä'
    shutil.move(pipeline, place)
    os.chdir(place)
    (place / ".git").chmod(stat.S_IRWXU)

    with checked_out(place, git(place, "rev-parse", "HEAD")) as found:
        assert files(found) == files(place)
