import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from trained import BYTES, DENSE, ROOT, TRAIN, images, prepared, write, write_best

from lab.base.errors import LabError
from lab.data.examples import Scaling
from lab.results import best, weights
from lab.results.predictions import read_predictions
from lab.results.served_model import load, require_no_cut_fractions, sequential, stored
from lab.training.export import exported

HERE = Path("models/best")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def never(*network):
    raise AssertionError("dense layers need no program")


@pytest.mark.parametrize("activation", best.ACTIVATIONS)
def test_dense_layers_give_what_training_evaluated(activation):
    model = DENSE.model_copy(update={"activation": activation})
    assert model.own["activation"] == activation
    data = prepared(images(90, 6, 5), "grey image", scaling=BYTES)
    write(model, data)
    best.write(HERE, "small", 9, model, data, never)

    probabilities = load(HERE)(data.test.inputs)
    found = read_predictions(Path("models/runs/small/predictions.npz"), 3)
    row = TRAIN.seeds.index(9)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), found.predictions[row])
    np.testing.assert_allclose(probabilities.max(axis=1), found.confidence[row], atol=1e-6)
    assert sorted(path.name for path in HERE.iterdir()) == [
        "example.npy",
        "model.json",
        "weights.safetensors",
    ]


def test_the_files_say_what_the_network_is_and_takes():
    data = prepared(images(90, 6, 5), "grey image", scaling=BYTES)
    write_best(DENSE, data)

    assert json.loads((HERE / "model.json").read_text(encoding="utf-8")) == {
        "schema_version": 1,
        "model": "small",
        "seed": 9,
        "network": "feed_forward",
        "arguments": {"hidden": [5], "activation": "gelu", "dropout": 0.5},
        "kind": "grey image",
        "shape": [6, 5],
        "dtype": "uint8",
        "scaling": {"shift": [0.0], "scale": [255.0], "fill": None},
        "class_names": ["class 0", "class 1", "class 2"],
        "vocabulary": None,
        "columns": [],
        "form": "layers",
        "layers": {"widths": [30, 5, 3], "activation": "gelu"},
    }
    np.testing.assert_array_equal(np.load(HERE / "example.npy"), data.test.inputs[:1])
    tensors = safetensors.numpy.load_file(HERE / "weights.safetensors")
    for key, tensor in weights.read_seed("small", 9).items():
        np.testing.assert_array_equal(tensors[key], tensor)
    plain = sequential({"widths": [30, 5, 3], "activation": "gelu"})
    plain.load_state_dict({key: torch.from_numpy(each) for key, each in tensors.items()})
    with torch.no_grad():
        logits = plain(torch.tensor(data.test.inputs).flatten(1) / 255)
    np.testing.assert_array_equal(logits.softmax(dim=1), load(HERE)(data.test.inputs))


def test_weights_of_the_shapes_of_layers_are_no_layers_if_they_say_other_things():
    data = prepared(images(90, 6, 5), "grey image", scaling=BYTES)
    write(DENSE, data)
    other = DENSE.model_copy(update={"activation": "relu"})

    with pytest.raises(LabError, match="as training left them; got feed_forward") as caught:
        best.write(HERE, "small", 9, other, data, exported)
    assert "\n" not in str(caught.value)
    assert not HERE.exists()


def test_rows_are_filled_and_standardised_before_dense_layers():
    rows = np.random.default_rng(0).normal(5, 3, (90, 3)).astype(np.float32)
    rows[::4, 1] = np.nan
    scaling = Scaling(shift=[5.0, 4.0, 6.0], scale=[3.0, 2.0, 1.0], fill=[5.0, 4.5, 6.0])
    data = prepared(rows, "row", scaling=scaling, columns=["a", "b", "c"])
    write(DENSE, data)
    best.write(HERE, "small", 7, DENSE, data, never)

    found = read_predictions(Path("models/runs/small/predictions.npz"), 3)
    probabilities = load(HERE)(rows)
    np.testing.assert_allclose(probabilities.max(axis=1), found.confidence[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"or missing \(NaN\); got inf at row 2, b"):
        load(HERE)(np.where(np.arange(9).reshape(3, 3) == 7, np.inf, rows[:3]))


def test_another_models_program_does_not_stay():
    HERE.mkdir(parents=True)
    (HERE / "network.pt2").write_bytes(b"of another model")
    write_best(DENSE, prepared(images(90, 6, 5), "grey image", scaling=BYTES))
    assert not (HERE / "network.pt2").exists()


def test_no_dense_network_waits_for_torch():
    code = "import sys, lab.results.best, compare; print({'torch', 'mlflow'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "set()\n"


def test_the_loader_is_one_file_that_needs_nothing_beside_it(tmp_path):
    data = prepared(images(90, 6, 5), "grey image", scaling=BYTES)
    write_best(DENSE, data)
    loader = ROOT / "lab/results/served_model.py"
    Path("alone").mkdir()
    Path("alone/served_model.py").write_bytes(loader.read_bytes())
    code = (
        "import numpy, served_model, sys\n"
        "print(served_model.load('../models/best')(numpy.load('../models/best/example.npy')).shape)"
        "\nprint({'lab', 'task', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="alone", env={}, capture_output=True, encoding="utf-8"
    )
    assert (done.stdout, done.stderr) == ("(1, 3)\nset()\n", "")


GREY = {
    "shape": [2, 3], "dtype": "uint8", "kind": "grey image", "vocabulary": None,
    "scaling": {"shift": [0.0], "scale": [255.0], "fill": None}, "columns": [],
}  # fmt: skip
TEXT = {**GREY, "shape": [4], "dtype": "int64", "kind": "text", "vocabulary": 30, "scaling": None}
ROW = {**GREY, "shape": [2], "dtype": "float32", "kind": "row", "columns": ["age", "income"]}
FILLED = {**ROW, "scaling": {"shift": [0.0, 0.0], "scale": [1.0, 1.0], "fill": [0.5, 1.5]}}
AN_IMAGE = np.arange(6).reshape(1, 2, 3)


@pytest.mark.parametrize(
    ("description", "inputs", "dtype"),
    [
        (GREY, AN_IMAGE.astype(np.uint8), np.uint8),
        (GREY, AN_IMAGE.astype(np.int64), np.uint8),
        (GREY, AN_IMAGE.tolist(), np.uint8),
        (GREY, AN_IMAGE[:0], np.uint8),
        (TEXT, np.array([[0, 29, 1, 1]], np.int32), np.int64),
        (TEXT, np.array([[0, 29, 1, 1]], np.uint64), np.int64),
        (ROW, [[1, 2.5]], np.float32),
        (ROW, np.array([[1, 2]]), np.float32),
        (FILLED, [[np.nan, 2.5]], np.float32),
    ],
)
def test_inputs_are_taken_in_any_type_that_holds_them_exactly(description, inputs, dtype):
    taken = stored(description, inputs)
    assert taken.dtype == dtype
    assert taken.flags.writeable
    np.testing.assert_array_equal(taken, np.asarray(inputs))


@pytest.mark.parametrize(
    ("description", "inputs", "message"),
    [
        (GREY, AN_IMAGE[0], "[N, 2, 3] uint8; got [2, 3] int64; one input alone is inputs[None]"),
        (GREY, np.zeros((5, 6), np.uint8), "got [5, 6] uint8; rows that hold them flat are "
         "inputs.reshape(-1, 2, 3)"),
        (GREY, np.zeros((49, 32, 32), np.uint8), "got [49, 32, 32] uint8; send them as the data"),
        (GREY, np.zeros((6, 1, 1), np.uint8), "got [6, 1, 1] uint8; send them"),
        (GREY, 3, "got [] int64; send them as the data have them"),
        (GREY, [[1], [1, 2]], "got lists of different lengths"),
        (GREY, AN_IMAGE / 5, "[1, 2, 3] float64; send the bytes 0 to 255 as the data have them"),
        (GREY, AN_IMAGE > 2, "got [1, 2, 3] bool; send the bytes"),
        (GREY, AN_IMAGE * 100, "inputs must be 0 to 255; got 300 at row 0, [1, 0]"),
        (GREY, -AN_IMAGE, "inputs must be 0 to 255; got -1 at row 0, [0, 1]"),
        (TEXT, np.array([[0, 0, 0, 0], [0, 30, 1, 1]]), "must be 0 to 29; got 30 at row 1, [1]"),
        (TEXT, np.array([[-1, 3, 1, 1]]), "must be 0 to 29; got -1 at row 0, [0]"),
        (TEXT, np.ones((1, 4)), "got [1, 4] float64; send the ids of tokens, as integers"),
        (ROW, [[1, np.nan]], "inputs must be finite float32; got nan at row 0, income"),
        (ROW, [[1e39, 1]], "inputs must be finite float32; got inf at row 0, age"),
        (FILLED, [[1, -np.inf]], "or missing (NaN); got -inf at row 0, income"),
        (ROW, [["1", "2"]], "got [1, 2] <U1; send numbers"),
        (ROW, [[None, 2]], "got [1, 2] object; send numbers"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_data_have_it_is_refused_in_one_line(description, inputs, message):
    with pytest.raises(ValueError, match=r"^inputs must be ") as caught:
        stored(description, inputs)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_whose_fractions_were_cut_off_are_refused():
    require_no_cut_fractions(GREY, AN_IMAGE)
    require_no_cut_fractions(GREY, AN_IMAGE[:0])
    require_no_cut_fractions({**GREY, "scaling": None}, AN_IMAGE > 2)
    with pytest.raises(ValueError, match=r"must not be fractions.*send the bytes 0 to 255"):
        require_no_cut_fractions(GREY, (AN_IMAGE / 5).astype(np.uint8))


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"form": "other"}'])
def test_a_folder_that_is_not_whole_is_refused_in_one_line(content):
    HERE.mkdir(parents=True)
    if content is not None:
        (HERE / "model.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"models/best: must hold a whole model\.json") as caught:
        load(HERE)
    assert "\n" not in str(caught.value)
