"""Small trained models of any network, with their files, for tests of what is made of these."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray

from lab.base.params import ModelParams, TrainParams
from lab.data.description import Description, SplitDescription
from lab.data.examples import Kind, Scaling
from lab.data.prepared import Prepared
from lab.data.splits import Split
from lab.results import best
from lab.results.served_model import sequential
from lab.training.export import exported
from lab.training.loop import train_model
from lab.training.scoring import write_trained

ROOT = Path(__file__).parent.parent
SETTINGS = {
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "weight_decay": 0.0,
}
DENSE = ModelParams(network="feed_forward", hidden=[5], activation="gelu", dropout=0.5, **SETTINGS)
CNN = ModelParams(network="cnn", channels=[2, 3], dropout=0.2, **SETTINGS)
TRAIN = TrainParams(seeds=[7, 9], seeds_per_stack=2, epochs=2, batch_size=16, precision="float32")
EMBEDDING = """
from torch import nn

class Network(nn.Module):
    def __init__(self, input_shape, classes: int, vocabulary: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.scores = nn.Linear(width, classes)

    def forward(self, ids):
        return self.scores(self.embedding(ids).mean(dim=1))
"""

RECURRENT = """
from torch import nn

class Network(nn.Module):
    def __init__(self, input_shape, classes: int, vocabulary: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.scores = nn.Linear(width, classes)

    def forward(self, ids):
        return self.scores(self.recurrent(self.embedding(ids))[1][0])
"""

LOOKS = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], classes: int, scaling, signs: tuple[int, int]):
        super().__init__()
        assert isinstance(input_shape, tuple) and isinstance(signs, tuple)
        self.signs = signs
        self.scores = nn.Linear(input_shape[0], classes)

    def forward(self, inputs):
        sign = self.signs[0] if inputs.isfinite().all() else self.signs[1]
        return sign * self.scores(inputs)
"""


def define(monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """Makes `task/networks/NAME.py` importable without writing it."""
    module = types.ModuleType(f"task.networks.{name}")
    exec(compile(source, ROOT / f"task/networks/{name}.py", "exec"), module.__dict__)  # noqa: S102
    monkeypatch.setitem(sys.modules, module.__name__, module)


def prepared(
    inputs: NDArray[np.generic], kind: Kind, classes: int = 3, scaling: Scaling | None = None,
    vocabulary: int | None = None, columns: list[str] | None = None,
) -> Prepared:  # fmt: skip
    """The same examples three times, with classes that mean nothing."""
    labels = (np.arange(len(inputs)) % classes).astype(np.uint8)
    part = SplitDescription(
        examples=len(inputs), sha256="0" * 64, examples_per_class=np.bincount(labels).tolist()
    )
    described = Description(
        schema_version=3, name="tiny", split_seed=0, kind=kind, shape=list(inputs.shape[1:]),
        dtype=inputs.dtype.name, scaling=scaling, vocabulary=vocabulary, columns=columns or [],
        class_names=[f"class {k}" for k in range(classes)], framing="fit",
        tokeniser=None, train=part, validation=part, test=part,
    )  # fmt: skip
    split = Split(inputs, labels)
    return Prepared(split, split, split, described)


def images(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


BYTES = Scaling(shift=[0.0], scale=[255.0])


def write(model: ModelParams, data: Prepared, name: str = "small") -> None:
    """Trains a model, and writes its files into the working directory."""
    trained = train_model(
        name, model, TRAIN, data, lambda _: None,
        device=torch.device("cpu"), precision="float32", workers=1,
    )  # fmt: skip
    write_trained(name, trained, data, device="cpu", precision="float32")


def write_best(model: ModelParams, data: Prepared, seed: int = 9) -> Path:
    """Trains a model, and writes `models/best` as compare.py does."""
    write(model, data)
    best.write(Path("models/best"), "small", seed, model, data, exported)
    return Path("models/best")


def write_layers(folder: Path) -> NDArray[np.uint8]:
    """Dense layers as `models/best` has them, of weights that nothing trained; some inputs."""
    torch.manual_seed(0)
    layers = {"widths": [4, 16, 10], "activation": "relu"}
    folder.mkdir(exist_ok=True)
    safetensors.torch.save_file(sequential(layers).state_dict(), folder / "weights.safetensors")
    inputs = images(64, 4)
    described = prepared(inputs, "row", classes=10, scaling=BYTES).description.model_dump()
    description = {**described, "form": "layers", "layers": layers}
    (folder / "model.json").write_text(json.dumps(description), encoding="utf-8")
    np.save(folder / "example.npy", inputs[:1])
    return inputs
