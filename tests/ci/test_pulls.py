"""Which pull request a run belongs to, whatever strangers call their branches and forks."""

import pytest
from github_server import repository
from pull_requests import FORK, SHA, the_run

from lab.ci import pulls
from lab.ci.pulls import NothingToReportError


def test_the_pull_request_of_a_fork_is_found(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)

    assert pulls.find(api, the_run(server, pull)).number == 7


def test_equal_branch_names_of_two_forks_are_told_apart(api, server):
    server.add_pull(6, "c" * 40, "change", repository("another", 3))
    mine = server.add_pull(7, SHA, "change", FORK)

    assert pulls.find(api, the_run(server, mine)).number == 7


def test_a_fork_of_the_same_owner_under_another_id_is_another_one(api, server):
    server.add_pull(6, SHA, "change", repository("stranger", 99))
    run = the_run(server, {"head": {"sha": SHA, "ref": "change", "repo": FORK}})

    with pytest.raises(NothingToReportError, match="no open pull request"):
        pulls.find(api, run)


def test_an_old_run_that_ends_after_a_newer_one_reports_nothing(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    run = the_run(server, pull)
    pull["head"]["sha"] = "e" * 40

    with pytest.raises(NothingToReportError, match="not the newest commit of #7"):
        pulls.find(api, run)


def test_a_closed_pull_request_gets_no_report(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    pull["state"] = "closed"

    with pytest.raises(NothingToReportError, match="no open pull request"):
        pulls.find(api, the_run(server, pull))


def test_a_renamed_branch_gets_no_report(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    run = the_run(server, pull)
    pull["head"] = {**pull["head"], "ref": "renamed"}

    with pytest.raises(NothingToReportError, match="no open pull request"):
        pulls.find(api, run)


@pytest.mark.parametrize("where", ["in the event", "in the list"])
def test_a_deleted_fork_gets_no_report(api, server, where):
    pull = server.add_pull(7, SHA, "change", FORK)
    run = the_run(server, pull)
    if where == "in the event":
        run = run.model_copy(update={"head_repository": None})
    else:
        pull["head"]["repo"] = None

    with pytest.raises(NothingToReportError, match=r"gone|no open"):
        pulls.find(api, run)


def test_one_branch_in_two_pull_requests_is_ambiguous(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    server.add_pull(8, SHA, "change", FORK, base="other")

    with pytest.raises(NothingToReportError, match=r"several pull requests \(#7, #8\)"):
        pulls.find(api, the_run(server, pull))


@pytest.mark.parametrize(
    "branch", ["a$(touch x)", "a;rm -rf .", "a`id`'\"", "a&state=all", "ä/#?%"]
)
def test_a_branch_name_is_only_a_name(api, server, branch):
    pull = server.add_pull(7, SHA, branch, FORK)

    assert pulls.find(api, the_run(server, pull)).number == 7


def test_the_pull_request_is_found_among_many(api, server):
    for number in range(130):
        server.add_pull(
            number + 1, f"{number:040x}", "change", repository("stranger", 1000 + number)
        )
    pull = server.add_pull(200, SHA, "change", FORK)

    assert pulls.find(api, the_run(server, pull)).number == 200
