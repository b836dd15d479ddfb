"""The dataset card, in the form of Hugging Face: words and licence by the task, numbers by stages.

Source of the form: https://huggingface.co/docs/hub/datasets-cards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base import front_matter
from lab.base.errors import DataError
from lab.checking.pages import labels_verdict
from lab.data.description import DESCRIPTION, Description, read_description
from lab.data.splits import SPLITS
from lab.report.document import (
    Block,
    Bullets,
    Heading,
    Line,
    Page,
    Paragraph,
    Table,
    Untrusted,
    prose,
)
from lab.report.markdown import blocks, markdown
from lab.results.checks import CHECK, LABELS, CheckResults, LabelResults, read

WORDS = Path("task/dataset.md")
MISSING = "say there what the data are, their licence and source"
NEEDED = ("license", "pretty_name")
COUNTED = "size_categories"
CLASSES = Path("metrics/classes.png")  # beside the card
MOST_CLASSES = 20  # of texts
LENGTHS = (0.1, 0.5, 0.9)  # of the way from the shortest text to the longest
BOUNDS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")  # of the categories, from 10**3 on


def card(root: Path, shown: str = "", texts: Sequence[Block] = ()) -> str:
    """The whole card.

    Args:
        root: of the project.
        shown: what the picture beside the card shows; empty: there is none.
        texts: what shows texts.

    Raises:
        DataError: the task's words or a result is missing or damaged.
    """
    front, words = _words(root / WORDS)
    described = read_description(root / DESCRIPTION)
    found, labels = read(root / CHECK, CheckResults), read(root / LABELS, LabelResults)
    total = sum(getattr(described, split).examples for split in SPLITS)
    page = Page(f"written by stage card; edit {WORDS}", "Dataset card", _splits(described))
    parts = [front.rstrip("\n"), f"{COUNTED}:\n- {size_category(total)}"]
    rest = [*texts, *_checks(found), *_labels(labels, described)]
    picture = f"![The data by class]({CLASSES.name})\n\n{shown}.\n\n" if shown else ""
    return (
        "---\n" + "\n".join(parts) + f"\n---\n\n{words.strip()}\n\n{markdown(page, None)}\n"
        f"{picture}{blocks(rest, None)}\n"
    )


def texts_by_class(
    texts: Sequence[str], labels: NDArray[Any], described: Description
) -> list[Block]:
    """A few texts of training of each class: a short one, one of usual length, a long one."""
    rows: list[list[Line]] = []
    for number, name in enumerate(described.class_names[:MOST_CLASSES]):
        of_class = np.flatnonzero(labels == number)
        order = sorted(of_class.tolist(), key=lambda row: len(texts[row]))
        for part in LENGTHS if order else ():
            text = texts[order[round(part * (len(order) - 1))]]
            rows.append([[Untrusted(name)], [f"{len(text):,}"], [Untrusted(text)]])
    header = ("Class", "Letters", "Text")
    return [Table(header, rows, header[1:2])]


def _words(path: Path) -> tuple[str, str]:
    """The front matter and the prose of the task's file.

    Raises:
        DataError: it is missing, or its front matter is none.
    """
    tree, front, words = front_matter.read(path, MISSING)
    for key in NEEDED:
        if not isinstance(tree.get(key), str):
            raise DataError(f"{path}: {key}: must be text; got {tree.get(key)!r}; add it")
    if COUNTED in tree:
        raise DataError(f"{path}: {COUNTED}: is counted by the stage; got it there; remove it")
    return front, words


def size_category(examples: int) -> str:
    """As Hugging Face names it.

    >>> size_category(569), size_category(1_000), size_category(70_000), size_category(10**9)
    ('n<1K', '1K<n<10K', '10K<n<100K', 'n>1B')
    """
    passed = min(max(len(str(examples)) - 3, 0), len(BOUNDS))
    if passed == 0:
        return f"n<{BOUNDS[0]}"
    if passed == len(BOUNDS):
        return f"n>{BOUNDS[-1]}"
    return f"{BOUNDS[passed - 1]}<n<{BOUNDS[passed]}"


def _splits(described: Description) -> list[Block]:
    rows: list[list[Line]] = []
    for name in SPLITS:
        part = getattr(described, name)
        counts = part.examples_per_class
        per_class = [f"{min(counts):,} to {max(counts):,}"]
        rows.append([[name], [f"{part.examples:,}"], per_class, [Untrusted(part.sha256[:12])]])
    shape = " x ".join(map(str, described.shape))
    header = ("Split", "Examples", "Examples of a class", "SHA-256")
    names = ", ".join(described.class_names[:10])
    more = f" and {len(described.class_names) - 10} more" if len(described.class_names) > 10 else ""
    return [
        Heading(["What is in it"]),
        Paragraph([
            f"{described.kind.capitalize()}s as {described.dtype} ({shape}), "
            f"{len(described.class_names)} classes: ", Untrusted(names), f"{more}.",
        ]),
        Table(header, rows, header[1:3]),
    ]  # fmt: skip


def _checks(found: CheckResults) -> list[Block]:
    lines = [
        prose("{}: {}", one.rule, Untrusted(fault.sentence))
        for one in found.findings for fault in one.faults
    ]  # fmt: skip
    fine = [one.rule for one in found.findings if not one.is_broken]
    blocks: list[Block] = [Heading(["What is known to be wrong"])]
    if lines:
        blocks.append(Bullets(lines))
    return [*blocks, Paragraph([f"Checked, and nothing found: {', '.join(fine) or 'no rule'}."])]


def _labels(labels: LabelResults, described: Description) -> list[Block]:
    blocks: list[Block] = [Paragraph([Untrusted(labels_verdict(labels))])]
    if labels.candidates:
        names = described.class_names
        rows: list[list[Line]] = [
            [[f"{one.place.portion} {one.place.row:,}"], [Untrusted(names[one.label])],
             [Untrusted(names[one.called])], [f"{one.probability:.3f}"]]
            for one in labels.candidates[:5]
        ]  # fmt: skip
        header = ("Most doubtful", "Label", "More likely", "Probability of the label")
        blocks.append(Table(header, rows, header[3:]))
    return blocks
