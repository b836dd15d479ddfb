"""A table as a data set: what is read of it, what networks see, and which tables are refused."""

import csv
from pathlib import Path

import numpy as np
import pytest

from lab.base.errors import DataError, LabError
from lab.base.params import DatasetParams
from lab.data.checks import require_dataset, require_splits
from lab.data.datasets import load_dataset
from lab.data.examples import Dataset
from lab.data.scaling import fitted
from lab.data.splits import split
from task.data import breast_cancer, csv_file, table

SMALL = """\
name,group,size,weight,code,kind
a,g1,big,1.5,1,x
b,g1,,2,2,y
c,g2,small,,1,x
d,g2,small,4,2,y
e,g3,odd,NA,1,x
f,g3,big,-1e2,3,y
"""


def read(folder: Path, text: str | bytes, **options) -> Dataset:
    """The data set of a file that a user put there, checked as `prepare` checks it."""
    content = text.encode() if isinstance(text, str) else text
    (folder / "own.csv").write_bytes(content)
    return read_file(folder, **options)


def read_file(folder: Path, file: str = "own.csv", **options) -> Dataset:
    found = table(folder, print, file=file, **{"label_column": "kind", "rare_below": 1} | options)
    require_dataset("table", found)
    return found


def one_hot(found: Dataset, column: str) -> list[list[float]]:
    places = [k for k, name in enumerate(found.columns) if name.startswith(f"{column}: ")]
    return found.train.inputs[:, places].tolist()


# --- what is read --------------------------------------------------------------------------------


def test_numbers_stay_and_categories_become_columns_of_their_own(tmp_path):
    found = read(tmp_path, SMALL, id_column="name", group_column="group")

    assert found.columns == ["size: big", "size: odd", "size: small", "weight", "code"]
    assert found.train.inputs.dtype == np.float32
    np.testing.assert_array_equal(
        found.train.inputs,
        [
            [1, 0, 0, 1.5, 1],
            [0, 0, 0, 2, 2],  # no size: all zero
            [0, 0, 1, np.nan, 1],
            [0, 0, 1, 4, 2],
            [0, 1, 0, np.nan, 1],
            [1, 0, 0, -100, 3],
        ],
    )
    assert list(found.class_names) == ["x", "y"]
    assert found.train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert found.train.ids == ["a", "b", "c", "d", "e", "f"]
    assert found.train.groups == ["g1", "g1", "g2", "g2", "g3", "g3"]


def test_numbers_may_be_names_and_columns_be_left_out(tmp_path):
    found = read(tmp_path, SMALL, leave_out=("name", "group", "size"), categories=("code",))

    assert found.columns == ["weight", "code: 1", "code: 2", "code: 3"]
    assert one_hot(found, "code")[5] == [0, 0, 1]


def test_a_rare_category_is_all_zero_as_a_missing_one_is(tmp_path):
    found = read(tmp_path, SMALL, leave_out=("name", "group"), rare_below=2)

    assert found.columns == ["size: big", "size: small", "weight", "code"]
    assert one_hot(found, "size") == [[1, 0], [0, 0], [0, 1], [0, 1], [0, 0], [1, 0]]


def test_a_column_of_rare_categories_alone_gives_no_number(tmp_path):
    found = read(tmp_path, SMALL, leave_out=("group",), rare_below=2)

    assert found.columns == ["size: big", "size: small", "weight", "code"]


def test_classes_that_are_numbers_stand_in_the_order_of_numbers(tmp_path):
    rows = "".join(f"{k},{label}\n" for k, label in enumerate([10, 9, 2] * 3))

    assert list(read(tmp_path, f"a,kind\n{rows}").class_names) == ["2", "9", "10"]


def test_a_file_is_read_alike_in_one_piece_and_in_many(tmp_path, monkeypatch):
    whole = read(tmp_path, SMALL, id_column="name")
    monkeypatch.setattr(csv_file, "CELLS_AT_ONCE", 1)
    pieces = read_file(tmp_path, id_column="name")

    np.testing.assert_array_equal(pieces.train.inputs, whole.train.inputs)
    assert pieces.train.labels.tolist() == whole.train.labels.tolist()
    assert pieces.columns == whole.columns
    assert pieces.train.ids == whole.train.ids


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + SMALL,
        SMALL.replace("\n", "\r\n"),
        SMALL.replace(",", ", "),
        SMALL.replace("small", '"small"'),
        SMALL + "\n\n",
    ],
    ids=["mark", "windows", "spaces", "quotes", "blank lines"],
)
def test_what_spreadsheets_add_changes_nothing(tmp_path, text):
    plain, other = read(tmp_path, SMALL), read(tmp_path, text)

    assert other.columns == plain.columns
    np.testing.assert_array_equal(other.train.inputs, plain.train.inputs)


def test_another_separator_is_an_option(tmp_path):
    found = read(tmp_path, SMALL.replace(",", ";"), separator=";", id_column="name")

    np.testing.assert_array_equal(
        found.train.inputs, read(tmp_path, SMALL, id_column="name").train.inputs
    )


# --- what networks see ---------------------------------------------------------------------------


def test_gaps_and_scale_come_from_the_training_rows_alone(tmp_path):
    rows = [f"r{k},{'' if k % 7 == 0 else k % 13},{'xy'[k % 2]}" for k in range(200)]
    found = read(tmp_path, "\n".join(["id,value,kind", *rows]), id_column="id")
    settings = DatasetParams(name="table", validation_size=20, split_seed=0, test_fraction=0.2)
    parts = split(found, settings)
    training = found.train.inputs[parts["train"].rows].astype(np.float64)

    scaling = fitted(found.scaling, parts["train"])

    assert 0 < len(parts["test"].rows) < 100
    assert scaling.shift == scaling.fill == [pytest.approx(np.nanmean(training))]
    assert scaling.scale == [pytest.approx(np.nanstd(training))]
    assert np.nanmean(found.train.inputs) != pytest.approx(scaling.shift[0])


# --- the data of this example --------------------------------------------------------------------


def test_the_data_are_written_once_and_the_same_everywhere(tmp_path):
    settings = {"file": breast_cancer.FILE, "label_column": "diagnosis", "id_column": "sample"}
    found = table(tmp_path, print, **settings)
    path = tmp_path / breast_cancer.FILE
    content = path.read_bytes()

    with path.open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(found.train.labels) == 569
    assert list(found.class_names) == ["benign", "malignant"]
    assert np.bincount(found.train.labels).tolist() == [357, 212]
    assert {line["mean size"] for line in lines} == {"", "small", "medium", "large"}
    gaps = np.isnan(found.train.inputs).mean()
    assert 0.035 < gaps < 0.045
    path.unlink()
    breast_cancer.write(path)
    assert path.read_bytes() == content


def test_a_file_that_is_there_is_read_instead(tmp_path):
    (tmp_path / breast_cancer.FILE).write_text(SMALL, encoding="utf-8")

    assert len(read_file(tmp_path, breast_cancer.FILE).train.labels) == 6


# --- tables that are refused ---------------------------------------------------------------------


PAIRS = "1,x\n2,y\n" * 3
NUMBERED = "".join(f"text {k},{'xy'[k % 2]}\n" for k in range(101))
CLASSES = "".join(f"1,{k}\n" for k in range(1001))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must have a line of names and rows; got an empty file"),
        ("\n\n", "must have a line of names and rows; got an empty file"),
        ("a,kind\n", "must hold two classes or more; got no rows"),
        ("a,kind\n1,x\n2,x\n", "must hold two classes or more; got one, 'x'; add rows of another"),
        ("a,kin\n1,x\n", "dataset.label_column must name columns; got 'kind'; did you mean kin?"),
        ("a,b\n1,x\n", "dataset.label_column must name columns; got 'kind'; use one of a, b"),
        (f"a,kind\n{PAIRS}3,z\n", "to train, validate and test on; got 1 of 'z'; add rows, or"),
        ("a,kind\n1,x\n2,\n", "column kind: every row must have a value; got none in row 2"),
        ("a,b,kind\n" + "1,,x\n2,,y\n" * 3, "column b: must have a value in some row; got none; "),
        (
            f"a,kind\n{PAIRS}1l,x\n",
            "must hold numbers only, as 6 of its values are; got '1l' in row 7",
        ),
        (f"a,kind\n{NUMBERED}", "at most 100 categories; got more, such as 'text 0'; add it to"),
        (f"a,kind\n{CLASSES}", "at most 1,000 classes; got more, such as '0'; name another"),
        (f"a,kind\n{PAIRS}inf,x\n", "must be finite, or missing (NaN); got inf at row 6, a"),
        (f"a,kind\n{PAIRS}1e39,x\n", "must be finite, or missing (NaN); got inf at row 6, a"),
        ("a;b;kind\n1;2;x\n", "set dataset.separator to ';'"),
        ("a\tb\tkind\n1\t2\tx\n", "set dataset.separator to '\\t'"),
        ("kind\nx\ny\n", "must have columns that ',' separates; got one, 'kind'"),
        (b"a,kind\n1,caf\xe9\n", "must be text in UTF-8; got the byte 0xe9; save it as UTF-8"),
        ("a,kind\n1,x\n".encode("utf-16"), "must be text in UTF-8; got the byte 0xff"),
        ("a,kind\n1,x,3\n", "every row must have as many values as there are names"),
        ("a,kind\n1,x\n1,x,3\n", "must be a table; got Expected 2 fields in line 3, saw 3"),
        ('a,kind\n1,"x\n', "must be a table; got EOF inside string"),
        ("a,a,kind\n1,2,x\n", "names of columns must differ; got 'a' twice"),
        ("a,,kind\n1,2,x\n", "every column must have a name; got none for column 2"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_one_line(tmp_path, text, said):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("missing.csv", "missing.csv: the file must be there; got no such file"),
        ("../own.csv", "dataset.file: must be the name of a file in"),
        ("folder", "folder: must be a plain file; got something else"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, file, said):
    (tmp_path / "folder").mkdir()

    with pytest.raises(LabError, match=r"^[^\n]+$") as caught:
        read_file(tmp_path, file)

    assert said in str(caught.value)


def test_a_row_named_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="ids must differ; got 'a' twice"):
        read(tmp_path, SMALL.replace("b,g1", "a,g1"), id_column="name")


def test_rows_without_any_number_are_refused(tmp_path):
    text = "a,kind\n" + "".join(f"t{k},{'xy'[k % 2]}\n" for k in range(8))

    with pytest.raises(DataError, match="must have a number to learn from"):
        read(tmp_path, text, rare_below=2)


def test_equal_rows_are_not_on_both_sides_of_the_split(tmp_path):
    """By their names they may fall apart, which is refused; without names they stay together."""
    rows = "".join(f"{k},{k // 2},{'xy'[k // 2 % 2]}\n" for k in range(100))
    settings = DatasetParams(name="table", validation_size=10, split_seed=0, test_fraction=0.3)
    named = read(tmp_path, f"id,a,kind\n{rows}", id_column="id")
    unnamed = read_file(tmp_path, leave_out=("id",))

    with pytest.raises(DataError, match="a test example must not stand in training"):
        require_splits("table", named, split(named, settings), print)
    require_splits("table", unnamed, split(unnamed, settings), print)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lable_column": "x"}, "unknown key; got 'x'; did you mean label_column?"),
        ({"leave_out": "name"}, "dataset.leave_out: must be a list; got 'name'"),
        ({"rare_below": 0}, "dataset.rare_below: input should be greater than or equal to 1"),
        ({"separator": "ab"}, "dataset.separator: string should have at most 1 character"),
    ],
)
def test_a_slip_in_the_options_is_one_line(options, said):
    given = {"name": "table", "validation_size": 9, "split_seed": 0, "test_fraction": 0.2}
    own = {"file": "own.csv", "label_column": "kind"} | options

    with pytest.raises(LabError, match=r"^[^\n]+$") as caught:
        load_dataset(DatasetParams(**given, **own), print)

    assert said in str(caught.value)
