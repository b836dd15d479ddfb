"""Files of models that params.yaml does not name: they take no part, and nothing is lost."""

import shutil

import pytest
from repository import Repository, stages_run
from support import tree

FILES = ("metrics/runs/{}.json", "metrics/curves/{}.csv", "models/runs/{}")


@pytest.fixture
def lab(repository: Repository) -> Repository:
    """With what a third model left that was removed: bytes that DVC's cache has."""
    for file in FILES:
        source, target = (repository.folder / file.format(name) for name in ("linear_4", "old"))
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return repository


def left(lab: Repository) -> list[str]:
    return [file.format("old") for file in FILES if (lab.folder / file.format("old")).exists()]


def remove(lab: Repository, code: int = 0) -> str:
    return lab.run("python", "-m", "lab.results.leftovers", code=code)


def test_they_are_gone_before_dvc_looks(lab):
    assert lab.stale() == ["compare", "export", "model_card"]

    assert remove(lab) == ""

    assert left(lab) == []
    assert lab.stale() == []
    assert lab.run("git", "status", "--porcelain") == ""


def test_a_fresh_clone_sees_nothing_modified_where_dvc_alone_ran(lab, tmp_path):
    lab.edit("margin: 0.001", "margin: 0.002")
    assert lab.repro() == ["compare", "export", "model_card"]
    lab.commit()
    lab.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Repository(tmp_path / "clone")
    shutil.copytree(lab.folder / ".dvc/cache", clone.folder / ".dvc/cache")
    clone.dvc("checkout", "--quiet")

    assert left(lab) == []
    assert clone.stale() == []
    assert clone.repro() == []
    assert clone.run("git", "status", "--porcelain") == ""


def test_what_another_branch_has_in_git_is_git_s_to_bring_back(lab):
    """A model of another branch was trained elsewhere: git has its results, no cache has."""
    file = lab.folder / "metrics/runs/old.json"
    file.write_text(file.read_text(encoding="utf-8").replace("linear_4", "old"), encoding="utf-8")
    shutil.rmtree(lab.folder / "models/runs/old")
    lab.run("git", "switch", "-qc", "third")
    lab.commit()

    remove(lab)

    assert left(lab) == []
    lab.run("git", "checkout", "-q", ".")
    assert left(lab) == ["metrics/runs/old.json", "metrics/curves/old.csv"]


@pytest.mark.parametrize(
    "path", ["models/runs/old/weights.safetensors", "models/runs/notes.md", "metrics/runs/old.json"]
)
def test_what_no_stage_wrote_stays_and_is_said(lab, path):
    (lab.folder / path).unlink(missing_ok=True)
    (lab.folder / path).write_text("mine", encoding="utf-8")
    before = tree(lab.folder / "models")
    named = "models/runs/old" if "old/" in path else path

    said = remove(lab, code=2)

    assert said == (
        f"leftovers.py: {named}: of no model of params.yaml, and neither git nor DVC's cache has "
        f"a copy; results would depend on it: move it out of {named.rpartition('/')[0]}, "
        "or remove it\n"
    )
    assert (lab.folder / path).read_text(encoding="utf-8") == "mine"
    if path.startswith("models/"):
        assert tree(lab.folder / "models") == before


def test_the_comparison_does_not_run_beside_it(lab):
    (lab.folder / "models/runs/mine").write_text("mine", encoding="utf-8")
    before = lab.tracked()

    assert "models/runs/mine: of no model of params.yaml" in lab.dvc("repro", code=255)

    assert lab.tracked() == before  # DVC had removed them
    assert (lab.folder / "models/runs/mine").read_text(encoding="utf-8") == "mine"


def test_hidden_files_and_notes_beside_the_curves_are_no_matter(repository):
    for path in ("metrics/runs/.relu_8.json.swp", "models/runs/.DS_Store", "metrics/curves/a.txt"):
        (repository.folder / path).write_text("mine", encoding="utf-8")

    assert repository.stale() == []
    assert remove(repository) == ""
    assert (repository.folder / "metrics/curves/a.txt").exists()


@pytest.mark.slow
def test_a_third_model_goes_and_comes_back_without_training(repository):
    third = (
        "  other_4:\n    {network: feed_forward, hidden: [4], activation: tanh, dropout: 0.0,\n"
        "     optimizer: sgd, learning_rate: 0.1, schedule: cosine, weight_decay: 0.0}\ncompare:"
    )
    lock = (repository.folder / "dvc.lock").read_text(encoding="utf-8")
    repository.edit("compare:", third)
    assert repository.repro() == ["train@other_4", "compare", "export", "model_card"]
    repository.edit(third, "compare:")
    assert repository.repro() == ["compare", "export", "model_card"]
    assert repository.run("git", "status", "--porcelain", "--", "metrics", "models") == ""
    entries = (repository.folder / "dvc.lock").read_text(encoding="utf-8")
    assert lock.partition("  prepare:")[0] in entries  # that of `compare` is as before
    repository.edit("compare:", third)

    printed = repository.dvc("repro")

    assert "Stage 'train@other_4' is cached" in printed
    assert stages_run(printed) == ["compare", "export", "model_card"]
