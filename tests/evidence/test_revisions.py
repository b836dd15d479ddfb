"""Baselines that are found, or refused in one line."""

import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.scm import resolve_rev
from pipelines import commit

from lab.base.git import GitError
from lab.evidence import revisions
from lab.evidence.revisions import RevisionError, resolve_base


def refusal(named: str | None = None) -> str:
    with pytest.raises(RevisionError) as caught:
        print(revisions.head(Path()), resolve_base(Path(), named))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def git(*arguments: str, folder: Path | None = None) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True)
    return done.stdout.strip()


@pytest.fixture
def history(tmp_path, monkeypatch) -> Path:
    """A repository of empty commits: main with two, branch with one more."""
    folder = tmp_path / "history"
    folder.mkdir()
    monkeypatch.chdir(folder)
    git("init", "--quiet", "--initial-branch=main")
    for message in ("first", "second"):
        git("commit", "--quiet", "--allow-empty", "--message", message)
    git("checkout", "--quiet", "-b", "branch", "HEAD~1")
    git("commit", "--quiet", "--allow-empty", "--message", "work")
    return folder


def test_the_base_is_the_merge_base_and_knows_how_far_the_default_branch_went(history):
    base = resolve_base(Path(), None)

    assert base.commit == git("rev-parse", "HEAD~1")
    assert (base.named, base.branch, base.behind) == (None, "main", 1)


def test_a_tag_or_any_revision_may_be_named(history):
    git("tag", "--annotate", "v1", "--message", "x", "main")

    assert resolve_base(Path(), "v1").commit == git("rev-parse", "main")
    assert resolve_base(Path(), "HEAD~1").named == "HEAD~1"


def test_origins_default_branch_comes_first(history, tmp_path, monkeypatch):
    git("branch", "--quiet", "--move", "main", "trunk")
    git("checkout", "--quiet", "trunk")
    git("clone", "--quiet", str(history), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")

    assert resolve_base(Path(), None).branch == "trunk"


def test_a_branch_that_is_named_is_the_one_that_was_left(history):
    git("branch", "--quiet", "release/2", "main")
    git("branch", "--quiet", "--force", "main", "HEAD")

    base = resolve_base(Path(), None, "release/2")

    assert (base.commit, base.branch, base.behind) == (git("rev-parse", "HEAD~1"), "release/2", 1)


@pytest.mark.parametrize(
    ("named", "meant"),
    [("HEAD~1", "HEAD~1"), (":/second", "main"), (":/^fir", "main~1"), ("main^{/first}", "main~1"),
     ("@{upstream}", "main"), ("branch@{u}", "main"), ("@{0}", "HEAD"), ("@", "HEAD"),
     ("main^0", "main"), ("v-1", "main"), ("refs/heads/main", "main")],
)  # fmt: skip
def test_a_baseline_is_named_in_any_way_that_git_knows(history, named, meant):
    git("branch", "--quiet", "--set-upstream-to=main")
    git("tag", "--annotate", "v-1", "--message", "x", "main")

    assert resolve_base(Path(), named).commit == git("rev-parse", f"{meant}^{{commit}}")


def test_a_baseline_may_be_an_experiment_of_dvc(history):
    """As DVC's own commands take them: a revision of git first, then one that began at HEAD."""
    (history / "in.txt").write_text("in", encoding="utf-8")
    Repo.init()
    began = commit(history)
    (history / "in.txt").write_text("tried", encoding="utf-8")
    with Repo() as repo:
        repo.experiments.save(name="tried")
    ref = f"refs/exps/{began[:2]}/{began[2:]}/tried"
    tried = git("rev-parse", ref)
    git("update-ref", f"refs/exps/00/{'0' * 38}/tried", "main")
    git("update-ref", "refs/exps/exec/tried", "main")

    for named in ("tried", ref, tried[:9]):
        assert resolve_base(Path(), named).commit == tried != began
        with Repo() as repo:
            assert resolve_rev(repo.scm, named) == tried

    commit(history)
    said = refusal("tried")
    assert said.startswith(
        "BASE: 2 experiments have this name; got 'tried'; name one of refs/exps/"
    )
    assert resolve_base(Path(), said.split()[-1]).commit in (tried, git("rev-parse", "main"))
    git("branch", "tried")
    assert resolve_base(Path(), "tried").commit == git("rev-parse", "HEAD")
    assert "`dvc exp list --all-commits` experiments" in refusal("untried")


@pytest.mark.parametrize("named", [
    "nowhere", "--all", "HEAD~99", "a b", "x^{tree}", "main..branch", "^main", ":/never", "HEAD:",
    "HEAD^{tree}", "*", "[", " ", "@{upstream}", "\n", "main\nbranch",
])  # fmt: skip
def test_an_unknown_revision_is_refused(history, named):
    assert refusal(named).startswith("BASE: ")


def test_no_default_branch_is_refused(history):
    git("branch", "--quiet", "-D", "main")

    assert refusal() == (
        "no default branch found; run `git remote set-head origin --auto`, "
        "or name the baseline: `make report BASE=<revision>`"
    )


def test_histories_without_a_common_commit_are_refused(history):
    git("checkout", "--quiet", "--orphan", "alone")
    git("commit", "--quiet", "--allow-empty", "--message", "alone")

    assert refusal().startswith("HEAD and main have no commit in common; name the baseline")


@pytest.mark.parametrize("named", [None, "HEAD~1"])
def test_a_shallow_clone_names_the_fetch_that_fixes_it(history, tmp_path, monkeypatch, named):
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--depth=1", "--no-single-branch", f"file://{history}", str(clone))
    git("remote", "set-head", "origin", "main", folder=clone)
    monkeypatch.chdir(clone)

    assert refusal(named).endswith(
        "; this is a shallow clone: run `git fetch --unshallow origin` "
        "(actions/checkout: `fetch-depth: 0`)"
    )


def test_no_repository_and_no_commit_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert refusal().startswith("not a git repository, and the report compares revisions")
    git("init", "--quiet")
    assert refusal() == "no commit yet; run `git add --all && git commit`"


@pytest.mark.parametrize("content", ["gitdir: ../moved/.git/worktrees/here\n", "nonsense", ""])
def test_a_git_folder_that_was_moved_or_is_damaged_is_told_from_none(
    tmp_path, monkeypatch, content
):
    (tmp_path / ".git").write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(GitError, match=r"^git rev-parse: fatal: ") as caught:
        revisions.head(Path())
    assert "git init" not in str(caught.value)


def test_a_folder_of_another_user_is_no_folder_without_git(history, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(
        GitError, match=r"run `git config --global --add safe\.directory "
    ) as caught:
        revisions.head(Path())
    assert "git init" not in str(caught.value)
