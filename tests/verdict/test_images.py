import math

import numpy as np
import pytest
from scipy import stats

from lab.verdict.differences import paired
from lab.verdict.images import Components, components, on_new_images


def right(seeds, examples, random, skill=0.0):
    """Correct or not [K, N]: some examples are hard, some seeds are good."""
    logits = 2 + skill + random.normal(0, 1.5, examples) + random.normal(0, 0.1, (seeds, 1))
    return random.random((seeds, examples)) < 1 / (1 + np.exp(-logits))


def test_mean_squares_are_those_of_a_two_way_analysis_of_variance():
    random = np.random.default_rng(0)
    new, old = right(6, 40, random), right(6, 40, random)
    found = components(new, old)

    # Sums of squares as a book has them: of the margins, and what the total leaves.
    difference = new.astype(float) - old
    correction = difference.sum() ** 2 / difference.size
    of_seeds = (difference.sum(axis=1) ** 2).sum() / 40 - correction
    of_examples = (difference.sum(axis=0) ** 2).sum() / 6 - correction
    rest = (difference**2).sum() - correction - of_seeds - of_examples
    assert (found.seeds, found.examples) == (6, 40)
    assert found.estimate == pytest.approx(new.mean() - old.mean())
    assert found.ms_seeds == pytest.approx(of_seeds / 5)
    assert found.ms_examples == pytest.approx(of_examples / 39)
    assert found.ms_residual == pytest.approx(rest / (5 * 39))


def test_interval_worked_by_hand():
    # (0.4 + 0.9 - 0.3) / (5 * 200) = 0.001; degrees 1 / (0.16/4 + 0.81/199 + 0.09/796) = 22.62.
    low, high = on_new_images(Components(5, 200, 0.01, 0.4, 0.9, 0.3))
    half = stats.t.ppf(0.975, 22.6234) * math.sqrt(0.001)

    assert (low, high) == pytest.approx((0.01 - half, 0.01 + half), rel=1e-4)


def test_where_examples_do_not_differ_it_is_the_interval_over_seeds():
    random = np.random.default_rng(2)
    new, old = random.random((8, 50)) < 0.9, random.random((8, 50)) < 0.9
    found = components(new, old)
    if found.ms_examples > found.ms_residual:
        found = Components(**{**vars(found), "ms_examples": found.ms_residual})

    over_seeds = paired(new.mean(axis=1), old.mean(axis=1))
    assert on_new_images(found) == pytest.approx(over_seeds.interval)


def test_it_is_wider_than_the_interval_over_seeds_where_examples_matter():
    random = np.random.default_rng(3)
    hard = random.random(400) < 0.2
    new, old = np.tile(~hard, (10, 1)), right(10, 400, random)
    low, high = on_new_images(components(new, old))
    over_seeds = paired(new.mean(axis=1), old.mean(axis=1)).interval

    assert low < over_seeds[0] < over_seeds[1] < high


def test_fewer_than_three_seeds_have_none_and_no_difference_has_no_width():
    same = np.ones((2, 9), dtype=bool)

    assert on_new_images(components(same, same)) is None
    assert on_new_images(components(same[:1], same[:1])) is None
    more = np.ones((3, 9), dtype=bool)
    assert on_new_images(components(more, more)) == (0.0, 0.0)


@pytest.mark.parametrize("seeds", [5, 10])
def test_nineteen_of_twenty_hold_the_difference_on_all_images(seeds):
    """Each trial has seeds and images of its own, of effects that cross; the truth is 0.05."""
    random, trials, examples = np.random.default_rng(seeds), 1_500, 60
    held, held_by_seeds = 0, 0
    for _ in range(trials):
        difference = (
            0.05
            + random.normal(0, 0.02, (seeds, 1))
            + random.normal(0, 0.3, examples)
            + random.normal(0, 0.4, (seeds, examples))
        )
        low, high = on_new_images(components(difference, np.zeros_like(difference)))
        held += low <= 0.05 <= high
        low, high = paired(difference.mean(axis=1), np.zeros(seeds)).interval
        held_by_seeds += low <= 0.05 <= high

    assert 0.93 <= held / trials <= 0.975
    assert held_by_seeds / trials < 0.9


def test_examples_of_a_group_count_as_one():
    """Copies of an example say nothing new: as a group they leave the interval as it was."""
    random = np.random.default_rng(5)
    new, old = right(6, 30, random, skill=0.5), right(6, 30, random)
    copies = np.repeat(np.arange(30), 4)
    once = components(new, old)
    grouped = components(new[:, copies], old[:, copies], copies)
    naive = components(new[:, copies], old[:, copies])

    assert grouped.examples == 30
    assert vars(grouped) == pytest.approx(vars(once))
    assert on_new_images(naive)[0] > on_new_images(once)[0]


def test_groups_of_any_size_hold_the_difference():
    random, trials, seeds = np.random.default_rng(6), 1_000, 8
    held = 0
    for _ in range(trials):
        groups = np.repeat(np.arange(50), random.integers(1, 9, 50))
        difference = (
            0.05
            + random.normal(0, 0.02, (seeds, 1))
            + random.normal(0, 0.3, 50)[groups]
            + random.normal(0, 0.3, (seeds, len(groups)))
        )
        low, high = on_new_images(components(difference, np.zeros_like(difference), groups))
        held += low <= 0.05 <= high

    assert 0.92 <= held / trials <= 0.98
