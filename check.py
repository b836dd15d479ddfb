"""Checks the prepared data, or new ones: `python check.py [labels | card | --data FOLDER]`."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.base import params
from lab.base.errors import DataError
from lab.base.files import put_back, write_bytes, write_json, write_text
from lab.base.params import LabelParams, Params
from lab.base.progress import EpochProgress
from lab.checking import card, labels, new_data, pages, runs, structure
from lab.checking.portions import Checked, Portion
from lab.data.prepared import PREPARED, Prepared, load_prepared, load_texts, verify
from lab.data.splits import SPLITS
from lab.parallel import processes
from lab.report.document import Page
from lab.report.hypertext import hypertext
from lab.report.markdown import markdown
from lab.results.checks import CHECK, LABELS, CheckResults, LabelResults
from lab.results.checks import read as results
from lab.tracking import recording as tracking
from lab.training.stacks import cores

EXIT_BROKEN = (
    1  # of new data; what stops the pipeline is misuse, as any wrong input is, and exits 2
)
PASSED = Path("data/passed")  # on which training depends: there unless a rule stops the pipeline
PICTURES = Path("data/check"), Path("data/labels")
CARD = Path("metrics/dataset-card.md")
FOLDER = Path("report/check")  # of new data


def main() -> None:
    """One of the stages `check`, `labels` and `card`, or new data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", nargs="?", choices=("labels", "card"), help="another stage")
    parser.add_argument("--data", type=Path, help="a folder with data that are in no split yet")
    parser.add_argument(
        "--keep", type=Path, help="with --data: a folder for arrays of what has labels"
    )
    arguments = parser.parse_args()
    if arguments.data is not None:
        if arguments.step:
            parser.error(f"--data: goes with no step; got {arguments.step}")
        check_new(arguments.data, arguments.keep)
    elif arguments.keep is not None:
        parser.error("--keep: goes with --data alone")
    elif arguments.step == "labels":
        check_labels()
    elif arguments.step == "card":
        write_card()
    else:
        check()


def check() -> None:
    """Stage `check`: the structure of the three splits.

    Raises:
        DataError: a rule is broken that stops the pipeline. What was found is written all the same.
    """
    tracking.warm_up()
    tree = params.load()
    page = CHECK.with_suffix(".md")
    put_back(CHECK, page)
    PASSED.unlink(missing_ok=True)
    data = load_prepared()
    checked = Checked.of(data)
    found = structure.check(checked, tree.check.rules)
    written, drawn = pages.check_page(found, checked, texts_of(data))
    write_json(CHECK, found.model_dump())
    write_pages(written, drawn, page, PICTURES[0])
    with tracking.recording(runs.check_run(tree, found, data.description)) as active:
        active.artifact(PICTURES[0] / "check.html")
        active.artifact(CHECK)
    show(found)
    if broken := found.broken("stop"):
        raise DataError(
            f"{broken[0].rule}: {broken[0].faults[0].sentence}; see {page}; "
            f"correct the data, or let check.rules.{broken[0].rule} warn"
        )
    write_text(PASSED, "no rule of check.rules stops these data\n")


def check_labels() -> None:
    """Stage `labels`: which labels may be mistakes, by models that never saw the example."""
    tree = params.load()
    page = LABELS.with_suffix(".md")
    put_back(LABELS, page)
    asked, data = tree.check.labels, load_prepared()
    is_asked = asked is not None and asked.folds > 0
    found = judged_labels(tree, asked, data) if asked and is_asked else labels.unlooked(data)
    written, drawn = pages.labels_page(found, Checked.of(data), texts_of(data))
    write_json(LABELS, found.model_dump())
    write_pages(written, drawn, page, PICTURES[1])
    if is_asked:
        with tracking.recording(runs.labels_run(tree, found, data.description)) as active:
            active.artifact(PICTURES[1] / "labels.html")
            active.artifact(LABELS)
    print(pages.labels_verdict(found))


def judged_labels(tree: Params, asked: LabelParams, data: Prepared) -> LabelResults:
    """Trains the judges, on all cores, and asks them."""
    tracking.warm_up()
    processes.warm_up()
    verify(data)
    judges, todo = labels.plan(tree, asked)
    with EpochProgress(asked.folds * asked.seeds * asked.epochs) as progress:
        said = labels.probabilities(judges, todo, data, cores(), progress.show)
    return labels.judged(asked, data, *said)


def write_card() -> None:
    """Stage `card`: the dataset card, from what the task says of its data and what was found."""
    from lab.checking import portrait  # matplotlib

    put_back(CARD, card.CLASSES)
    data, found = load_prepared(), results(LABELS, LabelResults)
    texts = texts_of(data).get("train")
    shown = card.texts_by_class(texts, data.train.labels, data.description) if texts else []
    write_bytes(card.CLASSES, portrait.portrait(data, found))
    write_text(CARD, card.card(Path(), portrait.caption(data, found), shown))


def check_new(folder: Path, keep: Path | None) -> None:
    """Holds new data against today's training data; writes no result and records nothing.

    With a folder to `keep` them in they are those that have labels, and stand there as arrays
    unless a rule is broken that stops the pipeline.
    """
    tree = params.load()
    data = load_prepared()
    new = new_data.read(folder, data.description, are_labelled=keep is not None)
    checked = Checked.of(data, new.portion or Portion("new", data.train.inputs[:0], None))
    found = structure.check(checked, tree.check.rules, new.faults)
    texts = {**texts_of(data), **({"new": new.texts} if new.texts else {})}
    written, drawn = pages.check_page(found, checked, texts, new.names)
    write_json(FOLDER / "check.json", found.model_dump())
    write_pages(written, drawn, FOLDER / "check.md", FOLDER)
    show(found)
    print(f"\nthe whole page: {FOLDER / 'check.html'}", flush=True)
    if found.broken("stop"):
        sys.exit(EXIT_BROKEN)
    if keep is not None:
        print(f"{keep}: {new_data.save(new, folder, keep):,} examples with labels", flush=True)


def texts_of(data: Prepared) -> dict[str, Sequence[str]]:
    """The words of texts by split, where stage `prepare` kept them."""
    found: dict[str, Sequence[str]] = {}
    for split in SPLITS if data.description.kind == "text" else ():
        with contextlib.suppress(DataError):
            found[split] = load_texts(PREPARED, len(getattr(data, split).labels), split)
    return found


def write_pages(page: Page, drawn: pages.Pictures, text: Path, folder: Path) -> None:
    """Writes a page as text, as one file of HTML, and its pictures beside that."""
    write_text(text, markdown(page, None))
    for name, content in drawn.items():
        write_bytes(folder / name, content)
    write_text(folder / f"{text.stem}.html", hypertext(page, drawn))


def show(found: CheckResults) -> None:
    """Says what was found on the terminal."""
    print(pages.verdict(found))
    for finding in found.findings:
        for fault in finding.faults:
            print(f"  {finding.level} {finding.rule}: {fault.sentence}")


if __name__ == "__main__":
    run_script(main)
