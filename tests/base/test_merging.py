"""`make merge` with real git and DVC: what two branches made of different models."""

import shutil
import sys
from pathlib import Path

import pytest
from repository import Repository, stages_run
from support import SMALL, is_one_line

from lab.base.merging import OURS, THEIRS, _merged

MAKE = "#!/bin/sh\nexec dvc repro\n"  # in place of `make repro`, which would set up first


@pytest.fixture(scope="module")
def branches(trained, tmp_path_factory) -> Repository:
    """Branches `relu` and `linear` that changed a model each, with their results, and `alike`.

    That one changed what `relu` did, to another value.
    """
    if sys.platform == "win32":
        pytest.skip("a script of the shell stands for make")
    lab = trained.copied(tmp_path_factory.mktemp("merging") / "lab")
    (lab.folder / ".git/make").write_text(MAKE, encoding="utf-8")
    (lab.folder / ".git/make").chmod(0o755)
    for branch, model, rate in (("relu", 0, 0.02), ("linear", 1, 0.02), ("alike", 0, 0.03)):
        lab.run("git", "switch", "-qc", branch, "main")
        lab.repro()
        changed = SMALL.split("learning_rate: 0.01")
        changed[model] += f"learning_rate: {rate}{changed.pop(model + 1)}"
        (lab.folder / "params.yaml").write_text(
            "learning_rate: 0.01".join(changed), encoding="utf-8"
        )
        lab.repro()
        lab.commit()
    return lab


@pytest.fixture
def lab(branches, tmp_path) -> Repository:
    """On the branch `linear`, with the results of both in DVC's cache."""
    copy = branches.copied(tmp_path / "lab")
    copy.run("git", "switch", "-q", "linear")
    copy.dvc("checkout", "--quiet", "--force")
    return copy


def merge(lab: Repository, named: str = "relu", code: int = 0) -> str:
    make = str(lab.folder / ".git/make")
    return lab.run("python", "-m", "lab.base.merging", named, make, code=code)


def append(lab: Repository, path: str, text: str) -> None:
    with (lab.folder / path).open("a", encoding="utf-8") as file:
        file.write(text)


def clean(lab: Repository) -> bool:
    return lab.run("git", "status", "--porcelain") == "" and lab.stale() == []


def parents(lab: Repository) -> list[str]:
    return lab.run("git", "log", "-1", "--format=%p").split()


def test_results_of_both_branches_are_put_together_and_nothing_trains(lab):
    theirs = lab.run("git", "show", "relu:metrics/runs/relu_8.json")
    ours = lab.run("git", "show", "linear:metrics/runs/linear_4.json")
    with_conflicts = lab.run("git", "merge-tree", "--write-tree", "linear", "relu", code=1)
    assert "CONFLICT (content): Merge conflict in dvc.lock" in with_conflicts

    printed = merge(lab)

    assert stages_run(printed) == ["compare", "export", "model_card"]
    assert (lab.folder / "params.yaml").read_text(encoding="utf-8").count(
        "learning_rate: 0.02"
    ) == 2
    assert (lab.folder / "metrics/runs/relu_8.json").read_text(encoding="utf-8") == theirs
    assert (lab.folder / "metrics/runs/linear_4.json").read_text(encoding="utf-8") == ours
    assert clean(lab)
    assert len(parents(lab)) == 2
    message = lab.run("git", "log", "-1", "--format=%B")
    assert message.splitlines()[0] == "Merge branch 'relu' into linear"
    assert "#" not in message  # git's list of conflicts


def test_the_list_of_what_was_in_production_is_the_other_branchs(lab):
    """Two that promoted; the tags decide, and `make promote` writes it anew."""
    for branch in ("relu", "linear"):
        lab.run("git", "switch", "-q", branch)
        (lab.folder / "registry.json").write_text(f'"{branch}"\n', encoding="utf-8")
        lab.commit()
    lab.dvc("checkout", "--quiet", "--force")

    merge(lab)

    assert (lab.folder / "registry.json").read_text(encoding="utf-8") == '"relu"\n'
    assert clean(lab)


@pytest.mark.slow
def test_the_merged_results_are_those_of_a_run_from_nothing(lab):
    merge(lab)
    merged = lab.tracked()
    shutil.rmtree(lab.folder / ".dvc/cache")
    shutil.rmtree(lab.folder / "models")

    assert {"train@relu_8", "train@linear_4", "compare"} <= {*lab.repro("--force")}
    assert lab.tracked() == merged
    assert lab.run("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_what_was_fetched_without_the_cache_of_runs_is_not_trained_again(lab):
    """As `dvc pull` brings it; so each stage has to have its own branch's entry in dvc.lock."""
    shutil.rmtree(lab.folder / ".dvc/cache/runs")

    assert stages_run(merge(lab)) == ["compare", "export", "model_card"]
    assert clean(lab)


@pytest.mark.slow
def test_what_is_in_no_cache_is_trained(lab):
    for folder in (".dvc/cache/runs", "models", ".dvc/cache/files"):
        shutil.rmtree(lab.folder / folder)

    assert {"train@relu_8", "train@linear_4", "compare"} <= {*stages_run(merge(lab))}
    assert clean(lab)


@pytest.mark.slow
def test_other_conflicts_stop_it_and_it_goes_on_where_it_was(lab):
    lab.run("git", "switch", "-q", "alike")

    said = merge(lab, code=2)

    assert said.splitlines()[-1] == (
        "merging.py: conflicts in params.yaml: resolve them, `git add` them and run `make merge` "
        "again, or undo it all with `git merge --abort`"
    )
    assert "<<<<" not in (lab.folder / "dvc.lock").read_text(encoding="utf-8")
    assert lab.run("git", "diff", "--name-only", "--diff-filter=U") == "params.yaml\n"
    assert merge(lab, code=2).splitlines() == said.splitlines()[1:]  # nothing was resolved yet

    (lab.folder / "params.yaml").write_text(SMALL, encoding="utf-8")
    lab.run("git", "add", "params.yaml")
    append(lab, "report.py", "\n")
    assert "not added to the merge: report.py: `git add` them" in merge(lab, code=2)
    lab.run("git", "checkout", "-q", "report.py")
    assert stages_run(merge(lab)) in (["compare", "export", "model_card"], [])
    assert clean(lab)
    assert len(parents(lab)) == 2


@pytest.mark.slow
def test_a_merge_that_was_begun_by_hand_is_gone_on_with(lab):
    lab.run("git", "merge", "relu", code=1)

    assert stages_run(merge(lab, "")) == ["compare", "export", "model_card"]
    assert clean(lab)


@pytest.mark.slow
def test_it_can_be_undone_after_the_pipeline_failed(lab):
    before = lab.run("git", "rev-parse", "HEAD")
    (lab.folder / ".git/make").write_text(f"{MAKE.replace('exec ', '')}exit 1\n", encoding="utf-8")

    said = merge(lab, code=2)

    assert "the merged pipeline fails, see above: correct its files" in said.splitlines()[-1]
    lab.run("git", "merge", "--abort")
    assert lab.run("git", "rev-parse", "HEAD") == before
    assert lab.run("git", "status", "--porcelain") == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nowhere", "WITH: no such branch; got 'nowhere'; correct it"),
        ("--abort", "WITH: no such branch; got '--abort'; correct it"),
        ("relu", "uncommitted changes in README.md; commit or stash them first"),
    ],
)
def test_what_cannot_be_merged_is_one_line_and_changes_nothing(lab, named, said):
    if named == "relu":
        append(lab, "README.md", "\n")
    before = lab.run("git", "status", "--porcelain=v2", "--branch")

    printed = merge(lab, named, code=2)

    assert printed == f"merging.py: {said}\n"
    assert is_one_line(printed.strip())
    assert lab.run("git", "status", "--porcelain=v2", "--branch") == before


@pytest.mark.slow
def test_a_file_in_its_way_stops_it_before_it_begins(lab):
    lab.run("git", "switch", "-q", "relu")
    (lab.folder / "new.txt").write_text("theirs", encoding="utf-8")
    lab.commit()
    lab.run("git", "switch", "-q", "linear")
    (lab.folder / "new.txt").write_text("mine, in no commit", encoding="utf-8")

    merge(lab, code=2)

    assert (lab.folder / "new.txt").read_text(encoding="utf-8") == "mine, in no commit"
    assert not (lab.folder / ".git/MERGE_HEAD").exists()


@pytest.mark.slow
def test_the_default_branch_of_origin_is_fetched_and_merged(lab, tmp_path):
    lab.run("git", "switch", "-q", "relu")
    lab.run("git", "branch", "-q", "-m", "main", "old")
    lab.run("git", "branch", "-q", "-m", "relu", "trunk")
    clone = Repository(tmp_path / "clone")
    lab.run("git", "clone", "-q", ".", str(clone.folder))
    shutil.copytree(lab.folder / ".dvc/cache", clone.folder / ".dvc/cache")
    shutil.copy(lab.folder / "mlflow.db", clone.folder / "mlflow.db")
    shutil.copy(lab.folder / ".git/make", clone.folder / ".git/make")
    clone.run("git", "switch", "-q", "linear")
    append(lab, "README.md", "\nmoved on\n")
    lab.run("git", "commit", "-qam", "moved on")

    printed = merge(clone, "")

    assert printed.startswith("merging origin/trunk (")
    assert stages_run(printed) == ["compare", "export", "model_card"]
    assert (clone.folder / "README.md").read_text(encoding="utf-8").endswith("\nmoved on\n")
    assert merge(clone, "").splitlines()[1:] == ["nothing to merge"]
    clone.run("git", "switch", "-q", "--detach", "origin/old")
    assert merge(clone, "").splitlines()[1:] == ["moved forward to it: its results are its own"]
    lab.folder.rename(lab.folder.with_name("gone"))
    assert "origin cannot be fetched, what is here of it is merged" in merge(clone, "")


def test_a_stage_is_as_the_branch_has_it_that_changed_it():
    base = {"same": 1, "ours": 1, "theirs": 1, "both": 1, "gone": 1, "gone there": 1}
    ours = {"same": 1, "ours": 2, "theirs": 1, "both": 2, "gone there": 1, "new": 5}
    theirs = {"same": 1, "ours": 1, "theirs": 3, "both": 3, "gone": 1, "new there": 6}

    assert dict(_merged(base, ours, theirs)) == {
        "same": THEIRS, "ours": OURS, "theirs": THEIRS, "both": OURS, "new": OURS,
        "new there": THEIRS,
    }  # fmt: skip


def test_the_paths_that_github_folds_away_are_the_results():
    marked = (Path(__file__).parents[2] / ".gitattributes").read_text(encoding="utf-8")

    assert "\ndvc.lock linguist-generated\nmetrics/** linguist-generated\n" in marked
