import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lab.verdict.comparison import (
    ModelDifference,
    Side,
    Verdict,
    difference,
    findings,
    holm,
    paired,
    welch,
)

MARGIN = 0.001
accuracies = st.floats(0.5, 1.0, allow_nan=False)
same_length_pairs = st.integers(3, 12).flatmap(
    lambda n: st.tuples(
        st.lists(accuracies, min_size=n, max_size=n), st.lists(accuracies, min_size=n, max_size=n)
    )
)


def side(values, first_seed=0):
    return Side(range(first_seed, first_seed + len(values)), list(values))


def only(candidate, baseline, margin=MARGIN):
    return findings([(side(candidate), side(baseline))], margin)[0]


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


def test_smallest_detectable_effect_worked_by_hand():
    # Ten pairs, sd of the differences 0.001: (2.262157 + 0.883404) * 0.001 / sqrt(10).
    spread = np.array([-1, 1] * 5) * 0.001 * math.sqrt(9 / 10)
    found = paired(0.97 + spread, np.full(10, 0.97))

    assert found.smallest_detectable == pytest.approx(3.145561e-3 / math.sqrt(10), rel=1e-5)


def test_smallest_detectable_effect_is_seen_four_times_out_of_five():
    random = np.random.default_rng(7)
    effect = (stats.t.ppf(0.975, 9) + stats.t.ppf(0.80, 9)) / math.sqrt(10)
    seen = [paired(random.normal(effect, 1, 10), np.zeros(10)).p_value < 0.05 for _ in range(4_000)]

    # The formula is an approximation (t in place of the non-central t): 0.80 to within 0.03.
    assert np.mean(seen) == pytest.approx(0.80, abs=0.03)


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


def test_holm_agrees_with_the_table_worked_by_hand():
    # Sorted: 0.005*4, then max(0.02, 0.01*3), max(0.03, 0.03*2), max(0.06, 0.04*1).
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = holm(p_values)

    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    ranks = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(ranks))


@given(same_length_pairs)
def test_swapping_the_sides_flips_the_sign(pair):
    there, back = only(*pair), only(*reversed(pair))
    low, high = there.difference.interval

    assert back.difference.estimate == -there.difference.estimate
    assert back.difference.interval == pytest.approx((-high, -low))
    assert back.p_holm == there.p_holm
    opposite = {Verdict.IMPROVED: Verdict.REGRESSED, Verdict.REGRESSED: Verdict.IMPROVED}
    assert back.verdict == opposite.get(there.verdict, there.verdict)


def test_same_seeds_in_another_order_are_paired_by_seed():
    found = difference(Side([2, 0, 1], [0.93, 0.91, 0.92]), Side([0, 1, 2], [0.90, 0.91, 0.92]))

    assert found.is_paired
    assert found.estimate == pytest.approx(0.01)
    assert found.correlation == pytest.approx(1.0)


def test_other_seeds_are_not_paired():
    assert not difference(side([0.9, 0.91, 0.93]), side([0.9, 0.91, 0.93], first_seed=5)).is_paired


WOBBLE = np.array([-1.0, 1.0] * 5)


@pytest.mark.parametrize(
    ("shift", "sd", "expected"),
    [
        (+0.0050, 0.0005, Verdict.IMPROVED),
        (-0.0050, 0.0005, Verdict.REGRESSED),
        (+0.0002, 0.0005, Verdict.EQUIVALENT),
        (+0.0009, 0.0005, Verdict.REAL_BUT_SMALL),
        (-0.0009, 0.0005, Verdict.REAL_BUT_SMALL),
        (+0.0005, 0.0030, Verdict.CANNOT_TELL),
        (0.0, 0.0, Verdict.EQUIVALENT),
        (0.01, 0.0, Verdict.IMPROVED),
    ],
)
def test_each_verdict(shift, sd, expected):
    assert only(0.97 + shift + sd * WOBBLE, np.full(10, 0.97)).verdict == expected


def test_fewer_than_three_seeds_get_no_interval_and_no_verdict():
    finding = only([0.99, 0.98], [0.90, 0.91])

    assert finding.verdict == Verdict.CANNOT_TELL
    assert finding.difference.interval is None
    assert finding.difference.p_value is None
    assert finding.p_holm is None
    assert finding.difference.estimate == pytest.approx(0.08)


def test_one_seed_against_many_gives_a_difference_only():
    found = difference(Side([0], [0.97]), side([0.96, 0.95, 0.94, 0.93]))

    assert found.estimate == pytest.approx(0.025)
    assert found.interval is None


def test_holm_runs_over_the_models_that_have_a_p_value():
    small = side(0.97 + 0.001 + 0.0016 * WOBBLE), side(np.full(10, 0.97))
    alone = findings([small], margin=0.0005)[0]
    among = findings([small, (side([0.9]), side([0.9])), small, small], margin=0.0005)

    assert alone.p_holm == alone.difference.p_value
    assert [one.p_holm for one in among] == pytest.approx(
        [3 * alone.p_holm, None, 3 * alone.p_holm, 3 * alone.p_holm]
    )


def test_a_model_that_was_not_trained_anew_does_not_make_the_others_harder_to_tell():
    moved = side(0.97 + 0.001 + 0.0016 * WOBBLE), side(np.full(10, 0.97))
    same = side(0.97 + 0.0016 * WOBBLE), side(0.97 + 0.0016 * WOBBLE)
    alone, (among, unchanged) = findings([moved], MARGIN)[0], findings([moved, same], MARGIN)

    assert among.p_holm == alone.p_holm
    assert unchanged.p_holm == 1.0
    assert unchanged.verdict == Verdict.EQUIVALENT


def test_gate_stops_regressions_and_missing_results_only():
    assert {verdict for verdict in Verdict if not verdict.passes} == {
        Verdict.REGRESSED,
        Verdict.MISSING,
    }


def test_sentence_names_both_sides_in_percentage_points():
    shown = ModelDifference.of("b", "a", only(0.975 + 0.0001 * WOBBLE, np.full(10, 0.97)))
    alone = ModelDifference.of("b", "a", only([0.98], [0.97]))

    assert shown.sentence() == "b - a: +0.50 pp [+0.49, +0.51], improved"
    assert alone.sentence() == "b - a: +1.00 pp (no interval: under 3 seeds), cannot tell"
