"""Which pull requests a commit belongs to, and which runs may be theirs."""

import pytest
from github_server import repository
from reporting import FORK, SHA, the_run

from lab.ci import measurements, pulls
from lab.ci.github import GitHubError
from lab.ci.measurements import Measurement
from lab.ci.pulls import NothingToReportError

BASE, OTHER = "b" * 40, "c" * 40


def numbers(api) -> list[int]:
    return [pull.number for pull in pulls.of_commit(api, SHA)]


def test_every_open_pull_request_of_the_commit_is_found(api, server):
    server.add_pull(9, SHA, "change", FORK)
    server.add_pull(7, SHA, "mine")
    server.add_pull(6, OTHER, "change", repository("another", 3))
    server.add_pull(5, SHA, "change", FORK)["state"] = "closed"

    assert numbers(api) == [7, 9]


def test_the_pull_request_is_found_among_many_and_without_its_fork(api, server):
    for number in range(130):
        server.add_pull(number + 1, f"{number:040x}", "change", FORK)
    server.add_pull(200, SHA, "change", FORK)["head"]["repo"] = None

    assert numbers(api) == [200]


def test_a_commit_that_is_no_newest_one_gets_no_report(api, server):
    server.add_pull(7, OTHER, "change", FORK)

    with pytest.raises(NothingToReportError, match="newest commit of no open pull request"):
        numbers(api)


def test_whether_there_are_conflicts_is_waited_for(api, server, monkeypatch):
    monkeypatch.setattr(pulls, "SETTLING_SECONDS", (0.0,) * 3)
    server.add_pull(7, SHA)["mergeable"] = False
    server.mergeable_after[7] = 2
    assert pulls.settled(api, 7).mergeable is False

    server.mergeable_after[7] = 20
    assert pulls.settled(api, 7).mergeable is None


def test_a_number_that_is_none_is_refused(api, server):
    with pytest.raises(GitHubError, match="404"):
        pulls.get(api, 7)


# --- runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "may_be"),
    [
        ({}, True),
        ({"ref": "another"}, False),
        ({"repo": repository("stranger", 99)}, False),
        ({"repo": None}, True),
    ],
)
@pytest.mark.parametrize("branch", ["change", "a$(touch x)", "a&state=all", "ä/#?%"])
def test_whose_a_run_may_be_is_told_by_branch_and_repository(api, server, head, may_be, branch):
    pull = server.add_pull(7, SHA, branch, FORK)
    run = the_run(server, pull)
    pull["head"] = {**pull["head"], **head}

    assert run.may_be_of(pulls.get(api, 7)) == may_be


def test_where_github_names_the_pull_request_of_a_run_that_counts(api, server):
    pull = server.add_pull(7, SHA, "change")
    run = the_run(server, pull).model_copy(update={"pull_requests": [pulls.Number(number=8)]})

    assert not run.may_be_of(pulls.get(api, 7))


class Made(Measurement):
    """A measurement that left something made up."""

    def __init__(self, run, left) -> None:
        super().__init__(None, run)
        self._left, self.reads = left, 0

    def left(self):
        self.reads += 1
        return self._left


def test_which_measurement_counts(api, server):
    run, pull = the_run(server, server.add_pull(7, SHA, "change", FORK)), pulls.get(api, 7)
    good, lost, running, other = (
        Made(run, left) for left in (failure(BASE), "lost", None, failure(OTHER))
    )

    def counts(*measured):
        return measurements.against(measured, BASE, pull)

    assert counts(good, lost) == (good, failure(BASE))
    assert counts(lost, good) == (lost, "lost")  # the newer one may have been the same trial
    assert counts(running, good) == (good, failure(BASE))  # what has not ended takes nothing away
    assert counts(running, lost, good) == (running, None)
    assert counts(other, good) == (good, failure(BASE))
    with pytest.raises(LookupError):
        counts(other)


def test_runs_of_others_hide_none_and_few_are_read(api, server):
    pull_ = server.add_pull(7, SHA, "change", FORK)
    pull = pulls.get(api, 7)
    own = Made(the_run(server, pull_), failure(BASE))
    pull_["head"] = {**pull_["head"], "ref": "copy"}
    copies = [Made(the_run(server, pull_, number=100 + n), failure(OTHER)) for n in range(30)]

    assert measurements.against([*copies, own], BASE, pull)[0] is own
    assert sum(one.reads for one in copies) == measurements.MOST_RUNS


def failure(baseline):
    return measurements.Failure(
        schema_version=1, commit=SHA, baseline=baseline, stage=None, lines=["no"]
    )
