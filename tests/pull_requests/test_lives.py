"""What becomes of pull requests, forks, runs and artifacts while a report is made, and after."""

import pytest
from github_server import repository

pytestmark = pytest.mark.slow


@pytest.fixture
def lost(forge):
    forge.push("change", "worse", forge.fork())
    forge.open(7, "change", fork="stranger")
    forge.settle()
    return forge


REGRESSED = "failure", "▼ **Regressed**: `relu_8`", "#7 into trunk: ▼ Regressed"
EQUIVALENT = "success", "= **Equivalent**", "#7 into trunk: = Equivalent"


def test_a_draft_gets_a_report(forge):
    forge.push("change", "worse")
    forge.open(7, "change", draft=True)
    forge.settle()

    forge.assert_says(7, *REGRESSED)


def test_the_job_that_measures_is_run_again(lost):
    lost.rerun(lost.last("cml"), only_job="train")
    lost.settle()

    lost.assert_says(7, *REGRESSED)


def test_another_job_is_run_again(forge):
    forge.variables["OFFER_RESULTS"] = "yes"
    forge.push("change", "worse_uncommitted")
    forge.open(7, "change")
    forge.settle()
    run = forge.last("cml")
    forge.rerun(run, only_job="offer")
    forge.settle()

    assert run.record["run_attempt"] == 2
    forge.assert_says(7, "failure", "✕ **Stale in git**", "#7 into trunk: ✕ Stale in git")


def test_while_a_run_is_run_again_the_old_report_stands(lost):
    lost.rerun(lost.last("cml"))

    lost.assert_says(7, *REGRESSED)


def test_closed_and_reopened(lost):
    lost.close(7)
    lost.settle()
    lost.reopen(7)
    lost.work("report")
    assert lost.check(7) in (None, "failure")

    lost.settle()
    lost.assert_says(7, *REGRESSED)


def test_closed_while_it_is_measured(forge):
    forge.push("change", "worse")
    forge.open(7, "change")
    forge.close(7)
    forge.settle()

    assert forge.check(7) != "success"
    assert forge.comment(7) is None
    assert "Nothing to report" in forge.last("report", "workflow_run").results["page"].summary


def test_a_fork_of_a_fork(forge):
    forge.push("change", "worse", forge.fork("second", of=forge.fork("first")))
    forge.open(7, "change", fork="second")
    forge.settle()

    forge.assert_says(7, *REGRESSED)


@pytest.mark.parametrize("when", ["cml", "report"])
@pytest.mark.parametrize(("commit", "said"), [("worse", REGRESSED), ("readme", EQUIVALENT)])
def test_a_fork_that_is_deleted_meanwhile(forge, when, commit, said):
    forge.push("change", commit, forge.fork())
    forge.open(7, "change", fork="stranger")
    forge.before[when, {"cml": "train", "report": "page"}[when]] = lambda: forge.delete_fork(
        "stranger"
    )
    forge.settle()

    forge.assert_says(7, *said)


@pytest.mark.parametrize("job", ["page", "post"])
def test_a_push_while_the_report_is_written(forge, job):
    forge.push("change", "readme")
    forge.open(7, "change")
    forge.before["report", job] = lambda: forge.push("change", "worse")
    forge.settle()

    forge.assert_says(7, *REGRESSED)


@pytest.mark.parametrize("job", ["page", "post"])
def test_another_base_while_the_report_is_written(forge, job):
    forge.push("stack", "worse")
    forge.push("change", "worse_readme")
    forge.open(7, "change", "stack")
    forge.before["report", job] = lambda: forge.retarget(7, "trunk")
    forge.settle()

    forge.assert_says(7, *REGRESSED)


@pytest.mark.parametrize("what", ["close", "push"])
def test_another_pull_request_of_the_commit_goes_while_the_report_is_written(forge, what):
    for branch, number in (("change", 7), ("same", 8)):
        forge.push(branch, "readme")
        forge.open(number, branch)
    gone = {"close": lambda: forge.close(8), "push": lambda: forge.push("same", "worse")}[what]
    for _ in range(2):
        forge.work("report")
        forge.work("cml")
    forge.before["report", "post"] = gone
    forge.settle()

    forge.assert_says(7, *EQUIVALENT)


def test_two_pushes_in_a_row(forge):
    forge.push("change", "readme")
    forge.open(7, "change")
    forge.push("change", "worse")
    forge.settle()

    runs = [run.record for run in forge.runs if run.workflow == "cml"]
    ended = [run["conclusion"] for run in runs if run["event"] == "pull_request"]
    assert ended == ["cancelled", "success"]
    forge.assert_says(7, *REGRESSED)


def test_a_run_that_was_cancelled_by_hand(forge):
    forge.push("change", "readme")
    forge.open(7, "change")
    forge.work("report")
    forge.cancel(forge.last("cml"))
    forge.settle()

    forge.assert_says(7, "failure", "✕ **No report**", "cancelled")


def test_an_artifact_that_has_expired(lost):
    lost.expire(lost.last("cml"))
    lost.label(7)
    lost.settle()

    lost.assert_says(7, "failure", "✕ **No report**", "too old")
    lost.rerun(lost.last("cml"))
    lost.settle()
    lost.assert_says(7, "neutral", "▼ **Regressed**", "Accepted by owner")


def test_a_private_repository(forge):
    forge.github.repository["private"] = True
    forge.push("change", "worse", forge.fork())
    forge.open(7, "change", fork="stranger")
    forge.settle()

    forge.assert_says(7, *REGRESSED)


def test_a_first_contribution_waits_for_approval(forge):
    forge.push("change", "worse", forge.fork())
    forge.open(7, "change", fork="stranger")
    run = forge.hold(forge.last("cml"))
    forge.settle()
    assert forge.check(7) is None
    assert "waits for a maintainer's approval" in forge.summary(7)

    forge.approve(run)
    forge.settle()
    forge.assert_says(7, *REGRESSED)


def test_a_repository_that_was_renamed_meanwhile(lost):
    """A fork's name may change; its id does not."""
    renamed = repository("stranger", 2, "another-name")
    lost.github.pull(7)["head"]["repo"] = renamed
    lost.rerun(lost.last("cml"))
    lost.settle()

    lost.assert_says(7, *REGRESSED)
