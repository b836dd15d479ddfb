"""What a report means for production: the two chosen models, by whatever names."""

import pytest
from evidences import data, made, model, shifted, side
from promotions import DIGEST, step

from lab.registry.candidate import Candidate
from lab.registry.decision import decided
from lab.report.judgement import judge

COMMIT = "1" * 40


def candidate(name="relu_128", parameters=101_770) -> Candidate:
    return Candidate(COMMIT, name, DIGEST, parameters, {"model": DIGEST}, {})


def found(*models, new="relu_128", old="relu_128", parameters=101_770, **more):
    return decided(
        judge(made(*models, **more)), candidate(new, parameters), step(COMMIT, model=old)
    )


def test_the_first_is_better_than_nothing():
    decision = decided(judge(made(shifted(0.0))), candidate(), None)
    assert (decision.is_better, decision.why) == (True, "nothing was before")


@pytest.mark.parametrize(
    ("shift", "parameters", "is_better", "why"),
    [
        (0.005, 200_000, True, "relu_128: improved"),
        (-0.005, 10, False, "relu_128: regressed"),
        (0.0, 101_769, True, "cheaper (101,769 parameters, 101,770 before)"),
        (0.0, 101_770, False, "no cheaper (101,770 parameters, 101,770 before)"),
        (0.0004, 10, True, "relu_128: real, within the margin, cheaper"),
        (-0.0004, 10, True, "relu_128: real, within the margin, cheaper"),
        (0.0004, 200_000, False, "no cheaper"),
    ],
)
def test_one_model_against_itself(shift, parameters, is_better, why):
    decision = found(shifted(shift, 0.00002), parameters=parameters)

    assert decision.is_better is is_better, decision.why
    assert why in decision.why
    assert decision.line


def test_nothing_else_may_be_worse():
    other = shifted(-0.005, 0.0005, "other")
    decision = found(shifted(0.005, 0.0005), other)

    assert (decision.is_better, decision.why) == (False, "other: regressed")
    gone = model("gone", baseline=side(0.9))
    assert found(shifted(0.005, 0.0005), gone).is_better  # it is not in production


def test_two_best_models_are_compared_with_each_other():
    old, new = model("old", side(0.95), side(0.95)), model("new", side(0.97))
    assert found(old, new, new="new", old="old").why == "new: improved"
    renamed = {**shifted(0.005, 0.0005, "wide"), "renamed_from": "narrow"}
    assert found(renamed, new="wide", old="narrow").why == "wide: improved"


def test_what_the_report_does_not_compare_is_no_reason():
    decision = found(shifted(0.005, 0.0005), new="relu_128", old="another")
    assert (decision.is_better, decision.why) == (False, "relu_128: not comparable")
    decision = found(shifted(0.005, 0.0005), baseline_data=data(test="d"))
    assert not decision.is_better
