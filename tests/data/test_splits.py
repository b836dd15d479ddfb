import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_data import SETTINGS
from numpy.typing import NDArray

from lab.base.errors import ParamsError
from lab.data import splits
from lab.data.examples import Dataset

LABELS = st.lists(st.integers(0, 9), min_size=2, max_size=200).map(
    lambda labels: np.array(labels, np.uint8)
)
SEEDS = st.integers(0, 2**31 - 1)


@given(labels=LABELS, seed=SEEDS, data=st.data())
def test_the_validation_set_has_its_exact_size_and_every_class_its_share(
    labels: NDArray[np.uint8], seed: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(labels) - 1))

    chosen = splits.choose_validation(labels, size, seed, 10)

    assert chosen.shape == labels.shape
    assert chosen.sum() == size
    counts = np.bincount(labels, minlength=10)
    taken = np.bincount(labels[chosen], minlength=10)
    assert (np.abs(taken - counts * size / len(labels)) < 1).all()
    np.testing.assert_array_equal(chosen, splits.choose_validation(labels, size, seed, 10))


@given(first=SEEDS, second=SEEDS)
def test_another_seed_chooses_other_examples(first: int, second: int) -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 40)

    same = splits.choose_validation(labels, 100, first, 10) == splits.choose_validation(
        labels, 100, second, 10
    )

    assert same.all() == (first == second)


def test_shares_by_largest_remainder() -> None:
    # Hamilton's method by hand: quotas 4.7, 1.6, 0.7 of 7; the remainders .7 and .7 win over .6.
    assert splits.shares(np.array([47, 16, 7]), 7) == [5, 1, 1]


def test_every_example_is_equally_likely_to_be_chosen() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    times = sum(splits.choose_validation(labels, 50, seed, 10).astype(int) for seed in range(400))

    # 200 examples, each chosen Binomial(400, 1/4) times: six standard deviations are 52.
    assert isinstance(times, np.ndarray)
    assert np.abs(times - 100).max() < 52


@pytest.mark.parametrize("size", [-1, 0, 4, 5])
def test_a_split_without_examples_is_refused(size: int) -> None:
    with pytest.raises(ParamsError, match=rf"must be from 1 to 3, .*; got {size}; correct"):
        splits.choose_validation(np.zeros(4, np.uint8), size, 0, 10)


def test_the_split_is_complete_disjoint_and_in_the_order_of_the_source(made: Dataset) -> None:
    found = splits.split(made, SETTINGS.model_copy(update={"split_seed": 7}))

    chosen = splits.choose_validation(made.train.labels, 60, 7, 10)
    assert found["validation"].rows.tolist() == np.flatnonzero(chosen).tolist()
    assert found["train"].rows.tolist() == np.flatnonzero(~chosen).tolist()
    assert found["train"].examples is found["validation"].examples is made.train
    assert found["test"].examples is made.test
    assert found["test"].rows.tolist() == list(range(100))
