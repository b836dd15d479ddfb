"""The report of a comparison as a page: evidence and judgement in, text out."""

from collections.abc import Mapping, Sequence

from lab.evidence.schema import Evidence, Flips
from lab.report import (
    changes,
    costs,
    data_check,
    details,
    examples,
    export,
    provenance,
    results_table,
)
from lab.report.document import (
    Block,
    Bullets,
    Heading,
    Line,
    Page,
    Paragraph,
    Picture,
    Untrusted,
    plain,
    prose,
    truncated,
)
from lab.report.headline import verdict_line
from lab.report.hypertext import hypertext
from lab.report.judgement import Judgement
from lab.report.markdown import markdown
from lab.report.notes import Notes
from lab.report.wording import Scale, count, label, many, titled

MARKER = "fair-trial report"
TITLE = "A fair trial"
MAX_CHARACTERS = 60_000  # of Markdown; a comment on GitHub holds 65,536

# Entries of each list in the open and in the folded parts: in report.html, and in Markdown from
# most to least, until it fits.
WHOLE = (1_000, 5_000)
FITTING = ((200, 400), (200, 100), (150, 30), (80, 10), (40, 5), (15, 3), (5, 1))
TERMINAL_ROWS = 20


def to_markdown(
    evidence: Evidence,
    judgement: Judgement,
    drawn: Sequence[Picture],
    notes: Notes,
    pictures: str | None,
) -> str:
    """The report in Markdown, 60,000 characters at most.

    Args:
        evidence: what was measured.
        judgement: what `judge` makes of it.
        drawn: the pictures that exist.
        notes: what the workflow adds.
        pictures: what stands before a picture's file name; None leaves the pictures out.
    """
    shown = () if pictures is None else drawn
    whole = page(evidence, judgement, shown, notes)
    files = Untrusted("report.html"), Untrusted("report.json")
    remark = prose("Lists were shortened here; {} and {} hold more.", *files)
    for rows, folded in FITTING:
        written = markdown(truncated(whole, rows, folded, remark), pictures)
        if len(written) <= MAX_CHARACTERS:
            break
    return written


def to_html(
    evidence: Evidence,
    judgement: Judgement,
    drawn: Sequence[Picture],
    notes: Notes,
    files: Mapping[str, bytes],
) -> str:
    """The report as one HTML file; `files` holds the pictures' bytes by name."""
    remark = prose("Lists were shortened here; {} holds more.", Untrusted("report.json"))
    whole = page(evidence, judgement, drawn, notes)
    return hypertext(truncated(whole, *WHOLE, remark), files)


def page(evidence: Evidence, judgement: Judgement, drawn: Sequence[Picture], notes: Notes) -> Page:
    """The report as a page, in the order in which it is read."""
    blocks: list[Block] = [
        Paragraph(verdict_line(judgement)),
        *provenance.overridden(notes),
        *provenance.stale(evidence),
        Bullets(provenance.sources(evidence, judgement, notes)),
        Heading(["Test ", label(evidence.metric)]),
        *results_table.results(evidence, judgement),
        Heading(["What changed"]),
        *changes.changes(evidence),
        *data_check.data_checks(evidence),
        *export.exports(evidence),
        Heading(["What ran"]),
        *changes.stages(evidence),
        Heading(["What it cost"]),
        *costs.costs(evidence),
        Heading(["Pictures"]),
        *_pictures(evidence, drawn),
        Heading(["Details"]),
        *details.details(evidence, judgement),
    ]
    return Page(MARKER, TITLE, blocks)


def _pictures(evidence: Evidence, drawn: Sequence[Picture]) -> list[Block]:
    blocks: list[Block] = list(drawn)
    if not drawn:
        blocks.append(Paragraph(["No pictures here; every number stands in the text."]))
    lines = [_flips(flips, evidence.noun) for flips in evidence.flips]
    return [*blocks, *([Bullets(lines)] if lines else []), *examples.in_words(evidence)]


def _flips(flips: Flips, noun: str) -> Line:
    name, total = Untrusted(flips.model), flips.fixed + flips.broken + flips.still_wrong
    if flips.missing:
        return prose("{}: changed predictions are unknown: {}.", name, Untrusted(flips.missing))
    if not total:
        return prose("{}: the majority prediction is the same on every test {}.", name, noun)
    counts = (
        f"{count(flips.fixed)} fixed, {count(flips.broken)} broken, "
        f"{count(flips.still_wrong)} still wrong"
    )
    changed = many(total, f"test {noun}")
    return prose("{}: the majority prediction changed on {}: {}.", name, changed, counts)


def terminal(judgement: Judgement) -> str:
    """The verdict line and a compact table, for a terminal."""
    scale = Scale.of(judgement.score)
    amount = f"{titled('difference', scale.step)} (95 %)"
    rows = [("model", "baseline", "candidate", amount, "verdict")]
    for one in judgement.entries[:TERMINAL_ROWS]:
        name, baseline, candidate, amount = (
            plain(cell) for cell in results_table.row(one, judgement.score)[:4]
        )
        rows.append((name, baseline, candidate, amount, one.words))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if len(judgement.entries) > TERMINAL_ROWS:
        lines.append(f"… and {len(judgement.entries) - TERMINAL_ROWS} more")
    return "\n".join([plain(verdict_line(judgement)), "", *lines])
