"""What passes, what a maintainer may accept, and which models are the best."""

import pytest
from evidences import data, evidence, made, model, on_seeds, shifted, side, trial

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
        (twice(0.97, 0.9705), "real, within the margin", True),
        (twice(0.97, 0.96), "improved", False),
        (twice(0.97, 0.98), "regressed", False),
        (twice(0.97, 0.98, seeds=[0, 1]), "cannot tell", True),
    ],
)
def test_results_in_git_are_their_code_s_unless_they_differ_really(given, verdict, passes):
    found = judge(made(given))

    assert found.models[0].reproduction.verdict == verdict
    assert found.models[0].verdict == ("equivalent" if passes else "not reproduced")
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


# --- other seeds ---------------------------------------------------------------------------------

LOOKS = {"looks": [10, 20, 40], "budget": 40}
FRESH = range(70_000, 70_010)


def fresh(new, old, names=("a", "a"), seeds=FRESH, **more):
    """A trial of one model on fresh seeds, whose means are these; the spreads do not go along."""
    candidate, baseline = on_seeds(new, 0.0003, seeds), on_seeds(old, 0.0003, seeds)
    values = baseline["test"]["accuracy"]
    values[: len(values) // 2] = values[1 : len(values) // 2 + 1]
    return trial({names[0]: candidate}, {names[1]: baseline}, kind="fresh", **more)


def pulled(given, run=1, **more):
    return judge(made(*given, **LOOKS, confirmation=run, **more))


def test_a_pull_request_is_judged_on_fresh_seeds_alone():
    worse = pulled([shifted(0.005, 0.0005, "a")], trial=fresh(0.965, 0.97))
    better = pulled([shifted(-0.005, 0.0005, "a")], trial=fresh(0.975, 0.97))

    assert worse.models[0].verdict == "regressed"
    assert better.models[0].verdict == "improved"
    assert list(better.models[0].samples[0].seeds) == list(FRESH)


def test_seeds_are_added_to_the_committed_ones_where_no_pull_request_is_judged():
    more = trial(
        {"a": on_seeds(0.97, 0.0003, range(20))}, {"a": on_seeds(0.9697, 0.0002, range(20))}
    )
    found = judge(made(shifted(0.0005, 0.003, "a"), **LOOKS, trial=more)).models[0]

    assert found.seeds == 20
    assert found.verdict == "real, within the margin"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"trial": trial({}, {}, kind="fresh")},
        {"trial": {**fresh(0.975, 0.97), "baseline": {}}},
        {"trial": trial({"a": on_seeds(0.975)}, {"a": on_seeds(0.97)})},
    ],
)
def test_what_changed_is_not_confirmed_without_fresh_seeds(given):
    models = [shifted(0.005, 0.0005, "a"), model("b", side(0.9), side(0.9))]
    found = pulled(models, **given)

    assert [one.verdict for one in found.models] == ["not confirmed", "equivalent"]
    assert not found.passes
    assert not found.is_acceptable


def test_where_no_pull_request_is_judged_nothing_has_to_be_confirmed():
    assert judge(made(shifted(0.005, 0.0005), **LOOKS)).passes


def test_the_best_models_have_to_be_confirmed_as_well():
    models = [model("old", baseline=side(0.97)), model("new", side(0.98))]
    known = pulled(models)
    confirmed = pulled(models, trial=fresh(0.96, 0.97, ("new", "old")))

    assert known.best.verdict == "not confirmed"
    assert confirmed.best.verdict == "regressed"
    assert list(confirmed.best.samples[0].seeds) == list(FRESH)


def test_a_renamed_model_is_confirmed_under_both_its_names():
    given = {**shifted(0.005, 0.0005, "wide"), "renamed_from": "narrow"}
    found = pulled([given], trial=fresh(0.975, 0.97, ("wide", "narrow")))

    assert found.models[0].verdict == "improved"


def test_each_run_of_a_pull_request_asks_for_more():
    shown = [
        pulled([shifted(0.0, 0.001, "a")], run, trial=fresh(0.9705, 0.97)).models[0].finding
        for run in (1, 2, 3)
    ]
    first, second, third = (one.p_holm for one in shown)

    assert second == pytest.approx(3 * first)
    assert third == pytest.approx(6 * first)
    assert len({one.difference.interval for one in shown}) == 1


def test_what_is_identical_is_so_with_two_seeds_too():
    two = side(seeds=[0, 1])
    found = judge(made(model("a", two, two), stages=[])).models[0]

    assert (found.verdict, found.words) == ("equivalent", "identical, not retrained")


def test_a_training_that_gives_the_same_is_not_said_not_to_have_been():
    ran = {"name": "train@a", "state": "ran", "reasons": []}
    found = judge(made(model("a", side(), side()), stages=[ran]))

    assert found.models[0].words == "identical results"


# --- the anchor ----------------------------------------------------------------------------------

ANCHOR = {"commit": "3" * 40, "name": "v1.2.0", "missing": None}


def anchored(shift, anchor, **more):
    given = {**shifted(shift, 0.0002, "a"), "anchor": anchor}
    return judge(made(given, anchor=ANCHOR, **more))


def test_what_leads_below_the_anchor_fails_although_it_is_near_the_baseline():
    """One step of many: each is within the margin of the last."""
    found = anchored(-0.0005, on_seeds(0.9715))

    assert found.models[0].finding.verdict == "real, within the margin"
    assert found.models[0].verdict == "below the anchor"
    assert not found.passes
    assert found.is_acceptable


@pytest.mark.parametrize(
    ("shift", "anchor", "verdict"),
    [
        (-0.0005, 0.9699, "real, within the margin"),  # near both
        (-0.0005, 0.96, "real, within the margin"),  # above the anchor
        (+0.005, 0.99, "improved"),  # below it, and less so than before
        (-0.005, 0.99, "regressed"),
    ],
)
def test_the_anchor_stops_what_goes_down_and_nothing_else(shift, anchor, verdict):
    assert anchored(shift, on_seeds(anchor)).models[0].verdict == verdict


def test_a_model_that_did_not_change_is_not_compared_with_the_anchor():
    given = {**model("a", side(), side()), "anchor": on_seeds(0.99)}
    found = judge(made(given, anchor=ANCHOR)).models[0]

    assert found.anchor is None
    assert found.verdict == "equivalent"


def test_an_anchor_that_is_the_baseline_says_nothing_twice():
    found = anchored(-0.005, on_seeds(0.97)).models[0]

    assert found.anchor is None
    assert found.verdict == "regressed"


def test_an_anchor_is_compared_on_the_seeds_that_it_has():
    """On the committed ones, or on the fresh ones where it was trained on these."""
    old, new = on_seeds(0.9715), on_seeds(0.9715, 0.0005, FRESH)
    more = {**LOOKS, "confirmation": 1, "trial": fresh(0.975, 0.9749)}
    committed, drawn = (anchored(-0.0005, anchor, **more).models[0] for anchor in (old, new))

    assert committed.anchor.difference.is_paired
    assert committed.anchor.difference.estimate == pytest.approx(-0.002)
    assert committed.verdict == "below the anchor"
    assert drawn.anchor.difference.is_paired
    assert drawn.anchor.difference.estimate == pytest.approx(0.0035)
    assert drawn.verdict == "equivalent"
