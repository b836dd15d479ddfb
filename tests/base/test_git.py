"""git, asked by its command line."""

import subprocess

import pytest

from lab.base.git import GitError, git, git_entries


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
