import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from trained import (
    BYTES,
    CNN,
    EMBEDDING,
    LOOKS,
    RECURRENT,
    ROOT,
    SETTINGS,
    TRAIN,
    define,
    images,
    prepared,
    write,
    write_best,
)

from lab.base.errors import LabError
from lab.base.params import ModelParams
from lab.data.examples import Scaling
from lab.data.splits import Split
from lab.results import best
from lab.results.predictions import read_predictions
from lab.results.served_model import load
from lab.training.export import exported

RANDOM = """
import random
from torch import nn

class Network(nn.Module):
    def __init__(self, input_shape, classes: int):
        super().__init__()
        self.scores = nn.Linear(input_shape[0], classes)

    def forward(self, inputs):
        return self.scores(inputs) * random.random()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def assert_as_trained(folder: Path, inputs: np.ndarray, seed: int = 9) -> None:
    """The loaded network says of all examples what the last evaluation of training said."""
    found = read_predictions(Path("models/runs/small/predictions.npz"), 3)
    row = TRAIN.seeds.index(seed)
    probabilities = load(folder)(inputs)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), found.predictions[row])
    np.testing.assert_allclose(probabilities.max(axis=1), found.confidence[row], atol=1e-5)
    np.testing.assert_allclose(load(folder)(inputs[:1]), probabilities[:1], atol=1e-5)
    assert load(folder)(inputs[:0]).shape == (0, 3)


@pytest.mark.parametrize("shape", [(9, 8), (3, 9, 8)])
def test_a_network_with_batch_norm_gives_what_training_evaluated(shape, capsys):
    kind = "grey image" if len(shape) == 2 else "colour image"
    scaling = BYTES if len(shape) == 2 else Scaling(shift=[9.0, 8, 7], scale=[200.0, 100, 50])
    inputs = images(90, *shape)
    made = write_best(CNN, prepared(inputs, kind, scaling=scaling))

    description = json.loads((made / "model.json").read_text(encoding="utf-8"))
    assert description["form"] == "program"
    assert description["arguments"] == {"channels": [2, 3], "dropout": 0.2}
    assert_as_trained(made, inputs)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match="rows that hold them flat"):
        load(made)(inputs.reshape(90, -1))


@pytest.mark.parametrize("source", [EMBEDDING, RECURRENT])
def test_token_ids_are_embedded(monkeypatch, capsys, source):
    define(monkeypatch, "bag", source)
    ids = np.random.default_rng(0).integers(0, 30, (90, 4))
    made = write_best(
        ModelParams(network="bag", width=6, **SETTINGS), prepared(ids, "text", vocabulary=30)
    )
    assert_as_trained(made, ids)
    assert (made / "network.pt2").is_file()
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match="must be 0 to 29; got 30 at row 0"):
        load(made)(ids[:1] * 0 + 30)


def rows() -> tuple[np.ndarray, Scaling]:
    inputs = np.random.default_rng(0).normal(5, 3, (90, 3)).astype(np.float32)
    inputs[::4, 1] = np.nan
    return inputs, Scaling(shift=[5.0, 4.0, 6.0], scale=[3.0, 2.0, 1.0], fill=[5.0, 4.5, 6.0])


def test_rows_with_gaps_are_filled_within_the_program(monkeypatch):
    define(monkeypatch, "linear", RANDOM.replace(" * random.random()", ""))
    inputs, scaling = rows()
    made = write_best(
        ModelParams(network="linear", **SETTINGS), prepared(inputs, "row", scaling=scaling)
    )
    assert_as_trained(made, inputs)
    alone = torch.export.load(made / "network.pt2").module()
    assert alone(torch.tensor(inputs[:4])).isfinite().all()


def test_a_network_that_looks_at_numbers_loads_by_its_class(monkeypatch, capsys):
    define(monkeypatch, "looks", LOOKS)
    inputs, scaling = rows()
    model = ModelParams(network="looks", signs=[1, -1], **SETTINGS)
    made = write_best(model, prepared(inputs, "row", scaling=scaling))

    line, err = capsys.readouterr()
    assert re.fullmatch(
        r"models/best: task/networks/looks\.py:13: GuardOnDataDependentSymNode: .*: torch\.export "
        r"cannot follow that, so the model loads only where this repository is; .*\n",
        line,
    )
    assert err == ""
    assert sorted(path.name for path in made.iterdir()) == [
        "example.npy",
        "model.json",
        "weights.safetensors",
    ]
    description = json.loads((made / "model.json").read_text(encoding="utf-8"))
    assert (description["form"], description["network"]) == ("class", "looks")
    assert_as_trained(made, inputs)


def test_a_program_that_says_other_things_than_its_network_is_none(monkeypatch, capsys):
    define(monkeypatch, "chance", RANDOM)
    inputs, scaling = rows()
    made = write_best(
        ModelParams(network="chance", **SETTINGS), prepared(inputs, "row", scaling=scaling)
    )
    assert "chance.py: the program's probabilities of 2 differ by" in capsys.readouterr().out
    assert json.loads((made / "model.json").read_text(encoding="utf-8"))["form"] == "class"


def test_a_network_that_needs_the_repository_says_so_elsewhere(monkeypatch, tmp_path):
    define(monkeypatch, "looks", LOOKS)
    inputs, scaling = rows()
    write_best(
        ModelParams(network="looks", signs=[1, -1], **SETTINGS),
        prepared(inputs, "row", scaling=scaling),
    )
    Path("served_model.py").write_bytes((ROOT / "lab/results/served_model.py").read_bytes())
    code = "import served_model; served_model.load('models/best')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, encoding="utf-8"
    )
    assert done.stderr.splitlines()[-1] == (
        "ValueError: models/best: needs the repository, because its network is no program but the "
        "class of task/networks/looks.py; put the repository on PYTHONPATH"
    )


def test_one_test_example_is_enough_to_follow_a_network():
    inputs = images(90, 9, 8)
    data = prepared(inputs, "grey image", scaling=BYTES)
    write(CNN, data)
    one = dataclasses.replace(data, test=Split(inputs[:1], data.test.labels[:1]))
    best.write(Path("models/best"), "small", 9, CNN, one, exported)
    assert_as_trained(Path("models/best"), inputs)


def test_weights_of_a_network_that_has_changed_since_are_refused_in_one_line(monkeypatch):
    define(monkeypatch, "bag", EMBEDDING)
    ids = np.random.default_rng(0).integers(0, 30, (90, 4))
    model, data = ModelParams(network="bag", width=6, **SETTINGS), None
    data = prepared(ids, "text", vocabulary=30)
    write(model, data)
    define(monkeypatch, "bag", EMBEDDING.replace("self.scores", "self.output"))

    with pytest.raises(LabError, match=r"bag\.py: must be as it was when small .*run `dvc repro`"):
        best.write(Path("models/best"), "small", 9, model, data, exported)
    assert not Path("models/best").exists()


AGAIN = """
import hashlib, sys
sys.path[:0] = [sys.argv[1] + "/tests/tiny", sys.argv[1], sys.argv[1] + "/tests"]
from pathlib import Path
from trained import BYTES, CNN, images, prepared
from lab.data.splits import Split
from lab.results import best
from lab.training.export import exported
data = prepared(images(90, 9, 8), "grey image", scaling=BYTES)
best.write(Path("again"), "small", 9, CNN, data, exported)
print(hashlib.sha256(Path("again/network.pt2").read_bytes()).hexdigest())
"""


def test_the_same_network_is_the_same_bytes_without_paths_of_this_machine():
    made = write_best(CNN, prepared(images(90, 9, 8), "grey image", scaling=BYTES))
    content = (made / "network.pt2").read_bytes()
    command = [sys.executable, "-c", AGAIN, str(ROOT)]
    environment = {**os.environ, "PYTHONHASHSEED": "5"}
    done = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", check=True
    )

    assert done.stdout == hashlib.sha256(content).hexdigest() + "\n"
    assert str(ROOT).encode() not in content
    assert str(Path(torch.__file__).parent).encode() not in content


def test_a_damaged_program_is_refused_in_one_line():
    made = write_best(CNN, prepared(images(90, 9, 8), "grey image", scaling=BYTES))
    (made / "network.pt2").write_bytes((made / "network.pt2").read_bytes()[:5_000])
    with pytest.raises(ValueError, match=r"network\.pt2: cannot be loaded .*; torch 2") as caught:
        load(made)
    assert "\n" not in str(caught.value)
