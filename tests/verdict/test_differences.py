import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import accuracies, same_length_pairs, sample
from scipy import stats

from lab.verdict.differences import Sample, difference, paired, seeds_needed, welch

# Student's sleep data (Student 1908, table I): extra hours of sleep under two drugs, ten patients.
DRUG_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
DRUG_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_paired_gives_the_book_values_of_students_sleep_data():
    found = paired(DRUG_2, DRUG_1)

    assert found.estimate == pytest.approx(1.58)
    assert found.p_value == pytest.approx(0.00283, abs=5e-6)
    assert found.interval == pytest.approx((0.7001, 2.4599), abs=5e-5)


def test_welch_gives_the_book_values_of_students_sleep_data():
    found = welch(DRUG_2, DRUG_1)

    assert found.p_value == pytest.approx(0.07939, abs=5e-6)
    assert found.interval == pytest.approx((-0.2055, 3.3655), abs=5e-5)


@given(same_length_pairs)
def test_paired_agrees_with_scipy(pair):
    candidate, baseline = map(np.array, pair)
    if np.std(candidate - baseline) < 1e-6:
        return
    found, reference = paired(candidate, baseline), stats.ttest_rel(candidate, baseline)

    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-6, abs=1e-12)
    assert found.interval == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-6)


@given(
    st.lists(accuracies, min_size=3, max_size=9, unique=True),
    st.lists(accuracies, min_size=3, max_size=9, unique=True),
)
def test_welch_agrees_with_scipy(candidate, baseline):
    if min(np.std(candidate), np.std(baseline)) < 1e-6:
        return
    found = welch(np.array(candidate), np.array(baseline))
    reference = stats.ttest_ind(candidate, baseline, equal_var=False)

    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-6, abs=1e-12)
    assert found.interval == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-6)


def test_minimum_detectable_effect_worked_by_hand():
    # Ten pairs, sd of the differences 0.001: (2.262157 + 0.883404) * 0.001 / sqrt(10).
    spread = np.array([-1, 1] * 5) * 0.001 * math.sqrt(9 / 10)
    found = paired(0.97 + spread, np.full(10, 0.97))

    assert found.minimum_detectable_effect == pytest.approx(3.145561e-3 / math.sqrt(10), rel=1e-5)


def test_minimum_detectable_effect_is_found_four_times_out_of_five():
    random = np.random.default_rng(7)
    effect = (stats.t.ppf(0.975, 9) + stats.t.ppf(0.80, 9)) / math.sqrt(10)
    p_values = [paired(random.normal(effect, 1, 10), np.zeros(10)).p_value for _ in range(4_000)]

    # The formula is an approximation (t in place of the non-central t): 0.80 to within 0.03.
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.80, abs=0.03)


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
@pytest.mark.parametrize("method", [paired, welch])
def test_no_difference_is_called_one_in_twenty_times(method, seeds):
    random = np.random.default_rng(seeds)
    trials = 4_000
    found = [method(*random.normal(0.97, 0.001, (2, seeds))) for _ in range(trials)]
    false_alarms = sum(f.p_value < 0.05 for f in found)
    covered = sum(f.interval[0] <= 0 <= f.interval[1] for f in found)

    low, high = stats.binom.interval(0.9999, trials, 0.05)
    assert false_alarms + covered == trials
    # Welch at three seeds is known to be conservative, hence no lower bound for it there.
    assert false_alarms <= high
    assert false_alarms >= low or (method is welch and seeds == 3)


def test_same_seeds_in_another_order_are_paired_by_seed():
    found = difference(Sample([2, 0, 1], [0.93, 0.91, 0.92]), Sample([0, 1, 2], [0.90, 0.91, 0.92]))

    assert found.is_paired
    assert found.estimate == pytest.approx(0.01)
    assert found.correlation == pytest.approx(1.0)


def test_other_seeds_are_not_paired():
    assert not difference(
        sample([0.9, 0.91, 0.93]), sample([0.9, 0.91, 0.93], first_seed=5)
    ).is_paired


def test_seeds_of_one_side_among_the_other_s_are_compared_in_pairs():
    many, few = sample([0.9, 0.91, 0.93, 0.95, 0.99]), Sample([3, 0, 1], [0.94, 0.9, 0.9])
    there, back = difference(many, few), difference(few, many)

    expected = paired(np.array([0.9, 0.91, 0.95]), np.array([0.9, 0.9, 0.94]))
    assert there.is_paired
    assert there.estimate == pytest.approx(expected.estimate)
    assert there.interval == pytest.approx(expected.interval)
    assert there.degrees == 2
    assert back.estimate == -there.estimate


def test_two_common_seeds_are_no_pairs_to_test():
    assert not difference(sample([0.9, 0.91, 0.93]), sample([0.9, 0.91])).is_paired
    assert difference(sample([0.9, 0.91]), sample([0.9, 0.91])).is_paired


def test_seeds_that_overlap_are_not_paired():
    assert not difference(sample([0.9] * 4), sample([0.9] * 4, first_seed=1)).is_paired


@given(same_length_pairs, st.floats(0.001, 0.999))
def test_the_interval_at_a_level_excludes_zero_when_p_is_below_it(pair, level):
    found = paired(*map(np.array, pair))
    low, high = found.interval_at(level)
    if abs(found.p_value - level) > 1e-9 and found.error > 1e-6:
        assert (low > 0 or high < 0) == (found.p_value < level)


@given(same_length_pairs, st.floats(0.001, 0.2))
def test_equivalence_is_two_one_sided_tests(pair, margin):
    candidate, baseline = map(np.array, pair)
    if np.std(candidate - baseline) < 1e-6:
        return
    found = paired(candidate, baseline)
    larger = max(
        stats.ttest_1samp(candidate - baseline, -margin, alternative="greater").pvalue,
        stats.ttest_1samp(candidate - baseline, margin, alternative="less").pvalue,
    )
    low, high = found.interval

    assert found.p_equivalent(margin) == pytest.approx(min(1, 2 * larger), rel=1e-6, abs=1e-12)
    assert (found.p_equivalent(margin) < 0.05) == (-margin < low and high < margin)


def test_differences_without_spread_are_equivalent_or_are_not():
    same, other = np.full(5, 0.97), np.full(5, 0.98)

    assert paired(same, same).is_identical
    assert paired(other, same).p_equivalent(0.02) == 0
    assert paired(other, same).p_equivalent(0.005) == 1


@given(st.floats(0.01, 3), st.floats(0.001, 0.1))
def test_seeds_needed_are_the_first_whose_detectable_effect_is_small_enough(deviation, level):
    """Found by trying one number after the other; the effect is 1."""
    needed = next(
        seeds
        for seeds in range(3, 10_000)
        if (stats.t.ppf(1 - level / 2, seeds - 1) + stats.t.ppf(0.8, seeds - 1)) * deviation
        <= seeds**0.5
    )

    assert seeds_needed(deviation, 1.0, level) == needed


def test_seeds_needed_of_an_effect_next_to_nothing_are_a_number_all_the_same():
    assert seeds_needed(1.0, 1e-300) > 10**12


def test_one_seed_against_many_gives_a_difference_only():
    found = difference(Sample([0], [0.97]), sample([0.96, 0.95, 0.94, 0.93]))

    assert found.estimate == pytest.approx(0.025)
    assert found.interval is None
