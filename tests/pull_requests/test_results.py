"""Results: not committed, offered, of models that go or change their names."""

import pytest

pytestmark = pytest.mark.slow
SETTING = "Allow GitHub Actions to create and approve pull requests"


def opened(forge, commit, **more):
    forge.push("change", commit)
    forge.open(7, "change", **more)
    forge.settle()
    return forge


def test_results_that_git_lacks_do_not_pass(forge):
    opened(forge, "uncommitted")

    forge.assert_says(7, "failure", "✕ **Stale in git**", "#7 into trunk: ✕ Stale in git")


def test_a_loss_whose_results_git_lacks(forge):
    opened(forge, "worse_uncommitted")

    forge.assert_says(7, "failure", "✕ **Stale in git**", "#7 into trunk: ✕ Stale in git")
    assert "regressed" in forge.comment(7).partition("\n")[0].lower()


def test_results_that_the_base_lacks_are_not_the_branchs_fault(forge):
    forge.push("release", "uncommitted")
    opened(forge, "readme_on_uncommitted", base="release")

    assert forge.check(7) in ("success", "neutral"), forge.comment(7)
    assert "**Results were stale at the baseline already**" in forge.comment(7)


def test_results_are_offered(forge):
    forge.variables["OFFER_RESULTS"] = "yes"
    opened(forge, "uncommitted")

    forge.assert_says(7, "failure", "✕ **Stale in git**", "#7 into trunk: ✕ Stale in git")
    offered = forge.github.pulls[-1]
    assert (offered["head"]["ref"], offered["base"]["ref"]) == ("results-of-7", "change")
    assert {"dvc.lock"} < set(forge.changed("change", "results-of-7"))
    assert all(
        name == "dvc.lock" or name.startswith("metrics/")
        for name in forge.changed("change", "results-of-7")
    )

    forge.merge(offered["number"])
    forge.settle()
    assert forge.check(7) in ("success", "neutral"), forge.comment(7)


def test_results_that_may_not_be_offered_stop_no_report(forge):
    forge.variables["OFFER_RESULTS"] = "yes"
    forge.github.may_open_pulls = False
    opened(forge, "uncommitted")

    forge.assert_says(7, "failure", "✕ **Stale in git**", "#7 into trunk: ✕ Stale in git")
    assert SETTING in forge.last("cml").results["offer"].summary


@pytest.mark.parametrize(
    ("commit", "passes"), [("uncommitted", True), ("worse_uncommitted", False)]
)
def test_results_that_are_merged_are_measured(forge, commit, passes):
    forge.variables["OFFER_RESULTS"] = "merge"
    before = opened(forge, commit).workshop.commit(commit)

    assert forge.github.pull(7)["head"]["sha"] != before
    assert forge.last("cml").happened.name == "workflow_dispatch"
    assert (forge.check(7) in ("success", "neutral")) == passes, forge.comment(7)
    assert forge.check(7) is not None


def test_offers_say_no_word_that_silences_a_workflow(forge):
    forge.variables["OFFER_RESULTS"] = "yes"
    opened(forge, "uncommitted")

    assert "skip" not in forge.message("results-of-7")


def test_a_model_that_is_removed_does_not_pass(forge):
    opened(forge, "removed")

    assert forge.check(7) == "failure"
    assert "removed" in forge.comment(7).partition("\n")[0].lower()
    assert "`linear_4`" in forge.comment(7).partition("\n")[0]


def test_a_model_under_another_name(forge):
    opened(forge, "renamed")

    assert forge.check(7) == "success", forge.comment(7)
    assert "`relu_9`" in forge.comment(7)


@pytest.mark.parametrize("commit", ["renamed_worse", "renamed_silently"])
def test_a_model_under_another_name_that_is_worse(forge, commit):
    opened(forge, commit)

    line = forge.comment(7).partition("\n")[0]
    assert forge.check(7) == "failure", line
    assert "relu_8" in line or "relu_9" in line


def test_results_of_a_laptop_are_the_branchs_own(forge):
    opened(forge, "laptop")

    forge.assert_says(7, "success", "▲ **Improved**: `linear_4`", "#7 into trunk: ▲ Improved")
    assert "another machine made what git holds" in forge.comment(7)


def test_where_the_bases_results_are_of_a_laptop_both_sides_are_made_here(forge):
    forge.push("trunk", "laptop_trunk")
    forge.settle()
    opened(forge, "laptop_readme")

    forge.assert_says(7, "success", "= **Equivalent**", "#7 into trunk: = Equivalent")
