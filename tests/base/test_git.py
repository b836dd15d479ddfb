"""git, asked by its command line."""

import os
import subprocess

import pytest

from lab.base import git as git_module
from lab.base.git import (
    ELSEWHERE,
    WITHOUT_HOOKS,
    GitError,
    NoRepositoryError,
    commit_of_working_tree,
    git,
    git_entries,
)


@pytest.fixture
def repository(tmp_path):
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_refusal_is_one_line_with_what_git_said(repository):
    with pytest.raises(GitError) as caught:
        git(repository, "merge-base", "HEAD", "nowhere")
    assert str(caught.value) == "git merge-base: fatal: Not a valid object name HEAD"


def test_what_git_says_is_told_from_its_hints(repository):
    (repository / "there").write_text("1", encoding="utf-8")
    git(repository, "add", "there")
    with pytest.raises(GitError) as caught:
        git(repository, "-c", "user.name=", "commit", "--message", "x")
    assert str(caught.value).startswith("git commit: fatal: ")


def test_a_folder_of_another_user_is_told_from_one_without_git(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path.parent / "none").mkdir()
    with pytest.raises(NoRepositoryError):
        git(tmp_path.parent / "none", "status")
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests have it too
    with pytest.raises(GitError) as caught:
        git(repository, "status")

    assert not isinstance(caught.value, NoRepositoryError)
    assert str(caught.value) == (
        "git status: the folder belongs to another user, whom git does not trust; if you do, run "
        f"`git config --global --add safe.directory {repository}`"
    )


@pytest.mark.parametrize("name", ELSEWHERE)
def test_variables_of_a_hook_lead_to_no_other_repository(repository, tmp_path, monkeypatch, name):
    (repository / "folder").mkdir()
    (repository / "folder" / "one*").write_text("1", encoding="utf-8")
    git(repository, "add", "--all")
    said = ("ls-files", "--stage", "--full-name", ":/"), ("rev-parse", "--show-prefix")
    folder = repository / "folder"
    before = [git(folder, *each) for each in said]
    monkeypatch.setenv(name, str(tmp_path / "elsewhere"))

    assert [git(folder, *each) for each in said] == before


def test_git_that_is_missing_is_one_line(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(GitError, match="git is not installed; install it"):
        git(repository, "status")


def test_names_come_as_they_are(repository):
    names = ["a\tb", "a\nb", "ä", '"']
    for name in names:
        (repository / name).touch()

    found = git_entries(repository, "ls-files", "-z", "--others")
    assert sorted(found) == sorted(names)


def test_what_lies_in_the_working_tree_becomes_a_commit_and_nothing_else_changes(
    repository, monkeypatch
):
    monkeypatch.setattr(git_module, "LARGEST_NEW_FILE", 100)
    inner = repository / "a folder"
    inner.mkdir()
    for name, content in {
        "same": "1",
        "edited": "1",
        "gone": "1",
        ".gitignore": "ignored\n",
    }.items():
        (inner / name).write_text(content, encoding="utf-8")
    (repository / "above").write_text("1", encoding="utf-8")
    git(repository, "add", "--all")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    git(repository, *identity, "commit", "--quiet", "--message", "first")
    (inner / "edited").write_text("22", encoding="utf-8")
    (inner / "gone").unlink()
    (repository / "above").write_text("22", encoding="utf-8")
    (inner / "staged").write_text("3", encoding="utf-8")
    git(inner, "add", "staged")
    for name in ('a "new" ä*', "ignored"):
        (inner / name).write_text("4", encoding="utf-8")
    (inner / "large").write_text("5" * 101, encoding="utf-8")
    status = git(repository, "status", "--porcelain")
    index = (repository / ".git/index").read_bytes()
    found = commit_of_working_tree(inner)

    there = git_entries(repository, "ls-tree", "-r", "-z", "--name-only", found)
    folder = {name.removeprefix("a folder/") for name in there if name != "above"}
    assert folder == {".gitignore", "same", "edited", "staged", 'a "new" ä*'}
    assert git(repository, "show", f"{found}:a folder/edited") == "22"
    assert git(repository, "show", f"{found}:above") == "22"
    assert git(repository, "rev-parse", f"{found}^") == git(repository, "rev-parse", "HEAD")
    assert commit_of_working_tree(inner) == found
    assert git(repository, "status", "--porcelain") == status
    assert (repository / ".git/index").read_bytes() == index
    assert git(repository, "for-each-ref").count("\n") == 0


def test_an_edit_in_the_moment_in_which_git_wrote_its_index_is_seen(repository):
    """Clocks of files stand still for milliseconds, on a busy machine for longer."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    git(repository, "config", "core.trustCTime", "false")
    moment = (1_700_000_000 * 10**9,) * 2
    file = repository / "file"
    file.write_bytes(b"1")
    os.utime(file, ns=moment)
    git(repository, "add", "--all")
    git(repository, *identity, "commit", "--quiet", "--message", "first")
    file.write_bytes(b"2")
    for each in (file, repository / ".git/index"):
        os.utime(each, ns=moment)

    assert git(repository, "show", f"{commit_of_working_tree(repository)}:file") == "2"


@pytest.mark.parametrize("option", [
    "core.splitIndex=true", "core.safecrlf=true", "index.sparse=true", "core.untrackedCache=true",
    "core.fsmonitor=./hangs",
])  # fmt: skip
def test_what_is_configured_does_not_keep_the_working_tree_from_becoming_a_commit(
    repository, option
):
    name, value = option.split("=")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    (repository / "hangs").write_text("#!/bin/sh\nsleep 3600\n", encoding="utf-8")
    (repository / "hangs").chmod(0o755)
    (repository / "file").write_bytes(b"1\n")
    git(repository, "add", "--all")
    git(repository, *identity, "commit", "--quiet", "--message", "first")
    for setting in (("core.autocrlf", "true"), (name, value)):
        git(repository, "config", *setting)
    for hook in ("post-index-change", "reference-transaction"):
        file = repository / ".git/hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        file.chmod(0o755)
    git(repository, *WITHOUT_HOOKS, "update-index", "--split-index", "--untracked-cache")
    (repository / "file").write_bytes(b"2\n")

    found = commit_of_working_tree(repository)
    assert git(repository, "show", f"{found}:file") == "2"
