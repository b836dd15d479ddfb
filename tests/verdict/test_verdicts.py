import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import same_length_pairs, sample
from scipy import stats

from lab.verdict.differences import Sample
from lab.verdict.looks import at_look
from lab.verdict.verdicts import Verdict, confirmation_factor, findings, holm, is_open

MARGIN = 0.001
WOBBLE = np.array([-1.0, 1.0] * 5)


def only(candidate, baseline, margin=MARGIN):
    return findings([(sample(candidate), sample(baseline))], margin)[0]


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


@pytest.mark.parametrize(
    ("shift", "sd", "expected"),
    [
        (+0.0050, 0.0005, Verdict.IMPROVED),
        (-0.0050, 0.0005, Verdict.REGRESSED),
        (+0.0002, 0.0005, Verdict.EQUIVALENT),
        (+0.0005, 0.0005, Verdict.REAL_WITHIN),
        (-0.0005, 0.0005, Verdict.REAL_WITHIN),
        (+0.0009, 0.0005, Verdict.SIZE_UNCLEAR),
        (-0.0009, 0.0005, Verdict.SIZE_UNCLEAR),
        (+0.0005, 0.0030, Verdict.CANNOT_TELL),
        (0.0, 0.0, Verdict.EQUIVALENT),
        (0.01, 0.0, Verdict.IMPROVED),
        (0.0005, 0.0, Verdict.REAL_WITHIN),
    ],
)
def test_each_verdict(shift, sd, expected):
    assert only(0.97 + shift + sd * WOBBLE, np.full(10, 0.97)).verdict == expected


def test_of_a_loss_less_is_better_and_the_difference_stays_what_it_is():
    smaller = sample(0.3 - 0.01 + 0.0005 * WOBBLE), sample(np.full(10, 0.3))
    found, back = (
        findings([pair], MARGIN, higher_is_better=False)[0] for pair in (smaller, smaller[::-1])
    )

    assert found.verdict == Verdict.IMPROVED
    assert found.difference.estimate == pytest.approx(-0.01)
    assert back.verdict == Verdict.REGRESSED
    assert back.difference.estimate == pytest.approx(0.01)


@given(same_length_pairs)
def test_the_direction_turns_improved_and_regressed_around_and_nothing_else(pair):
    pairs = [(sample(pair[0]), sample(pair[1]))]
    more, less = (findings(pairs, MARGIN, higher_is_better=better)[0] for better in (True, False))

    assert less.difference == more.difference
    assert less.p_holm == more.p_holm
    opposite = {Verdict.IMPROVED: Verdict.REGRESSED, Verdict.REGRESSED: Verdict.IMPROVED}
    assert less.verdict == opposite.get(more.verdict, more.verdict)


def test_fewer_than_three_seeds_get_no_interval_and_no_verdict():
    finding = only([0.99, 0.98], [0.90, 0.91])

    assert finding.verdict == Verdict.CANNOT_TELL
    assert finding.difference.interval is None
    assert finding.difference.p_value is None
    assert finding.p_holm is None
    assert finding.difference.estimate == pytest.approx(0.08)


def test_holm_runs_over_the_models_that_have_a_p_value():
    small = sample(0.97 + 0.001 + 0.0016 * WOBBLE), sample(np.full(10, 0.97))
    alone = findings([small], margin=0.0005)[0]
    among = findings([small, (sample([0.9]), sample([0.9])), small, small], margin=0.0005)

    assert alone.p_holm == alone.difference.p_value
    assert [one.p_holm for one in among] == pytest.approx(
        [3 * alone.p_holm, None, 3 * alone.p_holm, 3 * alone.p_holm]
    )


def test_a_model_that_was_not_trained_anew_does_not_make_the_others_less_significant():
    moved = sample(0.97 + 0.001 + 0.0016 * WOBBLE), sample(np.full(10, 0.97))
    same = sample(0.97 + 0.0016 * WOBBLE), sample(0.97 + 0.0016 * WOBBLE)
    alone, (among, unchanged) = findings([moved], MARGIN)[0], findings([moved, same], MARGIN)

    assert among.p_holm == alone.p_holm
    assert unchanged.verdict == Verdict.EQUIVALENT
    assert unchanged.p_holm is None
    assert unchanged.p_equivalent is None
    assert unchanged.difference.minimum_detectable_effect is None


def test_equivalence_is_corrected_over_the_models_as_well():
    near = sample(0.97 + 0.0006 + 0.00045 * WOBBLE), sample(np.full(10, 0.97))
    alone, among = findings([near], MARGIN)[0], findings([near] * 3, MARGIN)[0]

    assert alone.p_equivalent == pytest.approx(alone.difference.p_equivalent(MARGIN))
    assert among.p_equivalent == pytest.approx(3 * alone.p_equivalent)
    assert alone.verdict == Verdict.REAL_WITHIN
    assert among.verdict == Verdict.SIZE_UNCLEAR


@pytest.mark.parametrize("models", [1, 5])
def test_of_differences_as_large_as_the_margin_one_report_in_twenty_calls_some_equivalent(models):
    random = np.random.default_rng(models)
    reports, seeds = 1_500, 5
    wrong = 0
    for _ in range(reports):
        differences = random.normal(MARGIN, 0.0003, (models, seeds))
        pairs = [(sample(one), sample(np.zeros(seeds))) for one in differences]
        said = {finding.verdict for finding in findings(pairs, MARGIN)}
        wrong += bool(said & {Verdict.EQUIVALENT, Verdict.REAL_WITHIN})

    # The one-sided tests have 2.5 % each, and Holm's correction shares that over the models.
    assert wrong <= stats.binom.ppf(0.9999, reports, 0.025)


@pytest.mark.parametrize(("models", "confirmation"), [(1, None), (2, None), (10, None), (3, 2)])
def test_the_minimum_detectable_effect_is_that_of_the_verdict(models, confirmation):
    """One model has the effect: it is found four times out of five beside models without."""
    random = np.random.default_rng(models)
    seeds, reports, baseline = 10, 1_200, sample(np.zeros(10))
    times = 1 if confirmation is None else confirmation * (confirmation + 1)
    level = 0.05 / models / times
    effect = (stats.t.ppf(1 - level / 2, 9) + stats.t.ppf(0.8, 9)) / math.sqrt(seeds)
    found = []
    for _ in range(reports):
        values = random.normal(0, 1, (models, seeds))
        values[0] += effect
        pairs = [(sample(one), baseline) for one in values]
        found.append(findings(pairs, margin=1e-9, confirmation=confirmation)[0])

    one = found[0].difference
    assert one.minimum_detectable_effect / one.error == pytest.approx(effect * math.sqrt(seeds))
    # A normal approximation to the noncentral t, which at small levels errs a little more.
    assert np.mean([each.p_holm < 0.05 for each in found]) == pytest.approx(0.80, abs=0.07)


def test_looks_adjust_p_the_interval_and_the_effect_alike():
    pair = sample(0.97 + 0.0012 + 0.0016 * WOBBLE), sample(np.full(10, 0.97))
    once, thrice = (findings([pair], 0.0005, looks=looks)[0] for looks in ((), (10, 20, 40)))

    assert once.p_holm == pytest.approx(0.051, abs=1e-4)
    assert once.p_holm < thrice.p_holm < 3 * once.p_holm
    width = thrice.difference.interval[1] - thrice.difference.interval[0]
    level = at_look(0.05, (10, 20, 40))
    half = stats.t.ppf(1 - level / 2, 9) * once.difference.error
    assert width == pytest.approx(2 * half)
    assert thrice.difference.minimum_detectable_effect == pytest.approx(
        half + stats.t.ppf(0.8, 9) * once.difference.error
    )
    assert thrice.difference.p_value == once.difference.p_value


def test_confirmations_together_err_no_more_often_than_one():
    factors = [confirmation_factor(number) for number in range(1, 100_001)]

    assert factors[:3] == [2, 6, 12]
    assert confirmation_factor(None) == 1
    assert 0.99998 < sum(1 / factor for factor in factors) < 1


@pytest.mark.parametrize(
    ("mean", "higher_is_better", "wanted"),
    [(-0.0009, True, True), (0.0009, True, False), (-0.0009, False, False), (0.0009, False, True)],
)
def test_a_loss_whose_size_is_unclear_is_open_and_a_gain_is_not(mean, higher_is_better, wanted):
    """It may be one that matters; nobody is let down by a gain of unclear size."""
    values = mean + 0.0005 * np.array([-1.0, 0, 1] * 4)
    pair = Sample(range(12), 0.9 + values), Sample(range(12), [0.9] * 12)
    (found,) = findings([pair], 0.001, higher_is_better=higher_is_better)

    assert found.verdict == Verdict.SIZE_UNCLEAR
    assert is_open(found, higher_is_better=higher_is_better) == wanted
