import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.verdict.shrinkage import shrunken


def test_worked_by_hand():
    # Past: variance 1.2, of which errors explain 0.2: effects of variance 1 around 0.
    spread = np.sqrt(1.2 * 9 / 10)
    past = [(sign * spread, np.sqrt(0.2)) for sign in [-1, 1] * 5]
    mean, (low, high) = shrunken(2.0, 0.5, past)

    assert mean == pytest.approx(1.6)  # 1 / (1 + 0.25) of it
    assert (high - mean, mean - low) == pytest.approx(2 * [1.959964 * 0.5 * np.sqrt(0.8)])


def test_nothing_without_ten_in_the_past_or_without_effects_in_it():
    past = [(float(index), 0.1) for index in range(9)]

    assert shrunken(1.0, 0.1, past) is None
    assert shrunken(1.0, 0.1, [*past, (9.0, 0.1)]) is not None
    assert shrunken(1.0, 0.1, [(0.1, 1.0)] * 20) is None


@given(st.floats(-5, 5), st.floats(0, 5))
def test_it_lies_between_the_estimate_and_the_mean_of_the_past(estimate, error):
    past = [(float(value), 0.5) for value in range(-10, 11)]
    mean, (low, high) = shrunken(estimate, error, past)

    assert min(estimate, 0) - 1e-9 <= mean <= max(estimate, 0) + 1e-9
    assert low <= mean <= high
    assert high - low <= 2 * 1.96 * error + 1e-9


def test_what_was_picked_is_right_on_average_once_shrunken():
    """Effects ~ N(0, 0.1), errors 0.05: of those above 0.1 the plain estimate claims too much."""
    random = np.random.default_rng(0)
    effects = random.normal(0, 0.1, 4_000)
    estimates = effects + random.normal(0, 0.05, 4_000)
    past = [(estimate, 0.05) for estimate in estimates[:200]]
    picked = estimates[200:] > 0.1
    shrunk, held = [], []
    for estimate, effect in zip(estimates[200:][picked], effects[200:][picked], strict=True):
        mean, (low, high) = shrunken(estimate, 0.05, past)
        shrunk.append(mean)
        held.append(low <= effect <= high)

    truth = effects[200:][picked].mean()
    assert estimates[200:][picked].mean() > 1.1 * truth
    assert np.mean(shrunk) == pytest.approx(truth, rel=0.05)
    assert 0.92 < np.mean(held) < 0.97
