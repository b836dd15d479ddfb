import numpy as np
import pytest
from evidences import flips, image, made, model, shifted, side
from PIL import Image

from lab.report import pictures, plots
from lab.report.judgement import judge


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
    assert drawn(made(images=[], flips=[])) == ([], {})


def test_a_model_that_did_not_change_has_no_curves_and_no_moved_mistakes():
    assert names(made(model("a", side(), side()), images=[])) == ["differences"]


def test_a_missing_curve_leaves_the_other_one():
    bare = {**side(), "curve": None}

    assert names(made(model("a", side(0.98, mistakes=1), bare), images=[])) == [
        "differences",
        "curves",
        "confusion",
    ]
    assert "curves" not in names(made(model("a", bare, bare), images=[]))


@pytest.mark.parametrize("classes", [2, 10, 30])
def test_class_names_and_numbers_of_all_kinds_can_be_drawn(classes):
    sides = [side(0.98, seeds=[0]), side(0.97, seeds=[5, 6])]
    for one, mistakes in zip(sides, (1, 10**12), strict=True):
        one["confusion"] = [[mistakes] * classes] * classes
        one["curve"] = {
            "epoch": [1, 2],
            "train_loss": [1e18 / mistakes, None],
            "train_loss_sd": [None, None],
            "validation_accuracy": [0.0, None],
            "validation_accuracy_sd": [None, 1e18],
        }
    given = made(
        model("_" * 64, *sides),
        class_names=[f"T-shirt/top (very long) {number}" for number in range(classes)],
        candidate_data=None,
        baseline_data=None,
        images=[image(name="_" * 64, label=1, before=0, after=1)] * 12,
        flips=[flips("_" * 64)],
    )

    assert names(given) == [picture.name for picture in pictures.PICTURES]


def test_a_hundred_models_are_drawn_as_few():
    given = made(*(shifted(0.0001 * number, 0.001, f"m{number}") for number in range(100)))
    _, files = drawn(given)

    assert max(map(len, files.values())) < 500_000


def test_single_dots_are_differences_of_the_same_seed():
    given = made(model("a", side(0.98, sd=0, seeds=[2, 1, 0]), side(0.97, sd=0, seeds=[0, 1, 2])))

    assert pictures.seed_differences(given.models[0]) == pytest.approx([1.0] * 3)
    other = made(model("a", side(0.98, seeds=[2, 1, 0]), side(0.97, seeds=[5, 6, 7])))
    assert pictures.seed_differences(other.models[0]) == []
