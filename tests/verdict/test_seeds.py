import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.base.params import MAX_SEED
from lab.verdict.seeds import HIGHEST, LOWEST, fresh

CANDIDATE, BASELINE = "c" * 40, "b" * 40


@given(st.integers(1, 10**15), st.integers(0, 200), st.integers(0, 200))
def test_a_longer_list_begins_with_the_shorter_one(run, count, more):
    long = fresh(run, CANDIDATE, BASELINE, count + more)

    assert fresh(run, CANDIDATE, BASELINE, count) == long[:count]
    assert len({*long}) == count + more
    assert all(LOWEST <= seed <= HIGHEST for seed in long)
    assert HIGHEST == MAX_SEED


@pytest.mark.parametrize(
    "other", [(31, CANDIDATE, BASELINE), (30, BASELINE, BASELINE), (30, CANDIDATE, CANDIDATE)]
)
def test_another_run_or_another_commit_has_other_seeds(other):
    assert not {*fresh(30, CANDIDATE, BASELINE, 40)} & {*fresh(*other, 40)}


def test_they_are_spread_evenly():
    counts, _ = np.histogram(fresh(30, CANDIDATE, BASELINE, 8_000), bins=8, range=(0, HIGHEST))

    assert (np.abs(counts - 1_000) < 5 * np.sqrt(1_000)).all()
