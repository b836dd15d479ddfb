"""git, asked by its command line."""

import subprocess

import pytest

from lab.base import git as git_module
from lab.base.git import GitError, commit_of_working_tree, git, git_entries


@pytest.fixture
def repository(tmp_path):
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_refusal_is_one_line_with_what_git_said(repository):
    with pytest.raises(GitError) as caught:
        git(repository, "merge-base", "HEAD", "nowhere")
    assert str(caught.value) == "git merge-base: fatal: Not a valid object name HEAD"


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
        (inner / name).write_text(content)
    (repository / "above").write_text("1")
    git(repository, "add", "--all")
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    git(repository, *identity, "commit", "--quiet", "--message", "first")
    (inner / "edited").write_text("22")
    (inner / "gone").unlink()
    (repository / "above").write_text("22")
    (inner / "staged").write_text("3")
    git(inner, "add", "staged")
    for name in ('a "new" ä*', "ignored"):
        (inner / name).write_text("4")
    (inner / "large").write_text("5" * 101)
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
