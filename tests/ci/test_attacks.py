"""Attacks on the check: ways to a success that nobody measured, and ways to leave it waiting."""

import copy
import json

import pytest
from evidences import model, side
from github_server import repository
from trials import (
    BAD,
    BETTER,
    GOOD,
    IMPROVED,
    MEDIUM,
    REGRESSED,
    SCHEDULED,
    STRANGER,
    WORSE,
    begun,
    check,
    labelled,
)

from lab.base.errors import LabError
from lab.ci import checks
from lab.ci.checks import Standing

LOST = model("relu_128", BAD, GOOD)


# --- what a branch is measured by ----------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.5, "0.001"], ids=["larger", "unreadable"])
def test_a_branch_does_not_lower_its_own_bar(report, server, trials, margin):
    """Its run says what params.yaml says, or makes up what cannot be read there."""
    trials.measured({"relu_128": GOOD}, "good")
    trials.clones.push("trunk")
    sha = trials.measured({"relu_128": BAD}, "bad", margin=margin)

    report(trials.run(trials.proposed(), LOST, margin=0.5))

    assert server.conclusion(sha) == "failure"


def test_a_branch_does_not_choose_another_yardstick(report, server, trials):
    confident = side(0.90)
    losses = [0.01 * loss for loss in GOOD["test"]["loss"]]
    confident["test"] = {**confident["test"], "loss": losses}
    trials.measured({"relu_128": GOOD}, "good")
    trials.clones.push("trunk")
    sha = trials.measured({"relu_128": confident}, "confident", metric="loss")

    report(trials.run(trials.proposed(), model("relu_128", confident, GOOD), metric="loss"))

    assert server.conclusion(sha) == "failure"


def test_fewer_seeds_hide_no_regression(report, server, trials):
    """Nothing can be told by two, and a rule that requires the check takes neutral for passed."""
    report(trials.open(model("relu_128", side(0.90, seeds=range(2)), GOOD)))

    assert server.conclusion(server.pulls[0]["head"]["sha"]) == "failure"


def test_a_model_that_git_lacks_does_not_hide_what_git_knows_of_another(report, server, trials):
    sides = {"relu_128": GOOD, "linear_64": GOOD}
    trials.measured(sides, "good", unrecorded=["linear_64"])
    trials.clones.push("trunk")
    sha = trials.measured({**sides, "relu_128": BAD}, "bad", unrecorded=["linear_64"])
    made_up = model("relu_128", BAD, side(0.50))

    report(trials.run(trials.proposed(), made_up, model("linear_64", GOOD, GOOD)))

    assert server.conclusion(sha) == "failure"


def test_the_default_branchs_own_run_goes_before_stale_results_in_git(report, server, trials):
    base = trials.measured({"relu_128": BAD}, "better code, and the results of the old")
    trials.clones.push("trunk")
    sha = trials.measured({"relu_128": MEDIUM}, "medium")
    pull = trials.proposed()
    trials.run_pushed(base, model("relu_128", GOOD, GOOD))

    report(trials.run(pull, BETTER))

    assert server.conclusion(sha) == "failure"


def test_in_a_merge_queue_a_run_does_not_choose_the_easier_baseline(report, server, trials):
    """Of two entries, the second is compared with the first, though it is better than trunk."""
    trials.measured({"relu_128": BAD}, "bad")
    trials.clones.push("trunk")
    trials.measured({"relu_128": GOOD}, "first")
    server.add_pull(6, "c" * 40, base="trunk")
    trials.run_queued(trials.queued(number=6), model("relu_128", GOOD, BAD))
    sha = trials.measured({"relu_128": MEDIUM}, "second")
    server.add_pull(7, "d" * 40, head=STRANGER, base="trunk")

    report(trials.run_queued(trials.queued(number=7), BETTER))

    assert server.conclusion(sha) == "failure"


def test_many_runs_of_a_strangers_pull_request_hide_no_measurement(report, server, trials):
    event = trials.open(IMPROVED)
    (pull,) = server.pulls
    report(event)
    fork = {**pull, "head": {**pull["head"], "ref": "copy", "repo": repository("another", 3)}}
    for _ in range(21):
        trials.run(fork, archive=None)["workflow_run"]["conclusion"] = "cancelled"

    report(event)

    assert server.conclusion(pull["head"]["sha"]) == "success"


# --- who accepted what ---------------------------------------------------------------------------


def test_the_label_counts_for_the_base_that_it_was_set_on(report, step, server, trials):
    """The base takes in a part of the branch, and a run that nobody asked for measures the rest."""
    slightly_worse = side(0.9485)
    trials.measured({"relu_128": MEDIUM}, "medium")
    trials.clones.push("trunk")
    half = trials.measured({"relu_128": GOOD}, "good")
    sha = trials.measured({"relu_128": slightly_worse}, "slightly worse")
    pull = trials.proposed()
    step("begin", begun(server, pull))
    report(trials.run(pull, model("relu_128", slightly_worse, MEDIUM)))
    assert server.conclusion(sha) == "failure"
    report(labelled(server, pull))
    assert server.conclusion(sha) == "neutral"

    trials.clones.push("trunk", half)
    report(trials.run(pull, model("relu_128", slightly_worse, GOOD)))

    assert "−2.15 pp" in server.comments[0]["body"]
    assert server.conclusion(sha) == "failure"


def test_the_label_is_not_for_a_commit_that_its_pull_request_got_later(
    report, step, server, trials, stacked
):
    """It was measured in another pull request, whose run ends before `begin` of the push."""
    other = stacked(8, "trunk")
    sha = other["head"]["sha"]
    step("begin", begun(server, other))
    event = trials.run(other, WORSE)
    pull = server.add_pull(7, "e" * 40, "accepted", STRANGER, base="trunk")
    labelled(server, pull)
    other["state"] = "closed"
    pull["head"] = {**pull["head"], "sha": sha}
    trials.clones.push_pull(7)

    report(event)

    assert server.conclusion(sha) == "failure"


def test_a_stranger_does_not_undo_a_label(report, step, server, trials):
    """Anybody may open a pull request of somebody else's commit into the same branch."""
    event = trials.open(REGRESSED)
    (pull,) = server.pulls
    sha = pull["head"]["sha"]
    step("begin", begun(server, pull))
    report(event)
    report(labelled(server, pull))
    assert server.conclusion(sha) == "neutral"

    copied = trials.proposed(8, head=repository("another", 3))
    step("begin", begun(server, copied))
    copied["state"] = "closed"
    report(event)

    assert server.conclusion(sha) == "neutral"


def test_a_maintainer_whose_login_an_enterprise_manages_may_accept(report, step, server, trials):
    """Such a login has an underscore in it."""
    server.permissions["octo_corp"] = "admin"
    event = trials.open(REGRESSED)
    (pull,) = server.pulls
    step("begin", begun(server, pull))
    report(event)

    report(labelled(server, pull, "octo_corp"))

    assert server.conclusion(pull["head"]["sha"]) == "neutral"


# --- what changes meanwhile ----------------------------------------------------------------------


def test_a_pull_request_that_is_opened_while_runs_are_read_is_not_passed_over(
    report, step, server, trials, stacked
):
    """They are listed before; and the branch's own cml.yaml may start no run for this one."""
    pull = stacked(8, "own")
    sha = pull["head"]["sha"]
    step("begin", begun(server, pull))
    event = trials.run(pull, BETTER)

    def opened_and_begun():
        stacked(7, "trunk")
        found = check(server, sha)
        known = checks.parsed(found["external_id"])
        standings = {**known, 7: Standing.of("trunk", None, known[8].since)}
        found.update(status="in_progress", external_id=checks.written(standings))

    server.before["GET actions/workflows/cml.yaml/runs"] = opened_and_begun
    report(event)

    assert not server.before
    assert check(server, sha)["status"] == "in_progress"


def test_a_taking_back_that_github_refuses_is_made_up_for(
    report, step, server, trials, stacked, monkeypatch
):
    """As where the hour's requests are used up; the next hour looks at it again."""
    monkeypatch.setenv("GITHUB_REF_NAME", "trunk")
    pull = stacked(7, "own")
    sha = pull["head"]["sha"]
    report(trials.run(pull, BETTER))
    assert server.conclusion(sha) == "success"

    pull["base"] = {**pull["base"], "ref": "trunk"}
    event = begun(server, pull, "edited", base={"ref": {"from": "own"}})
    server.faults = [(".*", 403, False, "API rate limit exceeded for installation ID 1.")] * 200
    for name in ("begin", "lost"):
        with pytest.raises(LabError):
            step(name, event)
    server.faults = []
    step("sweep", SCHEDULED)

    assert server.conclusion(sha) == "failure"


def test_to_begin_costs_few_requests_where_a_commit_has_many_runs(step, server, trials):
    """All workflows of a repository share a thousand an hour."""
    trials.open(IMPROVED)
    (pull,) = server.pulls
    for _ in range(20):
        trials.run(pull, IMPROVED)
    event = begun(server, pull, "reopened")
    trials.run(pull, IMPROVED)
    server.requests.clear()

    step("begin", event)

    assert len(server.requests) < 100


def test_to_begin_with_a_commit_that_has_moved_on_is_no_failure(
    step, server, trials, stacked, capsys
):
    pull = stacked(7, "own")
    event = copy.deepcopy(begun(server, pull))
    trials.run(pull, BETTER)
    pull["head"] = {**pull["head"], "sha": "e" * 40}

    step("begin", event)

    assert "nothing to report" in capsys.readouterr().out


def test_to_begin_again_after_a_lost_report_does_not_wait_for_ever(
    report, step, server, trials, stacked
):
    """`lost` says: run its jobs again."""
    pull = stacked(7, "own")
    opened = begun(server, pull)
    step("lost", opened)
    report(trials.run(pull, BETTER))
    assert server.conclusion(pull["head"]["sha"]) == "success"

    step("begin", opened)

    assert server.conclusion(pull["head"]["sha"]) == "success"


def test_a_begin_that_is_lost_between_page_and_post_takes_no_report_away(
    step, server, trials, stacked
):
    pull = stacked(7, "own")
    step("begin", begun(server, pull))
    event = trials.run(pull, BETTER)
    step("page", event)
    step("lost", begun(server, pull))

    step("post", event)

    assert "▲ **Improved**" in server.comments[0]["body"]
    assert server.conclusion(pull["head"]["sha"]) == "success"


# --- what would stop the report, or leave it unsaid ----------------------------------------------


WITHOUT_MODELS = {
    "none": "compare: {metric: accuracy, margin: 0.001}\nmodels: {}\n",
    "damaged": "models: [\n",
    "no mapping": "[1]\n",
}


@pytest.mark.parametrize("params", WITHOUT_MODELS.values(), ids=WITHOUT_MODELS)
def test_a_renamed_model_that_params_do_not_name_is_answered(report, server, trials, params):
    trials.measured({"relu_128": GOOD}, "good")
    trials.clones.push("trunk")
    sha = trials.clones.commit("no models", {"params.yaml": params})
    ghost = model("ghost", None, GOOD, renamed_from="relu_128")

    report(trials.run(trials.proposed(), ghost))

    assert server.conclusion(sha) == "failure"
    assert "✕ **No report**" in server.comments[0]["body"]


@pytest.mark.parametrize("words", ["[skip ci]", "[no ci]"])
def test_a_commit_that_starts_no_run_gets_an_answer(step, server, trials, stacked, words):
    pull = stacked(7, "own")
    sha = trials.clones.commit(f"Correct a word {words}", {"README.md": "A word\n"})
    trials.clones.push_pull(7)
    pull["head"] = {**pull["head"], "sha": sha}

    step("begin", begun(server, pull, "synchronize"))

    assert server.conclusion(sha) == "failure"
    assert "GitHub starts no run" in server.comments[0]["body"]


def test_a_run_that_waits_for_approval_says_so(report, step, server, trials, stacked):
    pull = stacked(7, "own")
    step("begin", begun(server, pull))
    event = trials.run(pull, BETTER)
    event["workflow_run"]["conclusion"] = "action_required"

    report(event)

    assert check(server, pull["head"]["sha"])["status"] == "in_progress"
    assert "approval" in json.dumps(server.checks[0]["output"])
