"""The steps of a pull request's report, as the workflows call them; see docs/pull-requests.md.

collect    in the pull request's own run: measure, and write the job's summary
page       on the trusted side: check what was measured, draw the pictures, write the comment
post       on the trusted side: the one comment and the check run
offer      in a branch of this repository: its results as a pull request into it
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import report
from lab.base.errors import DataError, LabError
from lab.base.files import read_bytes, write_json, write_text
from lab.base.records import first_problem
from lab.base.script import run_script
from lab.ci import github, pull_request
from lab.ci.github import Api, GitHubError
from lab.ci.pull_request import NothingToReportError, Post, Pull, Run, Target, Whole
from lab.report import judgement
from lab.report.document import plain
from lab.report.evidence import Evidence
from lab.report.page import Notes, text, verdict_line
from lab.report.revisions import RevisionError, git

REPORT = Path("report")
PAGE, POST = REPORT / "report.md", REPORT / "post.json"
RESULTS = ("dvc.lock", "metrics")  # what git tracks of the results
MAX_EVENT_BYTES = 30 * 2**20  # GitHub's own limit is 25 MB
PACKED = REPORT / "results"  # where `offer` finds them


def main() -> None:
    """Runs one step.

    Raises:
        LabError: the step cannot be done.
    """
    steps: dict[str, Callable[[], None]] = {
        "collect": collect,
        "page": page,
        "post": post,
        "offer": offer,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=list(steps))
    steps[parser.parse_args().step]()


# --- without any right ---------------------------------------------------------------------------


def collect() -> None:
    """Writes report.json, the job's summary, and whether the results in git are out of date."""
    evidence = report.collect(_base(_event()), REPORT)
    report.render(evidence, REPORT, Notes(run_url=_run_url()), None)
    _append("GITHUB_STEP_SUMMARY", PAGE.read_text(encoding="utf-8"))
    _append("GITHUB_OUTPUT", f"stale={_yes(_is_changed())}\n")


def _base(event: dict[str, Any]) -> str:
    """The baseline of an event; empty where the merge-base with the default branch is right."""
    if "pull_request" in event:
        base = _checked(Target, event["pull_request"], "pull_request").base
        whole = _checked(Whole, event.get("repository"), "repository")
        if base.ref == whole.default_branch:
            return ""
        return git(Path(), "merge-base", "HEAD", base.sha)
    try:
        return git(Path(), "rev-parse", "--verify", "--quiet", f"{event.get('before')}^{{commit}}")
    except RevisionError:  # the branch is new, or its history was replaced
        return "HEAD"


def _is_changed() -> bool:
    return bool(git(Path(), "status", "--porcelain", "--", *RESULTS))


# --- on the trusted side -------------------------------------------------------------------------


def page() -> None:
    """Writes the comment and what the check run will say; draws and publishes the pictures."""
    api, run = github.connect(), _run()
    pull = _found(api, run)
    if pull is None:
        return
    try:
        if run.conclusion != "success":
            raise DataError(f"the run of its pipeline ended with: {run.conclusion}")
        evidence = pull_request.report_of(api, run)
    except DataError as error:
        written = pull_request.no_report(run, str(error))
        said = Post(
            number=pull.number,
            head_sha=run.head_sha,
            conclusion="failure",
            summary="No report: the comment on the pull request says why.",
        )
    else:
        written, said = _judged(api, pull, run, evidence)
    write_text(PAGE, written)
    write_json(POST, said.model_dump())
    _append("GITHUB_OUTPUT", "is_ready=true\n")


def _judged(api: Api, pull: Pull, run: Run, evidence: Evidence) -> tuple[str, Post]:
    from lab.report import pictures  # matplotlib takes most of a second to import

    judged = judgement.judge(evidence)
    lift = pull_request.Lift() if judged.passes else pull_request.lift(api, pull, run)
    drawn, files = pictures.draw(evidence, judged)
    notes = [lift.note] if lift.note else []
    folder = None
    try:
        folder = pull_request.publish(api, _server(), run.head_sha, files)
    except GitHubError as error:
        print(error, flush=True)
        notes.append("The pictures are left out: they could not be put on their branch")
    written = text(
        evidence,
        judged,
        drawn,
        Notes(
            run_url=run.html_url,
            runs_url=_runs_url() if pull.is_own else None,
            lifted_by=lift.login,
            texts=notes,
        ),
        f"{folder}/" if folder else None,
    )
    summary = plain(verdict_line(judged))
    if lift.login:
        summary += f"\n\nAccepted by {lift.login}."
    conclusion = pull_request.conclude(judged, lift.login)
    said = Post(
        number=pull.number, head_sha=run.head_sha, conclusion=conclusion, summary=summary[:2_000]
    )
    return written, said


def post() -> None:
    """Sets the check run and the comment, if the commit still is the newest."""
    api, run = github.connect(), _run()
    said = _post()
    pull = _found(api, run)
    if pull is None:
        return
    if (pull.number, run.head_sha) != (said.number, said.head_sha):
        raise LabError(f"{POST}: of another pull request or commit than this run; run it again")
    pull_request.check(api, _server(), said)
    pull_request.comment(api, _server(), said.number, PAGE.read_text(encoding="utf-8"))
    print(f"#{said.number}: {said.conclusion}", flush=True)


def _found(api: Api, run: Run) -> Pull | None:
    """The pull request; None, once it is said why, where there is none to report to."""
    try:
        return pull_request.find(api, run)
    except NothingToReportError as reason:
        print(f"nothing to report: {reason}", flush=True)
        _append("GITHUB_STEP_SUMMARY", f"Nothing to report: `{reason}`\n")
        return None


# --- in a branch of this repository --------------------------------------------------------------


def offer() -> None:
    """Offers the results that another job packed; OFFER_RESULTS=merge also merges them.

    Raises:
        LabError: the pull request comes from a fork.
    """
    api = github.connect()
    pull = _checked(Pull, _event().get("pull_request"), "pull_request")
    if not pull.is_own:
        raise LabError("results are offered to branches of this repository only")
    paths = [PACKED / RESULTS[0], *sorted((PACKED / RESULTS[1]).rglob("*"))]
    files = {
        path.relative_to(PACKED).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and not path.is_symlink()
    }
    is_merging = os.environ.get("OFFER_RESULTS") == "merge"
    number = pull_request.offer(api, pull, files, merge=is_merging)
    print(f"offered as #{number}" if number else "the branch has these results", flush=True)


# --- what the workflow says ----------------------------------------------------------------------


def _event() -> dict[str, Any]:
    try:
        event = json.loads(read_bytes(Path(os.environ["GITHUB_EVENT_PATH"]), MAX_EVENT_BYTES))
    except KeyError:
        raise LabError(
            "GITHUB_EVENT_PATH: not set; this runs in a workflow of GitHub Actions"
        ) from None
    except (ValueError, RecursionError):
        raise LabError("GITHUB_EVENT_PATH: not the JSON of an event; run the job again") from None
    return event if isinstance(event, dict) else {}


def _run() -> Run:
    run: Run = _checked(Run, _event().get("workflow_run"), "workflow_run")
    return run


def _checked(kind: Any, value: Any, where: str) -> Any:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise LabError(f"GITHUB_EVENT_PATH: {where}.{first_problem(error)}") from None


def _post() -> Post:
    try:
        return Post.model_validate_json(read_bytes(POST, MAX_EVENT_BYTES))
    except ValidationError as error:
        raise LabError(f"{POST}: {first_problem(error)}; run `page` again") from None


def _server() -> str:
    return os.environ.get("GITHUB_SERVER_URL", "https://github.com")


def _run_url() -> str | None:
    repository, number = (os.environ.get(f"GITHUB_{name}") for name in ("REPOSITORY", "RUN_ID"))
    return f"{_server()}/{repository}/actions/runs/{number}" if repository and number else None


def _runs_url() -> str | None:
    """Where the runs of this repository's own branches are mirrored."""
    repository = os.environ.get("DAGSHUB_REPO", "")
    return f"https://dagshub.com/{repository}.mlflow" if "/" in repository else None


def _append(variable: str, content: str) -> None:
    """Adds to a file by which a step speaks to GitHub; outside a workflow there is none."""
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8", newline="\n") as file:
            file.write(content)


def _yes(is_so: bool) -> str:
    return "true" if is_so else "false"


if __name__ == "__main__":
    run_script(main)
