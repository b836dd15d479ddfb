"""What a reader is shown of an example, of every kind of data."""

import json

import numpy as np
import pytest

from lab.data.description import describe
from lab.data.examples import Dataset, Examples, Scaling
from lab.data.prepared import TEXTS, Prepared
from lab.data.splits import Part, Split
from lab.evidence.inputs import as_bytes, images, shown, telling_columns
from lab.evidence.schema import MAX_EXCERPT, MAX_SIDE


def prepared(kind, inputs, columns=(), scaling=None) -> Prepared:
    """Three splits of the same examples."""
    labels = np.arange(len(inputs), dtype=np.uint8) % 2
    examples = Examples(inputs, labels)
    vocabulary = 9 if kind == "text" else None
    dataset = Dataset(examples, examples, ["a", "b"], kind, None, columns, vocabulary)
    parts = dict.fromkeys(("train", "validation", "test"), Part(examples, np.arange(len(labels))))
    split = Split(inputs, labels)
    return Prepared(split, split, split, describe("made", 0, dataset, parts, scaling))


# --- images --------------------------------------------------------------------------------------


def test_small_grey_bytes_stay_as_they_are():
    given = np.arange(2 * 28 * 20, dtype=np.uint8).reshape(2, 28, 20)
    found = images(given, Scaling(shift=[0.0], scale=[255.0]))

    assert [(one.kind, one.height, one.width) for one in found] == [("grey image", 28, 20)] * 2
    assert b"".join(one.pixel_bytes() for one in found) == given.tobytes()


def test_colours_are_put_pixel_by_pixel():
    given = np.zeros((1, 3, 2, 5), dtype=np.uint8)
    given[0, 0], given[0, 2, 0, 1] = 200, 7  # red everywhere, a little blue in one place
    found = images(given, None)[0]

    assert (found.kind, found.shape) == ("colour image", (2, 5, 3))
    assert found.pixel_bytes()[:6] == bytes([200, 0, 0, 200, 0, 7])


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((1, 512, 1024), (64, 128)),
        ((1, 3, 300, 200), (128, 85, 3)),
        ((1, 3, 129, 129), (128, 128, 3)),
        ((1, 1, 5_000), (1, 128)),
        ((1, 5_000, 1), (128, 1)),
    ],
)
def test_large_images_are_reduced_and_keep_their_form(shape, wanted):
    found = images(np.full(shape, 100, dtype=np.uint8), None)[0]

    assert found.shape == wanted
    assert set(found.pixel_bytes()) == {100}
    assert max(found.height, found.width) <= MAX_SIDE


@pytest.mark.parametrize(
    ("values", "scaling", "wanted"),
    [
        ([0.0, 0.2, 1.0], None, [0, 51, 255]),
        ([0.0, 0.2, 1.0], Scaling(shift=[0.5], scale=[0.25]), [0, 51, 255]),  # already seen as stored
        ([0.0, 51.0, 255.0], None, [0, 51, 255]),
        ([0.0, 13_107.0, 65_535.0], Scaling(shift=[0.0], scale=[65_535.0]), [0, 51, 255]),
        ([-1.0, 0.0, 1.0], None, [0, 128, 255]),
        ([-1_000.0, 0.0, 3_000.0], None, [0, 64, 255]),  # its own darkest and brightest
        ([7_000.0, 7_000.0, 7_000.0], None, [0, 0, 0]),
        ([float("nan"), 0.2, 1.0], None, [0, 51, 255]),
        ([float("inf"), 3e38, -3e38], Scaling(shift=[0.0], scale=[1e-300]), None),
    ],
)  # fmt: skip
def test_numbers_that_are_no_bytes_are_mapped_to_bytes(values, scaling, wanted):
    found = as_bytes(np.float32([[values]]), scaling)

    assert found.dtype == np.uint8
    assert wanted is None or found.ravel().tolist() == wanted


def test_channels_are_scaled_each_by_itself():
    given = np.float32([[[[300.0]], [[0.0]], [[50.0]]]])
    scaling = Scaling(shift=[0.0, 0.0, 0.0], scale=[300.0, 1.0, 100.0])

    assert as_bytes(given, scaling).ravel().tolist() == [255, 0, 128]


# --- texts ---------------------------------------------------------------------------------------


def test_texts_begin_on_one_line_with_nothing_hidden(tmp_path):
    texts = ["one\n\n two\t\x1b[31m \u202eevil", "word " * 200]
    (tmp_path / "data/prepared").mkdir(parents=True)
    (tmp_path / "data/prepared" / TEXTS["test"]).write_text(json.dumps(texts), encoding="utf-8")
    found = shown(tmp_path, prepared("text", np.zeros((2, 3), dtype=np.int64)), [0, 1])

    assert found[0].text == r"one two \x1b[31m \u202eevil"
    assert len(found[1].text) == MAX_EXCERPT
    assert found[1].text.endswith("word…")


def test_a_text_that_nobody_kept_is_its_tokens(tmp_path):
    ids = np.array([[4, 8, 0], [1, 2, 3]], dtype=np.int64)

    assert [one.text for one in shown(tmp_path, prepared("text", ids), [1, 0])] == [
        "1 2 3",
        "4 8 0",
    ]


# --- rows ----------------------------------------------------------------------------------------


def test_the_columns_of_a_row_that_are_farthest_from_the_mean_come_first():
    scaling = Scaling(
        shift=[0.0, 10.0, 100.0, 0.0, 0.0, 0.0], scale=[1.0, 1.0, 50.0, 1.0, 2.0, 1.0]
    )
    row = np.float32([[0.5, 4.0, 250.0, np.nan, 1.0, 0.1]])
    found = telling_columns(row, ["a", "b", "c", "d", "e", "f"], scaling)[0]

    assert [(one.name, one.value, one.deviation) for one in found.columns[:4]] == [
        ("b", 4.0, -6.0),
        ("c", 250.0, 3.0),
        ("a", 0.5, 0.5),
        ("e", 1.0, 0.5),
    ]
    assert len(found.columns) == 5
    assert found.column_count == 6


def test_missing_numbers_and_impossible_distances_are_bounded():
    scaling = Scaling(shift=[0.0, 0.0], scale=[1e-300, 1.0])
    found = telling_columns(np.float32([[3e38, np.nan]]), [], scaling)[0]

    assert [(one.name, one.value is None, one.deviation) for one in found.columns] == [
        ("column 0", False, 1e18),
        ("column 1", True, 0.0),
    ]


def test_rows_are_measured_in_deviations_of_the_training_split(tmp_path):
    """Whatever a network sees: a scaling of the whole says nothing of a column."""
    rows = np.float32([[0, 1_000], [2, 1_000], [0, 3_000], [2, 3_000]])
    given = prepared("row", rows, ["small", "large"], Scaling(shift=[0.0], scale=[1e6]))

    assert [
        [(one.name, one.deviation) for one in found.columns]
        for found in shown(tmp_path, given, [0, 3])
    ] == [[("small", -1.0), ("large", -1.0)], [("small", 1.0), ("large", 1.0)]]
