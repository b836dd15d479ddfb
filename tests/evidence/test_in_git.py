"""What git holds of a branch's results: its own or not, and made here or elsewhere."""

from pathlib import Path

import pytest
from comparisons import collected, line, remake, remake_elsewhere, shown, text, words
from dvc.repo import Repo

from lab.base.stages import read_stages
from lab.evidence.staleness import committed_staleness
from lab.report.judgement import judge


def merged(repository, message: str) -> None:
    """Makes the branch as it is the newest of main."""
    repository.commit(message)
    repository.run("git", "branch", "--quiet", "--force", "main")


def stale_main(repository) -> None:
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    merged(repository, "forgot the results")


# --- stale ---------------------------------------------------------------------------------------


def test_results_that_were_not_committed_do_not_pass_though_what_was_made_is_judged(
    repository, monkeypatch
):
    repository.edit("params.yaml", "relu, dropout: 0.0", "relu, dropout: 0.1")
    repository.commit("forgot the results")
    remake(monkeypatch)
    found = collected()

    assert found.candidate.committed_stale == ["train@relu_8: models.relu_8.dropout 0.0 → 0.1"]
    assert found.candidate.inherited_stale == []
    assert set(words(found).values()) == {"equivalent"}
    assert not judge(found).passes
    assert not judge(found).is_acceptable
    assert line(found).startswith("✕ Stale in git: the results in this branch are not those of ")
    assert "is judged: equivalent: relu_8 (identical results), linear_4" in line(found)
    assert "Asked of you: commit the results: make repro, then git add" in line(found)
    assert 'git add dvc.lock metrics && git commit --message "Update the results"' in text(found)
    repository.commit("the results")
    assert judge(collected()).passes


def test_an_edit_of_results_by_hand_is_stale(repository, monkeypatch):
    path = Path("metrics/runs/relu_8.json")
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept.replace("0.9", "0.95"), encoding="utf-8")
    repository.commit("better")
    path.write_text(kept, encoding="utf-8")
    found = collected()

    assert found.candidate.committed_stale == [
        "train@relu_8: metrics/runs/relu_8.json is not what the stage wrote"
    ]
    assert not judge(found).passes


def test_results_that_cannot_be_read_are_stale_though_dvc_lock_names_them(repository, monkeypatch):
    """Whoever writes both by hand."""
    path = Path("metrics/runs/relu_8.json")
    kept = path.read_text(encoding="utf-8")
    path.write_text("{}", encoding="utf-8")
    with Repo() as repo:
        repo.commit("train@relu_8", force=True)
    repository.commit("nonsense")
    path.write_text(kept, encoding="utf-8")
    with Repo() as repo:
        repo.commit("train@relu_8", force=True)
    found = collected()

    assert [row.partition(" (")[0] for row in found.candidate.committed_stale] == [
        "train@relu_8: metrics/runs/relu_8.json is not of this schema"
    ]
    assert not judge(found).passes


def test_what_only_reads_results_is_stale_too_where_it_ran_once(repository):
    """As stage compare, when only the margin changed."""
    repository.edit("dvc.yaml", "cmd: python compare.py", "cmd: echo {} | tee " + " ".join([
        "metrics/comparison.json", "metrics/metrics.csv", "metrics/metrics.json",
        "metrics/scores.json", "metrics/confusion.csv", "metrics/confusion_matrix.png",
    ]) + " && mkdir models/best")  # fmt: skip
    repository.commit("never ran")
    assert committed_staleness(Path(), read_stages(Path(), "HEAD"), "HEAD") == {}

    Path("models/runs/removed").mkdir()  # of a model that only this machine had once
    Path("models/runs/removed/weights").write_text("old", encoding="utf-8")
    repository.repro("compare")
    merged(repository, "ran")
    assert committed_staleness(Path(), read_stages(Path(), "HEAD"), "HEAD") == {}
    repository.run("git", "checkout", "--quiet", "-B", "branch")
    repository.edit("params.yaml", "margin: 0.001", "margin: 0.1")
    repository.commit("another margin")
    repository.repro("compare")
    found = collected()

    assert found.candidate.committed_stale == ["compare: compare.margin 0.001 → 0.1"]
    assert not judge(found).passes


def test_what_was_stale_before_the_branch_began_is_not_its_fault(repository, monkeypatch):
    stale_main(repository)
    Path("README.md").write_text(
        "A branch that changes no cause of any result.\n", encoding="utf-8"
    )
    repository.commit("read me")
    remake(monkeypatch)
    found = collected()

    assert found.candidate.committed_stale == []
    assert found.candidate.inherited_stale == [
        "train@relu_8: train.epochs 1 → 2",
        "train@linear_4: train.epochs 1 → 2",
    ]
    assert found.baseline.origin == "reproduced"
    assert judge(found).passes
    assert (
        "- **Results were stale at the baseline already** (`train@relu_8: train.epochs 1 → 2` and "
        "1 more), and this branch changed nothing of that: run `make repro` on `main` and commit "
        "the results there."
    ) in text(found)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("params.yaml", "epochs: 2", "epochs: 3"),
        pytest.param("train.py", "def main", "# more\ndef main", marks=pytest.mark.slow),
        pytest.param("lab/training/stacks.py", '"""', '"""More. ', marks=pytest.mark.slow),
        ("metrics/runs/relu_8.json", "0.9", "0.95"),
        # What train follows.
        pytest.param("prepare.py", "import", "import re\nimport", marks=pytest.mark.slow),
    ],
)
def test_a_branch_that_changes_a_cause_has_the_fault(repository, monkeypatch, path, old, new):
    stale_main(repository)
    kept = Path(path).read_text(encoding="utf-8")
    repository.edit(path, old, new)
    repository.commit("change")
    if path.startswith("metrics/"):
        Path(path).write_text(kept, encoding="utf-8")
    remake(monkeypatch)
    found = collected()

    assert "train@relu_8" in " ".join(found.candidate.committed_stale)
    assert not judge(found).passes


def test_work_on_a_stale_branch_itself_inherits(repository, monkeypatch):
    """HEAD is the baseline."""
    stale_main(repository)
    remake(monkeypatch)
    found = collected("HEAD")

    assert found.candidate.committed_stale == []
    assert len(found.candidate.inherited_stale) == 2


# --- made elsewhere ------------------------------------------------------------------------------


def of_a_laptop(repository, monkeypatch, **machine) -> None:
    """A branch whose model changed and was trained on another machine; then once more here."""
    repository.edit("params.yaml", "relu, dropout: 0.0", "relu, dropout: 0.1")
    remake_elsewhere(monkeypatch, **machine)
    repository.commit("my results")
    remake(monkeypatch)


def test_results_of_another_machine_are_a_branchs_own(repository, monkeypatch):
    of_a_laptop(repository, monkeypatch, confidence=0.8)
    found = collected()
    judged = judge(found)

    assert found.candidate.committed_stale == []
    for model in found.models:
        assert model.committed.test["accuracy"] == model.candidate.test["accuracy"]
        assert model.committed.test["calibration_error"] != model.candidate.test[
            "calibration_error"]  # fmt: skip
        assert (model.committed.curve, model.committed.cost) == (None, None)
    assert judged.passes
    assert ("`relu_8`: another machine made what git holds. Reproduced here: the same (") in text(
        found
    )


def test_results_that_another_machine_gives_otherwise_are_not_reproduced(repository, monkeypatch):
    of_a_laptop(repository, monkeypatch, mistakes=-5)
    found = collected()
    judged = judge(found)

    assert found.candidate.committed_stale == []
    assert set(words(found).values()) == {"not reproduced"}
    assert not judged.passes
    assert not judged.is_acceptable
    assert line(found).startswith("✕ Not reproduced: relu_8 −1.67 pp (−1.67 to −1.67) against wh")


def test_what_is_identical_needs_no_words(repository, monkeypatch):
    of_a_laptop(repository, monkeypatch)
    found = collected()

    assert [model.committed for model in found.models] == [None, None]
    assert "another machine" not in text(found)


def test_uncommitted_work_is_no_other_machine(repository, monkeypatch):
    repository.edit("params.yaml", "relu, dropout: 0.0", "relu, dropout: 0.2")
    repository.edit("params.yaml", "hidden: [8]", "hidden: [80]")
    remake(monkeypatch)
    Path("notes.txt").write_text("and a file that no stage reads", encoding="utf-8")
    found = collected()

    assert [model.committed for model in found.models] == [None, None]


def test_a_judged_score_that_git_does_not_hold_cannot_be_compared(repository, monkeypatch):
    repository.edit("params.yaml", "  margin: 0.001", "  margin: 0.001\n  metric: macro_f1")
    of_a_laptop(repository, monkeypatch, confidence=0.8)
    found = collected()

    assert "`relu_8`: another machine made what git holds, which has no `macro_f1`." in text(found)
    assert not [one.reproduction for one in judge(found).models if one.reproduction]


# --- the baseline --------------------------------------------------------------------------------


def test_a_baseline_from_another_machine_is_made_here(repository, monkeypatch):
    """Nothing that the branch changes can be told from what the machine does otherwise."""
    remake_elsewhere(monkeypatch, mistakes=4)
    merged(repository, "main's results, of a laptop")
    repository.edit("params.yaml", "relu, dropout: 0.0", "relu, dropout: 0.1")
    repository.repro("train")
    repository.commit("a change")
    shown.clear()
    found = collected()

    assert found.baseline.origin == "reproduced"
    assert found.baseline.reasons == [
        "its results were made on another machine (linear_4: same inputs, other results)"
    ]
    assert set(words(found).values()) == {"equivalent"}
    assert [flips.missing for flips in found.flips] == [None, None]
    assert judge(found).passes
    trained = [row for row in shown if "Running stage" in row]
    assert [row.split("'")[1] for row in trained] == ["prepare", "check", "train@relu_8"]


def test_another_device_of_a_changed_model_tells_as_well(repository, monkeypatch):
    remake_elsewhere(monkeypatch, device="cuda")
    merged(repository, "main's results, of a GPU")
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    repository.repro("train")
    found = collected()

    assert found.baseline.reasons == [
        "its results were made on another machine (relu_8 on cuda, here on cpu)"
    ]
    assert found.baseline.origin == "reproduced"
    assert {model.baseline.device for model in found.models} == {"cpu"}


@pytest.mark.parametrize("is_kept", [True, False])
def test_where_every_model_changed_the_cache_tells(repository, monkeypatch, is_kept):
    if not is_kept:
        remake_elsewhere(monkeypatch, confidence=0.8)
        merged(repository, "main's results, of a laptop")
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    repository.repro("train")
    found = collected()

    assert found.baseline.origin == ("committed" if is_kept else "reproduced")
    assert found.baseline.reasons == [] if is_kept else [
        "its results were made on another machine, as far as the DVC cache of this one tells"
    ]  # fmt: skip


def test_a_baseline_that_cannot_be_made_here_is_taken_as_it_is(repository, monkeypatch):
    remake_elsewhere(monkeypatch, confidence=0.8)
    repository.edit("train.py", "def main() -> None:", "def main() -> None:\n    raise OSError")
    with_results = repository.run("git", "rev-parse", "HEAD")
    repository.run("git", "checkout", "--quiet", with_results, "--", "train.py")
    merged(repository, "main's results, of a laptop")
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    remake(monkeypatch)
    monkeypatch.setattr("lab.base.dvc._command", lambda *_: ["python", "-c", "raise SystemExit(3)"])
    found = collected()

    assert found.baseline.origin == "committed"
    assert found.baseline.reasons[0].startswith("its results were made on another machine")
    assert found.baseline.reasons[1].startswith("reproducing it failed: `dvc repro train@relu_8")
    assert all(model.baseline for model in found.models)
    assert "**The baseline could not be reproduced here**" in text(found)


def test_of_a_model_that_was_removed_nothing_is_trained_unless_it_was_the_best(
    repository, monkeypatch
):
    remake_elsewhere(monkeypatch, confidence=0.8)
    merged(repository, "main's results, of a laptop")
    params = Path("params.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("params.yaml").write_text(
        "".join(row for row in params if "linear_4:" not in row), encoding="utf-8"
    )
    repository.repro("train")
    shown.clear()
    found = collected()

    assert words(found) == {"relu_8": "equivalent", "linear_4": "removed"}
    assert found.baseline.origin == "reproduced"
    assert not [row for row in shown if "linear_4" in row]


def test_where_nothing_is_from_here_nothing_is_made(repository, monkeypatch):
    """A fresh clone: both sides are what git holds."""
    remake_elsewhere(monkeypatch, confidence=0.8)
    merged(repository, "main's results, of a laptop")
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    remake_elsewhere(monkeypatch, confidence=0.8)
    repository.commit("a change, of the same one")
    shown.clear()
    found = collected()

    assert (found.baseline.origin, found.baseline.reasons) == ("committed", [])
    assert shown == []
