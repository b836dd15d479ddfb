"""The steps of a pull request's report, as the workflows call them; see docs/pull-requests.md.

collect    in the pull request's own run: measure, and write the job's summary
begin      on the trusted side: take the check back, because something else is to be measured
page       on the trusted side: check what was measured, draw the pictures, write the comments
post       on the trusted side: the check run, and one comment a pull request
sweep      on the trusted side: take back what was said of pull requests with another base by now
offer      in a branch of this repository: its results as a pull request into it

What says that a step failed needs no package, and is no step here: `make failed`, `make lost`.
"""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import report
from lab.base import params
from lab.base.errors import LabError
from lab.ci import baselines, confirmations, github, offers, settings, trusted, workflow
from lab.ci.pulls import Pull
from lab.evidence.resolution import NOT_RESOLVED, Resolution
from lab.report.notes import Notes

REPORT = Path("report")
PAGE = REPORT / "report.md"
PACKED = REPORT / "results"  # where `offer` finds them


def main() -> None:
    """Runs one step."""
    own = (collect, offer, trusted.begin, trusted.page, trusted.post, trusted.sweep)
    steps = {step.__name__: step for step in own}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=list(steps))
    steps[parser.parse_args().step]()


# --- without any right ---------------------------------------------------------------------------


def collect() -> None:
    """Writes report.json, the job's summary, and whether results are to be offered to the branch.

    They are where the branch's own are out of date, and the repository wants it.
    """
    event = workflow.event()
    asked = baselines.of_event(Path(), event)
    evidence = report.collect(asked.named, REPORT, asked.branch, _resolution(event))
    report.render(evidence, REPORT, Notes(run_url=workflow.run_url()), None)
    workflow.append("GITHUB_STEP_SUMMARY", PAGE.read_text(encoding="utf-8"))
    is_stale = bool(evidence.candidate.committed_stale)
    is_offered = is_stale and settings.are_offered()
    for name, value in (("stale", is_stale), ("offer", is_offered)):
        workflow.append("GITHUB_OUTPUT", f"{name}={str(value).lower()}\n")


def _resolution(event: Mapping[str, Any]) -> Resolution:
    """On seeds of this run's own, which nobody knew; a push to the default branch is no trial."""
    if "before" in event and "pull_request" not in event:
        return NOT_RESOLVED
    run, time = workflow.run_id(), 1
    if params.load(params.PARAMS_FILE).compare.budget:
        time, fault = confirmations.of_event(event, run)
        print(fault or f"fresh seeds of run {run}, number {time} of its pull request", flush=True)
    return Resolution("always", run, time)


# --- in a branch of this repository --------------------------------------------------------------


def offer() -> None:
    """Offers the results that another job packed, as OFFER_RESULTS asks for.

    Nothing waits for it: what stands in its way is a line of the log and of the job's summary.
    """
    try:
        said = _offered()
    except LabError as error:
        said = [f"no results are offered: {error}"]
    for line in said:
        print(line, flush=True)
        code = line.replace("`", "'")
        workflow.append("GITHUB_STEP_SUMMARY", f"`{code}`\n\n")


def _offered() -> list[str]:
    asked = settings.offers(os.environ.get("OFFER_RESULTS", ""))
    if asked == "no":
        return []
    api = github.connect()
    pull = workflow.checked(Pull, workflow.event().get("pull_request"), "pull_request")
    return offers.offer(api, pull, offers.packed(PACKED), merge=asked == "merge")


if __name__ == "__main__":
    run_script(main)
