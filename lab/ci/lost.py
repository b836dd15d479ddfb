"""Says on the check that the report was lost, when a step of the trusted side failed.

A check that waits for ever says nothing. It needs no package, for what failed may be their
installation.
"""

import json
import os
import urllib.request
from collections.abc import Mapping
from typing import Any

from lab.base.errors import LabError
from lab.base.script import run_script
from lab.ci import workflow

NAME, PREFIX = "fair trial", "fair-trial"  # as in lab.ci.checks
TIMEOUT_SECONDS = 30.0


def main() -> None:
    """Lets the commit's check fail, or makes one; the next report edits it.

    Raises:
        LabError: GitHub refuses, or cannot be reached.
    """
    event = workflow.event()
    pull, run = event.get("pull_request"), event.get("workflow_run")
    sha = run["head_sha"] if run else pull["head"]["sha"] if pull else ""
    url = workflow.run_url()
    path = f"commits/{sha}/check-runs?check_name={NAME.replace(' ', '%20')}&filter=all&per_page=100"
    listed = _asked(path)["check_runs"]
    own = [one for one in listed if (one["external_id"] or "").split(" ")[0] == PREFIX]
    newest = max(own, key=lambda one: int(one["id"]), default=None)
    body = {
        # What it remembers stays, so that a report that is being written is not out of date by it.
        "external_id": newest["external_id"] if newest else PREFIX,
        "status": "completed",
        "conclusion": "failure",
        "details_url": url,
        "output": {
            "title": "The report could not be written",
            "summary": f"A step of the workflow *report* failed: {url}. Run its jobs again.",
        },
    }
    if newest:
        _asked(f"check-runs/{newest['id']}", "PATCH", body)
    else:
        _asked("check-runs", "POST", {"name": NAME, "head_sha": sha, **body})


def _asked(path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> Any:
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    request = urllib.request.Request(  # noqa: S310 GitHub's own address
        f"{api}/repos/{os.environ.get('GITHUB_REPOSITORY')}/{path}",
        data=json.dumps(body).encode() if body else None,
        method=method,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ.get('GITHUB_TOKEN')}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read())
    except (OSError, ValueError) as error:  # refusals of GitHub as well
        raise LabError(f"the check cannot be set ({error}); run the job again") from None


if __name__ == "__main__":
    run_script(main)
