"""Networks as any PyTorch user writes them: trained seed by seed, in numbers of their own."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lab.base.errors import LabError
from lab.base.params import CompareParams, DatasetParams, ModelParams, Params, TrainParams
from lab.data.description import describe
from lab.data.examples import Dataset, Examples, Scaling
from lab.data.prepared import Prepared
from lab.data.scaling import fitted
from lab.data.splits import Split, split
from lab.training import checkpoints, networks
from lab.training.batches import batches
from lab.training.checkpoints import Checkpoints
from lab.training.loop import train_stack
from lab.training.outcome import Epoch, Trained
from lab.training.streams import generators, initialisation, stream

CPU = torch.device("cpu")
ENTRY = {
    "network": "small",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "linear",
    "weight_decay": 0.0,
}
TRAIN = TrainParams(
    seeds=[0, 1, 2], seeds_per_stack=3, epochs=3, batch_size=32, precision="float32"
)
SMALL = """
from torch import nn

class Network(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], classes: int, width: int = 8,
                 dropout: float = 0.25):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(),
            nn.Dropout(dropout), nn.Linear(width * 9, classes),
        )

    def forward(self, inputs):
        return self.body(inputs[:, None])
"""
MLP = """
from torch import nn

class Network(nn.Sequential):
    def __init__(self, input_shape: tuple[int, ...], classes: int):
        super().__init__(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, classes))
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files of a task; they are imported as `task.networks` and `task.common` have them."""
    import task.common
    import task.networks

    for package in (task.networks, task.common):
        folder = tmp_path / package.__name__
        folder.mkdir()
        monkeypatch.setattr(package, "__path__", [str(folder), *package.__path__])

    def written(source: str, name: str = "networks.small") -> None:
        package, _, module = name.partition(".")
        sys.modules.pop(f"task.{name}", None)
        (tmp_path / f"task.{package}" / f"{module}.py").write_text(
            textwrap.dedent(source), encoding="utf-8"
        )

    yield written
    for name in [name for name in sys.modules if name.startswith("task.")]:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def examples(count: int, seed: int) -> Examples:
    """Images whose class shows as a bright row under noise; class 0 is five times as common."""
    random = np.random.default_rng(seed)
    labels = np.minimum(random.integers(0, 8, count) // 5 * random.integers(1, 4, count), 3)
    pixels = random.integers(0, 140, (count, 8, 8)).astype(np.uint8)
    pixels[np.arange(count), labels * 2] += 110
    return Examples(pixels, labels)


def prepared(dataset: Dataset, **changes: object) -> Prepared:
    settings = DatasetParams(**{"name": "d", "validation_size": 60, "split_seed": 0, **changes})
    parts = split(dataset, settings)
    made = describe("d", 0, dataset, parts, fitted(dataset.scaling, parts["train"]))
    dtype = np.uint8 if len(dataset.class_names) <= 256 else np.uint16
    splits = [
        Split(part.examples.inputs[part.rows], part.examples.labels[part.rows].astype(dtype))
        for part in parts.values()
    ]
    return Prepared(*splits, made)


IMAGES = Dataset(
    examples(360, 0),
    examples(100, 1),
    class_names=["a", "b", "c", "d"],
    kind="grey image",
    scaling=Scaling(shift=[0.0], scale=[255.0]),
)
DATA = prepared(IMAGES)


def train(
    data: Prepared = DATA,
    seeds: tuple[int, ...] = (0, 1, 2),
    *,
    kept: Checkpoints | None = None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    epochs: int = 3,
    precision: str = "float32",
    **entry: object,
) -> Trained:
    return train_stack(
        "mine",
        ModelParams(**{**ENTRY, **entry}),
        TRAIN.model_copy(update={"epochs": epochs}),
        seeds,
        data,
        on_epoch,
        device=CPU,
        precision=precision,
        kept=kept,
    )


def assert_same(one: Trained, other: Trained) -> None:
    assert one.weights.keys() == other.weights.keys()
    for name, value in one.weights.items():
        np.testing.assert_array_equal(value, other.weights[name], err_msg=name)
    np.testing.assert_array_equal(one.test.confidence_SN, other.test.confidence_SN)


def test_a_plain_module_learns_and_keeps_its_buffers(write: Write) -> None:
    write(SMALL)

    trained = train(epochs=8)

    assert trained.test.accuracy_S.min() > 0.9
    assert {name: value.shape for name, value in trained.weights.items()} == {
        "body.0.weight": (3, 8, 1, 3, 3),
        "body.0.bias": (3, 8),
        "body.1.weight": (3, 8),
        "body.1.bias": (3, 8),
        "body.1.running_mean": (3, 8),
        "body.1.running_var": (3, 8),
        "body.1.num_batches_tracked": (3,),
        "body.5.weight": (3, 4, 72),
        "body.5.bias": (3, 4),
    }
    assert trained.weights["body.1.num_batches_tracked"].tolist() == [8 * 10] * 3  # epochs, steps
    assert trained.parameter_count == 8 * 9 + 8 + 8 + 8 + 4 * 72 + 4


def test_a_seed_alone_gives_the_bytes_that_it_gives_among_others(write: Write) -> None:
    """Whatever ran before in the process, dropout and initial weights included."""
    write(SMALL)
    together = train()

    torch.rand(7)
    np.random.rand(3)
    alone = train(seeds=(1,))

    for name, value in together.weights.items():
        np.testing.assert_array_equal(value[1:2], alone.weights[name], err_msg=name)
    assert (alone.weights["body.5.weight"] != together.weights["body.5.weight"][:1]).any()


def test_a_training_that_goes_on_gives_the_bytes_of_one_in_one_go(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints, "_code", lambda network: {network: "as it is"})
    tree = Params(
        dataset=DatasetParams(name="d", validation_size=60, split_seed=0),
        train=TRAIN,
        models={"mine": ModelParams(**ENTRY, patience=2)},
        compare=CompareParams(margin=0.1),
    )
    whole = train(patience=2)

    def stop(epoch: Epoch) -> None:
        if epoch.number == 3 and epoch.seeds == (1,):
            raise KeyboardInterrupt

    kept = [Checkpoints(tree, "mine", DATA.description, device="cpu", precision="float32")] * 2
    with pytest.raises(KeyboardInterrupt):
        train(patience=2, kept=kept[0], on_epoch=stop)
    seen: list[int] = []
    again = train(patience=2, kept=kept[1], on_epoch=lambda epoch: seen.append(epoch.number))

    assert kept[1].is_used
    assert seen == [1, 2, 3] * 3
    assert_same(whole, again)


def test_it_is_the_training_that_a_user_would_write_by_hand(write: Write) -> None:
    """The same steps with torch's own optimizer, scheduler, clipping and loss."""
    write(MLP)
    entry = {
        "learning_rate": 0.02,
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "clip_norm": 0.5,
        "label_smoothing": 0.1,
        "class_weights": "balanced",
        "learning_rate_factors": {"1": 0.1, "3.bias": 0.0},
    }
    trained = train(seeds=(5,), epochs=4, **entry)

    with initialisation(5):
        module = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)
        )
    groups = [
        {"params": list(module[1].parameters()), "lr": 0.002},
        {"params": [module[3].weight], "lr": 0.02},
        {"params": [module[3].bias], "lr": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.1)
    steps = 10
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (1 + np.cos(np.pi * step / (4 * steps))) / 2 * min(1, (step + 1) / steps),
    )
    counts = np.bincount(DATA.train.labels, minlength=4)
    loss = torch.nn.CrossEntropyLoss(
        weight=torch.tensor(300 / (4 * counts), dtype=torch.float32),
        label_smoothing=0.1,
        reduction="none",
    )
    inputs = torch.tensor(DATA.train.inputs) / 255
    labels = torch.tensor(DATA.train.labels).long()
    for epoch in range(1, 5):
        for (chosen,) in batches(inputs, 32, generators([5], epoch, "order")):
            optimizer.zero_grad()
            loss(module(inputs[chosen]), labels[chosen]).mean().backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
    for name, value in module.state_dict().items():
        np.testing.assert_allclose(trained.weights[name][0], value, rtol=2e-3, atol=2e-5)


def test_label_smoothing_and_clipping_of_stacked_networks_are_those_of_each_alone() -> None:
    entry = {
        "network": "feed_forward", "hidden": [8], "activation": "relu", "dropout": 0.1,
        "clip_norm": 0.1, "label_smoothing": 0.2, "class_weights": "balanced", "patience": 1,
    }  # fmt: skip
    together, alone = train(**entry), [train(seeds=(seed,), **entry) for seed in (0, 1, 2)]

    for k, one in enumerate(alone):
        for name, value in one.weights.items():
            np.testing.assert_allclose(together.weights[name][k], value[0], rtol=1e-4, atol=1e-6)


# --- early stopping -------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["small", "feed_forward"])
def test_each_seed_keeps_its_best_epoch_and_ends_when_patience_does(
    write: Write, network: str
) -> None:
    """At a rate far too high the best validation loss comes early."""
    write(SMALL)
    entry = {"learning_rate": 0.3, "schedule": "constant", "network": network}
    if network == "feed_forward":
        entry |= {"hidden": [8], "activation": "relu", "dropout": 0.0}
    trained = train(epochs=30, patience=3, **entry)

    for k, seed in enumerate(trained.seeds):
        losses = [
            float(epoch.validation_loss_S[epoch.seeds.index(seed)])
            for epoch in trained.epochs
            if seed in epoch.seeds
        ]
        best, since = 0, 0
        for number, loss in enumerate(losses):
            if since < 3:
                best, since = (number, 0) if loss < losses[best] else (best, since + 1)
        assert trained.validation.loss_S[k] == pytest.approx(losses[best], rel=1e-6)
        if network == "small":
            assert len(losses) == min(30, best + 1 + 3)
    assert len(trained.epochs) < 30 * 3


# --- random numbers, precision, augmentation ------------------------------------------------------

SHIFT = """
import torch

def shifted(inputs, generator):
    by = int(torch.randint(-1, 2, (), generator=generator))
    return inputs.roll(by, dims=-1)

def cropped(inputs, generator):
    return inputs[:, 1:]

def floated(inputs, generator):
    return inputs.float()

def failing(inputs, generator):
    return inputs @ inputs["x"]

NUMBER = 3
"""


CUSTOM = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], classes: int, width: int = 8):
        super().__init__()
        self.flat = nn.Flatten()
        self.first = nn.Linear(64, width)
        self.own = nn.Linear(64, 3)
        self.own.weight.data.normal_(0, 0.5)
        self.last = nn.Linear(width + 3, classes)
        nn.init.constant_(self.last.bias, 7.0)
        nn.init.trunc_normal_(self.last.weight, std=0.5)

    def forward(self, inputs):
        values = self.flat(inputs)
        return self.last(torch.cat([self.first(values), self.own(values)], dim=-1))
"""


def started(**entry: object) -> dict[str, np.ndarray]:
    model = ModelParams(**{**ENTRY, **entry})
    return dict(networks.initialised("mine", model, DATA.description, (4,)).weights())


def test_a_wider_layer_leaves_the_start_of_the_others_as_it_was(write: Write) -> None:
    write(CUSTOM)
    narrow, wide = started(width=8), started(width=12)

    np.testing.assert_array_equal(narrow["first.weight"], wide["first.weight"][:, :8])
    np.testing.assert_array_equal(narrow["own.weight"], wide["own.weight"])
    assert narrow["last.weight"].shape != wide["last.weight"].shape


def test_what_a_network_does_with_its_weights_is_kept(write: Write) -> None:
    write(CUSTOM)
    found = started()

    assert found["own.weight"].std() == pytest.approx(0.5, rel=0.15)
    assert found["last.weight"].std() == pytest.approx(0.5, rel=0.3)
    assert (found["last.bias"] == 7).all()
    assert np.abs(found["first.weight"]).max() == pytest.approx(1 / 8, rel=0.05)


@pytest.mark.parametrize("network", ["small", "feed_forward"])
def test_augmentation_draws_from_the_seed_s_own_stream(write: Write, network: str) -> None:
    write(SMALL)
    write(SHIFT, "common.augmentations")
    entry = {"network": network, "augmentation": "shifted"}
    if network == "feed_forward":
        entry |= {"hidden": [8], "activation": "relu", "dropout": 0.0}

    together, alone = train(**entry), train(seeds=(2,), **entry)
    without = train(seeds=(2,), **{**entry, "augmentation": None})

    for name, value in alone.weights.items():
        np.testing.assert_allclose(together.weights[name][2], value[0], rtol=1e-4, atol=1e-6)
    assert any((alone.weights[name] != without.weights[name]).any() for name in alone.weights)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cropped", "must give torch.uint8 [32, 8, 8] as it got; got torch.uint8 [32, 7, 8]"),
        ("floated", "got torch.float32 [32, 8, 8]"),
        ("failing", "augmentations.py:15: "),
        ("missing", "augmentations.py: must define missing; got nothing of that name; add it"),
        ("NUMBER", "models.mine.augmentation: must name a function of task.common.augmentations"),
    ],
)
def test_an_augmentation_that_breaks_its_contract_is_one_line(
    write: Write, name: str, said: str
) -> None:
    write(SMALL)
    write(SHIFT, "common.augmentations")

    with pytest.raises(LabError) as caught:
        train(augmentation=name)

    assert said in str(caught.value)


def test_bfloat16_leaves_the_weights_in_float32(write: Write) -> None:
    write(SMALL)

    mixed, exact = train(precision="bfloat16", epochs=6), train(epochs=6)

    assert {str(value.dtype) for value in mixed.weights.values()} == {"float32", "int64"}
    assert (mixed.weights["body.5.weight"] != exact.weights["body.5.weight"]).any()
    assert mixed.test.accuracy_S.mean() == pytest.approx(exact.test.accuracy_S.mean(), abs=0.1)


# --- rows, ids, many classes ----------------------------------------------------------------------

ROWS = """
from torch import nn

class Network(nn.Sequential):
    def __init__(self, input_shape: tuple[int, ...], classes: int):
        super().__init__(nn.Linear(*input_shape, classes))
"""


def rows() -> Prepared:
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    values = random.normal(size=(400, 5)).astype(np.float32) * [1, 10, 100, 1000, 1e4]
    values[:, 3] += 1500 * labels
    values[random.random(values.shape) < 0.1] = np.nan
    made = Examples(values.astype(np.float32), labels)
    dataset = Dataset(made, None, ["no", "yes"], "row", "standardise")
    return prepared(dataset, test_fraction=0.25)


@pytest.mark.parametrize("network", ["small", "feed_forward"])
def test_rows_with_gaps_are_seen_filled_and_standardised(write: Write, network: str) -> None:
    write(ROWS)
    entry = {"hidden": [], "activation": "linear", "dropout": 0.0}

    trained = train(
        rows(), network=network, epochs=20, **(entry if network == "feed_forward" else {})
    )

    assert trained.test.accuracy_S.min() > 0.7
    assert np.isfinite(trained.test.loss_S).all()


IDS = """
from torch import nn

class Network(nn.Module):
    def __init__(self, classes: int, vocabulary: int, width: int):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocabulary, width)
        self.scores = nn.Linear(width, classes)

    def forward(self, inputs):
        return self.scores(self.embedding(inputs))
"""


def ids() -> Prepared:
    random = np.random.default_rng(0)
    inputs, labels = random.integers(0, 30, (400, 6)), np.arange(400) % 2
    inputs[labels == 1, 3] = 7
    dataset = Dataset(Examples(inputs, labels), None, ["no", "yes"], "text", vocabulary=30)
    return prepared(dataset, test_fraction=0.25)


def test_ids_reach_the_network_as_they_are(write: Write) -> None:
    write(IDS)

    assert train(ids(), epochs=20, width=8, learning_rate=0.1).test.accuracy_S.min() > 0.8


def test_ids_are_no_numbers_for_a_feed_forward_network() -> None:
    with pytest.raises(LabError, match="takes examples of numbers; got ids of tokens"):
        train(ids(), network="feed_forward", hidden=[], activation="relu", dropout=0.0)


def test_three_hundred_classes_have_a_number_each(write: Write) -> None:
    write(ROWS)
    values = np.tile(np.eye(300, dtype=np.float32), (4, 1))
    values += np.random.default_rng(0).normal(0, 0.01, values.shape).astype(np.float32)
    made = Examples(values, np.arange(1200) % 300)
    dataset = Dataset(made, made, [f"class {k}" for k in range(300)], "row", may_repeat=True)
    data = prepared(dataset, validation_size=300)

    trained = train(data, seeds=(0,), epochs=40, learning_rate=0.1)

    assert trained.test.predictions_SN.dtype == np.uint16
    assert trained.test.accuracy_S[0] > 0.99


# --- mistakes -------------------------------------------------------------------------------------

HEAD = "import torch\nfrom torch import nn\n"
WRONG = {
    "no class": ("x = 1", "small.py: must define Network", "add it"),
    "no module": ("class Network: pass", "", "Network must be a class of torch.nn.Module"),
    "a syntax error": ("class Network(:", "small.py:1: SyntaxError", "correct it"),
    "a missing package": (
        "import nowhere_to_be_found",
        "small.py:1: ModuleNotFoundError",
        "nowhere",
    ),
    "a constructor that raises": (
        f"{HEAD}class Network(nn.Module):\n def __init__(self):\n  raise ValueError('no luck')",
        "small.py:5: ValueError",
        "no luck; correct it",
    ),
    "a forward that raises": (
        f"{HEAD}class Network(nn.Linear):\n def __init__(self): super().__init__(64, 4)\n"
        " def forward(self, inputs): return super().forward(inputs.flatten(2))",
        "small.py:5: RuntimeError",
        "mat1 and mat2",
    ),
    "no forward": (
        f"{HEAD}class Network(nn.Module):\n def __init__(self):\n  super().__init__()\n"
        "  self.scores = nn.Linear(2, 2)",
        "",
        "forward",
    ),
    "scores of another width": (
        f"{HEAD}class Network(nn.Sequential):\n"
        " def __init__(self): super().__init__(nn.Flatten(), nn.Linear(64, 5))",
        "task/networks/small.py: forward must give scores [B, 4]",
        "got [2, 5] for 2 examples of [8, 8]",
    ),
    "scores of one axis": (
        f"{HEAD}class Network(nn.Sequential):\n"
        " def __init__(self): super().__init__(nn.Flatten(), nn.Linear(64, 4), nn.Flatten(0))",
        "forward must give scores",
        "got [8]",
    ),
    "a tuple of scores": (
        f"{HEAD}class Network(nn.Linear):\n def __init__(self): super().__init__(64, 4)\n"
        " def forward(self, inputs): return (inputs,)",
        "forward must give scores",
        "got tuple",
    ),
    "nothing to learn": (
        f"{HEAD}class Network(nn.Flatten):\n pass",
        "must have a parameter to learn; got none",
        "add a layer",
    ),
    "half precision": (
        f"{HEAD}class Network(nn.Linear):\n"
        " def __init__(self): super().__init__(64, 4, dtype=torch.float16)",
        "parameters and buffers must be float32",
        "got torch.float16 for weight",
    ),
    "code that nothing watches": (
        f"{HEAD}from task.networks import feed_forward\nclass Network(nn.Linear): pass",
        "may import of task/ only task.common",
        "got task.networks",
    ),
    "code beside it": (
        f"{HEAD}from .feed_forward import Network as N\nclass Network(nn.Linear): pass",
        "may import of task/ only task.common",
        "got task.networks.feed_forward",
    ),
    "a signature of unknown types": (
        f"{HEAD}class Network(nn.Linear):\n def __init__(self, width: Unknown): pass",
        "",
        "Unknown",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_network_is_one_line(write: Write, name: str) -> None:
    source, *said = WRONG[name]
    write(source)

    with pytest.raises(LabError) as caught:
        checked_and_trained()

    for part in said:
        assert part in str(caught.value)


def checked_and_trained(**entry: object) -> None:
    tree = Params(
        dataset=DatasetParams(name="d", validation_size=60, split_seed=0),
        train=TRAIN,
        models={"mine": ModelParams(**{**ENTRY, **entry})},
        compare=CompareParams(margin=0.1),
    )
    networks.check(tree)
    train(**entry)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"widht": 8}, "models.mine.widht: unknown key; got 8; did you mean width?"),
        ({"patiance": 8}, "models.mine.patiance: unknown key; got 8; did you mean patience?"),
        ({"width": "8"}, "models.mine.width: must be a whole number; got '8'; correct the value"),
        ({"width": 8.5}, "models.mine.width"),
        ({"dropout": True}, "models.mine.dropout: must be a number; got True; correct the value"),
        ({"learning_rate_factors": {"head": 0.1}}, "use one of body"),
        ({"learning_rate_factors": {"bod": 0.1}}, "must begin the name of a parameter"),
    ],
)
def test_a_slip_in_the_arguments_is_one_line(write: Write, entry: dict, said: str) -> None:
    write(SMALL)

    with pytest.raises(LabError) as caught:
        checked_and_trained(**entry)

    assert said in str(caught.value)


def test_an_argument_that_is_missing_is_one_line(write: Write) -> None:
    write(IDS)

    with pytest.raises(LabError, match=r"models\.mine\.width: missing key; add it"):
        checked_and_trained()


@pytest.mark.parametrize("network", ["small", "feed_forward"])
def test_a_seed_that_diverges_is_named_and_nothing_is_averaged(write: Write, network: str) -> None:
    write(SMALL)
    entry = {
        "network": network,
        "optimizer": "sgd",
        "learning_rate": 100.0,
        "schedule": "constant",
        "weight_decay": 1.0,  # each step multiplies the weights by -99
    }
    if network == "feed_forward":
        entry |= {"hidden": [8, 8], "activation": "linear", "dropout": 0.0}

    with pytest.raises(LabError, match=r"models\.mine: seed \d: losses must be finite; epoch \d"):
        train(epochs=60, **entry)


def test_nan_in_one_seed_of_ten_names_that_seed(write: Write) -> None:
    source = SMALL.replace(
        "        return self.body",
        "        import torch\n"
        f"        wrong = torch.initial_seed() == {stream(7, 2, 'modules')}\n"
        "        return (float('nan') if wrong else 1) * self.body",
    )
    write(source)
    seen: list[Epoch] = []

    with pytest.raises(
        LabError, match=r"models\.mine: seed 7: losses must be finite; epoch 2 gave nan"
    ):
        train(seeds=tuple(range(10)), epochs=2, on_epoch=seen.append)

    assert {epoch.seeds for epoch in seen if epoch.number == 2} == {(seed,) for seed in range(7)}
