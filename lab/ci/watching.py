"""The one issue of the monitor: opened at an alarm, updated, closed when it is over.

`python -m lab.ci.watching` in a workflow, with `monitor/` as monitor.py left it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.base.errors import DataError
from lab.base.files import read_bytes
from lab.base.records import read_record
from lab.base.script import run_script
from lab.ci import workflow
from lab.ci.github import Api, connect
from lab.ci.posting import BOT
from lab.results.monitored import FOLDER, MOST_BYTES, NAME, REMAKE, Monitored

MARK = "<!-- monitor -->"  # the first line of the report, which tells the issue from others
TITLE = "The monitor alarms"
MOST_CHARACTERS = 60_000  # of an issue, which may have 65,536


def main() -> None:
    """Brings the issue up to date."""
    found = read_record(FOLDER / NAME, Monitored, MOST_BYTES, REMAKE)
    print(update(connect(), found, text_of(FOLDER / "report.md")), flush=True)


def text_of(path: Path) -> str:
    """The report as it fits into an issue, with a link to the run.

    Raises:
        DataError: it is missing, or is no report.
    """
    try:
        text = read_bytes(path, MOST_BYTES).decode()
    except (FileNotFoundError, UnicodeDecodeError):
        text = ""
    if not text.startswith(MARK):
        raise DataError(f"{path}: must be the monitor's report; got none; {REMAKE}")
    if len(text) > MOST_CHARACTERS:
        text = text[:MOST_CHARACTERS].rpartition("\n")[0] + "\n\nCut here: it is too long.\n"
    run = workflow.run_url()
    if not run:
        return text
    return f"{text}\nInputs are shown in monitor/report.html, on the machine of [the run]({run}).\n"


def update(api: Api, found: Monitored, text: str) -> str:
    """Opens, edits or closes; what it did, in a line.

    Raises:
        GitHubError: the issue may not be written, or GitHub cannot be reached.
    """
    own = issues(api)
    if found.is_alarm and not own:
        made = api.send("POST", "issues", {"title": TITLE, "body": text}, once=True)
        return f"issue {made['number']}: opened"
    if not own:
        return "no issue: nothing alarms"
    first, *others = own
    state = {} if found.is_alarm else {"state": "closed", "state_reason": "completed"}
    api.send("PATCH", f"issues/{first['number']}", {"body": text, **state})
    for one in others:  # of a try whose answer was lost
        duplicate = {"state": "closed", "state_reason": "not_planned"}
        api.send("PATCH", f"issues/{one['number']}", duplicate)
    return f"issue {first['number']}: {'updated' if found.is_alarm else 'closed'}"


def issues(api: Api) -> Sequence[dict[str, Any]]:
    """The open ones of this workflow, the oldest first: others may quote them."""
    listed = api.pages("issues", state="open", creator=BOT)
    own = [
        one
        for one in listed
        if (one.get("user") or {}).get("login") == BOT
        and (one.get("body") or "").startswith(MARK)
        and "pull_request" not in one
    ]
    return sorted(own, key=lambda one: int(one["number"]))


if __name__ == "__main__":
    run_script(main)
