"""Addresses of pages in MLflow's UI, wherever it runs."""

import os
from collections.abc import Mapping
from urllib.parse import quote

# Without it the UI shows the pages that it has for language models, which are empty here.
WORKFLOW = "workflowType=machine_learning"


def view_page(server: str, experiment: str, view: str) -> str:
    """The runs of an experiment, with the columns of a saved view."""
    return f"{server}/#/experiments/{experiment}/runs?viewStateShareKey={view}&{WORKFLOW}"


def commit_page(server: str, experiment: str, commit: str) -> str:
    """The runs of one commit."""
    query = quote(f'tags.git_commit = "{commit[:12]}"')
    return _in_workspace(
        f"{server}/#/experiments/{experiment}/runs?{WORKFLOW}&searchFilter={query}"
    )


def run_page(server: str, experiment: str, run: str) -> str:
    """A run."""
    return _in_workspace(f"{server}/#/experiments/{experiment}/runs/{run}?{WORKFLOW}")


def _in_workspace(page: str) -> str:
    return "&".join(filter(None, [page, workspace_query()]))


def workspace_query(environment: Mapping[str, str] = os.environ) -> str:
    """What tells the pages of MLflow's workspace from those of others on the same server.

    >>> workspace_query({"MLFLOW_WORKSPACE": "team-b"})
    'workspace=team-b'
    >>> workspace_query({"MLFLOW_WORKSPACE": "default"})  # what a server has without the variable
    ''
    """
    name = environment.get("MLFLOW_WORKSPACE", "").strip()
    return f"workspace={quote(name, safe='')}" if name not in ("", "default") else ""
