"""Who accepts a loss, by a label on the pull request, for the very commit that it was set on."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from lab.ci.github import Api, GitHubError
from lab.ci.pulls import Pull

LABEL = "accept-regression"
WRITERS = ("admin", "write")  # "maintain" is shown as write, "triage" as read


@dataclass(frozen=True)
class Override:
    """Who accepted it; or why the label that should have does not."""

    login: str | None = None
    note: str | None = None


def find(api: Api, pull: Pull, since: datetime | None) -> Override:
    """Whether somebody with write permission accepted this very commit, by the label.

    Args:
        api: the repository.
        pull: the pull request, its labels as they are now.
        since: when its commit last became its newest, going where it goes now. A label that is
            older was set on something else, even if the commit had been there before. None where
            nobody saw that yet: then no label was set on it.

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
        return Override(note=f"{LABEL} accepts nothing: who set it is not known")
    login = str(events[-1]["actor"]["login"])
    if _permission(api, login) not in WRITERS:
        return Override(note=f"{LABEL} accepts nothing: {login} may not write here")
    if since is None or datetime.fromisoformat(events[-1]["created_at"]) < since:
        return Override(
            note=f"{LABEL} was set before this commit stood here; take it off, and set it again"
        )
    return Override(login=login)


def _permission(api: Api, login: str) -> str:
    try:
        return str(api.get(f"collaborators/{quote(login)}/permission")["permission"])
    except GitHubError as error:
        if error.status == 404:
            return "none"
        raise
