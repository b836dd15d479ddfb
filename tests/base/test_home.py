"""The place that all copies of a project have in common, by real git."""

from pathlib import Path

import pytest
from pipelines import commit, run

from lab.base.home import home

SUBFOLDER = "a project/№ 1"  # of a monorepo


@pytest.fixture(params=[".", SUBFOLDER])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made(tmp_path / "main", request.param)


def made(top: Path, subfolder: str = ".") -> Path:
    project = top / subfolder
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc" / "config").touch()
    run(top, "git", "init", "--quiet", "--initial-branch=main")
    commit(top)
    return project


def worktree(project: Path, folder: Path, *options: str) -> Path:
    """A linked worktree; the same project in it."""
    top = Path(run(project, "git", "rev-parse", "--show-toplevel"))
    run(project, "git", *options, "worktree", "add", "--quiet", "--detach", str(folder))
    return folder / project.relative_to(top)


def temporary_copy(project: Path, under: str = "") -> Path:
    """What DVC makes for an experiment: a clone of the whole of git, deep in `.dvc`."""
    top = Path(run(project, "git", "rev-parse", "--show-toplevel"))
    clone = project / ".dvc" / "tmp" / "exps" / under / "tmp1234"
    clone.parent.mkdir(parents=True)
    run(project, "git", "clone", "--quiet", str(top), str(clone))
    return clone / project.relative_to(top)


def test_a_project_is_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert home() == project


def test_a_folder_without_git_is_its_own(tmp_path: Path) -> None:
    assert home(tmp_path) == tmp_path


@pytest.mark.parametrize("under", ["", "standalone"])  # by --queue, by --temp
def test_a_copy_that_dvc_makes_belongs_to_the_project_that_made_it(
    project: Path, under: str
) -> None:
    assert home(temporary_copy(project, under)) == project


def test_a_linked_worktree_belongs_to_the_main_one(project: Path, tmp_path: Path) -> None:
    linked = worktree(project, tmp_path / "linked")
    assert home(linked) == project
    assert home(temporary_copy(linked)) == project


def test_a_linked_worktree_of_which_the_main_one_was_moved_and_repaired(tmp_path: Path) -> None:
    worktree(made(tmp_path / "main"), tmp_path / "linked")
    moved = (tmp_path / "main").rename(tmp_path / "moved")
    assert home(tmp_path / "linked") == tmp_path / "linked"
    run(moved, "git", "worktree", "repair")
    assert home(tmp_path / "linked") == moved


def test_a_worktree_that_names_relative_paths(tmp_path: Path) -> None:
    linked = worktree(made(tmp_path / "main"), tmp_path / "linked")
    there = (linked / ".git").read_text(encoding="utf-8").removeprefix("gitdir: ").strip()
    (linked / ".git").write_text(
        f"gitdir: {Path('..', Path(there).relative_to(tmp_path))}\n", encoding="utf-8"
    )
    assert home(linked) == tmp_path / "main"


def test_a_worktree_of_a_bare_repository_is_its_own(tmp_path: Path) -> None:
    project = made(tmp_path / "main")
    bare = tmp_path / "hidden" / ".git"
    bare.parent.mkdir()
    run(project, "git", "clone", "--quiet", "--bare", ".", str(bare))
    run(bare, "git", "worktree", "add", "--quiet", str(tmp_path / "linked"), "main")
    assert home(tmp_path / "linked") == tmp_path / "linked"


def test_a_worktree_whose_main_one_has_no_such_project_is_its_own(tmp_path: Path) -> None:
    linked = worktree(made(tmp_path / "main"), tmp_path / "linked")
    (tmp_path / "main" / ".dvc").rename(tmp_path / "main" / "gone")
    assert home(linked) == linked


def test_submodules_and_their_worktrees(tmp_path: Path) -> None:
    made(tmp_path / "origin")
    outer = made(tmp_path / "outer")
    allowed = ("-c", "protocol.file.allow=always")
    run(outer, "git", *allowed, "submodule", "--quiet", "add", str(tmp_path / "origin"), "inner")
    assert home(outer / "inner") == outer / "inner"
    assert home(worktree(outer / "inner", tmp_path / "linked")) == outer / "inner"


def test_git_folders_that_lie_apart(tmp_path: Path) -> None:
    project = made(tmp_path / "main")
    run(project, "git", "init", "--quiet", f"--separate-git-dir={tmp_path / 'apart'}")
    assert home(project) == project
    linked = worktree(project, tmp_path / "linked")
    assert home(linked) == linked  # git itself does not know where the main one is
    run(project, "git", "config", "core.worktree", str(project))
    assert home(linked) == project
