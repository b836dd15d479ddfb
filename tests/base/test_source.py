import subprocess
from pathlib import Path

import pytest

from lab.base.source import source_tags

PULL = {
    "GITHUB_REF": "refs/pull/12/merge",
    "GITHUB_REF_NAME": "12/merge",
    "GITHUB_REF_TYPE": "branch",  # GitHub says so
    "GITHUB_HEAD_REF": "wider",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "owner/name",
}


def git(*arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *who, *arguments], capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "a/wider")
    git("commit", "-q", "--allow-empty", "-m", "160 hidden units: Größe\n\nMore of it.")
    return git("rev-parse", "HEAD")


def test_a_checkout_has_commit_branch_and_note_and_no_pull_request(commit: str) -> None:
    git("tag", "anchor")
    assert source_tags({}) == {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": "a/wider",
        "git_commit": commit[:12],
        "branch": "a/wider",
        "author_note": "160 hidden units: Größe",
    }


def test_a_workflow_of_a_pull_request_has_its_number_address_and_branch(commit: str) -> None:
    git("checkout", "-q", "--detach")
    tags = source_tags(PULL)
    assert (tags["branch"], tags["pull_request"]) == ("wider", "12")
    assert tags["pull_request_url"] == "https://github.com/owner/name/pull/12"
    assert tags["git_commit"] == commit[:12]


def test_a_workflow_of_a_push_has_its_branch(commit: str) -> None:
    git("checkout", "-q", "--detach")
    pushed = {**PULL, "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main"}
    tags = source_tags({**pushed, "GITHUB_HEAD_REF": ""})
    assert tags["branch"] == "main"
    assert "pull_request" not in tags
    assert "branch" not in source_tags({})  # a detached commit is on none


def test_without_a_repository_or_a_commit_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert source_tags({}) == {}
    git("init", "-q")
    assert source_tags({}) == {}
