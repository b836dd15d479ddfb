"""Compares the results in the working tree with those of a baseline revision.

Without a step it collects the evidence and renders it: report.json, report.md, report.html and
pictures. The steps are apart because in CI they run on two sides of a border of trust: `collect`
reads the repository; `render` needs nothing but a report.json, and trusts nothing in it.
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
from lab.evidence.schema import Evidence
from lab.report import page
from lab.report.judgement import Judgement, judge
from lab.report.notes import PICTURES_URL, Notes

EXIT_GATE = 1  # misuse exits 2


def main() -> None:
    """Collects, renders, prints the verdict; with `--gate` a failing check exits 1."""
    arguments = _arguments()
    if arguments.step == "render":
        evidence = evidence_file.read(arguments.file)
    else:
        evidence = collect(arguments.base, arguments.output)
    if arguments.step == "collect":
        return
    notes = _notes(arguments)
    judged = render(evidence, arguments.output, notes, _before_pictures(arguments))
    print(page.terminal(judged))
    print(f"\nthe whole report: {arguments.output / 'report.html'}", flush=True)
    if arguments.gate and not judged.passes and notes.overridden_by is None:
        sys.exit(EXIT_GATE)


def collect(base: str, output: Path, branch: str = "") -> Evidence:
    """Writes report.json: what was measured on both sides.

    Args:
        base: the baseline revision; empty takes the merge-base with `branch`.
        output: the folder to write to.
        branch: such as `origin/release`; empty takes the default branch.
    """
    from lab.evidence import collection  # render must not need what this needs

    found = collection.collect(Path(), base or None, _progress, branch or None)
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("step", nargs="?", choices=["collect", "render"], help="one half only")
    option("file", nargs="?", type=Path, metavar="FILE", help="render: a report.json")
    option("--output", type=Path, default=Path("report"), metavar="FOLDER", help="default: report")
    option(
        "--base",
        default="",
        metavar="REVISION",
        help="the baseline; default: the merge-base with the default branch",
    )
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
