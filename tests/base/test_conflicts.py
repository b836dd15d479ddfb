"""Conflicts that real merges, rebases, picks and stashes leave, and the commands that end them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pipelines import run

from lab.base import conflicts, params, yaml
from lab.base.conflicts import ConflictError, require_none
from lab.base.dvc import DVCError
from lab.base.stages import read_stages

NAMES = ("params.yaml", "dvc.yaml", "dvc.lock", "requirements.txt", "metrics/runs/a.json")
MERGED = "run `make merge`, which puts the results of both branches together"
SIDE = (
    "take one side of all results, `git checkout --ours -- dvc.lock metrics`; `make repro` makes "
)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A branch `theirs` that changed every file otherwise than `main` did."""
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "--quiet", "--initial-branch=main")
    write("base")
    run(tmp_path, "git", "switch", "--quiet", "--create", "theirs")
    write("theirs")
    run(tmp_path, "git", "switch", "--quiet", "main")
    write("ours")
    return tmp_path


def write(what: str) -> None:
    for name in NAMES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"first:\n  key: {what}\n", encoding="utf-8")
    run(Path(), "git", "add", "--all")
    run(Path(), "git", "commit", "--quiet", "--message", what)


def git(*arguments: str) -> None:
    with pytest.raises(AssertionError, match=r"CONFLICT|conflict"):
        run(Path(), "git", *arguments)


def said(name: str) -> str:
    with pytest.raises(ConflictError) as caught:
        require_none(names=(name,))
    assert str(caught.value).startswith(f"{name}:2: git left a conflict here: ")
    return str(caught.value).partition("here: ")[2]


def test_a_merge(project):
    git("merge", "theirs")

    assert said("dvc.lock") == said("metrics/runs/a.json") == MERGED
    assert said("params.yaml") == (
        "keep the lines that shall hold, without git's marks, `git add params.yaml`, then "
        "`make merge`"
    )
    assert said("requirements.txt") == (
        "`git checkout --ours -- requirements.txt` and `make requirements` compile it anew, "
        "`git add requirements.txt`, then `make merge`"
    )


@pytest.mark.parametrize(
    ("command", "go_on"),
    [
        (["rebase", "theirs"], "git rebase --continue"),
        (["rebase", "--apply", "theirs"], "git rebase --continue"),
        (["cherry-pick", "theirs"], "git cherry-pick --continue"),
        (["revert", "HEAD~1"], "git revert --continue"),
    ],
)
def test_what_goes_on_commit_by_commit(project, command, go_on):
    if command[0] == "revert":
        write("more")
    git(*command)

    assert said("dvc.lock") == f"{SIDE}what it lacks, `git add dvc.lock metrics`, then `{go_on}`"
    assert said("dvc.yaml") == (
        f"keep the lines that shall hold, without git's marks, `git add dvc.yaml`, then `{go_on}`"
    )
    run(project, "git", "checkout", "--ours", "--", "dvc.lock", "metrics")
    require_none(names=("dvc.lock", "metrics"))


def test_a_stash_that_does_not_fit(project):
    Path("params.yaml").write_text("first:\n  key: mine\n", encoding="utf-8")
    Path("dvc.lock").write_text("first:\n  key: mine\n", encoding="utf-8")
    run(project, "git", "stash", "--quiet")
    write("more")
    git("stash", "pop")

    assert said("dvc.lock") == (
        "take one side of all results, `git checkout HEAD -- dvc.lock metrics`; `make repro` makes "
        "what it lacks"
    )
    assert said("params.yaml").endswith("without git's marks, `git add params.yaml`")
    run(project, "git", "checkout", "HEAD", "--", "dvc.lock", "metrics")
    require_none(names=("dvc.lock", "metrics"))


def test_marks_that_are_left_without_git(tmp_path):
    (tmp_path / "params.yaml").write_text("a: 1\n<<<<<<< HEAD\n", encoding="utf-8")
    with pytest.raises(ConflictError) as caught:
        require_none(tmp_path)
    assert str(caught.value) == (
        "params.yaml:2: git left a conflict here: keep the lines that shall hold, without git's "
        "marks"
    )


def test_a_reader_says_it_in_place_of_its_own_complaint(project):
    git("merge", "theirs")
    with pytest.raises(ConflictError, match=r"^params.yaml:2: git left a conflict here: keep "):
        params.load()
    with pytest.raises(ConflictError, match="it was committed with it: commit it without"):
        yaml.read_yaml(Path("params.yaml").read_bytes(), "params.yaml of 012345", 10_000)
    assert yaml.read_yaml(b"a: |\n <<<<<<< no mark\n", "a", 100) == {"a": "<<<<<<< no mark\n"}


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml", "params.yaml"])
def test_a_pipeline_that_cannot_be_read_for_it(pipeline, name):
    file = pipeline / name
    file.write_text(
        f"<<<<<<< HEAD\n{file.read_text(encoding='utf-8')}=======\n>>>>>>> theirs\n",
        encoding="utf-8",
    )
    with pytest.raises(DVCError, match=f"^{name}:1: git left a conflict here: "):
        read_stages(pipeline)
    run(pipeline, "git", "commit", "--quiet", "--all", "--message", "so")
    with pytest.raises(DVCError, match=f"^{name} of the commit:1: git left .* it was committed"):
        read_stages(pipeline, "HEAD")


def test_it_is_said_before_anything_is_installed(project):
    """By a Python that has no package, before `make` sets anything up."""
    git("merge", "theirs")
    root = Path(conflicts.__file__).parents[2]
    shutil.copytree(root / "lab", project / "lab", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "Makefile", project)
    bare = [sys.executable, "-I", "-S", "-c", "import sys; sys.path[:0] = ['.']; import runpy; "
            "sys.argv[1:] = ['requirements.txt']; runpy.run_module('lab.base.conflicts', "
            "run_name='__main__')"]  # fmt: skip
    done = subprocess.run(bare, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2, done.stderr
    assert "requirements.txt:2: git left a conflict here: " in done.stderr

    done = subprocess.run(
        ["make", "setup", f"PYTHON={sys.executable}"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "requirements.txt:2: git left a conflict here: " in done.stderr
    assert not Path(".venv/ready").exists()
