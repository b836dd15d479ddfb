"""Compares the results in the working tree with those of a baseline revision.

Without a step it collects the evidence and renders it: report.json, report.md, report.html and
pictures. The steps are apart because in CI they run on two sides of a border of trust: `collect`
reads the repository; `render` needs nothing but a report.json, and trusts nothing in it. `anchor`
compares HEAD with the anchor, and moves that here if something is better and nothing worse.
"""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from lab.base.errors import LabError
from lab.base.files import write_bytes, write_json, write_text
from lab.base.records import first_problem
from lab.evidence import schema as evidence_file
from lab.evidence.resolution import NOT_RESOLVED, Mode, Resolution
from lab.evidence.schema import Evidence
from lab.report import page
from lab.report.judgement import Judgement, judge
from lab.report.notes import PICTURES_URL, Notes
from lab.verdict.verdicts import Verdict

EXIT_GATE = 1  # misuse exits 2
RESOLVE: dict[str, Mode] = {"": "cheap", "0": "never", "1": "always"}


def main() -> None:
    """Collects, renders, prints the verdict; with `--gate` a failing check exits 1."""
    arguments = _arguments()
    if arguments.step == "anchor":
        move_anchor(arguments.output, " ".join(arguments.why.split()))
        return
    if arguments.step == "render":
        evidence = evidence_file.read(arguments.file)
    else:
        mode = RESOLVE[arguments.resolve]
        evidence = collect(arguments.base, arguments.output, resolution=Resolution(mode))
    if arguments.step == "collect":
        return
    notes = _notes(arguments)
    if arguments.step is None:
        notes = notes.model_copy(update={"runs_url": _runs(evidence)})
    judged = render(evidence, arguments.output, notes, _before_pictures(arguments))
    print(page.terminal(judged))
    print(f"\nthe whole report: {arguments.output / 'report.html'}", flush=True)
    if arguments.gate and not judged.passes and notes.overridden_by is None:
        sys.exit(EXIT_GATE)


def collect(
    base: str, output: Path, branch: str = "", resolution: Resolution = NOT_RESOLVED
) -> Evidence:
    """Writes report.json: what was measured on both sides.

    Args:
        base: the baseline revision; empty takes the merge-base with `branch`.
        output: the folder to write to.
        branch: such as `origin/release`; empty takes the default branch.
        resolution: whether to train more seeds where verdicts are open, and which.
    """
    from lab.evidence import collection  # render must not need what this needs

    found = collection.collect(Path(), base or None, _progress, branch or None, resolution)
    write_json(output / "report.json", found.model_dump())
    return found


def render(
    evidence: Evidence, output: Path, notes: Notes, before_pictures: str | None
) -> Judgement:
    """Writes report.md, report.html and the pictures, all from the same values."""
    from lab.report import pictures  # matplotlib takes most of a second to import

    judged = judge(evidence)
    drawn, files = pictures.draw(evidence, judged)
    for name in (name for picture in pictures.PICTURES for name in picture.files):
        if name in files:
            write_bytes(output / name, files[name])
        else:
            (output / name).unlink(missing_ok=True)  # of an earlier report
    text = page.to_markdown(evidence, judged, drawn, notes, before_pictures)
    write_text(output / "report.md", text)
    write_text(output / "report.html", page.to_html(evidence, judged, drawn, notes, files))
    return judged


def move_anchor(output: Path, why: str) -> None:
    """Puts the tag `anchor` at HEAD: by the verdict over the anchor that is, or by hand.

    Args:
        output: the folder of the report on it.
        why: a reason, which is enough; empty goes by the verdict.

    Raises:
        LabError: the working tree is not HEAD, its results are stale, or they are no better.
    """
    from lab.base.git import git_tag
    from lab.evidence.tags import TAG, anchor_of

    require_clean("anchor")  # before anything is trained
    before = anchor_of(Path(), "HEAD")
    evidence, judged = judged_against("anchor", before[1] if before else "HEAD", output)
    there = evidence.candidate
    is_better = judged.passes and Verdict.IMPROVED.value in judged.by_verdict()
    if before and not why and not is_better:
        raise LabError(
            f"anchor: HEAD is not better than {before[0]} ({before[1][:12]}), or worse in something"
            f" ({output / 'report.html'}); give a reason to move it all the same: WHY="
        )
    lines = [
        f"anchor at {there.commit}",
        f"Before: {' '.join(before)}" if before else "The first one.",
        *([f"By hand: {why}"] if why else []),
        page.terminal(judged),
    ]
    message = "\n\n".join(lines)
    git_tag(Path(), "--annotate", "--force", f"--message={message}", TAG, there.commit)
    print(f"{message}\n\nto share it: git push --force origin {TAG}", flush=True)


def require_clean(what: str) -> None:
    """Stops where the working tree is not HEAD; `what` names the command.

    Raises:
        LabError: it is not.
    """
    from lab.evidence.changes import uncommitted

    for path in uncommitted(Path())[:1]:
        raise LabError(f"{what}: HEAD must be what lies here; got {path}; commit, then try again")


def judged_against(what: str, base: str, output: Path) -> tuple[Evidence, Judgement]:
    """HEAD's own results beside those of a commit, on as many seeds as it takes to tell.

    Args:
        what: the command, for errors.
        base: the commit.
        output: the folder of the report on it.

    Raises:
        LabError: there are no results, or they are not HEAD's own.
    """
    evidence = collect(base, output, resolution=Resolution("always"))
    judged = judge(evidence)
    render(evidence, output, Notes(), "")
    there, models = evidence.candidate, [one for one in evidence.models if one.candidate]
    reasons = [*there.committed_stale, *there.inherited_stale]
    reasons += [reason for one in models for reason in one.stale]
    reasons += [one.candidate_missing for one in evidence.models if one.candidate_missing]
    for reason in reasons[:1] if models else ["no results"]:
        raise LabError(
            f"{what}: the results must be HEAD's own; got {reason}; run `make repro`, commit"
        )
    return evidence, judged


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("step", nargs="?", choices=["collect", "render", "anchor"], help="one alone")
    option("file", nargs="?", type=Path, metavar="FILE", help="render: a report.json")
    option("--output", type=Path, default=Path("report"), metavar="FOLDER", help="default: report")
    option(
        "--base",
        default="",
        metavar="REVISION",
        help="the baseline; default: the merge-base with the default branch",
    )
    option(
        "--resolve",
        choices=list(RESOLVE),
        default="",
        help="train more seeds where a verdict is open: 1 always, 0 never; default: if they take a "
        "minute at most",
    )
    option("--why", default="", metavar="TEXT", help="anchor: move it by hand, for this reason")
    option("--gate", action="store_true", help="exit 1 unless the check passes")
    option(
        "--pictures-url",
        metavar="URL",
        help="where report.md finds the pictures; default: beside itself",
    )
    option("--no-pictures", action="store_true", help="leave the pictures out of report.md")
    option("--run-url", metavar="URL", help="say which run made the report")
    option("--overridden-by", metavar="LOGIN", help="say who overrode --gate, and exit 0")
    option("--note", action="append", default=[], metavar="TEXT", help="add a line (up to 10)")
    arguments = parser.parse_args()
    if (arguments.step == "render") != (arguments.file is not None):
        parser.error("render needs one report.json, and nothing else takes a file")
    return arguments


def _notes(arguments: argparse.Namespace) -> Notes:
    try:
        return Notes(
            run_url=arguments.run_url or None,
            overridden_by=arguments.overridden_by or None,
            texts=arguments.note,
        )
    except ValidationError as error:
        key, problem = first_problem(error).split(":", maxsplit=1)
        option = "note" if key.startswith("texts") else key.replace("_", "-")
        raise LabError(f"--{option}:{problem}; correct it") from None


def _runs(evidence: Evidence) -> str | None:
    """The address of these very runs on the MLflow server that is configured, if they are there."""
    from lab.tracking.sent import runs_of_commit  # render must not need what this needs

    return runs_of_commit(evidence.candidate.commit) or None


def _before_pictures(arguments: argparse.Namespace) -> str | None:
    """What stands before a picture's file name in report.md; None leaves the pictures out."""
    if arguments.no_pictures:
        return None
    url: str = arguments.pictures_url or ""
    if not url:
        return ""
    if not PICTURES_URL.fullmatch(url):
        raise LabError(f"--pictures-url: must be an https address; got {url!r}; correct it")
    return f"{url.rstrip('/')}/"


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_script(main)
