"""What a workflow of GitHub Actions gives its steps, and what they give back.

What a step needs that says why the packages could not be installed, needs no package.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lab.base.errors import LabError
from lab.base.files import read_bytes

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lab.ci.pulls import Pull, WorkflowRun

MAX_EVENT_BYTES = 30 * 2**20  # GitHub's own limit is 25 MB

Model = TypeVar("Model", bound="BaseModel")


def event() -> dict[str, Any]:
    """The event that started the workflow.

    Raises:
        LabError: this is no workflow, or its event cannot be read.
    """
    path = os.environ.get("GITHUB_EVENT_PATH")
    if not path:
        raise LabError("GITHUB_EVENT_PATH: not set; this runs in a workflow of GitHub Actions")
    try:
        found = json.loads(read_bytes(Path(path), MAX_EVENT_BYTES))
    except FileNotFoundError:
        raise LabError(f"GITHUB_EVENT_PATH: no such file ({path}); run the job again") from None
    except (ValueError, RecursionError):
        raise LabError("GITHUB_EVENT_PATH: not the JSON of an event; run the job again") from None
    return found if isinstance(found, dict) else {}


def checked(kind: type[Model], value: Any, where: str) -> Model:
    """A part of the event as its model; `where` names it in errors.

    Raises:
        LabError: it is another kind of event.
    """
    from pydantic import ValidationError

    from lab.base.records import first_problem

    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise LabError(f"GITHUB_EVENT_PATH: {where}.{first_problem(error)}") from None


def subject() -> "WorkflowRun | Pull":
    """The finished run, or the pull request, that the event is of.

    Raises:
        LabError: the event is of neither.
    """
    from lab.ci.pulls import Pull, WorkflowRun

    found = event()
    if "workflow_run" in found:
        return checked(WorkflowRun, found["workflow_run"], "workflow_run")
    return checked(Pull, found.get("pull_request"), "pull_request")


def default_branch() -> str:
    """The default branch of the repository, whatever it is called.

    Raises:
        LabError: neither the event nor the runner names it.
    """
    from lab.ci.pulls import Home

    found = event()
    if "repository" not in found and (name := os.environ.get("GITHUB_REF_NAME")):
        return name  # a schedule's event names nothing, and runs on that branch
    return checked(Home, found.get("repository"), "repository").default_branch


def server() -> str:
    """GitHub's address."""
    return os.environ.get("GITHUB_SERVER_URL", "https://github.com")


def run_url() -> str | None:
    """The page of this run."""
    repository, number = (os.environ.get(f"GITHUB_{name}") for name in ("REPOSITORY", "RUN_ID"))
    return f"{server()}/{repository}/actions/runs/{number}" if repository and number else None


def run_id() -> int:
    """The number of this run, which GitHub gives it after what started it; a repetition keeps it.

    Raises:
        LabError: this is no workflow.
    """
    given = os.environ.get("GITHUB_RUN_ID", "")
    if not given.isdecimal():
        raise LabError("GITHUB_RUN_ID: not set; this runs in a workflow of GitHub Actions")
    return int(given)


def append(variable: str, content: str) -> None:
    """Adds to a file that GitHub reads after a step; outside a workflow there is none."""
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8", newline="\n") as file:
            file.write(content)
