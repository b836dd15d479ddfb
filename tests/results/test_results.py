import json

import numpy as np
import pytest
from made_data import CLASSES, HEIGHT, PIXELS, WIDTH, prepared

from lab.base.errors import DataError
from lab.data.prepared import Prepared
from lab.data.splits import Split
from lab.results import storage, weights
from lab.results.predictions import Predictions, read_predictions, write_predictions
from lab.results.schema import Spread
from lab.training.outcome import Epoch, Evaluation, Trained
from lab.training.scoring import write_trained

LABELS = np.array([0, 1, 2, 2], dtype=np.uint8)


def probabilities(predictions_SN) -> np.ndarray:
    """0.9 of each prediction, the rest shared by nine other classes."""
    found_SNC = np.full((*np.shape(predictions_SN), 10), 0.1 / 9, dtype=np.float32)
    np.put_along_axis(found_SNC, np.array(predictions_SN)[..., None], np.float32(0.9), axis=2)
    return found_SNC


@pytest.fixture
def data() -> Prepared:
    split = Split(np.zeros((4, HEIGHT, WIDTH), np.uint8), LABELS)
    return prepared(split, split, split)


@pytest.fixture
def trained() -> Trained:
    random = np.random.default_rng(0)
    weights = {
        "0.weight": random.normal(size=(2, 3, PIXELS)).astype(np.float32),
        "0.bias": random.normal(size=(2, 3)).astype(np.float32),
        "2.weight": random.normal(size=(2, CLASSES, 3)).astype(np.float32),
        "2.bias": random.normal(size=(2, CLASSES)).astype(np.float32),
    }
    evaluation = Evaluation(
        accuracy_S=np.array([0.75, 1.0]),
        loss_S=np.array([0.5, 0.25]),
        predictions_SN=np.array([[0, 1, 2, 0], [0, 1, 2, 2]], dtype=np.uint8),
        confidence_SN=np.full((2, 4), 0.9, dtype=np.float32),
        probabilities_SNC=probabilities([[0, 1, 2, 0], [0, 1, 2, 2]]),
    )
    epochs = tuple(
        Epoch((seed,), number, np.array([4.0 / number]), np.array([3.0 + seed]), np.array([0.5]))
        for seed in (7, 9)
        for number in (1, 2)
    )
    return Trained((7, 9), weights, 12, epochs, evaluation, evaluation)


@pytest.fixture
def written(trained, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_trained("small", trained, data, device="cpu", precision="float32")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_written_is_what_is_read(written):
    assert storage.read(storage.MODEL_RESULTS / "small.json") == written
    assert written.test.accuracy == Spread(mean=0.875, sd=0.125 * 2**0.5, per_seed=[0.75, 1.0])
    assert [row[:3] for row in written.confusion[:3]] == [[2, 0, 0], [0, 2, 0], [1, 0, 3]]
    # Right 7 of 8 times at confidence 0.9: seed 7 is off by 0.15, seed 9 by 0.1.
    assert written.test.calibration_error.per_seed == pytest.approx([0.15, 0.1], abs=1e-6)


def test_predictions_are_found_by_seed(written):
    predictions = read_predictions(storage.TRAINED / "small" / "predictions.npz", CLASSES)

    assert predictions.of_seed(7).tolist() == [0, 1, 2, 0]
    assert predictions.of_seed(9).tolist() == [0, 1, 2, 2]


def test_the_curve_is_the_mean_over_seeds(written):
    assert (storage.CURVES / "small.csv").read_text(encoding="utf-8") == (
        "epoch,train_loss,train_loss_sd,validation_loss,validation_loss_sd,"
        "validation_accuracy,validation_accuracy_sd\n"
        "1,4.0,0.0,11.0,1.4142135623730951,0.5,0.0\n"
        "2,2.0,0.0,11.0,1.4142135623730951,0.5,0.0\n"
    )


def test_writing_twice_gives_the_same_bytes(written, trained, data, tmp_path):
    before = contents(tmp_path)
    write_trained("small", trained, data, device="cpu", precision="float32")

    assert contents(tmp_path) == before
    assert len(before) == 6


def test_one_seed_has_no_spread():
    alone = Spread.of(np.array([0.5]))

    assert (alone.mean, alone.sd, alone.interval()) == (0.5, None, None)


def test_the_interval_of_a_mean_worked_by_hand():
    # sd 1, n 4: 3.182446 (t, 3 degrees of freedom) * 1 / 2
    spread = Spread.of(np.array([-1.0, 1.0, -1.0, 1.0]) * 0.75**0.5)

    assert spread.interval() == pytest.approx((-1.591223, 1.591223), rel=1e-6)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema_version": 2}, "schema_version: input should be 1; got 2"),
        ({"seeds": [7]}, "1 seeds, but 2 values per seed"),
        ({"extra": 1}, "extra: extra inputs are not permitted; got 1"),
        ({"parameter_count": "12"}, "parameter_count: input should be a valid integer; got '12'"),
    ],
)
def test_results_of_another_schema_are_refused_in_one_line(written, change, problem):
    path = storage.MODEL_RESULTS / "small.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8"
    )

    with pytest.raises(DataError) as caught:
        storage.read(path)
    assert problem in str(caught.value)
    assert "dvc repro" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"{}", None])
def test_damaged_predictions_are_refused_in_one_line(written, content):
    path = storage.TRAINED / "small" / "predictions.npz"
    content = path.read_bytes()[:-30] if content is None else content
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"predictions\.npz: .*run `dvc repro --force train@small`"):
        read_predictions(path, CLASSES)


def test_predictions_never_run_code(tmp_path):
    path = tmp_path / "predictions.npz"
    np.savez(path, **{name: np.array([print], dtype=object) for name in Predictions._fields})

    with pytest.raises(DataError, match="allow_pickle=False"):
        read_predictions(path, CLASSES)


@pytest.mark.parametrize(
    ("predictions", "problem"),
    [
        (np.zeros((3, 4), np.uint8), r"must be \[seeds\], .*got \[\(2,\), \(3, 4\)"),
        (np.zeros((2, 4), np.int16), "must be int64, uint8 or uint16, and float32"),
        (np.zeros((), np.uint8), r"must be \[seeds\], .*got"),
    ],
)
def test_predictions_of_another_shape_are_refused(tmp_path, predictions, problem):
    path = tmp_path / "predictions.npz"
    confidence = np.zeros((2, 4), np.float32)
    write_predictions(path, Predictions(np.array([7, 9]), predictions, confidence))

    with pytest.raises(DataError, match=problem):
        read_predictions(path, CLASSES)


def test_what_is_absent_is_named(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for read in (
        lambda: storage.read(storage.MODEL_RESULTS / "small.json"),
        lambda: read_predictions(storage.TRAINED / "small" / "predictions.npz", CLASSES),
        lambda: weights.read_seed("small", 9),
    ):
        with pytest.raises(DataError, match=r"small.*: no such file; run `dvc repro`"):
            read()
