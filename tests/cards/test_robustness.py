"""Shares of right answers and their intervals, held against values worked out otherwise."""

from types import SimpleNamespace

import numpy as np
import pytest

from lab.cards import robustness
from lab.results.predictions import Predictions
from lab.shifts.corruptions import corruptions

RANDOM = np.random.default_rng(0)
HOLES = RANDOM.random((400, 2))  # where below 0.1


def predictions(classes_SN, confidence_SN) -> Predictions:
    return Predictions(np.arange(len(classes_SN)), np.uint8(classes_SN), np.float32(confidence_SN))


def described(kind="grey image", shape=(4, 4), columns=()):
    return SimpleNamespace(kind=kind, shape=list(shape), columns=list(columns))


def test_an_interval_over_seeds_is_students():
    from scipy import stats

    right_SN = RANDOM.random((5, 400)) < 0.8
    found = robustness.right(right_SN, None)
    shares = right_SN.mean(axis=1)

    assert found.share == right_SN.mean()
    assert found.seeds == pytest.approx(stats.t.interval(0.95, 4, shares.mean(), stats.sem(shares)))


def test_an_interval_over_examples_holds_what_others_come_to():
    """Of 400 made-up test sets of 300 examples that seeds find alike hard, 95 % hold the truth."""
    hard = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        chance_N = hard.beta(4, 1, 300)  # 0.8 on average
        found = robustness.right(hard.random((4, 300)) < chance_N, None)
        held += found.others[0] <= 0.8 <= found.others[1]

    assert 365 <= held <= 396


def test_two_seeds_know_no_interval_and_all_right_ends_at_one():
    assert robustness.right(np.ones((2, 9), dtype=bool), None).others is None
    found = robustness.right(np.ones((3, 9), dtype=bool), None)

    assert (found.share, found.seeds, found.others) == (1.0, (1.0, 1.0), (1.0, 1.0))
    nearly = np.ones((3, 9), dtype=bool)
    nearly[0, 0] = False
    assert robustness.right(nearly, None).others[1] == 1.0


def test_recall_and_precision_are_scikit_learns():
    from sklearn.metrics import precision_score, recall_score

    labels, said = RANDOM.integers(0, 3, 200), RANDOM.integers(0, 3, (3, 200))
    found = robustness.classes(predictions(said, said), labels, 4, None)

    alike = {"labels": [0, 1, 2], "average": None}
    repeated = np.tile(labels, 3)
    assert [one.recall.share for one in found[:3]] == pytest.approx(
        recall_score(repeated, said.ravel(), **alike)
    )
    assert [one.precision for one in found[:3]] == pytest.approx(
        precision_score(repeated, said.ravel(), **alike)
    )
    assert (found[3].recall, found[3].precision) == (None, None)  # no such example


def test_bins_hold_every_prediction_once():
    labels = np.zeros(4, dtype=int)
    sure = [[0.05, 0.1, 0.95, 1.0]]
    found = robustness.bins(predictions([[0, 1, 0, 1]], sure), labels)

    assert [(one.low, one.predictions, one.right) for one in found] == [
        (0.0, 1, 1.0), (0.1, 1, 0.0), (0.9, 2, 0.5),
    ]  # fmt: skip
    assert found[-1].probability == pytest.approx(0.975)


@pytest.mark.parametrize(
    ("kind", "inputs", "names"),
    [
        ("grey image", RANDOM.integers(0, 255, (400, 4, 4), dtype=np.uint8),
         ["brightness at most", "brightness at least", "contrast at most", "contrast at least"]),
        ("text", np.where(np.arange(8) < RANDOM.integers(1, 8, (400, 1)), 5, 0),
         ["tokens at most", "tokens at least"]),
        ("row", np.where(HOLES < 0.1, np.nan, HOLES).astype(np.float32),
         ["a at most", "a at least", "b at most", "b at least"]),
        ("row", np.ones((400, 2), np.float32), []),
    ],
)  # fmt: skip
def test_slices_are_the_ends_of_what_inputs_have(kind, inputs, names):
    right_SN = RANDOM.random((3, 400)) < 0.9
    about = described(kind, inputs.shape[1:], ["a", "b"])
    found = robustness.slices(right_SN, inputs, about, None)

    assert [one.name.rpartition(" ")[0] for one in found] == names
    assert all(20 <= one.right.examples < 400 for one in found)


class Bright:
    """Calls an image bright or dark, which another brightness changes and nothing else."""

    def __call__(self, inputs):
        share_N = inputs.reshape(len(inputs), -1).mean(axis=1) / 255
        return np.stack([1 - share_N, share_N], axis=1).astype(np.float32)


def test_the_file_is_asked_about_every_change_and_alike_in_pieces(monkeypatch):
    inputs = RANDOM.integers(0, 255, (60, 8, 8)).astype(np.uint8)
    inputs[:30] //= 4
    labels = (np.arange(60) >= 30).astype(int)
    about = described(shape=(8, 8))
    found = robustness.asked(Bright(), "0" * 64, inputs, labels, about)

    assert [one.name for one in found.changes] == list(corruptions("grey image", (8, 8)))
    by_name = {one.name: one for one in found.changes}
    assert by_name["inverted"].accuracy < 0.5 < found.accuracy
    for one in found.changes:
        assert one.difference == pytest.approx(one.accuracy - found.accuracy)
        assert one.interval[0] <= one.difference <= one.interval[1]
    monkeypatch.setattr(robustness, "AT_ONCE", 7)
    assert robustness.asked(Bright(), "0" * 64, inputs, labels, about) == found


def test_of_many_examples_the_same_are_drawn(monkeypatch):
    monkeypatch.setattr(robustness, "MOST_ASKED", 25)
    inputs = RANDOM.integers(0, 255, (60, 8, 8)).astype(np.uint8)
    labels = RANDOM.integers(0, 2, 60)
    first, again = (
        robustness.asked(Bright(), "0" * 64, inputs, labels, described(shape=(8, 8)))
        for _ in range(2)
    )

    assert first.examples == 25
    assert first == again
