"""The step of a run that failed: `failure.json` and the job's summary say why.

It needs no package, for what failed may be their installation.
"""

import contextlib
import os
import re
from pathlib import Path

from lab.base.errors import LabError
from lab.base.files import write_json
from lab.base.git import git
from lab.base.script import run_script
from lab.ci import baselines, workflow
from lab.evidence import revisions
from lab.evidence.run_log import MAX_BYTES, Ending, ending

REPORT = Path("report")
LOG = REPORT / "run.log"  # of the last command that the workflow ran


def main() -> None:
    """Writes both.

    Raises:
        LabError: there is no checkout to say it of.
    """
    found = _ending()
    content = {
        "schema_version": 1,
        "commit": git(Path(), "rev-parse", "--verify", "HEAD^{commit}"),
        "baseline": _baseline(),
        "stage": found.stage,
        "lines": found.lines,
    }
    (REPORT / "report.json").unlink(missing_ok=True)  # of a run that failed after it was collected
    write_json(REPORT / "failure.json", content)
    workflow.append("GITHUB_STEP_SUMMARY", summary(found))


def _ending() -> Ending:
    with contextlib.suppress(OSError), LOG.open("rb") as file:
        file.seek(-min(MAX_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return ending(file.read().decode(errors="replace"))
    return Ending(None, ["the job failed before its first command; its log says why"])


def _baseline() -> str | None:
    """The commit that the report would have compared with, if it can be found."""
    with contextlib.suppress(LabError):
        asked = baselines.of_event(Path(), workflow.event())
        return revisions.resolve_base(Path(), asked.named, asked.branch).commit
    return None


def summary(found: Ending) -> str:
    """What the job's summary says: the lines as code, whatever they are."""
    longest = max((len(run) for line in found.lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    code = re.sub(r"[`<>&]", "", found.stage or "")
    title = f"**No report**: the stage `{code}` failed" if code else "**No report**: the run failed"
    return "\n".join([title, "", f"{fence}text", *found.lines, fence, ""])


if __name__ == "__main__":
    run_script(main)
