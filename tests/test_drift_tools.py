"""What `benchmarks.drift_tools` counts, by hand."""

import numpy as np
import pytest

from benchmarks import drift_tools


def test_an_alarm_goes_on_while_looks_alarm_and_a_week_begins_quietly():
    first = [True, True, False, True, False, False, False, True]
    second = [True, False, False, False, False, False, False, False]

    found = drift_tools.false_alarms([first, second], a_week=4)

    assert found["alarms_by_week"] == [2, 1, 1, 0]
    assert (found["weeks"], found["weeks_with_an_alarm"]) == (4, 3)
    assert (found["looks"], found["looks_that_alarm"]) == (16, 5)
    assert found["alarms_a_month"] == pytest.approx(4 / 28 * 30)


def test_a_changed_window_has_its_share_of_changed_inputs():
    random, inputs = np.random.default_rng(0), np.zeros((50, 1))
    of_all = drift_tools.changed(random, 500, 100, 1_000, (inputs, 1.0, None))
    of_some = drift_tools.changed(random, 10_000, 100, 1_000, (inputs, 0.1, None))

    assert ((of_all >= 1_000) & (of_all < 1_050)).all()
    assert np.mean(of_some >= 1_000) == pytest.approx(0.1, abs=0.02)
    assert of_some[of_some < 1_000].max() == 99


def test_a_report_that_differs_from_its_count_is_an_error():
    def found(whole: bool) -> dict:
        quick = {"day": {"alarms": [[True, False]], "seconds": 1.0}}
        return {
            ("count", "any"): quick,
            ("whole", "any"): {"day": {"alarms": [[whole]], "seconds": 2.0}},
        }

    same = found(True)
    drift_tools.compare(same)
    assert same["count", "any"]["day"]["seconds"] == 2.0
    with pytest.raises(ValueError, match="differ: any, day"):
        drift_tools.compare(found(False))
