"""Both sides trained on other seeds by real DVC in checkouts, until no verdict is open."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import comparisons
import numpy as np
import pytest
from comparisons import shown, words
from evidences import made, model, shifted, side
from support import PATIENCE_SECONDS, ROOT, SMALL, tree

from lab.base import params
from lab.evidence import trials
from lab.evidence.pairs import BEST, findings_of
from lab.evidence.resolution import Resolution
from lab.evidence.revisions import RevisionError
from lab.evidence.schema import Evidence
from lab.evidence.trials import compared, next_seeds, seconds_of, set_seeds, undecided
from lab.results.predictions import read_predictions
from lab.verdict.seeds import fresh

ALWAYS = Resolution("always")
FRESH = Resolution("always", fresh_from=7, confirmation=1)
BUDGET = "  was: {}\n  budget: 6"


@pytest.fixture(autouse=True)
def _forget():
    shown.clear()


def collected(resolution: Resolution = ALWAYS, named: str | None = None) -> Evidence:
    return comparisons.collected(named, resolution)


def trained() -> int:
    """The stages that ran, of all that were asked for."""
    return sum("Running stage 'train@" in line for line in shown)


@pytest.fixture(scope="module")
def open_one(finished, tmp_path_factory):
    """A branch whose one change nobody can tell from luck with three seeds."""
    made = finished.copy(tmp_path_factory.mktemp("open") / "repository")
    made.edit("params.yaml", "  was: {}", BUDGET)
    made.commit("a budget")
    made.run("git", "checkout", "--quiet", "-b", "branch")
    made.edit("params.yaml", "relu, dropout: 0.0", "relu, dropout: 0.55")
    made.repro("train")
    made.commit("luck")
    return made


@pytest.fixture
def repository(open_one, enter):
    return enter(open_one)


def is_clean(repository) -> bool:
    """Whether nothing changed in the working tree."""
    return repository.run("git", "status", "--porcelain") == "" and not Path("mlflow.db").exists()


# --- seeds after the committed ones --------------------------------------------------------------


def test_an_open_verdict_is_extended_on_both_sides_and_the_second_time_nothing_trains(repository):
    before = tree(Path("metrics"))
    found = collected()

    assert (found.looks, found.budget, found.baseline_budget) == ([3, 6], 6, 6)
    assert found.trial.kind == "extended"
    assert found.trial_missing is None
    assert [*found.trial.candidate] == [*found.trial.baseline] == ["relu_8"]
    relu = found.models[0]
    for on, committed in (
        (found.trial.candidate["relu_8"], relu.candidate),
        (found.trial.baseline["relu_8"], relu.baseline),
    ):
        assert on.seeds == [0, 1, 2, 3, 4, 5]
        for score in ("accuracy", "loss", "calibration_error"):
            assert on.test[score][:3] == committed.test[score]
    assert found.trial.candidate["relu_8"].test != found.trial.baseline["relu_8"].test
    assert found.trial.seeds_trained == 6
    assert shown[0] == "training relu_8 on 3 more seeds a side, 6 in all, about 0 s"
    assert trained() == 2
    assert relu.images.seeds == 6
    assert tree(Path("metrics")) == before
    assert is_clean(repository)

    shown.clear()
    again = collected()
    assert trained() == 0
    same = {"wall_seconds": 0.0}
    assert again.trial.model_copy(update=same) == found.trial.model_copy(update=same)


def test_by_default_only_what_is_cheap_is_trained(repository, monkeypatch):
    assert collected(Resolution("cheap")).trial is not None
    monkeypatch.setattr(trials, "RESOLVE_SECONDS", 1e-9)
    found = collected(Resolution("cheap"))

    assert (found.trial, found.looks) == (None, [3, 6])  # somebody may look again
    assert found.trial_missing == (
        "up to 3 more seeds a side take about 0 s; `make report RESOLVE=1` trains them"
    )
    for path in Path("report/costs").iterdir():
        path.unlink()
    assert collected(Resolution("cheap")).trial_missing == (
        "how long it takes is not known here; `make report RESOLVE=1` trains more seeds"
    )


def test_what_was_not_asked_for_or_has_no_budget_or_did_not_change_is_not_trained(repository):
    never = collected(Resolution("never"))
    same = collected(named="HEAD")
    repository.edit("params.yaml", "budget: 6", "budget: 5")
    poor = collected()

    assert [(one.looks, one.trial, one.trial_missing) for one in (never, same, poor)] == [
        ([3, 6], None, None),
        ([3, 6], None, None),
        ([3], None, None),
    ]
    assert shown == []


def test_uncommitted_work_is_trained_as_it_lies_there(repository):
    repository.run("git", "reset", "--quiet", "--soft", "HEAD~1")
    repository.run("git", "reset", "--quiet")  # changed, and in no index
    Path("lab/results/notes.py").write_text("# new\n", encoding="utf-8")
    before = repository.run("git", "status", "--porcelain")
    found = collected()

    assert found.trial.candidate["relu_8"].test != found.trial.baseline["relu_8"].test
    assert repository.run("git", "status", "--porcelain") == before


def test_a_score_of_the_task_is_computed_on_the_other_seeds_too(repository):
    repository.edit("params.yaml", "  margin: 0.001", "  margin: 0.001\n  metric: macro_f1")
    found = collected()

    on = found.trial.candidate["relu_8"]
    assert on.test["macro_f1"][:3] == found.models[0].candidate.test["macro_f1"]
    assert on.test["macro_f1"][3:] == pytest.approx(on.test["accuracy"][3:], abs=0.01)
    assert {*on.test} == {"accuracy", "loss", "calibration_error", "macro_f1", "log_loss"}


def test_of_two_best_models_each_is_trained_on_its_own_side(repository):
    repository.edit("params.yaml", "activation: linear, dropout: 0.0, optimizer: adam,",
                    "activation: relu, dropout: 0.55, optimizer: sgd,")  # fmt: skip
    repository.edit("params.yaml", "relu, dropout: 0.55, optimizer: adam,",
                    "linear, dropout: 0.0, optimizer: adam,")  # fmt: skip
    repository.repro("train")
    found = collected()

    assert compared(found)[BEST].new.name == "linear_4"
    assert compared(found)[BEST].old_name == "relu_8"
    assert {"linear_4"} <= found.trial.candidate.keys()
    assert {"relu_8"} <= found.trial.baseline.keys()
    assert findings_of(found)[BEST].difference.degrees == 5  # of six seeds


# --- seeds that nobody knew ----------------------------------------------------------------------


def test_fresh_seeds_are_drawn_for_a_run_and_stand_alone(repository):
    found = collected(FRESH)
    drawn = fresh(7, found.candidate.commit, found.baseline.commit, 6)

    assert (found.trial.kind, found.trial.run, found.confirmation) == ("fresh", 7, 1)
    assert [*found.trial.candidate] == [*found.trial.baseline] == ["relu_8"]  # that changed
    for on in (found.trial.candidate["relu_8"], found.trial.baseline["relu_8"]):
        assert on.seeds == drawn[: len(on.seeds)]
        assert len(on.seeds) == len(on.test["accuracy"])
        assert len(on.seeds) in found.looks
    assert found.models[0].candidate.seeds == [0, 1, 2]
    assert found.models[0].images.seeds == len(found.trial.candidate["relu_8"].seeds)
    assert is_clean(repository)


def test_without_a_budget_no_seeds_are_drawn(repository):
    repository.edit("params.yaml", "\n  budget: 6", "")
    found = collected(FRESH)

    assert (found.trial, found.budget, found.baseline_budget) == (None, 0, 6)
    assert found.confirmation == 1  # the baseline asks for it


# --- what fails ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["train: {epochs: 1}", "train: 5", "[", "- 1", "", "a: *b"])
def test_params_without_seeds_get_no_others(tmp_path, content):
    file = tmp_path / "params.yaml"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(RevisionError, match=r"its params.yaml has no train\.seeds"):
        set_seeds(file, [1])
    assert file.read_text(encoding="utf-8") == content


def test_other_seeds_change_nothing_else_of_params(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(SMALL, encoding="utf-8")
    set_seeds(file, [7, 8])

    there, before = params.parse(file.read_bytes(), "p"), params.parse(SMALL.encode(), "p")
    assert there.train.seeds == [7, 8]
    same = before.train.model_copy(update={"seeds": [7, 8]})
    assert there == before.model_copy(update={"train": same})


def test_code_that_fails_leaves_the_report_without_a_trial(repository):
    """Of no stage it is a dependency, so the results are not stale."""
    file = Path("lab/results/cost.py")
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole + "\nnot Python\n", encoding="utf-8")
    found = collected()

    assert found.trial is None
    assert "`dvc repro train@relu_8` failed: " in found.trial_missing
    assert "\n" not in found.trial_missing
    assert set(words(found)) == {"relu_8", "linear_4"}
    assert shown[-1] == f"training on other seeds failed: {found.trial_missing}"

    repository.commit("broken")  # at the baseline now, and whole again in the candidate
    broken = repository.run("git", "rev-parse", "HEAD")
    file.write_text(whole, encoding="utf-8")
    repository.edit("params.yaml", "relu, dropout: 0.55", "relu, dropout: 0.0")
    repository.repro("train")
    found = collected(FRESH, named=broken)

    assert found.trial is None
    assert "failed" in found.trial_missing


def test_a_cache_that_cannot_be_written_is_said(repository):
    runs = Path(".dvc/cache/runs")
    runs.rename("runs")
    runs.write_text("", encoding="utf-8")  # as root may write to every folder
    found = collected()

    assert found.trial is None
    assert "failed" in found.trial_missing


def test_ctrl_c_leaves_no_checkout(repository, tmp_path):
    environment = {**repository.environment, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "t")}
    (tmp_path / "t").mkdir()
    command = [sys.executable, str(ROOT / "report.py"), "collect", "--resolve", "1"]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        for line in process.stderr:
            if "Running stage" in line:
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(PATIENCE_SECONDS) == 130
    deadline = time.monotonic() + 10
    while any((tmp_path / "t").glob("revision-*")) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert said.splitlines()[-1].endswith("interrupted; nothing half-written was left behind")
    assert [*(tmp_path / "t").glob("revision-*")] == []


# --- what is open, and for how long --------------------------------------------------------------


def test_models_that_changed_are_compared_and_the_best_ones():
    better = shifted(0.001, 0.003)
    same = model("same", side(0.96), side(0.96))
    stale = model("stale", side(0.95), side(0.94), stale=["train@stale: x changed"])
    new, gone = model("new", side(0.90)), model("gone", None, side(0.90))
    found = made(better, same, stale, new, gone)
    swapped = made(better, model("late", side(0.98), side(0.96)))

    assert [*compared(found)] == ["relu_128"]
    assert undecided(found, compared(found), is_fresh=False) == ["relu_128"]
    assert [*compared(swapped)] == ["relu_128", "late", BEST]
    assert compared(swapped)[BEST].new.name == "late"
    assert compared(swapped)[BEST].old_name == "relu_128"


def test_a_clear_verdict_is_open_on_fresh_seeds_until_there_are_any():
    clear = made(shifted(0.02))

    assert undecided(clear, compared(clear), is_fresh=False) == []
    assert undecided(clear, compared(clear), is_fresh=True) == ["relu_128"]


def test_the_next_seeds_are_after_all_of_both_sides():
    found = made(model("a", side(seeds=[5, 7, 9]), side(0.96, seeds=[11, 2, 3])))
    last = made(model("a", side(seeds=[2**31 - 2, 0]), side(0.96, seeds=[2, 1])))

    assert next_seeds(found, compared(found).values(), 3) == [12, 13, 14]
    assert next_seeds(last, compared(last).values(), 3) == [2**31 - 1, 3, 4]


def test_an_estimate_is_of_both_sides_and_unknown_where_no_cost_is():
    known = shifted(0.001)  # 12.25 s for ten seeds
    half = model("half", side(), side(0.96, cost=False))
    unknown = model("none", side(cost=False), side(0.96, cost=False))
    pairs = compared(made(known, half, unknown))

    assert seconds_of([pairs["relu_128"]], 30) == pytest.approx(2 * 30 * 1.225)
    assert seconds_of([pairs["half"]], 30) == pytest.approx(2 * 30 * 1.225)
    assert seconds_of([pairs["half"], pairs["none"]], 30) is None


def test_the_components_are_of_what_the_seeds_predict(repository):
    found = collected(Resolution("never")).models[0].images
    new = read_predictions(Path("models/runs/relu_8/predictions.npz"), 4)
    labels_N = np.load("data/prepared/test_labels.npy")
    accuracy = np.mean(new.predictions == labels_N)

    assert (found.seeds, found.examples) == (3, 300)
    repository.run("git", "checkout", "--quiet", "main")
    repository.repro("train")
    old = read_predictions(Path("models/runs/relu_8/predictions.npz"), 4)
    assert found.estimate == pytest.approx(accuracy - np.mean(old.predictions == labels_N))
