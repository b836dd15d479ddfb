import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import sample
from scipy import stats
from scipy.special import stdtr

from lab.verdict import looks
from lab.verdict.looks import at_look, over_looks, planned
from lab.verdict.verdicts import Verdict, findings, is_open

THREE = (10, 20, 40)
schedules = st.lists(st.integers(3, 500), min_size=2, max_size=5, unique=True).map(sorted)


@pytest.mark.parametrize(
    ("number", "boundary"), [(2, 2.178), (3, 2.289), (4, 2.361), (5, 2.413), (10, 2.555)]
)
def test_equal_steps_give_the_boundaries_of_the_book(number, boundary):
    """Jennison and Turnbull 2000, table 2.1: Pocock's constants at 5 %."""
    steps = tuple(1_000 * look + looks.T_TAKES for look in range(1, number + 1))

    assert stats.norm.isf(at_look(0.05, steps) / 2) == pytest.approx(boundary, abs=6e-4)


def test_three_looks_agree_with_the_normal_distribution_in_three_dimensions():
    information = np.array(THREE) - looks.T_TAKES
    correlation = np.sqrt(np.minimum.outer(information, information) /
                          np.maximum.outer(information, information))  # fmt: skip
    boundary = stats.norm.isf(0.03 / 2)
    inside = stats.multivariate_normal(cov=correlation).cdf(
        np.full(3, boundary), lower_limit=np.full(3, -boundary)
    )

    assert over_looks(0.03, THREE) == pytest.approx(1 - inside, abs=1e-4)


def test_the_levels_of_three_looks():
    """An audit found 0.0204 by simulation, and 0.0103 one-sided."""
    assert at_look(0.05, THREE) == pytest.approx(0.0203, abs=1e-4)


@given(st.floats(0, 1), schedules)
def test_p_over_looks_is_between_that_of_one_and_their_sum(p, schedule):
    found = over_looks(p, schedule)

    assert p <= found <= min(1, len(schedule) * p * (1 + 1e-9))


@given(st.floats(0, 1), st.floats(0, 1), schedules)
def test_p_over_looks_keeps_the_order(one, other, schedule):
    small, large = sorted([one, other])

    assert over_looks(small, schedule) <= over_looks(large, schedule) + 1e-9


@given(st.floats(1e-6, 0.5), schedules)
def test_at_look_is_the_inverse(p, schedule):
    assert over_looks(at_look(p, schedule), schedule) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("schedule", [(), (10,), (1, 2), (2, 10)])
def test_without_a_second_look_that_can_tell_p_stays(schedule):
    assert over_looks(0.03, schedule) == 0.03
    assert at_look(0.03, schedule) == 0.03


def test_looks_end_with_the_budget():
    assert planned(10, 1_000) == THREE
    assert planned(10, 25) == (10, 20)
    assert planned(10, 5) == (10,)


def p_of_looks(trials, first):
    """Two-sided p of t at each of three looks [3, trials]; there is no difference."""
    values = np.random.default_rng(first).normal(size=(trials, 4 * first))
    return np.array([
        2 * stdtr(k - 1, -abs(values[:, :k].mean(1) / values[:, :k].std(1, ddof=1)) * k**0.5)
        for k in (first, 2 * first, 4 * first)
    ])  # fmt: skip


@pytest.mark.parametrize("first", [3, 5, 10])
def test_three_looks_at_no_difference_find_one_in_twenty_times(first):
    trials = 60_000
    level = at_look(0.05, (first, 2 * first, 4 * first))
    found = int((p_of_looks(trials, first).min(axis=0) < level).sum())

    low, high = stats.binom.interval(0.9999, trials, 0.05)
    assert low <= found <= high


def sequential(differences, margin):
    """The verdict of one model as seeds are added, and the seeds it took."""
    for count in THREE:
        pair = sample(differences[:count]), sample(np.zeros(count))
        (found,) = findings([pair], margin, looks=THREE)
        if not is_open(found, higher_is_better=True):
            break
    return found.verdict, count


def test_adding_seeds_until_it_is_decided_errs_no_more_and_decides():
    """Margin 0.10 pp, sd of a difference 0.12 pp: none is real, so few are called anything else."""
    random, trials = np.random.default_rng(3), 1_500
    runs = [sequential(random.normal(0, 0.12, 40), 0.10) for _ in range(trials)]
    said = [verdict for verdict, _ in runs]
    claims = sum(one in (Verdict.IMPROVED, Verdict.REGRESSED) for one in said)

    assert claims <= stats.binom.ppf(0.9999, trials, 0.05)
    assert said.count(Verdict.CANNOT_TELL) < 0.02 * trials
    assert np.mean([seeds for _, seeds in runs]) < 24


def test_a_difference_of_the_margin_is_called_equivalent_in_one_of_twenty():
    random, trials = np.random.default_rng(4), 1_500
    said = [sequential(random.normal(0.10, 0.12, 40), 0.10)[0] for _ in range(trials)]
    wrong = sum(one in (Verdict.EQUIVALENT, Verdict.REAL_WITHIN) for one in said)

    assert wrong <= stats.binom.ppf(0.9999, trials, 0.026)


def test_the_order_of_p_is_kept_where_it_is_tiny():
    tiny = [over_looks(10.0**-power, THREE) for power in range(1, 300, 7)]

    assert all(small < large for large, small in itertools.pairwise(tiny))
    assert tiny[-1] > 0
