"""The default branch of clones as they come, whatever it is called."""

import subprocess
from pathlib import Path

import pytest

from lab.base.branches import default_branch, exists, short_name


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def without_a_configured_name(monkeypatch, tmp_path):
    (tmp_path / "gitconfig").touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def made(tmp_path):
    """Makes a repository with these branches, the first one checked out, and a clone of it."""

    def make(*branches: str) -> Path:
        origin = tmp_path / "origin"
        git(tmp_path, "init", "--quiet", f"--initial-branch={branches[0]}", str(origin))
        git(origin, "commit", "--quiet", "--allow-empty", "--message", "first")
        for name in branches[1:]:
            git(origin, "branch", name)
        git(tmp_path, "clone", "--quiet", str(origin), str(tmp_path / "clone"))
        return tmp_path / "clone"

    return make


def as_checked_out_by_actions(clone: Path) -> Path:
    """actions/checkout fetches branches and sets no origin/HEAD."""
    git(clone, "remote", "set-head", "origin", "--delete")
    git(clone, "checkout", "--quiet", "--detach")
    for name in git(clone, "branch", "--format=%(refname:short)").splitlines():
        if not name.startswith("("):
            git(clone, "branch", "--quiet", "-D", name)
    return clone


def test_a_clone_knows_it(made):
    assert default_branch(made("trunk", "main", "change")) == "origin/trunk"


def test_the_name_that_new_repositories_get_comes_before_the_usual_ones(made):
    clone = as_checked_out_by_actions(made("trunk", "main"))
    git(clone, "config", "init.defaultBranch", "trunk")

    assert default_branch(clone) == "origin/trunk"


@pytest.mark.parametrize("name", ["main", "master"])
def test_then_the_usual_names(made, name):
    assert default_branch(as_checked_out_by_actions(made("change", name))) == f"origin/{name}"


def test_then_a_branch_that_is_the_only_one(made):
    assert default_branch(as_checked_out_by_actions(made("trunk"))) == "origin/trunk"


def test_of_several_none_is_guessed(made):
    assert default_branch(as_checked_out_by_actions(made("trunk", "change"))) is None


@pytest.mark.parametrize("name", ["main", "master"])
def test_without_an_origin_the_usual_names_are_local(tmp_path, name):
    git(tmp_path, "init", "--quiet", f"--initial-branch={name}")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")

    assert default_branch(tmp_path) == name


def test_a_name_that_looks_like_an_option_is_no_branch(made):
    clone = as_checked_out_by_actions(made("trunk"))
    git(clone, "config", "init.defaultBranch", "--all")

    assert not exists(clone, "--all")
    assert exists(clone, "origin/trunk")
    assert default_branch(clone) == "origin/trunk"


def test_short_names():
    assert [short_name(name) for name in ("origin/release/2", "main")] == ["release/2", "main"]
