"""Candidates trained as one batch: each gets what it would get alone."""

import dataclasses

import numpy as np
import pytest
import torch
from made_data import images, prepared

from lab.base.params import ModelParams, TrainParams
from lab.data.prepared import Prepared
from lab.data.splits import Split
from lab.training import networks
from lab.training.loop import try_candidates
from lab.training.outcome import Epoch, Evaluation

CPU = torch.device("cpu")
TRAIN = TrainParams(seeds=[0], seeds_per_stack=9, epochs=4, batch_size=32, precision="float32")
PLAIN = {
    "network": "feed_forward", "hidden": [16], "activation": "relu", "dropout": 0.0,
    "optimizer": "adam", "learning_rate": 0.01, "schedule": "linear", "weight_decay": 0.0,
}  # fmt: skip
DIFFERENT = [
    {},
    {"learning_rate": 0.001, "schedule": "cosine", "weight_decay": 0.001},
    {"dropout": 0.5, "warmup_epochs": 1.0},
    {"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": 0.5},
    {"optimizer": "adamw", "schedule": "constant", "weight_decay": 0.1, "patience": 1},
    {"learning_rate_factors": {"0": 0.1}},
]


class Memory:
    """A candidate's checkpoint, in memory."""

    def __init__(self) -> None:
        self.arrays = None

    def load(self, seeds, like):
        return self.arrays

    def save(self, seeds, arrays):
        self.arrays = {name: array.copy() for name, array in arrays.items()}


@pytest.fixture(scope="module")
def data() -> Prepared:
    return prepared(images(600, 0), images(200, 1), images(100, 2))


def candidates(changes=DIFFERENT) -> list[ModelParams]:
    return [ModelParams(**{**PLAIN, **change}) for change in changes]


def tried(
    data, models, *, seeds=(3,), until=4, kept=(), precision="float32"
) -> tuple[Evaluation, list[list[Epoch]]]:
    curves: list[list[Epoch]] = [[] for _ in models]
    seen = try_candidates(
        "made", models, TRAIN, seeds, data, lambda k, epoch: curves[k].append(epoch),
        until=until, device=CPU, precision=precision, kept=kept,
    )  # fmt: skip
    return seen, curves


def points(curve: list[Epoch]) -> np.ndarray:
    return np.array([[e.train_loss_S, e.validation_loss_S, e.validation_accuracy_S] for e in curve])


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 2e-5), ("bfloat16", 2e-5)])
@pytest.mark.parametrize("seeds", [(3,), (3, 8)])
def test_a_candidate_gets_in_a_batch_what_it_gets_alone(data, seeds, precision, tolerance):
    """To rounding: products of another number of rows add in another order."""
    models = candidates()
    together, curves = tried(data, models, seeds=seeds, precision=precision)

    for k, model in enumerate(models):
        alone, (curve,) = tried(data, [model], seeds=seeds, precision=precision)
        rows = slice(k * len(seeds), (k + 1) * len(seeds))
        np.testing.assert_allclose(points(curves[k]), points(curve), rtol=0.01, atol=tolerance)
        np.testing.assert_allclose(together.loss_S[rows], alone.loss_S, rtol=0.01)


def test_the_same_batch_gives_the_same_bytes(data):
    one, other = tried(data, candidates()), tried(data, candidates())

    np.testing.assert_array_equal(one[0].probabilities_SNC, other[0].probabilities_SNC)


def test_one_that_diverges_harms_no_other(data):
    models = candidates(
        [{}, {"optimizer": "sgd", "learning_rate": 100.0, "weight_decay": 100.0}, {"dropout": 0.1}]
    )
    _, curves = tried(data, models)
    _, without = tried(data, [models[0], models[2]])

    assert not np.isfinite(points(curves[1])[-1, 0]).all()
    np.testing.assert_allclose(points(curves[0]), points(without[0]), rtol=1e-4)
    np.testing.assert_allclose(points(curves[2]), points(without[1]), rtol=1e-4)


def test_a_survivor_goes_on_in_another_batch_on_the_schedule_of_all_epochs(data):
    models = candidates()
    whole, _ = tried(data, models)
    kept = [Memory() for _ in models]
    tried(data, models, until=2, kept=kept)
    chosen = [4, 0, 2]
    later, curves = tried(data, [models[k] for k in chosen], kept=[kept[k] for k in chosen])

    assert [len(curve) for curve in curves] == [4, 4, 4]
    np.testing.assert_allclose(later.loss_S, whole.loss_S[chosen], rtol=0.01)


def test_candidates_that_stand_at_different_epochs_start_over(data):
    models = candidates(DIFFERENT[:2])
    kept = [Memory(), Memory()]
    tried(data, models[:1], until=1, kept=kept[:1])
    tried(data, models[1:], until=2, kept=kept[1:])
    _, curves = tried(data, models, kept=kept)
    _, expected = tried(data, models)

    np.testing.assert_array_equal(points(curves[0]), points(expected[0]))


def test_the_test_examples_are_not_read(data):
    class Unread(Split):
        def __getattribute__(self, name):
            raise AssertionError("the test examples were read")

    unread = dataclasses.replace(data, test=Unread(data.test.inputs, data.test.labels))

    assert len(tried(unread, candidates())[0].loss_S) == len(DIFFERENT)


def test_what_candidates_of_a_batch_have_in_common():
    models = candidates([{}, {"dropout": 0.3, "optimizer": "sgd"}, {"hidden": [8]}])
    plain, other, wider = map(networks.architecture, models)

    assert plain == other != wider
    module = ModelParams(**{**{k: PLAIN[k] for k in ("optimizer", "learning_rate", "schedule")},
                            "weight_decay": 0.0, "network": "cnn", "channels": [2]})  # fmt: skip
    assert "learning_rate" in networks.architecture(module)
