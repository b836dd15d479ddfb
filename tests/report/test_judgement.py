"""What passes, what a maintainer may accept, and which models are the best."""

import pytest
from evidences import data, evidence, made, model, shifted, side

from lab.evidence.schema import Evidence
from lab.report.judgement import judge
from lab.verdict.verdicts import holm


def ordered(given, *names) -> Evidence:
    """The evidence with the baseline's models in this order."""
    return Evidence.model_validate({**given, "baseline": {**given["baseline"], "models": [*names]}})


def test_the_same_best_model_is_not_compared_with_itself():
    assert judge(made(shifted(0.005), shifted(0.0, name="worse"))).best is None
    renamed = {**shifted(0.0, name="wide"), "renamed_from": "narrow"}
    assert judge(made(renamed)).best is None


def test_the_best_is_chosen_by_validation_alone():
    """The candidate's best by test is the baseline's."""
    old, new = side(0.97), side(0.96)
    new["test"] = side(0.9)["test"]
    found = judge(made(model("old", {**old, "validation": side(0.95)["validation"]}, old),
                       model("new", new)))  # fmt: skip

    assert (found.best.model.name, found.best.before.name) == ("new", "old")
    assert found.best.verdict == "regressed"
    assert [one.verdict for one in found.models] == ["equivalent", "new"]
    assert not found.passes
    assert found.is_acceptable


def test_less_may_be_better():
    """By loss, which is 2 - 2 accuracies here."""
    given = made(
        model("a", side(0.96), side(0.98)), model("b", side(0.97), side(0.97)), metric="loss"
    )
    found = judge(given)

    assert (found.best.model.name, found.best.before.name) == ("b", "a")
    assert found.best.verdict == "regressed"


def test_among_equals_the_first_of_each_params_yaml_is_the_best():
    gone, kept = model("gone", baseline=side()), model("kept", side(), side())
    given = evidence(kept, gone)

    assert judge(ordered(given, "gone", "kept")).best.before.name == "gone"
    assert judge(ordered(given, "kept", "gone")).best is None
    assert judge(ordered(given)).best is None
    old = {**model("new", side(), side()), "renamed_from": "kept"}
    assert judge(ordered(evidence(old, gone), "gone", "kept")).best.before.name == "gone"
    assert judge(ordered(evidence(old, gone), "kept", "gone")).best is None


def test_the_best_models_belong_to_the_same_family_of_tests():
    one = shifted(0.0005, 0.001, "one")
    best = model("best", baseline=side(0.975, sd=0.002))
    found = judge(made(one, best))
    differences = [found.best.finding.difference, found.models[0].finding.difference]

    assert [found.best.finding.p_holm, found.models[0].finding.p_holm] == holm(
        [each.p_value for each in differences]
    )


@pytest.mark.parametrize(
    "given",
    [
        {**model("new", side(0.99)), "stale": ["train@new: never ran"]},
        model("new", None, candidate_missing="lost"),
    ],
)
def test_nothing_is_said_of_a_best_model_that_is_not_known(given):
    found = judge(made(given, model("old", baseline=side())))

    assert found.best is None
    assert not found.passes
    assert not found.is_acceptable


def test_a_new_model_with_stale_results_is_stale():
    found = judge(made(shifted(0.0), {**model("new", side()), "stale": ["train@new: never ran"]}))

    assert [one.verdict for one in found.models] == ["equivalent", "stale"]


def test_new_models_on_another_test_set_do_not_pass():
    found = judge(made(model("new", side()), candidate_data=data(test="e")))

    assert found.refusal
    assert not found.passes
    assert not found.is_acceptable


# --- the results in git --------------------------------------------------------------------------


def twice(here: float, there: float, sd=0.0005, seeds=range(10), **more):
    held = {**side(there, sd, seeds), "curve": None, "cost": None}
    return model("a", side(here, sd, seeds), side(here, sd, seeds), committed=held, **more)


@pytest.mark.parametrize(
    ("given", "verdict", "passes"),
    [
        (twice(0.97, 0.97), "equivalent", True),
        (twice(0.97, 0.9705), "equivalent", True),
        (twice(0.97, 0.96), "improved", False),
        (twice(0.97, 0.98), "regressed", False),
        (twice(0.97, 0.98, seeds=[0, 1]), "cannot tell", True),
    ],
)
def test_results_in_git_are_their_code_s_unless_they_differ_really(given, verdict, passes):
    found = judge(made(given))

    assert found.models[0].reproduction.verdict == verdict
    usual = "cannot tell" if verdict == "cannot tell" else "equivalent"
    assert found.models[0].verdict == (usual if passes else "not reproduced")
    assert found.passes == passes
    assert not found.is_acceptable


def test_what_another_machine_made_of_a_new_model_is_reproduced_as_well():
    given = {**twice(0.97, 0.98), "baseline": None}

    assert judge(made(given)).models[0].verdict == "not reproduced"


def test_reproductions_are_a_family_of_their_own():
    """However many models changed, no difference of theirs hides one from git."""
    found = judge(made(twice(0.97, 0.98), shifted(0.001, 0.002, "b"), shifted(0.001, 0.002, "c")))
    one = found.models[0].reproduction

    assert one.p_holm == one.difference.p_value


def test_a_reproduction_says_nothing_without_the_judged_score():
    given = twice(0.97, 0.98)
    given["committed"]["test"] = {"loss": [0.1] * 10}
    found = judge(made(given))

    assert found.models[0].reproduction is None
    assert found.passes


def test_stale_results_in_git_pass_in_no_case_and_no_label_accepts_them():
    for shift in (0.0, 0.005, -0.005):
        given = evidence(shifted(shift))
        given["candidate"] = {**given["candidate"], "committed_stale": ["train@a: x 1 → 2"]}
        found = judge(Evidence.model_validate(given))
        assert not found.passes
        assert not found.is_acceptable


def test_stale_results_of_the_baseline_are_nobody_s_fault_here():
    given = evidence(shifted(0.0))
    given["candidate"] = {**given["candidate"], "inherited_stale": ["train@a: x 1 → 2"]}

    assert judge(Evidence.model_validate(given)).passes


def test_a_loss_beside_something_unknown_cannot_be_accepted():
    lost = model("lost", None, side(), candidate_missing="it is missing")

    assert judge(made(shifted(-0.005))).is_acceptable
    assert not judge(made(shifted(-0.005), lost)).is_acceptable
    assert not judge(made(shifted(0.0))).is_acceptable  # there is nothing to accept
    assert not judge(made(shifted(-0.005), twice(0.97, 0.99))).is_acceptable
