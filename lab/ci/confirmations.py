"""How many times fresh seeds were asked about a pull request: its runs, by GitHub's own list.

Each run of a pull request draws seeds of its own, so the next one might be lucky. What is asked of
the n-th is therefore n * (n + 1) times as much, and over all of them nothing is gained by asking
often (`lab.verdict.verdicts.confirmation_factor`). A run that is repeated is no new one.

Source: https://docs.github.com/en/rest/actions/workflow-runs, API version 2022-11-28.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from lab.base.errors import LabError
from lab.ci import workflow
from lab.ci.github import Api, connect
from lab.ci.measurements import WORKFLOW
from lab.ci.pulls import QUEUE, Pull, Repository, WorkflowRun

OF_A_BRANCH = ("pull_request", "workflow_dispatch")
OF_A_QUEUE = "merge_group"


def of_pull(api: Api, pull: Pull, run: int, others: Iterable[WorkflowRun] = ()) -> int:
    """Which of a pull request's runs this is, from 1.

    What its branch was measured for into another base meanwhile counts, too.

    Args:
        api: the repository.
        pull: the pull request.
        run: the run's id; later ones do not count.
        others: those of the same commit, whichever pull request they were started for: a report
            may go by any of them.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    listed = _of_branch(api, pull.head.ref, pull.created_at)
    return _number(run, [*(one for one in listed if one.is_from(pull.head)), *others])


def of_entry(api: Api, number: int, run: int, since: datetime | None = None) -> int:
    """Which of a pull request's runs in a merge queue this is, from 1.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    return _number(
        run,
        [
            one
            for one in _runs(api, since, event=OF_A_QUEUE)
            if (named := QUEUE.fullmatch(one.head_branch or "")) and int(named["number"]) == number
        ],
    )


def of_event(event: Mapping[str, Any], run: int) -> tuple[int, str | None]:
    """The same in the run itself, as far as it can tell, and why it cannot.

    It only decides when enough was trained: what a verdict is worth, the trusted side counts. A
    dispatched run names no pull request, so all runs of its branch count.
    """
    try:
        return _of_event(connect(), event, run), None
    except LabError as error:
        return 1, f"how many runs came before cannot be told, so this counts as the first: {error}"


def _of_event(api: Api, event: Mapping[str, Any], run: int) -> int:
    if "pull_request" in event:
        pull = workflow.checked(Pull, event["pull_request"], "pull_request")
        return of_pull(api, pull, run)
    if "merge_group" in event:
        ref = str(event["merge_group"].get("head_ref", "")).removeprefix("refs/heads/")
        named = QUEUE.fullmatch(ref)
        return of_entry(api, int(named["number"]), run) if named else 1
    own = workflow.checked(Repository, event.get("repository"), "repository")
    listed = _of_branch(api, str(event.get("ref", "")).removeprefix("refs/heads/"), None)
    return _number(run, [one for one in listed if one.head_repository == own])


def _number(run: int, counted: Iterable[WorkflowRun]) -> int:
    return len({run, *(one.id for one in counted if one.id <= run and one.has_measured)})


def _of_branch(api: Api, branch: str, since: datetime | None) -> Iterator[WorkflowRun]:
    for event in OF_A_BRANCH:
        yield from _runs(api, since, branch=branch, event=event)


def _runs(api: Api, since: datetime | None, **query: str) -> Iterator[WorkflowRun]:
    if since is not None:
        query["created"] = f">={since:%Y-%m-%dT%H:%M:%SZ}"
    path = f"actions/workflows/{WORKFLOW}/runs"
    for one in api.pages(path, "workflow_runs", **query):
        found = WorkflowRun.model_validate(one)
        if since is None or found.created_at >= since:
            yield found
