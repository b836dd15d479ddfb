"""Who overrides a failing check, by a label on the pull request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from lab.ci.github import Api, GitHubError
from lab.ci.pulls import Pull, WorkflowRun

LABEL = "accept-regression"
WRITERS = ("admin", "write")  # "maintain" is shown as write, "triage" as read


@dataclass(frozen=True)
class Override:
    """Who overrode the check; or why the label that should have does not."""

    login: str | None = None
    note: str | None = None


def find(api: Api, pull: Pull, run: WorkflowRun) -> Override:
    """Whether somebody with write permission accepted this very commit, by the label.

    Raises:
        GitHubError: GitHub cannot be asked.
    """
    if LABEL not in [label.name for label in pull.labels]:
        return Override()
    events = [
        one
        for one in api.pages(f"issues/{pull.number}/events")
        if one["event"] == "labeled" and one["label"]["name"] == LABEL and one["actor"]
    ]
    if not events:
        return Override(note=f"{LABEL} overrides nothing: who set it is not known")
    login = str(events[-1]["actor"]["login"])
    if _permission(api, login) not in WRITERS:
        return Override(note=f"{LABEL} overrides nothing: {login} may not write here")
    if _time(events[-1]) < _first_seen(api, run):
        return Override(note=f"{LABEL} was set for an earlier commit; set it again for this one")
    return Override(login=login)


def _permission(api: Api, login: str) -> str:
    try:
        return str(api.get(f"collaborators/{quote(login)}/permission")["permission"])
    except GitHubError as error:
        if error.status == 404:
            return "none"
        raise


def _first_seen(api: Api, run: WorkflowRun) -> datetime:
    """When the commit came: its own dates are its author's to choose, its first run's is not."""
    runs = api.pages("actions/runs", "workflow_runs", head_sha=run.head_sha, event="pull_request")
    return min(_time(one) for one in runs)


def _time(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["created_at"])
