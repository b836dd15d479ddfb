"""What goes wrong is said: mistakes, settings, conflicts, refusals of GitHub."""

import pytest
from github_server import LOCKED, SECONDARY_LIMIT

pytestmark = pytest.mark.slow


def opened(forge, commit):
    forge.push("change", commit)
    forge.open(7, "change")
    forge.settle()
    return forge


def test_a_slip_in_params_is_carried_to_comment_and_check(forge):
    opened(forge, "slip")

    forge.assert_says(7, "failure", "✕ **No report**", "did you mean")
    assert "did you mean" in forge.comment(7)
    assert "lerning_rate" in forge.comment(7)
    assert "did you mean" in forge.last("cml").results["train"].summary


def test_settings_that_cannot_be_understood_are_said(forge):
    forge.variables |= {"DAGSHUB_REPO": "lab ", "RUNS_ON": "[lab", "OFFER_RESULTS": "perhaps"}
    opened(forge, "readme")

    forge.assert_says(7, "success", "= **Equivalent**", "#7 into trunk: = Equivalent")
    for name in forge.variables:
        assert f"{name}: " in forge.comment(7)
        assert f"{name}: " in forge.summary(7)


@pytest.mark.parametrize("value", ["lab", '"lab"', "[lab]", "lab, gpu"])
def test_a_machine_is_named_without_quotes(forge, value):
    forge.variables["RUNS_ON"] = value
    opened(forge, "readme")

    assert "lab" in forge.last("cml").results["plan"].outputs["runs-on"]
    forge.assert_says(7, "success", "= **Equivalent**", "#7 into trunk: = Equivalent")


def test_a_machine_of_ones_own_runs_no_bots_code(forge):
    forge.variables["RUNS_ON"] = "lab"
    forge.push("change", "readme")
    forge.open(7, "change")["user"]["login"] = "dependabot[bot]"
    forge.queue.clear()
    forge.close(7)
    forge.reopen(7)
    forge.settle()

    assert forge.last("cml").results["plan"].result == "skipped"
    assert forge.last("cml").results["train"].result == "success"


def test_conflicts_are_answered_and_their_end_is_reported(forge):
    forge.push("trunk", "better")
    opened(forge, "other")
    assert forge.github.pull(7)["mergeable"] is False
    assert forge.runs[-1].workflow == "report"
    forge.assert_says(7, "failure", "✕ **No report**", "#7 has conflicts with trunk")
    assert "make merge" in forge.comment(7)

    forge.push("change", "better_and_other")
    forge.settle()
    assert forge.check(7) in ("success", "neutral"), forge.comment(7)
    assert "`relu_8`" in forge.comment(7)


def test_conflicts_that_github_has_not_worked_out_yet(forge):
    forge.push("trunk", "better")
    forge.push("change", "other")
    forge.github.mergeable_after[7] = 3
    forge.open(7, "change")
    forge.settle()

    forge.assert_says(7, "failure", "✕ **No report**", "#7 has conflicts with trunk")


def test_a_locked_conversation_gets_its_check_and_summary(forge):
    forge.push("change", "worse")
    forge.open(7, "change", locked=True)
    forge.settle()

    forge.assert_says(7, "failure", "", "▼ Regressed: relu_8")
    assert forge.comment(7) is None
    report = forge.last("report", "workflow_run")
    assert "**Regressed**" in report.results["page"].summary
    assert LOCKED in report.results["post"].summary
    assert forge.details(7).endswith(f"/runs/{report.record['id']}")


def test_a_limit_of_requests_passes(forge):
    forge.push("change", "worse")
    forge.open(7, "change")
    limit = (403, False, SECONDARY_LIMIT)
    for request in ("GET pulls", "PATCH check-runs/1", "POST issues/7/comments"):
        forge.github.faults.append((request, *limit))
    forge.settle()

    forge.assert_says(7, "failure", "▼ **Regressed**", "▼ Regressed: relu_8")


def test_a_report_that_is_lost_is_said(forge):
    forge.push("change", "readme")
    forge.open(7, "change")
    forge.work("report")
    forge.github.faults += [("GET pulls", 502, False)] * 3
    forge.settle()
    assert forge.check(7) == "failure"
    assert "failed" in forge.summary(7)

    forge.rerun(forge.last("report"))
    forge.settle()
    forge.assert_says(7, "success", "= **Equivalent**", "#7 into trunk: = Equivalent")


def test_without_pictures_the_report_says_so(forge):
    forge.github.forbidden = ["POST git/.*"]
    opened(forge, "readme")

    forge.assert_says(7, "success", "= **Equivalent**", "#7 into trunk: = Equivalent")
    assert "The pictures are left out" in forge.comment(7)
