import dataclasses
import threading

import numpy as np
import pytest
import torch
from made_data import CLASSES, PIXELS, images, prepared
from support import PATIENCE_SECONDS

from lab.base.params import ModelParams, TrainParams
from lab.data.prepared import Prepared
from lab.data.splits import Split
from lab.training.batches import batches
from lab.training.device import DTYPES, choose_precision
from lab.training.loop import train_model, train_stack
from lab.training.optimizer import decay
from lab.training.outcome import Trained
from lab.training.stacks import example_steps, stacks
from lab.training.streams import stream, units

CPU = torch.device("cpu")
MODEL = ModelParams(
    network="feed_forward",
    hidden=[16],
    activation="relu",
    dropout=0.0,
    optimizer="adam",
    learning_rate=0.01,
    schedule="linear",
    weight_decay=0.0,
)
TRAIN = TrainParams(
    seeds=[0, 1, 2, 3], seeds_per_stack=2, epochs=2, batch_size=32, precision="float32"
)


@pytest.fixture(scope="module")
def data() -> Prepared:
    return prepared(images(600, 0), images(200, 1), images(100, 2))


def train(data, model=MODEL, *, workers=2, on_epoch=lambda epoch: None, **changes) -> Trained:
    settings = TRAIN.model_copy(update=changes)
    return train_model(
        "made", model, settings, data, on_epoch,
        device=CPU, precision=settings.precision, workers=workers,
    )  # fmt: skip


def assert_same(one: Trained, other: Trained) -> None:
    for name, value in one.weights.items():
        np.testing.assert_array_equal(value, other.weights[name])
    np.testing.assert_array_equal(one.test.predictions_SN, other.test.predictions_SN)
    np.testing.assert_array_equal(one.test.confidence_SN, other.test.confidence_SN)


def test_it_learns(data):
    trained = train(data, epochs=8)

    assert trained.test.accuracy_S.min() > 0.9
    losses = [e.train_loss_S.mean() for e in trained.epochs if e.seeds == (0, 1)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("precision", DTYPES)
def test_same_seeds_same_bytes_whatever_the_number_of_workers(data, precision):
    assert_same(train(data, workers=1, precision=precision), train(data, precision=precision))


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot do without")
def test_denormal_numbers_are_zero_while_training_and_not_after(data):
    def doubled() -> float:
        return (2 * torch.tensor([1e-39])).item()

    while_training = []
    train(data, on_epoch=lambda epoch: while_training.append(doubled()))
    # In this thread, which goes on after it.
    train_stack("made", MODEL, TRAIN, (0,), data, lambda _: None, device=CPU, precision="float32")

    assert set(while_training) == {0.0}
    assert doubled() > 0


def test_seeds_differ_from_each_other(data):
    weights = train(data).weights["0.weight"]

    assert all(not np.array_equal(weights[0], weights[k]) for k in range(1, 4))


def test_a_seeds_result_does_not_depend_on_the_other_seeds(data):
    both, alone = train(data, seeds=[7, 8]), train(data, seeds=[8])

    np.testing.assert_allclose(both.weights["0.weight"][1], alone.weights["0.weight"][0], atol=1e-5)
    assert both.test.accuracy_S[1] == pytest.approx(alone.test.accuracy_S[0], abs=0.011)


def reference(
    data: Prepared, model: ModelParams, seed: int, dtype: torch.dtype = torch.float32
) -> torch.nn.Sequential:
    """One seed trained with torch.nn and torch.optim as a tutorial would, same draws."""
    plain = torch.nn.Sequential(
        torch.nn.Linear(PIXELS, 16), torch.nn.ReLU(), torch.nn.Linear(16, CLASSES)
    )
    with torch.no_grad():
        for layer, name in ((plain[0], "hidden 0"), (plain[2], "scores")):
            drawn = torch.tensor(units(seed, name, layer.out_features, 1 + layer.in_features))
            layer.weight.copy_(drawn[:, 1:] * layer.in_features**-0.5)
            layer.bias.copy_(drawn[:, 0] * layer.in_features**-0.5)
    rate, decay_ = model.learning_rate, model.weight_decay
    kinds = {
        "adam": lambda p: torch.optim.Adam(p, rate, weight_decay=decay_),
        "adamw": lambda p: torch.optim.AdamW(p, rate, weight_decay=decay_),
        "sgd": lambda p: torch.optim.SGD(p, rate, momentum=0.9, weight_decay=decay_),
    }
    optimizer = kinds[model.optimizer](plain.parameters())
    pixels = torch.tensor(data.train.inputs).flatten(1).float() / 255
    labels = torch.tensor(data.train.labels).long()
    total = TRAIN.epochs * len(range(0, len(pixels), TRAIN.batch_size))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: decay(model.schedule, step / total)
    )
    for epoch in range(1, TRAIN.epochs + 1):
        order = torch.Generator().manual_seed(stream(seed, epoch, "order"))
        for chosen in torch.randperm(len(pixels), generator=order).split(TRAIN.batch_size):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                logits = plain(pixels[chosen])
            torch.nn.functional.cross_entropy(logits.float(), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    return plain


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_a_stack_trains_as_a_plain_torch_loop_does(data, optimizer, schedule):
    model = MODEL.model_copy(
        update={"optimizer": optimizer, "schedule": schedule, "weight_decay": 0.01}
    )
    trained = train(data, model)

    for index in (0, 3):
        plain = reference(data, model, trained.seeds[index])
        expected = plain[0].weight.detach().numpy()
        np.testing.assert_allclose(trained.weights["0.weight"][index], expected, atol=2e-4)


def test_bfloat16_trains_as_torchs_own_mixed_precision_does(data):
    # With SGD: Adam turns a gradient's sign into a whole step, and a rounded zero into two.
    model = MODEL.model_copy(update={"optimizer": "sgd"})
    name, seed = "0.weight", 0
    trained = train(data, model, precision="bfloat16").weights[name][seed]
    in_float32 = train(data, model).weights[name][seed]
    expected = reference(data, model, seed, torch.bfloat16)[0].weight.detach().numpy()
    still = model.model_copy(update={"learning_rate": 1e-12})
    moved = np.abs(in_float32 - train(data, still).weights[name][seed]).mean()

    assert np.abs(trained - expected).mean() < 0.02 * moved
    assert 0 < np.abs(trained - in_float32).mean() < 0.02 * moved


def test_weights_and_results_are_float32_whatever_the_precision(data):
    trained = train(data, precision="bfloat16")

    assert {weight.dtype for weight in trained.weights.values()} == {np.dtype(np.float32)}
    losses = [e.validation_loss_S.mean() for e in trained.epochs]
    expected = [e.validation_loss_S.mean() for e in train(data).epochs]
    assert losses == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("asked", "processor", "used"),
    [
        ("bfloat16", {"avx512_bf16": True}, "bfloat16"),
        ("bfloat16", {"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
        ("bfloat16", {"architecture": "arm64", "bf16": True, "sve": False}, "bfloat16"),
        ("bfloat16", {"architecture": "arm64", "sve_bf16": True}, "bfloat16"),
        ("bfloat16", {"avx512_bf16": False, "amx_bf16": False, "avx2": True}, "float32"),
        ("bfloat16", {}, "float32"),
        ("float32", {"avx512_bf16": True}, "float32"),
    ],
)
def test_a_processor_that_is_slow_at_bfloat16_trains_in_float32(
    monkeypatch, asked, processor, used
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    reported: list[str] = []

    assert choose_precision(asked, CPU, reported.append) == used
    assert bool(reported) == (used != asked)


def test_torch_names_the_instructions_for_bfloat16_as_they_are_looked_up():
    has = torch.cpu.get_capabilities()

    assert {"x86_64": "avx512_bf16", "arm64": "bf16"}.get(
        has["architecture"], "architecture"
    ) in has


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("count", [30, 64, 100, 1_000])
def test_an_epoch_shows_every_image_once_to_every_seed(monkeypatch, count):
    monkeypatch.setattr("lab.training.batches.SHUFFLE_WINDOW", 70)
    orders = torch.cat(list(batches(torch.empty(count), 32, generators(0, 1))), dim=1)

    for order in orders:
        assert sorted(order.tolist()) == list(range(count))
    assert not torch.equal(orders[0], orders[1])


def test_an_order_within_a_window_is_torchs_permutation():
    (order,) = batches(torch.empty(50), 50, generators(3))

    assert torch.equal(order[0], torch.randperm(50, generator=generators(3)[0]))


def test_windows_start_elsewhere_in_each_epoch(monkeypatch):
    monkeypatch.setattr("lab.training.batches.SHUFFLE_WINDOW", 10)
    (generator,) = generators(0)
    firsts = [
        set(next(batches(torch.empty(1_000), 10, [generator]))[0].tolist()) for _ in range(20)
    ]

    assert len({min(first) for first in firsts}) > 15


def test_dropout_is_the_same_on_every_run_and_changes_the_result(data):
    model = MODEL.model_copy(update={"dropout": 0.5})

    assert_same(train(data, model), train(data, model, workers=1))
    assert not np.array_equal(train(data, model).weights["0.bias"], train(data).weights["0.bias"])


@pytest.mark.parametrize("changes", [{"hidden": [24]}, {"hidden": [16, 8]}, {"dropout": 0.5}])
def test_a_changed_network_sees_the_examples_in_the_same_order(data, monkeypatch, changes):
    def seen(model: ModelParams) -> torch.Tensor:
        chosen: list[torch.Tensor] = []

        def noting(*given):
            for batch in batches(*given):
                chosen.append(batch)
                yield batch

        monkeypatch.setattr("lab.training.loop.batches", noting)
        train(data, model, seeds=[3], epochs=2)
        return torch.cat(chosen, dim=1)

    before = seen(MODEL)

    assert torch.equal(before, seen(MODEL.model_copy(update=changes)))
    assert not torch.equal(*before.split(600, dim=1))  # of the two epochs


def test_the_last_partial_batch_is_trained_on(data):
    small = dataclasses.replace(data, train=images(33, 0))
    dropped = dataclasses.replace(
        data, train=Split(*(a[:32] for a in (small.train.inputs, small.train.labels)))
    )

    assert not np.array_equal(train(small).weights["0.bias"], train(dropped).weights["0.bias"])


def test_a_batch_larger_than_the_data_is_one_step(data):
    assert train(data, batch_size=10_000, epochs=1).epochs[0].number == 1


def test_evaluation_agrees_with_numbers_worked_out_in_numpy(data):
    trained = train(data)
    hidden = data.test.inputs.reshape(100, PIXELS).astype(np.float64) / 255
    for index in range(4):
        w = {key: value[index].astype(np.float64) for key, value in trained.weights.items()}
        scores = np.maximum(hidden @ w["0.weight"].T + w["0.bias"], 0) @ w["2.weight"].T
        scores += w["2.bias"]
        scores -= scores.max(axis=1, keepdims=True)
        probability = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        loss = -np.log(probability[np.arange(100), data.test.labels]).mean()

        assert trained.test.loss_S[index] == pytest.approx(loss, rel=1e-4)
        np.testing.assert_array_equal(trained.test.predictions_SN[index], probability.argmax(1))
        np.testing.assert_allclose(trained.test.confidence_SN[index], probability.max(1), rtol=1e-4)


def test_epochs_are_reported_as_they_end_and_stacks_train_at_the_same_time(data):
    seen, both = [], threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def on_epoch(epoch):
        both.wait()  # for the other stack's epoch: breaks unless that one trains, too
        seen.append((epoch.seeds, epoch.number))

    train(data, on_epoch=on_epoch)

    assert sorted(seen) == [((0, 1), 1), ((0, 1), 2), ((2, 3), 1), ((2, 3), 2)]


def test_an_error_in_a_stack_is_not_swallowed(data):
    def fail(epoch):
        raise RuntimeError("the listener broke")

    with pytest.raises(RuntimeError, match="the listener broke"):
        train(data, on_epoch=fail)


def test_the_test_set_chooses_nothing(data):
    # Another test set changes no weight: it is only ever read at the end.
    other = dataclasses.replace(data, test=images(100, 9))

    np.testing.assert_array_equal(train(data).weights["0.weight"], train(other).weights["0.weight"])


def test_evaluation_batches_do_not_matter(data, monkeypatch):
    whole = train(data)
    monkeypatch.setattr("lab.training.evaluation.EVALUATION_BATCH", 7)

    np.testing.assert_array_equal(train(data).test.predictions_SN, whole.test.predictions_SN)


def test_counting(data):
    assert stacks(TRAIN) == [(0, 1), (2, 3)]
    assert example_steps(train(data), data) == 4 * 2 * 600
