"""Tests that are run from a hook of git leave the user's repository alone, to the byte."""

import os
import subprocess
import sys

import pytest
from support import PATIENCE_SECONDS, ROOT, tree

# They commit, branch, clone, or ask where they are; what keeps them apart is the same for all.
FILES = (
    "tests/base/test_branches.py",
    "tests/evidence/test_revisions.py",
    "tests/evidence/test_changes.py",
)


@pytest.fixture
def outer(tmp_path):
    """A user's repository with a linked worktree; the variables that git gives a hook run there."""
    repository, linked = tmp_path / "user", tmp_path / "linked"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

    def git(*arguments):
        who = ("-c", "user.name=u", "-c", "user.email=u@example.org")
        subprocess.run(["git", *who, *arguments], cwd=repository, env=kept, check=True)

    repository.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    (repository / "precious").write_text("work of a week\n", encoding="utf-8")
    git("add", "precious")
    git("commit", "--quiet", "--message=first")
    git("worktree", "add", "--quiet", "-b", "branch", str(linked))
    return tmp_path, repository


@pytest.mark.parametrize("where", ["user", "linked"])
def test_the_repository_they_are_run_from_is_not_touched(outer, where):
    folder, repository = outer
    place = repository / ".git" if where == "user" else repository / ".git/worktrees/linked"
    before = tree(folder)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES],
        cwd=ROOT, capture_output=True, encoding="utf-8", timeout=PATIENCE_SECONDS, check=False,
        env={
            **os.environ, "GIT_DIR": str(place), "GIT_INDEX_FILE": str(place / "index"),
            "GIT_WORK_TREE": str(folder / where), "GIT_PREFIX": "",
        },
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert tree(folder) == before
