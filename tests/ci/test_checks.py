"""The check run of a commit, and the ids by which it is known."""

from datetime import UTC, datetime, timedelta

import pytest
from reporting import SHA

from lab.ci import checks
from lab.ci.checks import Standing

SINCE, BASE = datetime(2026, 11, 21, 10, tzinfo=UTC), "a" * 40
STANDINGS = {7: Standing.of("trunk", BASE, SINCE), 8: Standing.of("own", None, SINCE)}


def set_(api, state, own=None):
    own = checks.of_commit(api, SHA).own if own is None else own
    checks.set_(api, SHA, own, state, STANDINGS, "title", "summary", None)


def test_an_id_remembers_where_pull_requests_stand():
    text = checks.written(STANDINGS)

    assert text == f"fair-trial 7:{STANDINGS[7].branch}:aaaaaaaaaaaa:1795255200 " + (
        f"8:{STANDINGS[8].branch}:-:1795255200"
    )
    assert checks.parsed(text) == STANDINGS
    assert len(checks.written(dict.fromkeys(range(10**6, 10**6 + 10), STANDINGS[7]))) < 500


def test_another_branch_or_base_is_another_standing():
    known = Standing.of("trunk", BASE, SINCE)

    assert known.is_of(Standing.of("trunk", BASE, SINCE + timedelta(1)))
    assert known.is_of(Standing.of("trunk", None, SINCE))  # nobody looked yet
    assert not known.is_of(Standing.of("other", BASE, SINCE))
    assert not known.is_of(Standing.of("trunk", "b" * 40, SINCE))


@pytest.mark.parametrize(
    "text",
    [None, "", "fair-trial yesterday", "a 7:01234567:-:0", "\x00", "fair-trial 7:01234567:-:0 x"],
)
def test_another_id_is_none_of_ours(text):
    assert checks.parsed(text) is None


def test_a_commit_has_one_check_that_is_edited(api, server):
    for state in ("pending", "failure", "pending", "success"):
        set_(api, state)
        assert checks.of_commit(api, SHA).is_pending == (state == "pending")

    (one,) = server.checks
    assert (one["status"], one["conclusion"]) == ("completed", "success")
    assert (one["output"]["title"], one["external_id"]) == ("title", checks.written(STANDINGS))


def test_all_checks_of_ours_are_edited_and_no_other(api, server):
    server.add_job_check(SHA, checks.NAME, "success")
    set_(api, "success", own=[])
    set_(api, "success", own=[])

    seen = checks.of_commit(api, SHA)
    assert (list(seen.own), len(seen.others)) == ([3, 2], 1)
    set_(api, "failure")

    assert [one["conclusion"] for one in server.checks] == ["success", "failure", "failure"]


def test_the_worst_of_several_counts():
    assert checks.worst(["success", "neutral"]) == "neutral"
    assert checks.worst(["success", "pending", "neutral"]) == "pending"
    assert checks.worst(["pending", "failure"]) == "failure"
    assert checks.worst([]) == "failure"


def test_a_newer_check_of_anothers_does_not_stand_above_ours(api, server):
    set_(api, "pending")
    server.add_job_check(SHA, checks.NAME, "success")

    for _ in range(2):
        set_(api, "failure")
        assert server.conclusion(SHA) == "failure"

    assert len(server.checks) == 3  # and no more with each report
