"""What the checks found as pages for people: `metrics/check.md`, `metrics/labels.md`."""

from collections.abc import Sequence

from lab.base.params import Level
from lab.checking.portions import Checked, many
from lab.checking.shown import Shown, Texts, in_words, shown
from lab.evidence.schema import ImageInput
from lab.report.document import (
    Block,
    Bullets,
    Folded,
    Heading,
    Line,
    Page,
    Paragraph,
    Picture,
    Strong,
    Table,
    Untrusted,
    prose,
)
from lab.results.checks import CheckResults, Finding, LabelResults, Place

CLOSEST, CANDIDATES = "closest", "candidates"  # names of pictures
MOST_DRAWN = 12  # pairs
MOST_CANDIDATES = 30  # drawn, or listed
Pictures = dict[str, bytes]  # by file name


def verdict(found: CheckResults) -> str:
    """What the checks come to, in a line.

    For example `MNIST: 1 rule warns (drift)`.
    """
    said = []
    levels: list[tuple[Level, str]] = [("stop", "stops"), ("warn", "warns")]
    for level, verb in levels:
        if rules := [one.rule for one in found.broken(level)]:
            does = verb if len(rules) == 1 else level
            said.append(f"{many(len(rules), 'rule')} {does} ({', '.join(rules)})")
    return f"{found.name}: {'; '.join(said) or 'nothing is wrong with these data'}"


def check_page(
    found: CheckResults,
    checked: Checked,
    texts: Texts,
    names: Sequence[str] | None = None,
) -> tuple[Page, Pictures]:
    """What is wrong, what is not, and the pairs that are closest to each other.

    Args:
        found: what the checks found.
        checked: in what.
        texts: what was kept of texts.
        names: the files that new examples come from.
    """
    blocks: list[Block] = [Paragraph([Strong("Data check"), ". ", Untrusted(verdict(found))])]
    if lines := [line for one in found.findings for line in _lines(one)]:
        blocks.append(Bullets(lines))
    fine = [one.rule for one in found.findings if not one.is_broken]
    sizes = ", ".join(f"{one.name} {one.examples:,}" for one in found.portions)
    blocks.append(
        Paragraph([f"Nothing found by: {', '.join(fine) or 'no rule'}. Examples: {sizes}."])
    )
    if sampled := [one for one in found.portions if one.compared < one.examples]:
        of = ", ".join(f"{one.compared:,} of {one.name}" for one in sampled)
        blocks.append(Paragraph([f"Neighbours were looked for among a part: {of}."]))
    drawn, pictures = _closest(found, checked, texts)
    blocks += drawn
    if places := [row for one in found.findings for row in _places(one, names)]:
        blocks.append(Folded("Where", [Table(("Rule", "Example", "Other example"), places)]))
    return Page("data check", "Data check", blocks), pictures


def _lines(finding: Finding) -> list[Line]:
    lines = [
        prose("{}, {}: {}", Strong(finding.level), finding.rule, Untrusted(fault.sentence))
        for fault in finding.faults
    ]
    if finding.more:
        lines.append([Strong(finding.level), f", {finding.rule}: {finding.more:,} more"])
    return lines


def _places(finding: Finding, names: Sequence[str] | None) -> list[list[Line]]:
    return [
        [[finding.rule], *(_named(place, names) for place in pair), *([[""]] * (2 - len(pair)))]
        for fault in finding.faults
        for pair in fault.places
    ]


def _named(place: Place, names: Sequence[str] | None) -> Line:
    if names is not None and place.portion == "new":
        return [where(place), ", ", Untrusted(names[place.row])]
    return [where(place)]


def where(place: Place) -> str:
    """Where an example stands, for example `test 1,234`."""
    return f"{place.portion} {place.row:,}"


def _closest(found: CheckResults, checked: Checked, texts: Texts) -> tuple[list[Block], Pictures]:
    """The worst near duplicates, or what is closest where there are none."""
    if not found.closest:
        return [], {}
    pairs = found.closest[:MOST_DRAWN]
    flat = shown(checked, [place for one in pairs for place in one.pair], texts)
    inputs = [flat[start : start + 2] for start in range(0, len(flat), 2)]
    title = "The closest pairs, and their distance in that of usual neighbours"
    blocks: list[Block] = [Heading([title])]
    if isinstance(flat[0], ImageInput):
        from lab.checking import gallery

        cells = [
            (f"{where(one.pair[0])}, {where(one.pair[1])}\n{one.distance:.2f}", _images(two))
            for one, two in zip(pairs, inputs, strict=True)
        ]
        picture = Picture(CLOSEST, title)
        return [*blocks, picture], {picture.files[0]: gallery.gallery(title, cells)}
    rows: list[list[Line]] = [
        [[f"{one.distance:.2f}"], [where(place)], [Untrusted(_said(given))]]
        for one, two in zip(pairs, inputs, strict=True)
        for place, given in zip(one.pair, two, strict=True)
    ]
    return [*blocks, Table(("Distance", "Example", "Input"), rows, ("Distance",))], {}


def _images(given: Sequence[Shown]) -> list[ImageInput]:
    return [one for one in given if isinstance(one, ImageInput)]


def _said(given: Shown) -> str:
    return "" if isinstance(given, ImageInput) else in_words(given)


def labels_verdict(found: LabelResults) -> str:
    """How many labels are in doubt, in a line."""
    if not found.folds:
        return f"{found.name}: labels were not looked at (check.labels.folds is 0)"
    return (
        f"{found.name}: {found.doubtful:,} of {found.examples:,} labels are doubtful "
        f"({found.network}, {found.folds} folds, {many(found.seeds, 'seed')})"
    )


def labels_page(found: LabelResults, checked: Checked, texts: Texts) -> tuple[Page, Pictures]:
    """The labels that may be mistakes, the worst first."""
    blocks: list[Block] = [Paragraph([Strong("Labels"), ". ", Untrusted(labels_verdict(found))])]
    pictures: Pictures = {}
    if found.candidates:
        names = checked.description.class_names
        listed = found.candidates[:MOST_CANDIDATES]
        given = shown(checked, [one.place for one in listed], texts)
        has_pictures = isinstance(given[0], ImageInput)
        title = "Worst first: the label given, and what models say that never saw the example"
        blocks.append(Heading([title]))
        if has_pictures:
            from lab.checking import gallery

            cells = [
                (
                    f"{where(one.place)}\n"
                    f"is {gallery.drawable(names[one.label])} {one.probability:.2f}\n"
                    f"or {gallery.drawable(names[one.called])} {one.other:.2f}",
                    _images([image]),
                )
                for one, image in zip(listed, given, strict=True)
            ]
            picture = Picture(CANDIDATES, title)
            blocks.append(picture)
            pictures[picture.files[0]] = gallery.gallery(title, cells)
        header = ["Example", "Label", "Probability", "More likely", "Its probability"]
        rows: list[list[Line]] = [
            [
                [where(one.place)], [Untrusted(names[one.label])], [f"{one.probability:.3f}"],
                [Untrusted(names[one.called])], [f"{one.other:.3f}"],
            ]
            for one in listed
        ]  # fmt: skip
        if not has_pictures:
            header.append("Input")
            for row, one in zip(rows, given, strict=True):
                row.append([Untrusted(_said(one))])
        blocks.append(Table(header, rows, (header[2], header[4])))
    return Page("label check", "Labels", blocks), pictures
