"""Where a run's code comes from: commit, author's note, branch, pull request."""

import os
import re
from collections.abc import Mapping

from lab.base.git import git_or_nothing

LONGEST_NOTE = 200  # characters of a commit's first line
_PULL = re.compile(r"refs/pull/([1-9][0-9]{0,9})/(merge|head)")


def source_tags(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What git and GitHub Actions know of it, as MLflow's tags; what they do not know is left out.

    Outside a workflow nobody knows which pull request a branch belongs to.
    """
    commit, on, note, *_ = [*git_or_nothing("log", "-1", "--format=%H%n%D%n%s").split("\n"), "", ""]
    branch = _branch_of_workflow(environment) or _branch_checked_out(on)
    pull_request = pull_request_url(environment)
    given = {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": branch,
        "git_commit": commit[:12],
        "branch": branch,
        "author_note": note[:LONGEST_NOTE],
        "pull_request": pull_request.rpartition("/")[2],
        "pull_request_url": pull_request,
    }
    return {name: value for name, value in given.items() if value}


def pull_request_url(environment: Mapping[str, str] = os.environ) -> str:
    """The address of the pull request that a workflow of GitHub Actions runs for, if it does.

    >>> where = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/n"}
    >>> pull_request_url({**where, "GITHUB_REF": "refs/pull/12/merge"})
    'https://github.com/o/n/pull/12'
    >>> pull_request_url({**where, "GITHUB_REF": "refs/heads/main"})
    ''
    """
    found = _PULL.fullmatch(environment.get("GITHUB_REF", ""))
    server, repository = (environment.get(f"GITHUB_{n}", "") for n in ("SERVER_URL", "REPOSITORY"))
    return f"{server}/{repository}/pull/{found[1]}" if found and server and repository else ""


def _branch_of_workflow(environment: Mapping[str, str]) -> str:
    """A workflow checks a commit out, not a branch."""
    if head := environment.get("GITHUB_HEAD_REF", ""):
        return head
    is_branch = environment.get("GITHUB_REF_TYPE") == "branch"
    return environment.get("GITHUB_REF_NAME", "") if is_branch else ""


def _branch_checked_out(on: str) -> str:
    """From the names of a commit, as git's `%D` has them.

    >>> _branch_checked_out("HEAD -> wider, tag: anchor, origin/main"), _branch_checked_out("HEAD")
    ('wider', '')
    """
    head, arrow, branch = on.partition(", ")[0].partition(" -> ")
    return branch if head == "HEAD" and arrow else ""
