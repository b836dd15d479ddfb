"""One commit and several bases: each pull request is measured against its own."""

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def stacked(forge):
    """A typo on top of a loss: it loses nothing against `stack`, and much against trunk."""
    forge.push("stack", "worse")
    forge.push("change", "worse_readme")
    return forge


def test_one_commit_in_two_pull_requests_says_the_worst(stacked):
    stacked.open(7, "change", "stack")
    stacked.settle()
    stacked.assert_says(7, "success", "= **Equivalent**", "#7 into stack: = Equivalent")
    assert "where it left `stack`" in stacked.comment(7)

    stacked.open(8, "change")
    stacked.settle()

    stacked.assert_says(7, "failure", "= **Equivalent**", "#7 into stack: = Equivalent")
    stacked.assert_says(8, "failure", "▼ **Regressed**", "#8 into trunk: ▼ Regressed")


def test_the_same_from_two_forks(stacked):
    for login, number, base in (("one", 7, "stack"), ("two", 8, "trunk")):
        stacked.push("change", "worse_readme", stacked.fork(login))
        stacked.open(number, "change", base, fork=login)
        stacked.settle()

    stacked.assert_says(7, "failure", "= **Equivalent**", "#8 into trunk: ▼ Regressed")
    stacked.assert_says(8, "failure", "▼ **Regressed**", "#7 into stack: = Equivalent")


def test_when_the_failing_one_is_closed_the_other_may_pass_again(stacked):
    stacked.open(7, "change", "stack")
    stacked.open(8, "change")
    stacked.settle()
    stacked.close(8)
    stacked.rerun(stacked.last(event="pull_request"))
    stacked.settle()

    stacked.assert_says(7, "success", "= **Equivalent**", "#7 into stack: = Equivalent")


def test_another_base_takes_the_success_back_at_once(stacked):
    stacked.open(7, "change", "stack")
    stacked.settle()
    stacked.retarget(7, "trunk")
    stacked.work("report")
    stacked.assert_says(7, None, "… **No report yet**", "#7 into trunk")

    stacked.settle()
    stacked.assert_says(7, "failure", "▼ **Regressed**", "#7 into trunk: ▼ Regressed")


def test_where_a_check_cannot_be_taken_back_it_fails_meanwhile(stacked):
    stacked.github.reopens_checks = False
    stacked.open(7, "change", "stack")
    stacked.settle()
    stacked.retarget(7, "trunk")
    stacked.work("report")
    assert stacked.check(7) == "failure"

    stacked.settle()
    stacked.assert_says(7, "failure", "▼ **Regressed**", "#7 into trunk: ▼ Regressed")


def test_another_base_that_loses_nothing(stacked):
    stacked.open(7, "change")
    stacked.settle()
    stacked.retarget(7, "stack")
    stacked.settle()

    stacked.assert_says(7, "success", "= **Equivalent**", "#7 into stack: = Equivalent")


def test_a_base_that_changed_without_an_event_is_found_by_the_next_push(stacked):
    stacked.open(7, "change", "stack")
    stacked.settle()
    stacked.push("trunk", "readme")
    stacked.retarget(7, "trunk", is_told=False)
    stacked.settle()
    assert stacked.check(7) == "failure"
    assert "no run measured it against trunk" in stacked.summary(7)

    stacked.close(7)
    stacked.reopen(7)
    stacked.settle()
    stacked.assert_says(7, "failure", "▼ **Regressed**", "#7 into trunk: ▼ Regressed")


def test_a_loss_behind_a_base_that_was_merged(stacked):
    """The base had been accepted; what is stacked on it loses nothing more."""
    stacked.open(6, "stack")
    stacked.open(7, "change", "stack")
    stacked.settle()
    stacked.merge(6)
    stacked.retarget(7, "trunk")
    stacked.settle()

    stacked.assert_says(7, "success", "= **Equivalent**", "#7 into trunk: = Equivalent")


def test_another_title_changes_nothing(stacked):
    stacked.open(7, "change", "stack")
    stacked.settle()
    before = stacked.comment(7), len(stacked.github.requests)
    stacked.rename(7, "Another title")
    stacked.settle()

    assert stacked.last("cml").record["conclusion"] == "skipped"
    assert (stacked.comment(7), len(stacked.github.requests)) == before
    stacked.assert_says(7, "success", "= **Equivalent**", "#7 into stack")


def test_a_push_to_the_default_branch_saves_the_cache(forge):
    forge.push("change", "better")
    forge.settle()
    assert forge.last("cml").record["conclusion"] == "skipped"
    assert list(forge.caches) == ["dvc-saved"]

    forge.push("trunk", "better")
    forge.settle()
    assert forge.last("cml").record["conclusion"] == "success"
