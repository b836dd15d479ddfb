"""The steps of a pull request's report, as the workflows call them; see docs/pull-requests.md.

collect    in the pull request's own run: measure, and write the job's summary
page       on the trusted side: check what was measured, draw the pictures, write the comment
post       on the trusted side: the one comment and the check run
offer      in a branch of this repository: its results as a pull request into it
"""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import report
from lab.base.errors import DataError, LabError
from lab.base.files import read_bytes, write_json, write_text
from lab.base.git import GitError, git
from lab.base.records import first_problem
from lab.ci import artifact, github, offers, override, posting, publishing, pulls, workflow
from lab.ci.github import Api, GitHubError
from lab.ci.posting import Post
from lab.ci.pulls import BasedOn, Home, NothingToReportError, Pull, WorkflowRun
from lab.evidence.schema import Evidence
from lab.report.document import plain
from lab.report.headline import verdict_line
from lab.report.judgement import judge
from lab.report.notes import Notes
from lab.report.page import to_markdown

REPORT = Path("report")
PAGE, POST = REPORT / "report.md", REPORT / "post.json"
TRACKED = ("dvc.lock", "metrics")  # what git tracks of the results
MAX_BYTES = 2**20  # of what `page` writes for `post`
PACKED = REPORT / "results"  # where `offer` finds them


def main() -> None:
    """Runs one step."""
    steps = {step.__name__: step for step in (collect, page, post, offer)}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=list(steps))
    steps[parser.parse_args().step]()


# --- without any right ---------------------------------------------------------------------------


def collect() -> None:
    """Writes report.json, the job's summary, and whether the results in git are out of date."""
    evidence = report.collect(_base(workflow.event()), REPORT)
    report.render(evidence, REPORT, Notes(run_url=workflow.run_url()), None)
    workflow.append("GITHUB_STEP_SUMMARY", PAGE.read_text(encoding="utf-8"))
    stale = git(Path(), "status", "--porcelain", "--", *TRACKED)
    workflow.append("GITHUB_OUTPUT", f"stale={'true' if stale else 'false'}\n")


def _base(event: dict[str, Any]) -> str:
    """The baseline of an event; empty where the merge-base with the default branch is right."""
    if "pull_request" in event:
        base = workflow.checked(BasedOn, event["pull_request"], "pull_request").base
        if base.ref == workflow.checked(Home, event.get("repository"), "repository").default_branch:
            return ""
        return git(Path(), "merge-base", "HEAD", base.sha)
    try:
        return git(Path(), "rev-parse", "--verify", "--quiet", f"{event.get('before')}^{{commit}}")
    except GitError:  # the branch is new, or its history was replaced
        return "HEAD"


# --- on the trusted side -------------------------------------------------------------------------


def page() -> None:
    """Writes the comment and what the check run will say; draws and publishes the pictures."""
    api, run = github.connect(), workflow.workflow_run()
    pull = _found(api, run)
    if pull is None:
        return
    try:
        if run.conclusion != "success":
            raise DataError(f"the run of its pipeline ended with: {run.conclusion}")
        evidence = artifact.read_report(api, run)
    except DataError as error:
        comment = posting.no_report(run, str(error))
        outcome = Post(
            number=pull.number,
            head_sha=run.head_sha,
            conclusion="failure",
            summary="No report: the comment on the pull request says why.",
        )
    else:
        comment, outcome = _judged(api, pull, run, evidence)
    write_text(PAGE, comment)
    write_json(POST, outcome.model_dump())
    workflow.append("GITHUB_OUTPUT", "is_ready=true\n")


def _judged(api: Api, pull: Pull, run: WorkflowRun, evidence: Evidence) -> tuple[str, Post]:
    """The comment and the check run of a report."""
    from lab.report import pictures  # matplotlib takes most of a second to import

    judged = judge(evidence)
    by = override.Override() if judged.passes else override.find(api, pull, run)
    drawn, files = pictures.draw(evidence, judged)
    folder, fault = _published(api, run, files)
    notes = Notes(
        run_url=run.html_url,
        runs_url=_runs_url() if pull.is_own else None,
        overridden_by=by.login,
        texts=[note for note in (by.note, fault) if note],
    )
    comment = to_markdown(evidence, judged, drawn, notes, folder)
    summary = plain(verdict_line(judged))
    if by.login:
        summary += f"\n\nOverridden by {by.login}."
    return comment, Post(
        number=pull.number,
        head_sha=run.head_sha,
        conclusion=posting.conclude(judged, by.login),
        summary=summary[:2_000],
    )


def _published(
    api: Api, run: WorkflowRun, files: Mapping[str, bytes]
) -> tuple[str | None, str | None]:
    """What stands before a picture's name in the comment; or why the pictures are left out."""
    try:
        folder = publishing.publish(api, workflow.server(), run.head_sha, files)
    except GitHubError as error:
        print(error, flush=True)
        return None, "The pictures are left out: they could not be put on their branch"
    return folder and f"{folder}/", None


def post() -> None:
    """Sets the check run and the comment, if the commit still is the newest."""
    api, run = github.connect(), workflow.workflow_run()
    outcome = _post()
    pull = _found(api, run)
    if pull is None:
        return
    if (pull.number, run.head_sha) != (outcome.number, outcome.head_sha):
        raise LabError(f"{POST}: of another pull request or commit than this run; run it again")
    posting.check(api, workflow.server(), outcome)
    posting.comment(api, workflow.server(), outcome.number, _read(PAGE).decode())
    print(f"#{outcome.number}: {outcome.conclusion}", flush=True)


def _found(api: Api, run: WorkflowRun) -> Pull | None:
    """The pull request; None, once the reason is reported, where there is none to report to."""
    try:
        return pulls.find(api, run)
    except NothingToReportError as reason:
        print(f"nothing to report: {reason}", flush=True)
        workflow.append("GITHUB_STEP_SUMMARY", f"Nothing to report: `{reason}`\n")
        return None


# --- in a branch of this repository --------------------------------------------------------------


def offer() -> None:
    """Offers the results that another job packed; OFFER_RESULTS=merge also merges them.

    Raises:
        LabError: the pull request comes from a fork, or no results were packed.
    """
    api = github.connect()
    pull = workflow.checked(Pull, workflow.event().get("pull_request"), "pull_request")
    if not pull.is_own:
        raise LabError("results are offered to branches of this repository only")
    paths = [PACKED / TRACKED[0], *sorted((PACKED / TRACKED[1]).rglob("*"))]
    files = {
        path.relative_to(PACKED).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and not path.is_symlink()
    }
    if TRACKED[0] not in files:
        raise LabError(f"{PACKED}: must hold the results; got no {TRACKED[0]}; run the job again")
    is_merging = os.environ.get("OFFER_RESULTS") == "merge"
    number = offers.offer(api, pull, files, merge=is_merging)
    print(f"offered as #{number}" if number else "the branch has these results", flush=True)


# --- what the steps need ------------------------------------------------------------------------


def _post() -> Post:
    try:
        return Post.model_validate_json(_read(POST))
    except ValidationError as error:
        raise LabError(f"{POST}: {first_problem(error)}; run `page` again") from None


def _read(path: Path) -> bytes:
    """A file that the step `page` wrote."""
    try:
        return read_bytes(path, MAX_BYTES)
    except FileNotFoundError:
        raise LabError(f"{path}: no such file; run `page` first") from None


def _runs_url() -> str | None:
    """Where the runs of this repository's own branches are mirrored."""
    repository = os.environ.get("DAGSHUB_REPO", "")
    return f"https://dagshub.com/{repository}.mlflow" if "/" in repository else None


if __name__ == "__main__":
    run_script(main)
