import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import same_length_pairs, sample

from lab.verdict.verdicts import Verdict, findings, holm

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
        (+0.0009, 0.0005, Verdict.REAL_BUT_SMALL),
        (-0.0009, 0.0005, Verdict.REAL_BUT_SMALL),
        (+0.0005, 0.0030, Verdict.CANNOT_TELL),
        (0.0, 0.0, Verdict.EQUIVALENT),
        (0.01, 0.0, Verdict.IMPROVED),
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
    assert unchanged.p_holm == 1.0
    assert unchanged.verdict == Verdict.EQUIVALENT
