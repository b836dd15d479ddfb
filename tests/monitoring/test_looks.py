"""What a look finds, and how often it is wrong."""

import numpy as np
import pytest
from monitored import blobs, probabilities, reference
from scipy.stats import binomtest, ks_2samp

from lab.base.params import MonitorParams
from lab.monitoring.blocks import Block
from lab.monitoring.looks import (
    LARGEST_ALPHA,
    LENGTHS,
    MONTH_MS,
    STREAMS,
    accuracy_look,
    alpha_of,
    distances,
    exact_interval,
    look,
)
from lab.monitoring.watch import State, Watch
from lab.serving.reference import are_unlike
from lab.shifts.corruptions import corruptions
from lab.shifts.reference import BINS, counted


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return reference(tmp_path_factory.mktemp("reference"))


def block(usual, inputs: np.ndarray, start_ms: int = 0, end_ms: int = 1) -> Block:
    found, about = probabilities(inputs), usual.about
    return Block(
        records=len(inputs), start_ms=start_ms, end_ms=end_ms,
        counts_SB=counted(usual.bins(inputs)),
        unlike=int(are_unlike(about["ranges"], inputs, "grey image", []).sum()),
        predicted_C=np.bincount(found.argmax(axis=1), minlength=2),
        confident=int((found.max(axis=1) > about["confidence"]).sum()),
    )  # fmt: skip


def on(usual, inputs: np.ndarray, alpha: float = 1e-4, least: float = 0.05) -> dict[str, float]:
    return {one.name: one.distance for one in look(block(usual, inputs), usual, alpha, least).on}


# --- what may be spent ----------------------------------------------------------------------------


@pytest.mark.parametrize("every_ms", [50, 7_000, 3_000_000])
def test_a_month_of_looks_spends_no_more_than_its_budget(every_ms):
    spent, size = 0.0, 500
    looks = int(MONTH_MS / (every_ms * size))
    for length in LENGTHS:
        for number in range(looks // length):
            ends = number * length * size * every_ms, (number + 1) * length * size * every_ms
            spent += STREAMS * alpha_of(0.1, *ends, length * size)

    assert 0 < spent <= 0.1 * (1 + 1e-9)
    assert spent > 0.05 or looks < max(LENGTHS)


def test_a_clock_that_stands_still_leaves_something_and_a_year_not_too_much():
    assert 0 < alpha_of(0.1, 5, 5, 500) < 1e-8
    assert alpha_of(100, 0, 12 * MONTH_MS, 500) == LARGEST_ALPHA


def test_clean_weeks_alarm_no_more_often_than_is_said(usual):
    """Twenty a month are asked for, so that a few are seen; no least distance helps."""
    params = MonitorParams(window=100, false_alarms=20.0, least=1e-9)
    others = block_columns(usual, blobs(4_000, 9))
    random, alarms, weeks = np.random.default_rng(0), 0, 40
    for _ in range(weeks):
        watch = Watch(usual, params, State())
        for number in range(48):
            rows = random.integers(0, 4_000, params.window)
            ends = number * MONTH_MS // 200, (number + 1) * MONTH_MS // 200 - 1
            watch.take(drawn(others, rows, *ends))
        alarms += len(watch.state.alarms)

    asked = params.false_alarms * weeks * 48 / 200
    assert alarms <= asked + 3 * np.sqrt(asked)


def block_columns(usual, inputs):
    return usual.bins(inputs), probabilities(inputs).argmax(axis=1)


def drawn(columns, rows, start_ms: int, end_ms: int) -> Block:
    bins_SN, predicted = columns
    return Block(
        records=len(rows), start_ms=start_ms, end_ms=end_ms, counts_SB=counted(bins_SN[:, rows]),
        unlike=0, predicted_C=np.bincount(predicted[rows], minlength=2), confident=0,
    )  # fmt: skip


# --- what is found --------------------------------------------------------------------------------


def test_the_distance_is_that_of_scipy_up_to_the_width_of_a_bin(usual):
    ours, others = blobs(3_000, 1), blobs(700, 5) // 2
    found = distances(counted(usual.bins(others)), usual.counts_SB)

    for place, (one, other) in enumerate(
        zip(usual.values(ours), usual.values(others), strict=True)
    ):
        exact = ks_2samp(one, other).statistic
        assert exact - 1 / BINS - 1e-9 <= found[place] <= exact + 1e-9, usual.names[place]


def test_clean_inputs_alarm_nobody(usual):
    assert on(usual, blobs(500, 7)) == {}


@pytest.mark.parametrize(
    "name", [name for name in corruptions("grey image", [12, 12]) if "5 degrees" not in name]
)
def test_changed_inputs_alarm(usual, name):
    changed = corruptions("grey image", [12, 12])[name](blobs(500, 7), np.random.default_rng(0))

    assert on(usual, changed)


def test_what_concerns_too_few_alarms_nobody_however_sure_it_is(usual):
    inputs = blobs(40_000, 8)
    inputs[:3_200] //= 8

    assert on(usual, inputs, least=0.1) == {}
    assert "brightness" in on(usual, inputs, least=0.05)


def test_other_shares_of_classes_alarm_by_the_class(usual):
    inputs = blobs(3_000, 6)
    is_left = probabilities(inputs).argmax(axis=1) == 0
    chosen = np.concatenate([inputs[is_left][:420], inputs[~is_left][:80]])
    found = {one.name: one for one in look(block(usual, chosen), usual, 1e-4, 0.05).on}

    assert {"left", "right"} <= set(found)
    assert found["left"].now == pytest.approx(0.84)
    assert found["left"].usual == pytest.approx(0.5, abs=0.03)


def test_inputs_beyond_training_alarm(usual):
    assert "beyond training" in on(usual, np.full((100, 12, 12), 255, np.uint8))


def test_few_records_say_nothing(usual):
    assert look(block(usual, np.full((19, 12, 12), 255, np.uint8)), usual, 1e-4, 0.05).signals == []


@pytest.mark.parametrize(("right", "is_on"), [(95, False), (70, True), (100, False)])
def test_accuracy_alarms_when_it_falls_and_not_when_it_rises(usual, right, is_on):
    found = accuracy_look(right, 100, (0, 1), usual, 1e-3, 0.05)

    assert bool(found.on) is is_on


@pytest.mark.parametrize(("hits", "total"), [(0, 5), (3, 20), (20, 20), (977, 1_000)])
def test_the_interval_is_that_of_scipy(hits, total):
    exact = binomtest(hits, total).proportion_ci(method="exact")

    assert exact_interval(hits, total) == pytest.approx((exact.low, exact.high))
