"""Folders of images: what is read of each kind of file, which are refused, and how they split."""

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.base.errors import DataError, LabError, ParamsError
from lab.base.params import DatasetParams
from lab.data.checks import require_dataset, require_splits
from lab.data.datasets import load_dataset
from lab.data.examples import Dataset
from lab.data.splits import split
from task.data import drawing, folder, shapes

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def raw(tmp_path) -> Path:
    """Two classes of one image each, of 8 x 8."""
    path = tmp_path / "data/raw/folder"
    put(path / "red/1.png", Image.new("RGB", (8, 8), RED))
    put(path / "blue/1.png", Image.new("RGB", (8, 8), BLUE))
    return path


def put(path: Path, image: Image.Image, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def read(raw: Path, say=lambda _: None, **options) -> Dataset:
    """The data set, checked as `prepare` checks it."""
    found = folder(raw, say, **{"size": (8, 8)} | options)
    require_dataset("folder", found)
    return found


def image_of(found: Dataset, name: str) -> np.ndarray:
    """[H, W] or [H, W, 3]."""
    inputs = np.asarray(found.train.inputs[found.train.ids.index(name)])
    return inputs if inputs.ndim == 2 else inputs.transpose(1, 2, 0)


def refusal(raw: Path, kind: type[LabError] = DataError, **options) -> str:
    with pytest.raises(kind) as caught:
        read(raw, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims to be that large; its pixels are none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + pixels + chunk(b"IEND", b"")


# --- what is read --------------------------------------------------------------------------------


def test_classes_are_folders_and_ids_are_paths(raw):
    put(raw / "red/more/deep.JPG", Image.new("RGB", (30, 20), RED))
    found = read(raw)

    assert list(found.class_names) == ["blue", "red"]
    assert found.train.ids == ["blue/1.png", "red/1.png", "red/more/deep.JPG"]
    assert found.train.labels.tolist() == [0, 1, 1]
    assert found.train.inputs.shape == (3, 3, 8, 8)
    assert found.train.inputs.dtype == np.uint8
    assert found.test is None
    assert (image_of(found, "blue/1.png") == BLUE).all()
    assert np.abs(image_of(found, "red/more/deep.JPG").astype(int) - RED).max() < 5


@pytest.mark.parametrize(("fit", "kept"), [("crop", ["green"]), ("pad", ["red", "green", "blue"])])
def test_what_is_too_wide_is_cropped_at_both_sides_or_padded(raw, fit, kept):
    wide = Image.new("RGB", (30, 10), "red")
    wide.paste("green", (10, 0, 20, 10))
    wide.paste("blue", (20, 0, 30, 10))
    put(raw / "red/wide.png", wide)

    seen = image_of(read(raw, size=(9, 9), fit=fit), "red/wide.png")

    middle = [Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in kept]
    if fit == "pad":
        assert seen[4, [1, 4, 7]].tolist() == [list(colour) for colour in middle]
        assert (seen[[0, 1, 7, 8]] == 255).all()
    else:
        assert (seen[:, 1:-1] == middle[0]).all()  # its edges are smoothed with what was cut off


def test_height_comes_before_width(raw):
    assert read(raw, size=(4, 9)).train.inputs.shape == (2, 3, 4, 9)
    assert read(raw, size=(4, 9), grey=True).train.inputs.shape == (2, 4, 9)


def test_grey_is_one_channel(raw):
    found = read(raw, grey=True)

    assert found.kind == "grey image"
    expected = Image.new("RGB", (1, 1), RED).convert("L").getpixel((0, 0))
    assert (image_of(found, "red/1.png") == expected).all()


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),  # wholly transparent: what is behind it
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("LA", (0, 0), (255, 255, 255)),
        ("I;16", 65_535, (255, 255, 255)),
        ("I;16", 257 * 40, (40, 40, 40)),
    ],
)
def test_modes_of_png(raw, mode, colour, seen):
    put(raw / "red/2.png", Image.new(mode, (9, 9), colour))

    assert (image_of(read(raw), "red/2.png") == seen).all()


def test_a_palette_with_a_transparent_colour(raw):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (0, 0, 8, 4))
    put(raw / "red/2.png", image, transparency=0)

    seen = image_of(read(raw), "red/2.png")
    assert (seen[:4] == BLUE).all()
    assert (seen[4:] == 255).all()


def test_cmyk_and_a_large_jpeg_that_is_decoded_smaller(raw):
    put(raw / "red/ink.jpg", Image.new("CMYK", (64, 64), (0, 255, 255, 0)), quality=95)
    put(raw / "red/large.jpg", Image.new("RGB", (2_000, 1_000), RED), quality=95)
    found = read(raw)

    for name in ("red/ink.jpg", "red/large.jpg"):
        assert np.abs(image_of(found, name).astype(int) - RED).max() < 5


@pytest.mark.parametrize("size", [(16, 8), (160, 80)])
def test_the_orientation_in_exif_is_obeyed(raw, size):
    width, height = size
    image = Image.new("RGB", size, "white")
    image.paste("black", (0, 0, width // 2, height))
    exif = Image.Exif()
    exif[0x0112] = 6  # its left is to be shown on top
    put(raw / "red/turned.jpg", image, exif=exif, quality=95)

    seen = image_of(read(raw, size=(16, 8), grey=True), "red/turned.jpg")
    assert (seen[:6] < 30).all()
    assert (seen[10:] > 225).all()


def test_other_files_are_passed_over_and_said(raw):
    (raw / "red/.DS_Store").write_bytes(b"x")
    (raw / "red/notes.txt").write_text("x", encoding="utf-8")
    (raw / "red/photo.heic").write_bytes(b"x")
    (raw / "README.md").write_text("x", encoding="utf-8")
    (raw / ".cache").mkdir()
    said = []

    assert len(read(raw, said.append).train.labels) == 2
    assert said == [
        f"{raw}: 2 files that are no images by their names were passed over, such as red/notes.txt"
    ]


def test_nothing_is_left_beside_the_files(raw):
    before = sorted(raw.parent.rglob("*"))
    read(raw)
    (raw / "red/2.png").write_text("no image", encoding="utf-8")
    refusal(raw)
    (raw / "red/2.png").unlink()

    assert sorted(raw.parent.rglob("*")) == before


def test_long_decoding_says_how_far_it_is(raw, monkeypatch):
    monkeypatch.setattr("task.data.folders.PROGRESS_SECONDS", 0.0)
    said = []
    read(raw, said.append)

    assert said == [f"{raw}: 1 of 2 images read", f"{raw}: 2 of 2 images read"]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"just text", "cannot identify image file it"),
        (b"", "cannot identify image file it"),
        (png_header(40_000, 25_000), "must have at most 89,478,485 pixels; got more"),  # 10^9
        (png_header(10_000, 10_000), "must have at most 89,478,485 pixels; got more"),
        (png_header(100, 100), "must be a whole image file; got "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot identify image file it"),
    ],
)
def test_a_file_that_is_no_usable_image_is_named(raw, content, reason):
    (raw / "red/bad.png").write_bytes(content)

    said = refusal(raw)
    assert said.startswith(f"{raw}/red/bad.png: ")
    assert reason in said
    assert said.endswith("; correct or remove it")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_file_that_was_cut_off_is_named(raw, form):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, form)
    (raw / "red/cut.png").write_bytes(whole.getvalue()[: len(whole.getvalue()) * 2 // 3])

    assert refusal(raw).startswith(f"{raw}/red/cut.png: must be a whole image file; got ")


def test_every_way_to_damage_a_file_gives_an_image_or_a_line(raw):
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (20, 20, 4), dtype=np.uint8)
    for form, mode in [("PNG", "RGBA"), ("JPEG", "RGB"), ("GIF", "P"), ("TIFF", "RGB")]:
        whole = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(whole, form)
        for _ in range(50):
            damaged = np.frombuffer(whole.getvalue(), np.uint8).copy()
            damaged[random.integers(0, len(damaged), 3)] = random.integers(0, 256, 3)
            (raw / "red/bad.png").write_bytes(damaged.tobytes())
            said = ""
            try:
                read(raw)
            except DataError as error:
                said = str(error)
            assert said.startswith(f"{raw}/red/bad.png: ") or not said
            assert "\n" not in said


def test_of_many_bad_files_the_first_is_named_and_the_others_counted(raw):
    for number in (3, 2, 4):
        (raw / f"blue/{number}.png").write_text("no image", encoding="utf-8")

    said = refusal(raw)
    assert said.startswith(f"{raw}/blue/2.png: ")
    assert said.endswith("(and 2 more that cannot be used)")


def test_whole_numbers_beyond_16_bits_and_fractions_are_refused(raw):
    put(raw / "red/bad.tiff", Image.new("I", (8, 8), 70_000))
    assert "must hold 8 or 16 bits a channel; got values from 70000 to 70000" in refusal(raw)
    put(raw / "red/bad.tiff", Image.new("F", (8, 8), 0.5))
    assert "must hold whole numbers; got fractions" in refusal(raw)


def test_the_folder_of_a_class_must_hold_images(raw):
    (raw / "green").mkdir()
    (raw / "green/notes.txt").write_text("x", encoding="utf-8")

    said = refusal(raw)
    assert said.startswith(f"{raw}/green: must hold images (")
    assert "got none among 1 files" in said


def test_an_empty_folder_says_what_belongs_there(tmp_path):
    raw = tmp_path / "folder"
    raw.mkdir()

    assert refusal(raw) == (
        f"{raw}: must hold a folder of images for each class; got none; "
        f"put them there as {raw}/CLASS/*.png"
    )


def test_an_image_outside_of_a_class_is_named(raw):
    put(raw / "stray.png", Image.new("L", (8, 8)))

    assert f"{raw}/stray.png: must lie in the folder of a class" in refusal(raw)


def test_a_link_to_nowhere_is_named(raw):
    (raw / "red/link.png").symlink_to("nowhere.png")

    assert f"{raw}/red/link.png: must be a plain file" in refusal(raw)


def test_a_pipe_is_named_and_not_waited_for(raw):
    os.mkfifo(raw / "red/pipe.png")

    assert f"{raw}/red/pipe.png: must be a plain file" in refusal(raw)


def test_a_name_that_is_no_text_is_named(raw):
    name = os.fsencode(raw) + b"/red/\xff.png"
    Path(os.fsdecode(name)).write_bytes((raw / "red/1.png").read_bytes())

    assert "names of files must be printable" in refusal(raw)


def test_one_class_is_too_few(raw):
    (raw / "red/1.png").unlink()
    (raw / "red").rmdir()

    assert "must have 2 to 1,000 classes; got 1" in refusal(raw)


def test_pillows_warnings_stay_as_they_were(raw):
    before = list(warnings.filters)
    read(raw)

    assert list(warnings.filters) == before


# --- splits --------------------------------------------------------------------------------------


def many(raw: Path, numbers: range, name: str = "{}.png") -> None:
    """Images that differ from each other."""
    for number in numbers:
        for kind, colour in (("red", (255, 0, number)), ("blue", (0, number, 255))):
            put(raw / kind / name.format(number), Image.new("RGB", (8, 8), colour))


def splits_of(raw: Path, **options) -> dict[str, set[str]]:
    """The ids in each split."""
    found = read(raw, **options)
    settings = DatasetParams(name="folder", validation_size=10, split_seed=0, test_fraction=0.3)
    parts = split(found, settings)
    require_splits("folder", found, parts, lambda _: None)
    return {
        name: {part.examples.ids[row] for row in part.rows.tolist()} for name, part in parts.items()
    }


def test_files_that_are_added_move_none_from_training_to_test(raw):
    many(raw, range(2, 60))
    before = splits_of(raw)
    many(raw, range(60, 90))
    after = splits_of(raw)

    assert sum(map(len, before.values())) == 118
    assert before["test"] <= after["test"]
    assert not before["test"] & (after["train"] | after["validation"])
    assert 20 < len(before["test"]) < 50


def test_files_of_one_group_stay_together(raw):
    for place in range(20):
        many(raw, range(4 * place + 2, 4 * place + 6), name=f"place{place:02}" + "_{}.png")
    for kind in ("red", "blue"):
        (raw / kind / "1.png").rename(raw / kind / "place99_1.png")

    groups = {
        name: {file.partition("/")[2].partition("_")[0] for file in files}
        for name, files in splits_of(raw, group="^[^_]+").items()
    }
    assert set.union(*groups.values()) == {f"place{k:02}" for k in [*range(20), 99]}
    assert sum(map(len, groups.values())) == 21
    assert all(groups.values())


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ("(", "must be a regular expression; got '(' ("),
        ("x+", "must find something in the name of every file; got nothing in"),
        ("x*", "must find something in the name of every file; got nothing in"),
    ],
)
def test_a_pattern_of_groups_that_does_not_do_is_said(raw, group, reason):
    assert f"params.yaml: dataset.group: {reason}" in refusal(raw, ParamsError, group=group)


def official(raw: Path) -> None:
    for name in ("train", "test"):
        put(raw / name / "red/1.png", Image.new("RGB", (8, 8), RED))
    put(raw / "train/blue/1.png", Image.new("RGB", (8, 8), BLUE))


def test_folders_train_and_test_are_the_official_split(tmp_path):
    raw = tmp_path / "folder"
    official(raw)
    found = read(raw)

    assert found.train.ids == ["blue/1.png", "red/1.png"]
    assert found.test is not None
    assert found.test.ids == ["red/1.png"]
    assert found.test.labels.tolist() == [1]


def test_a_folder_train_alone_is_all_there_is(tmp_path):
    raw = tmp_path / "folder"
    put(raw / "train/red/1.png", Image.new("RGB", (8, 8), RED))
    put(raw / "train/blue/1.png", Image.new("RGB", (8, 8), BLUE))

    assert read(raw).test is None


def test_what_stands_beside_an_official_split_is_refused(tmp_path):
    raw = tmp_path / "folder"
    official(raw)
    put(raw / "test/green/1.png", Image.new("RGB", (8, 8), "green"))
    assert f"{raw}/test/green: must be a class of train too" in refusal(raw)
    (raw / "val").mkdir()
    assert f"{raw}/val: beside train only test may stand" in refusal(raw)


# --- made-up images ------------------------------------------------------------------------------


def opened(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def test_shapes_are_drawn_once_and_always_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "FILES_PER_CLASS", 4)
    monkeypatch.chdir(tmp_path)
    settings = DatasetParams(name="shapes", validation_size=4, split_seed=0, size=[16, 16])
    said = []
    first = load_dataset(settings, said.append)
    files = sorted(Path("data/raw/shapes").rglob("*.*"))
    times = [file.stat().st_mtime_ns for file in files]
    again = load_dataset(settings, said.append)

    assert len(said) == 1
    assert "16 made-up images" in said[0]
    assert [file.suffix for file in files].count(".jpg") == 8
    assert [file.stat().st_mtime_ns for file in files] == times
    np.testing.assert_array_equal(first.train.inputs, again.train.inputs)
    assert len({opened(file).shape for file in files}) > 8
    for file in files:
        number = int(file.stem)
        random = np.random.Generator(
            np.random.PCG64([list(drawing.SHAPES).index(file.parent.name), number])
        )
        if file.suffix == ".png":
            expected = np.asarray(drawing.drawn(file.parent.name, random))
            np.testing.assert_array_equal(opened(file), expected)


def test_what_a_killed_run_drew_is_no_data(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "FILES_PER_CLASS", 2)
    raw = tmp_path / "shapes"
    raw.mkdir()
    put(tmp_path / ".shapes.drawing/disc/000.png", Image.new("L", (8, 8)))

    assert len(shapes(raw, lambda _: None, size=(8, 8)).train.labels) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["shapes"]


def test_ones_own_files_in_the_place_of_shapes_are_taken(raw):
    assert shapes(raw, lambda _: None, size=(8, 8)).train.ids == ["blue/1.png", "red/1.png"]
