"""Test examples whose prediction changed, in words: texts and rows are hard to read in pictures."""

from lab.evidence.schema import Evidence, Example, RowInput, TextInput
from lab.report.document import Block, Folded, Line, Piece, Table, Untrusted
from lab.report.wording import deviation, number

HEADER = ("Model", "Example", "Is", "Baseline", "Candidate")


def in_words(evidence: Evidence) -> list[Block]:
    """A folded table; nothing of images."""
    found = [(one, _input(one)) for one in evidence.examples]
    rows = [
        [*_prediction(one, evidence.class_names), line] for one, line in found if line is not None
    ]
    if not rows:
        return []
    is_text = isinstance(evidence.examples[0].input, TextInput)
    what = "Begins with" if is_text else "Farthest from the training mean (in standard deviations)"
    title = "Examples whose prediction changed"
    return [Folded(title, [Table((*HEADER, what), rows, HEADER[1:2])])]


def _prediction(one: Example, names: list[str]) -> list[Line]:
    labels = (one.label, one.baseline_prediction, one.candidate_prediction)
    named: list[Line] = [[Untrusted(names[label])] for label in labels]
    return [[Untrusted(one.model)], [f"{one.index:,}"], *named]


def _input(one: Example) -> Line | None:
    """A text, or the columns of a row; None of an image."""
    if isinstance(one.input, TextInput):
        return [Untrusted(one.input.text)]
    if not isinstance(one.input, RowInput):
        return None
    line: list[Piece] = []
    for column in one.input.columns:
        distance = "" if column.value is None else f" ({deviation(column.deviation)})"
        amount = f" {number(column.value)}{distance}"
        line += ["; " if line else "", Untrusted(column.name), amount]
    return line
