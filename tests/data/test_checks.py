import dataclasses
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from support import ROOT, run_in

from lab.base.errors import DataError, ParamsError
from lab.base.params import DatasetParams
from lab.data.checks import require_dataset, require_splits
from lab.data.examples import Dataset, Examples, Scaling, Tokeniser
from lab.data.scaling import fitted
from lab.data.splits import split
from lab.data.tokens import token_ids

RANDOM = np.random.default_rng(0)


def grey(count: int = 40, classes: int = 4) -> Dataset:
    """Small grey images, all of them different, every class as often as the others."""
    pixels = RANDOM.integers(0, 256, (2 * count, 6, 5)).astype(np.uint8)
    labels = np.arange(count) % classes
    return Dataset(
        train=Examples(pixels[:count], labels),
        test=Examples(pixels[count:], labels),
        class_names=[f"class {k}" for k in range(classes)],
        kind="grey image",
    )


def rows(count: int = 60) -> Dataset:
    values = RANDOM.normal(3, 2, (count, 3)).astype(np.float32)
    return Dataset(
        train=Examples(values, np.arange(count) % 2),
        test=None,
        class_names=["no", "yes"],
        kind="row",
        columns=["age", "height", "weight"],
        scaling="standardise",
    )


def text(count: int = 40) -> Dataset:
    return Dataset(
        train=Examples(RANDOM.integers(0, 50, (count, 8)), np.arange(count) % 2),
        test=None,
        class_names=["no", "yes"],
        kind="text",
        vocabulary=50,
    )


def settings(**changes: object) -> DatasetParams:
    return DatasetParams(**{"name": "mine", "split_seed": 0, "validation_size": 10, **changes})


def train(dataset: Dataset, **changes: object) -> Dataset:
    """The data set with other training examples."""
    return dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, **changes))


def with_value(dataset: Dataset, value: float, place: tuple[int, ...]) -> Dataset:
    inputs = dataset.train.inputs.copy()
    inputs[place] = value
    return train(dataset, inputs=inputs)


def labels_with(value: int) -> np.ndarray:
    labels = np.arange(40) % 4
    labels[17] = value
    return labels


GREY, ROWS, TEXT = grey(), rows(), text()
MADE = Tokeniser(
    form="wordpiece", pieces=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "##s"],
    is_lower_case=True, unknown=1, start=2, end=3,
)  # fmt: skip
SENTENCES = ["Cats", "cats and dogs"] * 20
WITH_TEXTS = dataclasses.replace(
    train(TEXT, inputs=token_ids(SENTENCES, MADE.model_dump(), 8), texts=SENTENCES), vocabulary=6
)

# What is wrong, and what the line must say of it.
WRONG = {
    "nothing returned": (None, "must return a lab.data.examples.Dataset; got NoneType"),
    "a tuple": ((1, 2), "got tuple"),
    "no examples": (dataclasses.replace(GREY, train=None), "train must be a lab.data.examples"),
    "a list": (train(GREY, inputs=[[1, 2]]), "train: inputs must be a numpy array; got list"),
    "objects": (
        train(GREY, inputs=np.array([[None] * 5] * 40, object)),
        "inputs must be uint8, float32, int64; got object",
    ),
    "float64": (train(ROWS, inputs=ROWS.train.inputs.astype(float)), "got float64"),
    "text arrays": (train(GREY, inputs=np.array([["a"]] * 40)), "got <U1"),
    "complex numbers": (train(GREY, inputs=np.zeros((40, 2), complex)), "got complex128"),
    "numbers without axes": (train(ROWS, inputs=np.zeros(60, np.float32)), "got [60]"),
    "no rows": (train(ROWS, inputs=np.zeros((0, 3), np.float32)), "got [0, 3]"),
    "no columns": (train(ROWS, inputs=np.zeros((60, 0), np.float32)), "got [60, 0]"),
    "one label too few": (
        train(GREY, labels=np.arange(39) % 4),
        "labels must be whole numbers [40], one for each example; got int64 [39]",
    ),
    "labels as floats": (train(GREY, labels=np.arange(40) % 4.0), "got float64 [40]"),
    "labels as texts": (train(GREY, labels=np.array(["a"] * 40)), "got <U1 [40]"),
    "labels one-hot": (train(GREY, labels=np.eye(4, dtype=int)[np.arange(40) % 4]), "[40, 4]"),
    "a label too large": (
        train(GREY, labels=labels_with(4)),
        "labels must be 0 to 3; got 4 at row 17",
    ),
    "a label below 0": (train(GREY, labels=labels_with(-1)), "got -1 at row 17"),
    "a class too few": (dataclasses.replace(GREY, class_names=["a"]), "2 to 1,000 classes; got 1"),
    "too many columns to standardise": (
        dataclasses.replace(
            train(ROWS, inputs=np.zeros((60, 10_001), np.float32)),
            columns=(),
            scaling="standardise",
        ),
        "at most 10,000 features can be standardised; got 10,001",
    ),
    "too many classes": (
        dataclasses.replace(GREY, class_names=[str(k) for k in range(1001)]),
        "got 1001",
    ),
    "a class twice": (
        dataclasses.replace(GREY, class_names=["a", "b", "a", "c"]),
        "class_names must differ; got 'a' twice",
    ),
    "a class without a name": (dataclasses.replace(GREY, class_names=["a", "", "b", "c"]), "''"),
    "a class that is a number": (dataclasses.replace(GREY, class_names=[0, 1, 2, 3]), "got 0"),
    "a class name of two lines": (
        dataclasses.replace(GREY, class_names=["a\nb", "b", "c", "d"]),
        "printable texts of 1 to 64 characters",
    ),
    "an unknown kind": (dataclasses.replace(GREY, kind="video"), "got 'video'"),
    "grey images with channels": (
        train(GREY, inputs=np.zeros((40, 3, 6, 5), np.uint8)),
        "inputs of kind grey image must be [N, H, W]",
    ),
    "channels last": (
        dataclasses.replace(
            train(GREY, inputs=np.zeros((40, 6, 5, 3), np.uint8)), kind="colour image"
        ),
        "must be [N, 3, H, W]; got [40, 6, 5, 3]",
    ),
    "test images of another size": (
        dataclasses.replace(GREY, test=Examples(np.zeros((4, 5, 5), np.uint8), np.arange(4))),
        "train and test inputs must have one shape and type",
    ),
    "NaN": (
        dataclasses.replace(with_value(ROWS, np.nan, (7, 1)), scaling=None),
        "inputs must be finite (a scaling with fill allows NaN); got nan at row 7, height",
    ),
    "infinite": (with_value(ROWS, np.inf, (9, 2)), "got inf at row 9, weight"),
    "ids beyond the vocabulary": (
        with_value(TEXT, 50, (3, 4)),
        "ids must be 0 to 49; got 50 at row 3",
    ),
    "an id below 0": (with_value(TEXT, -1, (3, 4)), "got -1 at row 3"),
    "ids without a vocabulary": (dataclasses.replace(TEXT, vocabulary=None), "vocabulary must say"),
    "ids as floats": (
        train(TEXT, inputs=TEXT.train.inputs.astype(np.float32)),
        "inputs of kind text must be int64; got float32",
    ),
    "numbers as ids": (train(ROWS, inputs=np.zeros((60, 3), np.int64)), "must be uint8 or float32"),
    "scaled ids": (
        dataclasses.replace(TEXT, scaling="standardise"),
        "token ids must have no scaling",
    ),
    "a scaling by name": (dataclasses.replace(ROWS, scaling="minmax"), "got 'minmax'"),
    "two scales for three columns": (
        dataclasses.replace(ROWS, scaling=Scaling(shift=[0.0, 0.0], scale=[1.0, 1.0])),
        "scaling must have 1 value or 3, one a feature; got 2",
    ),
    "two names for three columns": (dataclasses.replace(ROWS, columns=["a", "b"]), "3 names"),
    "ids of examples that are equal": (
        train(ROWS, ids=["same"] * 60),
        "ids must differ; got 'same' twice",
    ),
    "another framing": (dataclasses.replace(GREY, framing="crop"), "one of fit, ink; got 'crop'"),
    "a tokeniser by name": (
        dataclasses.replace(WITH_TEXTS, tokeniser="bert"),
        "tokeniser must be a lab.data.examples.Tokeniser or None; got str",
    ),
    "a tokeniser without texts": (
        dataclasses.replace(TEXT, tokeniser=MADE),
        "tokeniser must stand only where there are texts; got one without them",
    ),
    "a tokeniser of another vocabulary": (
        dataclasses.replace(WITH_TEXTS, vocabulary=9, tokeniser=MADE),
        "tokeniser must have 9 pieces, as vocabulary says; got 6",
    ),
    "a tokeniser that makes other ids": (
        dataclasses.replace(WITH_TEXTS, tokeniser=MADE.model_copy(update={"unknown": 0})),
        "train: tokeniser must make of every text the ids that stand in inputs; got others of "
        "'cats and dogs'",
    ),
    "a group too few": (train(ROWS, groups=["a"] * 59), "groups must be 60, one for each example"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_data_set_is_one_line(name: str) -> None:
    dataset, said = WRONG[name]

    with pytest.raises(DataError) as caught:
        require_dataset("mine", dataset)

    line = str(caught.value)
    assert line.startswith("data set mine")
    assert said in line
    assert re.search(
        "; (correct (task/data|it, or leave .*)|scale them in task/data, or .*)$",
        line,
    )


@pytest.mark.parametrize(
    "dataset",
    [
        GREY,
        ROWS,
        TEXT,
        with_value(ROWS, np.nan, (7, 1)),
        dataclasses.replace(GREY, framing="ink"),
        dataclasses.replace(WITH_TEXTS, tokeniser=MADE),
    ],
)
def test_right_data_sets_pass(dataset: Dataset) -> None:
    require_dataset("mine", dataset)


def checked(dataset: Dataset, said: list[str], **changes: object) -> None:
    require_splits("mine", dataset, split(dataset, settings(**changes)), said.append)


def test_a_class_without_an_example_to_train_on_is_named() -> None:
    dataset = train(GREY, labels=np.arange(40) % 3)

    with pytest.raises(DataError, match=r"none of class 3 \(class 3\) among 30"):
        checked(dataset, [])


def test_a_class_that_is_not_tested_is_said() -> None:
    said: list[str] = []
    inputs = RANDOM.integers(0, 256, (6, 6, 5)).astype(np.uint8)

    checked(dataclasses.replace(GREY, test=Examples(inputs, np.arange(6) % 3)), said)

    assert said == ["mine: the test split has no example of class 3"]


def test_a_test_example_that_also_trains_is_refused_or_counted() -> None:
    inputs = GREY.test.inputs.copy()
    inputs[5] = GREY.train.inputs[0]
    inputs[6] = GREY.train.inputs[1]
    repeated = dataclasses.replace(GREY, test=Examples(inputs, GREY.test.labels))
    said: list[str] = []

    with pytest.raises(
        DataError, match="got 2 that do, the first row 5 in test and row 0 outside;"
    ):
        checked(repeated, said)
    checked(dataclasses.replace(repeated, may_repeat=True), said)

    assert said == ["mine: 2 test examples stand in training or validation too"]


def test_a_repeated_example_is_named_by_its_id() -> None:
    count = len(GREY.test.labels)
    inputs = GREY.test.inputs.copy()
    inputs[5] = GREY.train.inputs[2]
    names = [f"train/{row}" for row in range(len(GREY.train.labels))]
    repeated = dataclasses.replace(
        GREY,
        train=dataclasses.replace(GREY.train, ids=names),
        test=Examples(inputs, GREY.test.labels, ids=[f"test/{row}" for row in range(count)]),
    )

    with pytest.raises(DataError, match="got 1 that do, the first test/5 in test and train/2 out"):
        checked(repeated, [])


def test_an_official_test_split_must_not_break_groups_apart() -> None:
    groups = [f"writer {row % 8}" for row in range(len(GREY.train.labels))]
    taught = dataclasses.replace(GREY.train, groups=groups)
    others = ["another"] * len(GREY.test.labels)

    def tested(groups: list[str]) -> Dataset:
        test = dataclasses.replace(GREY.test, groups=groups)
        return dataclasses.replace(GREY, train=taught, test=test)

    checked(tested(others), [])
    with pytest.raises(DataError, match="got group 'writer 3' in training and in test; move its"):
        checked(tested([*others[1:], "writer 3"]), [])


def test_equal_examples_stay_on_one_side_of_a_split_that_is_made() -> None:
    values = np.repeat(RANDOM.normal(size=(30, 3)).astype(np.float32), 4, axis=0)
    dataset = train(ROWS, inputs=values, labels=np.arange(120) % 2)

    checked(dataset, [], test_fraction=0.3)


def test_equal_examples_with_ids_of_their_own_are_found_on_both_sides() -> None:
    values = np.repeat(RANDOM.normal(size=(30, 3)).astype(np.float32), 4, axis=0)
    ids = [f"row {k}" for k in range(120)]
    dataset = train(ROWS, inputs=values, labels=np.arange(120) % 2, ids=ids)

    with pytest.raises(DataError, match="name examples that belong together as a group"):
        checked(dataset, [], test_fraction=0.3)


# --- a split that is made -------------------------------------------------------------------------


def sides_tested(dataset: Dataset, names: list[str], **changes: object) -> set[str]:
    parts = split(dataset, settings(test_fraction=0.25, **changes))
    return {names[row] for row in parts["test"].rows}


def test_no_example_changes_sides_when_others_come_go_or_move() -> None:
    values = RANDOM.normal(size=(300, 3)).astype(np.float32)
    names, labels = [row.tobytes().hex() for row in values], np.arange(300) % 2
    order = RANDOM.permutation(300)
    whole = train(ROWS, inputs=values, labels=labels)
    fewer = train(ROWS, inputs=values[:200], labels=labels[:200])
    moved = train(ROWS, inputs=values[order], labels=labels[order])

    found = sides_tested(whole, names)

    assert sides_tested(fewer, names) == found & set(names[:200])
    assert sides_tested(moved, [names[k] for k in order]) == found
    assert 45 < len(found) < 105  # of 300 a quarter; four standard deviations are 30


def test_ids_decide_where_the_bytes_change() -> None:
    names = [f"row {k}" for k in range(60)]
    before = train(ROWS, ids=names)
    after = train(before, inputs=before.train.inputs + 1)

    assert sides_tested(before, names) == sides_tested(after, names)


def test_another_seed_tests_on_others() -> None:
    names = [str(k) for k in range(60)]

    assert sides_tested(ROWS, names, split_seed=0) != sides_tested(ROWS, names, split_seed=1)


def test_groups_stay_together_in_all_three_splits() -> None:
    groups = [f"patient {k % 23}" for k in range(230)]
    values = RANDOM.normal(size=(230, 3)).astype(np.float32)
    dataset = train(ROWS, inputs=values, labels=np.arange(230) % 2, groups=groups)

    parts = split(dataset, settings(test_fraction=0.3, validation_size=40))

    sides = [{groups[row] for row in part.rows} for part in parts.values()]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert sum(map(len, sides)) == 23
    assert 40 <= len(parts["validation"].rows) < 50


def test_one_group_cannot_be_split() -> None:
    dataset = train(ROWS, groups=["all"] * 60)

    with pytest.raises(ParamsError, match=r"dataset\.test_fraction: must leave examples to train"):
        split(dataset, settings(test_fraction=0.3))


@pytest.mark.parametrize(
    ("dataset", "changes", "said"),
    [
        (ROWS, {}, "dataset.test_fraction: missing key: mine has no official test split"),
        (GREY, {"test_fraction": 0.2}, "mine has an official test split; got 0.2; remove it"),
        (GREY, {"validation_size": 40}, "dataset.validation_size: must be from 1 to 39"),
    ],
)
def test_params_that_do_not_fit_the_data_set(dataset: Dataset, changes: dict, said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        split(dataset, settings(**changes))

    assert said in str(caught.value)


# --- scaling --------------------------------------------------------------------------------------


def test_a_scaling_knows_nothing_of_what_it_is_tested_on() -> None:
    dataset = with_value(ROWS, np.nan, (0, 1))
    parts = split(dataset, settings(test_fraction=0.3))
    poisoned = dataset.train.inputs.copy()
    for name in ("validation", "test"):
        poisoned[parts[name].rows] = 1e6
    elsewhere = split(train(dataset, inputs=dataset.train.inputs), settings(test_fraction=0.3))
    assert (elsewhere["train"].rows == parts["train"].rows).all()

    found = fitted("standardise", parts["train"])
    other = fitted(
        "standardise",
        dataclasses.replace(parts["train"], examples=Examples(poisoned, dataset.train.labels)),
    )

    assert found == other
    values = dataset.train.inputs[parts["train"].rows].astype(np.float64)
    np.testing.assert_allclose(found.shift, np.nanmean(values, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.scale, np.nanstd(values, axis=0), rtol=1e-12)
    assert found.fill == found.shift


def test_a_column_that_never_varies_or_is_never_known_is_left_alone() -> None:
    values = RANDOM.normal(size=(60, 3)).astype(np.float32)
    values[:, 0], values[:, 1] = 7, np.nan
    parts = split(train(ROWS, inputs=values), settings(test_fraction=0.3))

    found = fitted("standardise", parts["train"])

    assert (found.shift[:2], found.scale[:2]) == ([7.0, 0.0], [1.0, 1.0])


def test_channels_of_colour_images_are_scaled_each_by_itself() -> None:
    pixels = RANDOM.integers(0, 256, (50, 3, 4, 4)).astype(np.uint8)
    pixels[:, 2] = 9
    dataset = dataclasses.replace(
        GREY, train=Examples(pixels, np.arange(50) % 4), test=None, kind="colour image"
    )
    part = split(dataset, settings(test_fraction=0.3))["train"]

    found = fitted("standardise", part)

    values = pixels[part.rows].astype(np.float64)
    np.testing.assert_allclose(found.shift, values.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found.scale[:2], values.std(axis=(0, 2, 3))[:2], rtol=1e-12)
    assert (found.shift[2], found.scale[2], found.fill) == (9.0, 1.0, None)


# --- more than memory -----------------------------------------------------------------------------

LARGE = """
import resource, sys
from pathlib import Path
import numpy as np
from lab.base.params import DatasetParams
from lab.data.checks import require_dataset, require_splits
from lab.data.description import describe
from lab.data.examples import Dataset, Examples
from lab.data.prepared import save_prepared
from lab.data.scaling import fitted
from lab.data.splits import split

file, shape = Path(sys.argv[1]), (int(sys.argv[2]), 10_000)
header = np.lib.format.header_data_from_array_1_0(np.empty((0, shape[1]), np.float32))
with file.open("wb") as large:  # mostly a hole, which reads as zeros
    np.lib.format.write_array_header_1_0(large, {**header, "shape": shape})
    start = large.tell()
    for row in range(shape[0]):
        large.seek(start + 4 * shape[1] * row)
        large.write(np.float32(row).tobytes())
    large.truncate(start + 4 * shape[1] * shape[0])
resource.setrlimit(resource.RLIMIT_DATA, (10**9, 10**9))  # memory that is no map of a file
inputs = np.load(file, mmap_mode="r")
dataset = Dataset(
    Examples(inputs, np.arange(shape[0]) % 2), None, ["no", "yes"], "row", "standardise"
)
settings = DatasetParams(name="large", split_seed=0, validation_size=100, test_fraction=0.2)
require_dataset("large", dataset)
parts = split(dataset, settings)
require_splits("large", dataset, parts, print)
scaling = fitted("standardise", parts["train"])
save_prepared(parts, 2, file.parent / "prepared")
print(describe("large", 0, dataset, parts, scaling).train.sha256)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds this kind of memory")
def test_data_larger_than_memory_are_checked_split_and_stored(tmp_path: Path) -> None:
    """3 GB within 1 GB; `python -c` with 250,000 rows tries 10 GB."""
    run_in(ROOT, os.environ, sys.executable, "-c", LARGE, str(tmp_path / "large.npy"), "75000")

    stored = np.load(tmp_path / "prepared" / "train_inputs.npy", mmap_mode="r")
    assert stored.shape[1] == 10_000
    assert stored[1, 0] > stored[0, 0]
