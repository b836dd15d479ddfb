"""The data by class, as a picture and, of texts, as a table."""

import io
import warnings

import numpy as np
import pytest
from made_datasets import MAKERS, SIDE, images, prepared, rows, texts
from PIL import Image

from lab.checking import portrait
from lab.checking.card import texts_by_class
from lab.data.examples import Scaling
from lab.report.markdown import blocks
from lab.results.checks import Candidate, LabelResults, Place


def doubts(*candidates: Candidate) -> LabelResults:
    return LabelResults(
        schema_version=1, name="made", network="feed_forward", folds=2, seeds=1, examples=9,
        doubtful=len(candidates), accuracy=1.0, candidates=list(candidates),
    )  # fmt: skip


def doubted(row: int, label: int, called: int) -> Candidate:
    place = Place(portion="train", row=row)
    return Candidate(place=place, label=label, probability=0.0, called=called, other=1.0)


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    assert picture.info == {}  # no date, no version
    return picture


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_data_give_the_same_bytes_and_others_do_not(kind):
    first, again, other = (
        portrait.portrait(prepared(MAKERS[kind](seed), kind), doubts()) for seed in (0, 0, 1)
    )

    assert first == again != other
    assert len(first) < 100_000
    assert opened(first).width > 500


def test_images_have_a_row_a_class_and_their_doubtful_labels():
    data = prepared(images())
    plain = portrait.portrait(data, doubts())
    row = int(np.flatnonzero(data.train.labels == 1)[0])
    marked = portrait.portrait(data, doubts(doubted(row, label=1, called=2)))
    before, after = (np.asarray(opened(one)).astype(int) for one in (plain, marked))
    changed = np.argwhere(before != after) / np.array(before.shape)

    assert opened(plain).mode == "L"
    assert "labels that may be mistakes" not in portrait.caption(data, doubts())
    assert "labels that may be mistakes" in portrait.caption(data, doubts(doubted(row, 1, 2)))
    # In the second of four rows, where the first doubtful label stands.
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert 0.3 < top < bottom < 0.6
    assert 0.6 < left < right < 0.85


def test_what_is_near_to_the_mean_stands_before_what_is_far():
    random = np.random.default_rng(0)
    shown = random.integers(0, 255, (50, 6, 6)).astype(np.uint8)
    mean = shown.mean(axis=0)
    found = portrait._from_near_to_far(shown, mean)
    distances = np.square(found - mean).sum(axis=(1, 2))
    every = np.square(shown - mean).sum(axis=(1, 2))

    assert list(distances) == sorted(distances)
    assert (distances[0], distances[-1]) == (every.min(), every.max())


@pytest.mark.parametrize("name", ["$x$ {y}", "甲", "_hidden", "a" * 64, "<b>\u202e"])
def test_any_name_of_a_class_or_column_can_be_drawn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("grey image", "row"):
            count = 4 if kind == "grey image" else 2
            more = {"class_names": [name, *map(str, range(count - 1))]}
            if kind == "row":
                more["columns"] = [name] * 8
            portrait.portrait(prepared(MAKERS[kind](), kind, **more), doubts())


def test_colours_floats_and_large_images_are_drawn():
    grey = images()
    colour = {
        name: np.stack([one, one, 255 - one], axis=1) if name.endswith("inputs") else one
        for name, one in grey.items()
    }
    floats = {
        name: (one / 255).astype(np.float32) if name.endswith("inputs") else one
        for name, one in grey.items()
    }
    large = {
        name: one.repeat(10, axis=1).repeat(12, axis=2) if name.endswith("inputs") else one
        for name, one in grey.items()
    }
    scaling = Scaling(shift=[0.0], scale=[1.0])
    of_colour = portrait.portrait(prepared(colour, "colour image"), doubts())

    assert opened(of_colour).convert("RGB").getcolors(2**20) is not None
    assert opened(of_colour).mode == "P"
    of_floats = portrait.portrait(prepared(floats, scaling=scaling), doubts())
    assert np.abs(
        np.asarray(opened(of_floats)).astype(int)
        - np.asarray(opened(portrait.portrait(prepared(grey), doubts()))).astype(int)
    ).max() <= 1  # fmt: skip
    assert opened(portrait.portrait(prepared(large), doubts())).height < 1_000
    assert SIDE * 10 > portrait.LARGEST_SIDE


def test_the_columns_that_tell_classes_apart_best_are_shown():
    arrays = rows(columns=20)
    for split in ("train", "validation", "test"):
        arrays[f"{split}_inputs"][:, 17] += 5 * arrays[f"{split}_labels"]
        arrays[f"{split}_inputs"][:, 3] = np.nan
        arrays[f"{split}_inputs"][:, 4] = 1
    data = prepared(arrays, "row")
    labels = data.train.labels.astype(int)
    telling = [portrait._telling(data.train.inputs[:, k].astype(float), labels) for k in range(20)]

    assert np.argmax(telling) == 17
    assert telling[3] == telling[4] == 0
    assert len(portrait.portrait(data, doubts())) > 5_000


def test_classes_without_examples_and_many_classes_are_drawn():
    arrays = images()
    more = {"class_names": [f"class {number}" for number in range(300)]}
    counts = {"examples_per_class": [0] * 300, "examples": 800, "sha256": "0" * 64}
    more |= dict.fromkeys(("train", "validation", "test"), counts)
    data = prepared(arrays, **more)

    assert opened(portrait.portrait(data, doubts())).height < 2_500
    assert "the first 20 of 300 classes" in portrait.caption(data, doubts())


def test_texts_are_shown_by_length_and_stay_text():
    data = prepared(texts(), "text")
    labels = np.array([0, 0, 0, 1])
    table = blocks(texts_by_class(["a", "abc", "abcde", "<b>|`"], labels, data.description), None)

    assert table.splitlines()[2:] == [
        "| `north` | 1 | `a` |",
        "| `north` | 3 | `abc` |",
        "| `north` | 5 | `abcde` |",
        *[r"| `east` | 5 | `\x3cb\x3e\x7c\x60` |"] * 3,
    ]
