"""Differences between earlier versions of results, read out of git."""

import json
from pathlib import Path

import pytest
from clones import Clones

from lab.evidence.past import past
from lab.results.schema import ACCURACY, Score

RESULTS = "metrics/runs/{}.json"


def results(*accuracy: float, seeds: int = 3) -> str:
    spread = {"per_seed": list(accuracy)}
    return json.dumps({"seeds": list(range(seeds)), "test": {"accuracy": spread}})


@pytest.fixture
def clones(tmp_path) -> Clones:
    made = Clones(tmp_path / "clones", tmp_path / "trusted")
    made.commit("first", {RESULTS.format("a"): results(0.90, 0.91, 0.92),
                          RESULTS.format("b"): results(0.80, 0.80, 0.80)})  # fmt: skip
    return made


def differences(folder: Path, score: Score = ACCURACY) -> list[tuple[float, float]]:
    return [(round(one.estimate, 6), round(one.error, 6)) for one in past(folder, "HEAD", score)]


def test_each_version_is_compared_with_the_one_before_it_the_newest_first(clones):
    assert differences(clones.work) == []
    clones.commit("better", {RESULTS.format("a"): results(0.91, 0.93, 0.92)})
    clones.commit("other code", {"x.py": ""})
    clones.commit("no worse", {RESULTS.format("a"): results(0.91, 0.93, 0.92, seeds=3) + "\n"})
    clones.commit("worse", {RESULTS.format("b"): results(0.70, 0.71, 0.72)})

    # By hand: of 0.01, 0.02, 0.00, and of -0.10, -0.09, -0.08, the standard error is 0.01 / √3.
    assert differences(clones.work) == [(-0.09, 0.005774), (0.01, 0.005774)]


def test_merges_count_as_what_they_brought(clones):
    first = clones.head()
    clones.run(clones.work, "checkout", "-q", "-b", "side")
    clones.commit("one", {RESULTS.format("a"): results(0.91, 0.93, 0.92)})
    clones.commit("two", {RESULTS.format("a"): results(0.95, 0.97, 0.98)})
    clones.run(clones.work, "checkout", "-q", "-B", "trunk", first)
    clones.run(clones.work, "merge", "-q", "--no-ff", "-m", "merged", "side")

    assert differences(clones.work) == [(0.056667, 0.003333)]


def test_what_is_of_other_data_or_cannot_be_read_is_left_out(clones):
    clones.commit(
        "data", {"metrics/dataset.json": "{}", RESULTS.format("a"): results(0.5, 0.6, 0.7)}
    )
    clones.commit(
        "data", {"metrics/dataset.json": "[]", RESULTS.format("a"): results(0.6, 0.6, 0.7)}
    )
    for broken in ("[", "[]", results(1, 2), results(1, 2, 1e300), results(0.1, 0.2, seeds=2)):
        clones.commit("broken", {RESULTS.format("b"): broken})

    assert differences(clones.work) == []


def test_a_score_of_the_task_has_no_past_in_these_files(clones):
    clones.commit("better", {RESULTS.format("a"): results(0.91, 0.93, 0.92)})

    assert differences(clones.work, Score(name="f1", unit="%", higher_is_better=True)) == []
    assert len(differences(clones.work)) == 1
