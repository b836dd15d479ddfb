import base64
import io

import numpy as np
import pytest
from evidences import (
    colour,
    confused,
    data,
    example,
    flips,
    grey,
    made,
    model,
    row,
    shifted,
    side,
    text,
)
from PIL import Image

from lab.report import confusion, pictures, plots
from lab.report.judgement import judge
from lab.results.schema import ACCURACY


def drawn(given):
    return pictures.draw(given, judge(given))


def names(given):
    return [picture.name for picture in drawn(given)[0]]


USUAL = made(shifted(0.005, 0.002), shifted(-0.004, 0.001, "linear_64"))


def test_equal_evidence_gives_equal_bytes():
    assert drawn(USUAL)[1] == drawn(USUAL)[1]


def test_each_picture_has_a_light_and_a_dark_variant_of_one_size(tmp_path):
    found, files = drawn(USUAL)

    assert found == list(pictures.PICTURES)
    assert set(files) == {file for picture in pictures.PICTURES for file in picture.files}
    for picture in pictures.PICTURES:
        shapes = []
        for file, corner in zip(picture.files, ((255, 255, 255), (13, 17, 23)), strict=True):
            (tmp_path / "x.png").write_bytes(files[file])
            with Image.open(tmp_path / "x.png") as opened:
                shapes.append(opened.size)
                assert opened.getpixel((0, 0)) == corner
                assert set(opened.info) == {"dpi"}
        assert shapes[0] == shapes[1]
        assert shapes[0][0] == plots.WIDTH * plots.DOTS_PER_INCH


def test_dark_keeps_hue_and_contrast():
    grey = np.uint8([[[0, 0, 0], [128, 128, 128], [255, 255, 255]]])
    black, middle, white = plots.dark(grey)[0].astype(int)
    blue = plots.dark(np.uint8([[[0, 114, 178]]]))[0, 0].astype(int)

    assert black.tolist() == [240, 246, 252]
    assert white.tolist() == [13, 17, 23]
    assert black[0] > middle[0] > white[0]
    assert blue[2] > blue[1] > blue[0]


def test_nothing_to_draw_draws_nothing():
    assert drawn(made(examples=[], flips=[])) == ([], {})


def test_a_model_that_did_not_change_has_no_curves_and_no_moved_mistakes():
    assert names(made(model("a", side(), side()), examples=[])) == ["differences"]


def test_a_missing_curve_leaves_the_other_one():
    bare = {**side(), "curve": None}

    assert names(made(model("a", side(0.98, mistakes=1), bare), examples=[])) == [
        "differences",
        "curves",
        "confusion",
    ]
    assert "curves" not in names(made(model("a", bare, bare), examples=[]))


STRANGE = ["$\\bad{$", "我的卡", "\N{FAMILY}\N{GRINNING FACE}", "مرحبا", "e" + "\u0301" * 60, " "]


def strange(count):
    """Names that a font may lack, a formula, marks without end; no two of them the same."""
    return [f"{STRANGE[number % len(STRANGE)]}{number}"[:64] for number in range(count)]


@pytest.mark.parametrize("classes", [2, 10, 30, 77, 100])
def test_class_names_and_numbers_of_all_kinds_can_be_drawn(classes):
    sides = [side(0.98, seeds=[0]), side(0.97, seeds=[5, 6])]
    for one, mistakes in zip(sides, (1, 10**12), strict=True):
        one |= confused([[mistakes] * classes] * classes)
        one["curve"] = {
            "epoch": [1, 2],
            "train_loss": [1e18 / mistakes, None],
            "train_loss_sd": [None, None],
            "validation_accuracy": [0.0, None],
            "validation_accuracy_sd": [None, 1e18],
        }
    given = made(
        model("_" * 64, *sides),
        class_names=strange(classes),
        candidate_data=None,
        baseline_data=None,
        examples=[example(name="_" * 64, label=1, before=0, after=1)] * 12,
        flips=[flips("_" * 64)],
    )

    assert names(given) == [picture.name for picture in pictures.PICTURES]


def test_a_hundred_models_are_drawn_as_few():
    given = made(*(shifted(0.0001 * number, 0.001, f"m{number}") for number in range(100)))
    _, files = drawn(given)

    assert max(map(len, files.values())) < 500_000


def test_single_dots_are_differences_of_the_same_seed():
    given = made(model("a", side(0.98, sd=0, seeds=[2, 1, 0]), side(0.97, sd=0, seeds=[0, 1, 2])))

    of_first = judge(given).models[0]
    assert pictures.seed_differences(of_first, ACCURACY) == pytest.approx([1.0] * 3)
    other = made(model("a", side(0.98, seeds=[2, 1, 0]), side(0.97, seeds=[5, 6, 7])))
    assert pictures.seed_differences(judge(other).models[0], ACCURACY) == []


# --- examples ------------------------------------------------------------------------------------


def gallery_of(*inputs, name="relu_128", names=None):
    names = names or [str(digit) for digit in range(10)]
    examples = [
        example(index, name, label=0, before=1, after=0, given=given)
        for index, given in enumerate(inputs)
    ]
    kind = inputs[0]["kind"]
    described = data(kind=kind, names=names)
    return made(
        class_names=names, candidate_data=described, baseline_data=described, examples=examples
    )


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize(
    "given",
    [
        grey(), grey(1, 128), grey(128, 1), grey(1, 1), colour(), colour(96, 128),
        text(), text(""), text("   "), text("我" * 240), text("W" * 240),
        text("e" + "\u0301" * 239), text("\U0001f600 $\\frac{1}{0}$ مرحبا % { } \\n"), row(),
        row(("$x$" * 20, 3e38, -1e18), ("我", -1e-300, 0.0), ("a", None, 0.0)),
    ],
)  # fmt: skip
def test_examples_of_every_kind_are_drawn(given, count):
    """Warnings are errors here, as of a letter that the font lacks."""
    found, files = drawn(gallery_of(*[given] * count, name="_" * 64, names=strange(10)))

    assert [picture.files[0] for picture in found] == ["images.png"]
    assert all(len(content) > 2_000 for content in files.values())


def test_what_is_called_image_is_one():
    alternatives = [drawn(gallery_of(given))[0][0].alternative for given in (grey(), text())]

    assert alternatives[0].startswith("Test images whose")
    assert alternatives[1].startswith("Test examples whose")


def opened(content):
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def inside_of_the_first(pixels):
    """Without its frame: it is an inch wide, an inch is 150 pixels."""
    left = round((1 / 12 * plots.WIDTH - 0.5) * 150)
    return pixels[60:195, left + 5 : left + 145]


def test_photographs_are_the_same_on_a_dark_page_and_ink_turns_round():
    empty = {**grey(), "pixels": base64.b64encode(bytes([0] * 700 + [255] * 84)).decode()}
    for given, is_same in ((colour(), True), (grey(), True), (empty, False)):
        _, files = drawn(gallery_of(given))
        light, dark = (inside_of_the_first(opened(content)) for content in files.values())
        assert (light == dark).all() == is_same
    assert light[0, 0].tolist() == [255, 255, 255]
    assert dark[0, 0].tolist() == [13, 17, 23]


def test_a_colour_image_has_its_colours():
    _, files = drawn(gallery_of(colour()))
    pixels = inside_of_the_first(opened(files["images.png"]))
    top_left, top_right = pixels[3, 3], pixels[3, -3]

    assert top_left[0] < 60 < 200 < top_right[0]
    assert pixels[-3, 3][1] > 200 > 60 > top_left[1]


# --- many classes --------------------------------------------------------------------------------


def test_mistakes_of_many_classes_are_the_largest_changes():
    sides = [side(0.98, seeds=[0, 1]), side(0.97, seeds=[0])]
    counts = np.eye(70, dtype=int)
    for one, (first, second) in zip(sides, ((8, 0), (1, 5)), strict=True):
        counts[3, 4], counts[60, 2] = first, second
        one |= confused(counts.tolist())
    found = confusion.mistakes(made(model("a", *sides), **classes(70)).models[0])

    assert [(one.actual, one.predicted, one.before, one.after) for one in found] == [
        (60, 2, 5.0, 0.0),
        (3, 4, 1.0, 4.0),
    ]


def test_mistakes_of_too_many_classes_for_the_evidence_are_those_that_it_names():
    sides = [{**side(mean, seeds=[0, 1]), **confused([[1] * 200] * 200)} for mean in (0.98, 0.97)]
    moved = [{"actual": 199, "predicted": 0, "baseline": 2, "candidate": 8}]
    given = made(model("a", *sides, moved=moved), **classes(200))

    assert confusion.mistakes(given.models[0]) == [(199, 0, 1.0, 4.0)]
    assert "confusion" in names(given)


def test_sides_of_other_classes_have_no_mistakes_to_compare():
    other = {**side(0.97), **confused([[1, 2], [3, 4]])}

    assert confusion.mistakes(made(model("a", side(), other)).models[0]) == []
    assert "confusion" not in names(made(model("a", side(), other)))


def classes(count):
    described = data(names=strange(count))
    return {"class_names": strange(count), "candidate_data": described, "baseline_data": described,
            "examples": []}  # fmt: skip


@pytest.mark.parametrize("count", [2, 10, 20, 21, 60, 61, 200, 1_000])
def test_the_confusion_of_any_number_of_classes_is_drawn(count):
    counts = np.random.default_rng(0).integers(0, 2, (count, count))
    figure = plots.confusion_matrix(counts, strange(count), "m, $seed 0$: 90% of the examples")

    assert len(plots.png(figure)) < 400_000
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == (count if count <= plots.MOST_SQUARES else plots.MOST_CONFUSED)


def test_a_model_without_a_mistake_among_many_classes_is_drawn():
    figure = plots.confusion_matrix(np.eye(100, dtype=int), strange(100), "perfect")

    assert plots.png(figure).startswith(b"\x89PNG")
