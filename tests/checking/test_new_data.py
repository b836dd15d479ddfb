"""New data in every form, whole and broken: what is read, what is said, what never happens."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_datasets import SIDE, images, prepared, rows, texts
from PIL import Image
from repository import Repository

from lab.base.errors import DataError
from lab.base.params import CheckRules
from lab.checking import new_data, structure
from lab.checking.portions import Checked
from lab.results.checks import CheckResults
from lab.serving.records import Recorder

NORTH, EAST = "north", "east"


def read(folder: Path, arrays=None, kind="grey image", **more):
    return new_data.read(folder, prepared(arrays or images(), kind, **more).description)


def said(new) -> list[str]:
    return [fault.sentence for fault in new.faults]


def save(folder: Path, **arrays) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def picture(file: Path, size=(SIDE, SIDE), mode="L") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(file)


# --- arrays --------------------------------------------------------------------------------------


def test_arrays_are_read_as_they_are_stored(tmp_path: Path):
    arrays = images(1)
    save(tmp_path, inputs=arrays["test_inputs"], labels=arrays["test_labels"])

    new = read(tmp_path)

    assert said(new) == []
    assert np.array_equal(new.portion.inputs, arrays["test_inputs"])
    assert np.array_equal(new.portion.labels, arrays["test_labels"])


def recorded(folder: Path, inputs, labels=()) -> Path:
    """What a service keeps of being asked, and told what some of the inputs were."""
    keeper = Recorder(folder, 2**30)
    names = [f"{row:04}" for row in range(len(inputs))]
    probabilities = np.full((len(inputs), 2), 0.5, np.float32)
    assert keeper.answered(names, "abc", [NORTH, EAST], probabilities, inputs)
    for name, label in zip(names, labels, strict=False):
        assert keeper.labelled(name, label)
    keeper.close()
    return folder


def test_what_the_service_recorded_is_new_data(tmp_path: Path):
    inputs, answers = images(1)["test_inputs"], images(1)["test_labels"]
    class_names = prepared(images(), "grey image").description.class_names
    labels = [class_names[label] for label in answers]

    without = read(recorded(tmp_path / "some", inputs, labels[:-1]))
    whole = read(recorded(tmp_path / "all", inputs, labels))

    assert said(without) == said(whole) == []
    assert without.portion.labels is None
    assert np.array_equal(without.portion.inputs, inputs)
    assert np.array_equal(whole.portion.inputs, inputs)
    assert np.array_equal(whole.portion.labels, answers)


def test_recorded_inputs_with_labels_are_kept_as_arrays(tmp_path: Path):
    arrays = images(1)
    inputs, labels = arrays["test_inputs"], [NORTH, EAST, NORTH]
    folder = recorded(tmp_path / "records", inputs, labels)
    described = prepared(images()).description

    new = new_data.read(folder, described, are_labelled=True)
    assert new_data.save(new, folder, tmp_path / "a" / "kept") == 3

    again = read(tmp_path / "a" / "kept")
    assert said(again) == []
    assert np.array_equal(again.portion.inputs, inputs[:3])
    assert again.portion.labels.tolist() == [0, 1, 0]

    without = new_data.read(recorded(tmp_path / "none", inputs), described, are_labelled=True)
    with pytest.raises(DataError, match="must hold examples with labels to be kept; got none"):
        new_data.save(without, tmp_path / "none", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_records_of_another_model_and_unknown_labels_are_named(tmp_path: Path):
    inputs = images(1)["test_inputs"]
    other = read(recorded(tmp_path / "other", inputs[:, 1:]))
    named = read(recorded(tmp_path / "named", inputs, ["nobody"] * len(inputs)))

    assert f"{len(inputs)} records are not" in said(other)[0]
    assert "must hold at least one example" in said(other)[1]
    assert named.portion.labels is None
    assert f"{len(inputs)} are not, the first -1 at row 0" in said(named)[0]


def test_labels_may_be_unknown(tmp_path: Path):
    new = read(save(tmp_path, inputs=images(1)["test_inputs"]))

    assert new.portion.labels is None
    assert said(new) == []


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (
            np.zeros((3, SIDE, SIDE), np.float32),
            "inputs must be uint8 [N, 12, 12], as training has",
        ),
        (np.zeros((3, SIDE, 5), np.uint8), "got uint8 [3, 12, 5]"),
        (np.zeros((0, SIDE, SIDE), np.uint8), "inputs must hold at least one example; got none"),
        (np.zeros((), np.uint8), "got uint8 []"),
        (np.array(["a", "b"]), "inputs must be uint8"),
    ],
)
def test_arrays_of_another_form_are_a_broken_rule(inputs, problem, tmp_path: Path):
    new = read(save(tmp_path, inputs=inputs))

    assert new.portion is None
    assert problem in said(new)[0]


def test_a_file_that_is_no_array_is_a_broken_rule(tmp_path: Path):
    (tmp_path / "inputs.npy").write_bytes(b"\x93NUMPY no")

    assert "not a whole .npy file" in said(read(tmp_path))[0]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.full(400, 4), "labels must be 0 to 3; 400 are not, the first 4 at row 0"),
        (np.full(400, -1), "labels must be 0 to 3; 400 are not, the first -1 at row 0"),
        (np.zeros(7, int), "labels must be whole numbers [400]; got int64 [7]"),
        (np.zeros(400), "labels must be whole numbers [400]; got float64 [400]"),
    ],
)
def test_labels_that_are_none_are_a_broken_rule_and_the_inputs_are_checked(
    labels, problem, tmp_path: Path
):
    new = read(save(tmp_path, inputs=images(1)["test_inputs"], labels=labels))

    assert said(new) == [problem]
    assert new.portion.labels is None


def test_tokens_beyond_the_vocabulary_are_a_broken_rule(tmp_path: Path):
    inputs = texts(1)["test_inputs"]
    inputs[9, 2] = 200

    new = read(save(tmp_path, inputs=inputs), texts(), "text")

    assert said(new) == ["token ids must be 0 to 199; row 9 has others"]


@pytest.mark.parametrize("content", ["[", "{}", '["one"]', "[1, 2"])
def test_words_that_do_not_fit_are_a_broken_rule(content, tmp_path: Path):
    save(tmp_path, inputs=texts(1)["test_inputs"])
    (tmp_path / "texts.json").write_text(content, encoding="utf-8")

    assert said(read(tmp_path, texts(), "text")) == ["texts.json must be a list of 400 texts"]


# --- images --------------------------------------------------------------------------------------


def test_a_tree_of_pictures_is_read_by_class(tmp_path: Path):
    picture(tmp_path / EAST / "b.png")
    picture(tmp_path / NORTH / "a.jpg")
    (tmp_path / ".DS_Store").touch()

    new = read(tmp_path)

    assert said(new) == []
    assert new.names == ["east/b.png", "north/a.jpg"]
    assert new.portion.labels.tolist() == [1, 0]
    assert new.portion.inputs.shape == (2, SIDE, SIDE)


def test_pictures_are_never_resized_or_converted_and_the_others_are_read(tmp_path: Path):
    picture(tmp_path / EAST / "good.png")
    picture(tmp_path / EAST / "large.png", size=(13, 12))
    picture(tmp_path / EAST / "red.png", mode="RGB")
    (tmp_path / EAST / "torn.png").write_bytes((tmp_path / EAST / "good.png").read_bytes()[:40])
    (tmp_path / EAST / "words.txt").touch()
    (tmp_path / "up").mkdir()
    (tmp_path / "loose.png").touch()

    new = read(tmp_path)

    assert said(new) == [
        "east/large.png is 13 x 12 pixels; training has 12 x 12",
        "east/red.png has the mode RGB; training has L",
        "east/torn.png is damaged, or no picture",
        "east/words.txt is no PNG or JPEG file",
        "loose.png is a file outside of any class; classes are north, east, south, west",
        "up is a folder of no class; classes are north, east, south, west",
    ]
    assert len(new.portion) == 1


def test_a_hostile_name_of_a_file_is_one_printable_line(tmp_path: Path):
    picture(tmp_path / EAST / "a\n\u202e|<b>.png", size=(1, 1))

    assert said(read(tmp_path)) == ["east/a??|<b>.png is 1 x 1 pixels; training has 12 x 12"]


# --- rows ----------------------------------------------------------------------------------------

COLUMNS = [f"c{k}" for k in range(8)]
HEADER = ",".join([*COLUMNS, "label"])


def table(folder: Path, *lines: str, header=HEADER) -> Path:
    (folder / "new.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def test_rows_are_read_by_the_names_of_columns(tmp_path: Path):
    header = ",".join(["label", *reversed(COLUMNS)])

    new = read(table(tmp_path, "east,7,6,5,4,3,2,1,", header=header), rows(), "row")

    assert said(new) == []
    assert new.portion.labels.tolist() == [1]
    assert np.isnan(new.portion.inputs[0, 0])
    assert new.portion.inputs[0, 1:].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_rows_that_cannot_be_read_are_named_by_file_and_line(tmp_path: Path):
    good = "1,2,3,4,5,6,7,8"
    new = read(
        table(tmp_path, f"{good},east", f"{good},up", "1,2,3", "1,2,x,4,5,6,7,8,east", f"{good},"),
        rows(), "row",
    )  # fmt: skip

    assert said(new) == [
        "new.csv, line 3: the label 'up' is no class",
        "new.csv, line 4: not 9 cells",
        "new.csv, line 5: c2 must be a number; got x",
        "new.csv, line 6: the label '' is no class",
    ]
    assert new.names == ["new.csv, line 2"]


def test_missing_and_unknown_columns_are_named(tmp_path: Path):
    new = read(table(tmp_path, header="c0,c1,other"), rows(), "row")

    assert said(new) == ["new.csv lacks 6 columns: c2, c3, c4, c5, c6, c7"]


def test_a_file_that_is_no_text_is_a_broken_rule(tmp_path: Path):
    (tmp_path / "new.csv").write_bytes(b"c0\xff\xfe\x00")

    assert "new.csv is no CSV file in UTF-8" in said(read(tmp_path, rows(), "row"))[0]


# --- a user's mistakes ---------------------------------------------------------------------------


def test_nothing_to_read_is_the_users_mistake(tmp_path: Path):
    with pytest.raises(DataError, match="must be a folder with data; got none"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"must have inputs\.npy"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"must have inputs\.npy"):
        read(tmp_path, texts(), "text")


# --- against today's training data ---------------------------------------------------------------


def held_against(folder: Path, data) -> CheckResults:
    new = new_data.read(folder, data.description)
    return structure.check(Checked.of(data, new.portion), CheckRules(), new.faults)


def test_new_data_are_held_against_all_splits_and_themselves(tmp_path: Path):
    arrays = images()
    inputs = images(5)["test_inputs"]
    inputs[3], inputs[4], inputs[5] = (
        arrays["train_inputs"][8], arrays["test_inputs"][9], inputs[6],
    )  # fmt: skip
    save(tmp_path, inputs=inputs, labels=images(5)["test_labels"])

    found = held_against(tmp_path, prepared(arrays))

    by_rule = {one.rule: [fault.sentence for fault in one.faults] for one in found.findings}
    assert by_rule["leakage"] == [
        "1 image of the new data stands in training too",
        "1 image of the new data stands in test too",
    ]
    assert by_rule["duplicates"] == ["1 image of the new data repeats another one of it"]
    assert "shortcuts" not in by_rule
    assert by_rule["drift"] == by_rule["values"] == by_rule["format"] == []


def test_new_data_of_another_kind_drift(tmp_path: Path):
    save(tmp_path, inputs=255 - images(5)["test_inputs"] // 2)

    found = held_against(tmp_path, prepared(images()))

    assert [one.rule for one in found.findings if one.is_broken] == ["drift"]


@pytest.mark.parametrize(
    ("spoil", "code", "line"),
    [
        (None, 0, "tiny: nothing is wrong with these data"),
        ("label", 1, "stop format: labels must be 0 to 3; 1 are not, the first 9 at row 0"),
        ("folder", 2, "check.py: {}: must be a folder with data; got none; name another one"),
    ],
)
def test_the_command_says_it_by_its_exit_code_and_changes_nothing(
    spoil, code, line, repository: Repository, tmp_path: Path
):
    data = repository.folder / "data/prepared"
    folder = tmp_path / "new"
    folder.mkdir()
    source = "from task.data import _drawn; import numpy as np; e = _drawn(400, 9); "
    write = f"np.save('{folder}/inputs.npy', e.inputs); np.save('{folder}/labels.npy', e.labels)"
    subprocess.run([sys.executable, "-c", source + write], cwd=repository.folder, check=True)
    if spoil == "label":
        labels = np.load(folder / "labels.npy")
        labels[0] = 9
        np.save(folder / "labels.npy", labels)
    asked = tmp_path / "nowhere" if spoil == "folder" else folder
    before = repository.tracked(), sorted(data.iterdir()), len(repository.recorded())

    output = repository.run("python", "check.py", "--data", str(asked), code=code)

    assert line.format(asked) in output
    assert "Traceback" not in output
    assert before == (repository.tracked(), sorted(data.iterdir()), len(repository.recorded()))
    if code != 2:
        report = repository.folder / "report/check"
        assert json.loads((report / "check.json").read_text(encoding="utf-8"))["name"] == "tiny"
        assert (report / "check.html").is_file()
