"""The reference: what it keeps, its bytes, and what it says of another file."""

import numpy as np
import pytest
from monitored import ABOUT, blobs, labels, probabilities, reference

from lab.base.errors import DataError
from lab.shifts import reference as references
from lab.shifts.reference import BINS, MOST_EXAMPLES, counted, made, packed, read
from lab.shifts.statistics import statistics


def of(inputs: np.ndarray, about: dict | None = None, classes: int = 2) -> references.Reference:
    said = probabilities(inputs) if about is None else np.eye(classes, dtype=np.float32)[
        np.arange(len(inputs)) % classes
    ]  # fmt: skip
    given = {**ABOUT, "ranges": {}, **(about or {})}
    chosen = labels(inputs) if about is None else np.arange(len(inputs)) % classes
    return made(given, inputs, chosen, said, np.zeros(len(inputs), np.bool_))


def test_equal_references_give_equal_bytes_and_come_back(tmp_path):
    one, other = (packed(of(blobs(500, 1))) for _ in range(2))
    assert one == other

    path = tmp_path / "reference.npz"
    path.write_bytes(one)
    found, wanted = read(path), of(blobs(500, 1))
    assert found.about == wanted.about
    for name in ("edges_SB", "counts_SB", "by_class_CSB", "predicted_C", "inputs", "labels"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert (found.right, found.unlike, found.examples) == (wanted.right, 0, 500)


def test_bins_hold_about_as_many_each(tmp_path):
    found = reference(tmp_path)

    assert (found.counts_SB.sum(axis=1) == 3_000).all()
    assert found.counts_SB[found.names.index("brightness")].max() < 2 * 3_000 / BINS
    assert np.array_equal(found.by_class_CSB.sum(axis=0), found.counts_SB)
    assert np.array_equal(counted(found.bins(blobs(3_000, 1))), found.counts_SB)


def test_what_it_knows_of_the_answers(tmp_path):
    found = reference(tmp_path)
    right = (probabilities(blobs(3_000, 1)).argmax(axis=1) == labels(blobs(3_000, 1))).sum()
    highest = probabilities(blobs(3_000, 1)).max(axis=1)

    assert found.right == right
    assert (highest > found.about["confidence"]).sum() == pytest.approx(right, abs=2)


def test_of_many_examples_some_are_drawn():
    inputs = np.random.default_rng(0).normal(size=(MOST_EXAMPLES + 500, 3)).astype(np.float32)
    found = of(inputs, {"kind": "row", "shape": [3], "dtype": "float32"})

    assert found.examples == MOST_EXAMPLES
    assert found.names == ["input 1", "input 2", "input 3"]


def test_rows_with_missing_and_constant_values():
    inputs = np.zeros((200, 2), np.float32)
    inputs[::4, 0] = np.nan
    about = {"kind": "row", "shape": [2], "dtype": "float32", "columns": ["age", "size"]}
    found = of(inputs, about)

    assert found.counts_SB[0, -1] == 50
    assert sorted(found.counts_SB[1].tolist())[-2:] == [0, 200]
    missing = counted(found.bins(np.full((10, 2), np.nan, np.float32)))
    assert missing[:, -1].tolist() == [10, 10]


def test_texts_are_measured_without_what_fills_them_up():
    inputs = np.array([[5, 6, 6, 0, 0], [9, 0, 0, 0, 0]] * 30)
    about = {"kind": "text", "shape": [5], "dtype": "int64"}
    found = of(inputs, about)

    assert found.about["padding"] == 0
    values = dict(zip(found.names, found.values(inputs[:2]), strict=True))
    assert values["number of tokens"].tolist() == [3, 1]
    assert values["number of different tokens"].tolist() == [3, 2]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}", packed(of(blobs(50, 1)))[:-400]])
def test_another_file_is_a_line_for_its_user(tmp_path, content):
    path = tmp_path / "reference.npz"
    with pytest.raises(DataError, match="no such file; run `dvc repro export`"):
        read(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match="must be what stage export writes; got another file"):
        read(path)


# --- statistics -----------------------------------------------------------------------------------


def test_of_an_image_worked_by_hand():
    image = np.zeros((1, 4, 4), np.uint8)
    image[0, 1, 1] = image[0, 2, 2] = 200
    found = {name: value[0] for name, value in statistics("grey image", image, []).items()}

    assert found["brightness"] == 25
    assert found["ink"] == 0.125
    assert (found["height of the centre"], found["place of the centre"]) == (1.5, 1.5)
    assert (found["height"], found["width"], found["slant"]) == pytest.approx((0.5, 0.5, 1.0))
    assert found["sharpness"] == found["edges across"] == pytest.approx(4 * 200 / 12)


def test_of_colours():
    image = np.zeros((1, 3, 2, 2), np.float32)
    image[0, 0] = 0.75
    found = {name: value[0] for name, value in statistics("colour image", image, []).items()}

    assert (found["colourfulness"], found["red less blue"]) == (0.75, 0.75)
    assert found["brightness"] == pytest.approx(0.25)


@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 5, 1), (2, 1, 5), (2, 3, 1, 1)])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_of_any_image_they_are_finite(shape, value):
    kind = "grey image" if len(shape) == 3 else "colour image"
    for name, found in statistics(kind, np.full(shape, value, np.float32), []).items():
        assert found.shape == shape[:1], name
        assert np.isfinite(found).all(), name
