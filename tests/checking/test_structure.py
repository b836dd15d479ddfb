"""Each rule finds what is put in on purpose, names it, and is silent on data without it."""

import numpy as np
import pytest
from made_datasets import MAKERS, Arrays, images, prepared, rows, texts

from lab.base.params import CheckRules
from lab.checking import structure
from lab.checking.portions import Checked
from lab.data.examples import Scaling
from lab.results.checks import CheckResults, Place

RANDOM = np.random.default_rng(11)


def checked(arrays: Arrays, kind="grey image", rules=None, **more) -> CheckResults:
    return structure.check(Checked.of(prepared(arrays, kind, **more)), rules or CheckRules())


def broken(found: CheckResults) -> dict[str, list[str]]:
    return {
        one.rule: [fault.sentence for fault in one.faults]
        for one in found.findings if one.is_broken
    }  # fmt: skip


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_is_found_in_data_without_a_fault(kind):
    """Of forty data sets of a kind one at most breaks a rule: an alarm is to mean something."""
    alarms = [broken(checked(MAKERS[kind](seed), kind)) for seed in range(40)]

    assert len([found for found in alarms if found]) <= 1


def test_every_rule_is_asked_and_those_that_are_off_are_not():
    every = checked(images())
    some = checked(images(), rules=CheckRules(near_duplicates="off", drift="off", duplicates="off"))

    assert [one.rule for one in every.findings] == list(CheckRules.model_fields)
    asked = {one.rule for one in some.findings}
    assert set(CheckRules.model_fields) - asked == {"near_duplicates", "drift", "duplicates"}


def test_two_checks_of_the_same_data_are_the_same():
    arrays = images()
    arrays["test_inputs"][:9] = arrays["train_inputs"][:9] // 2 * 2

    assert checked(arrays) == checked(arrays)


# --- values --------------------------------------------------------------------------------------


def test_infinite_and_missing_numbers_are_counted_by_column():
    arrays = rows()
    arrays["train_inputs"][3:5, 2] = np.inf
    arrays["test_inputs"][7, 1] = np.nan

    assert broken(checked(arrays, "row"))["values"] == [
        "column c2 of training: 2 numbers infinite",
        "column c1 of test: 1 number missing (NaN)",
    ]


def test_numbers_may_be_missing_where_something_takes_their_place_but_not_most_of_a_column():
    arrays = rows()
    arrays["train_inputs"][:300, 0] = np.nan
    arrays["validation_inputs"][:150, 5] = np.nan
    scaling = Scaling(shift=[0.0] * 8, scale=[1.0] * 8, fill=[0.0] * 8)

    found = broken(checked(arrays, "row", scaling=scaling))

    assert found["values"] == ["column c5 of validation: 75% of the numbers missing"]


def test_a_code_for_unknown_lies_far_out_of_what_training_has():
    arrays = rows()
    arrays["test_inputs"][5, 3] = -999

    (sentence,) = broken(checked(arrays, "row"))["values"]

    assert sentence.startswith("column c3 of test: values as far out as -999, where training has -")


# --- constant ------------------------------------------------------------------------------------


def test_blank_images_are_counted_and_placed():
    arrays = images()
    arrays["train_inputs"][[4, 700]] = 255

    (finding,) = [one for one in checked(arrays).findings if one.rule == "constant"]

    assert [fault.sentence for fault in finding.faults] == [
        "2 blank images in training: every number is the same, first in row 4"
    ]
    assert [place.row for (place,) in finding.faults[0].places] == [4, 700]


def test_a_column_that_never_varies_is_named():
    arrays = rows()
    for split in ("train", "validation", "test"):
        arrays[f"{split}_inputs"][:, 6] = 2.5

    assert broken(checked(arrays, "row")) == {
        "constant": ["column c6 never varies in training: 2.5"]
    }


# --- classes -------------------------------------------------------------------------------------


def test_a_class_that_a_split_lacks_is_named():
    arrays = images()
    arrays["validation_labels"][arrays["validation_labels"] == 2] = 1

    found = broken(checked(arrays))

    assert found["missing_classes"] == ["validation has no example of 1 class: south"]
    assert any(line.startswith("class south is 25.00% of training and 0.00%")
               for line in found["class_balance"])  # fmt: skip


def test_another_share_is_found_and_a_chance_difference_is_not():
    arrays = images()
    few = arrays["test_labels"] == 3
    arrays["test_labels"][np.flatnonzero(few)[:60]] = 0

    sentences = broken(checked(arrays))["class_balance"]

    assert len(sentences) == 2
    assert sentences[0].startswith("class north is 25.00% of training and 40.00% of test (Fisher")


# --- duplicates ----------------------------------------------------------------------------------


def test_the_same_input_within_a_split_across_splits_and_with_another_label():
    arrays = images()
    arrays["train_inputs"][[100, 104]] = arrays["train_inputs"][0]
    arrays["test_inputs"][[8, 12]] = arrays["train_inputs"][20]
    arrays["validation_inputs"][5] = arrays["train_inputs"][30]

    found = broken(checked(arrays))

    assert found["duplicates"] == [
        "2 images of training repeat another one of it",
        "1 image of test repeats another one of it",
    ]
    assert found["leakage"] == [
        "1 image of validation stands in training too",
        "2 images of test stand in training too",
    ]
    assert found["contradictions"] == [
        "1 image has the input of another one and another label, such as south and east"
    ]


def test_the_places_of_a_leak_are_the_pairs():
    arrays = images()
    arrays["test_inputs"][[8, 12]] = arrays["train_inputs"][[20, 44]]

    (finding,) = [one for one in checked(arrays).findings if one.rule == "leakage"]

    pairs = [[(place.portion, place.row) for place in pair] for pair in finding.faults[0].places]
    assert sorted(pairs) == [[("train", 20), ("test", 8)], [("train", 44), ("test", 12)]]


def test_a_row_with_missing_numbers_is_a_duplicate_of_one_like_it():
    arrays = rows()
    arrays["train_inputs"][[3, 5], :] = [np.nan, *range(7)]
    scaling = Scaling(shift=[0.0] * 8, scale=[1.0] * 8, fill=[0.0] * 8)

    assert "duplicates" in broken(checked(arrays, "row", scaling=scaling))


def test_inputs_of_odd_lengths_are_compared_in_full():
    """Bytes that fill no word of 8 count as well."""
    arrays = {
        name: np.ascontiguousarray(array[:, :3, :3]) if "inputs" in name else array
        for name, array in images().items()
    }
    rules = CheckRules(near_duplicates="off")
    assert "duplicates" not in broken(checked(arrays, rules=rules))
    arrays["train_inputs"][1] = arrays["train_inputs"][0]
    arrays["train_inputs"][2] = arrays["train_inputs"][0]
    arrays["train_inputs"][2, 2, 2] += 1

    assert broken(checked(arrays, rules=rules))["duplicates"] == [
        "1 image of training repeats another one of it"
    ]


# --- near duplicates -----------------------------------------------------------------------------


def noisy(inputs: np.ndarray, amount: float) -> np.ndarray:
    return np.clip(inputs + RANDOM.normal(0, amount, inputs.shape), 0, 255).astype(np.uint8)


def test_copies_with_a_little_noise_are_found_and_shown_first():
    arrays = images()
    arrays["test_inputs"][:20] = noisy(arrays["train_inputs"][40:60].astype(float), 3)

    found = checked(arrays)

    (sentence,) = broken(found)["near_duplicates"]
    assert sentence.startswith("20 images of test are nearly in training too: under 0.3")
    nearest = [(one.pair[0].row, one.pair[1].row) for one in found.closest]
    assert len(nearest) == 12
    assert all(theirs == mine + 40 for mine, theirs in nearest)
    assert "leakage" not in broken(found)


def test_what_is_the_same_bit_by_bit_is_no_near_duplicate():
    arrays = images()
    arrays["test_inputs"][:5] = arrays["train_inputs"][:5]

    assert "near_duplicates" not in broken(checked(arrays))


def test_distance_counts_in_what_is_usual_of_the_class():
    """One class is drawn with a tenth of the noise: its pairs are ten times closer, and fine."""
    arrays = images()
    for split in ("train", "validation", "test"):
        own = arrays[f"{split}_labels"] == 1
        inputs = arrays[f"{split}_inputs"][own].astype(float)
        arrays[f"{split}_inputs"][own] = 128 + (inputs - 128) / 10

    found = checked(arrays)

    assert broken(found) == {}
    labels = {one.pair[1].row % 4 for one in found.closest}
    assert labels != {1}


# --- shortcuts -----------------------------------------------------------------------------------


def test_a_watermark_on_one_class_is_found():
    arrays = images()
    for split in ("train", "validation", "test"):
        own = arrays[f"{split}_labels"] == 2
        arrays[f"{split}_inputs"][own, 0, 11] = 255
        arrays[f"{split}_inputs"][~own, 0, 11] = 0

    (sentence,) = broken(checked(arrays))["shortcuts"]

    assert sentence.startswith("the pixel at 0, 11 tells class south from the others alone (100.0%")


def test_a_column_made_from_the_label_is_found():
    arrays = rows()
    for split in ("train", "validation", "test"):
        noise = RANDOM.normal(0, 0.01, len(arrays[f"{split}_labels"]))
        arrays[f"{split}_inputs"][:, 4] = arrays[f"{split}_labels"] + noise

    sentences = broken(checked(arrays, "row"))["shortcuts"]

    assert all(sentence.startswith("column c4 tells class ") for sentence in sentences)


def test_a_token_that_stands_in_one_class_alone_is_found():
    arrays = texts()
    for split in ("train", "validation", "test"):
        inputs, labels = arrays[f"{split}_inputs"], arrays[f"{split}_labels"]
        inputs[inputs == 77] = 78
        inputs[labels == 1, 0] = 77

    sentences = broken(checked(arrays, "text"))["shortcuts"]

    assert all(sentence.startswith("token 77 tells class ") for sentence in sentences)


# --- drift ---------------------------------------------------------------------------------------


def test_another_brightness_is_found_and_named():
    arrays = images()
    arrays["test_inputs"] = np.clip(arrays["test_inputs"] * 0.8 + 40, 0, 255).astype(np.uint8)

    (sentence,) = broken(checked(arrays))["drift"]

    assert sentence.startswith("test differs from training: ")
    assert "brightness by 0.9" in sentence


def test_one_half_of_a_split_may_differ_alone():
    arrays = images()
    arrays["test_inputs"][200:] = np.clip(arrays["test_inputs"][200:] + 8.0, 0, 255)

    sentences = broken(checked(arrays))["drift"]

    assert any("test differs" in sentence for sentence in sentences)


def test_other_shares_of_classes_are_no_drift():
    """A class that is brighter than others makes a split brighter that has more of it."""
    arrays = images()
    for split in ("train", "validation", "test"):
        own = arrays[f"{split}_labels"] == 0
        inputs = arrays[f"{split}_inputs"][own].astype(float)
        arrays[f"{split}_inputs"][own] = np.clip(inputs + 60, 0, 255)
    kept = np.flatnonzero((arrays["test_labels"] != 0) | (np.arange(400) < 80))
    for what in ("inputs", "labels"):
        arrays[f"test_{what}"] = arrays[f"test_{what}"][kept]

    assert broken(checked(arrays)).keys() == {"class_balance"}


def test_texts_that_are_longer_are_found():
    arrays = texts()
    arrays["test_inputs"][arrays["test_inputs"] == 0] = 5

    assert "number of tokens by" in broken(checked(arrays, "text"))["drift"][0]


# --- words of strangers --------------------------------------------------------------------------


def test_names_of_columns_and_classes_are_shown_short_and_printable():
    arrays = rows()
    arrays["test_inputs"][5, 3] = 1e9
    columns = [f"c{k}" for k in range(8)]
    columns[3] = "x\u202e" + "long " * 12

    (sentence,) = broken(checked(arrays, "row", columns=columns))["values"]

    assert sentence.startswith("column x?long long long long long lo... of test")


def test_a_place_is_a_row_of_a_portion():
    with pytest.raises(ValueError, match="portion"):
        Place.model_validate({"portion": "elsewhere", "row": 1})
