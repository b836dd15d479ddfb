"""Judges the evidence of a comparison and says it on a page; values in, text out."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, StringConstraints

from lab.comparison import Difference, Side, Verdict, difference
from lab.document import (
    Block,
    Bullets,
    Data,
    Folded,
    Heading,
    Line,
    Link,
    Page,
    Paragraph,
    Picture,
    Piece,
    Preformatted,
    Strong,
    Table,
    markdown,
    plain,
)
from lab.evidence import Change, Cost, Evidence, Model, ModelSide, Split, Text
from lab.judgement import (
    NEW,
    REMOVED,
    STALE,
    WORDS,
    Judged,
    Judgement,
    accuracy,
    is_identical,
    seeds_needed,
)
from lab.results import FEWEST_SEEDS, Record

MARKER = "fair-trial report"
MAX_CHARACTERS = 60_000  # of Markdown; a comment on GitHub holds 65,536
MAX_SEEDS_ADVISED = 1_000  # more is no advice
MINUS = "−"

_ADDRESS = r"https://[A-Za-z0-9.:-]{1,100}(/[A-Za-z0-9_.~-]{1,100}){0,12}/?"
PICTURES_URL = re.compile(_ADDRESS)


class Notes(Record):
    """What a workflow may add to a report; nothing else it says reaches the page."""

    run_url: Annotated[str, StringConstraints(pattern=f"^{_ADDRESS}$")] | None = None
    lifted_by: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,39}(\[bot\])?$")] | None
    ) = None
    texts: Annotated[list[Text], Field(max_length=10)] = Field(default_factory=list)


# --- numbers -------------------------------------------------------------------------------------


def points(value: float, digits: int = 2) -> str:
    """A difference of accuracies in percentage points, signed.

    >>> points(-0.0042), points(0.00001)
    ('−0.42', '0.00')
    """
    text = f"{100 * value:+.{digits}f}"
    if float(text) == 0:
        return f"{0:.{digits}f}"
    return text.replace("-", MINUS)


def _interval(found: Difference, form: Callable[[float], str] = points) -> str:
    if found.interval is None:
        return "none"
    return f"{form(found.interval[0])} to {form(found.interval[1])}"


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", MINUS) if value else "0"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _sd(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _spread(values: Sequence[float], scale: float = 100, form: str = ".2f") -> str:
    """Mean and standard deviation, `97.75 ± 0.07`."""
    sd = _sd(values)
    spread = "" if sd is None else f" ± {scale * sd:{form}}"
    return f"{scale * _mean(values):{form}}{spread}"


def _count(number: int) -> str:
    return f"{number:,}"


def _many(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _bytes(number: int) -> str:
    return f"{number / 2**20:,.0f} MiB"


# --- the verdict line ----------------------------------------------------------------------------

MOST_NAMED = 3  # models of one verdict in the verdict line


def verdict_line(evidence: Evidence, judgement: Judgement) -> Line:
    """The first line of a report: what was found, and what is asked of the reader."""
    if judgement.refusal:
        return ["✕ ", Strong("Not comparable"), f": {judgement.refusal}. ", *_ask(judgement)]
    if not judgement.models:
        return ["✕ ", Strong("No models"), ": neither revision has any results."]
    line: list[Piece] = []
    for word, models in judgement.by_word().items():
        if line:
            line += ["; ", f"{word}: "]
        else:
            line += [f"{WORDS[word]} ", Strong(word.capitalize()), ": "]
        for position, one in enumerate(models[:MOST_NAMED]):
            line += [", " if position else "", Data(one.model.name), _amount(one)]
        if len(models) > MOST_NAMED:
            line.append(f" and {len(models) - MOST_NAMED} more")
    return [*line, ". ", *_ask(judgement)]


def _amount(one: Judged) -> str:
    if one.finding is None or one.word == STALE:
        return ""
    if is_identical(one.model):
        return " (identical results)"
    found = one.finding.difference
    if found.interval is None:
        return f" {points(found.estimate)} pp"
    return f" {points(found.estimate)} pp ({_interval(found)})"


def _ask(judgement: Judgement) -> Line:
    """What is asked of the reader, for the worst of the verdicts."""
    if judgement.refusal:
        return ["Asked of you: compare with a revision that has this test set."]
    words = judgement.by_word()
    if Verdict.MISSING.value in words:
        return ["Asked of you: make the missing results; below it says which, and why."]
    if STALE in words:
        return ["Asked of you: run the pipeline again; below are the two commands."]
    if Verdict.REGRESSED.value in words:
        return ["Asked of you: find the cause, or say why the loss is worth it."]
    if Verdict.CANNOT_TELL.value in words:
        return _blindness(words[Verdict.CANNOT_TELL.value])
    return ["Nothing is asked of you."]


def _blindness(models: Sequence[Judged]) -> Line:
    smallest = [
        one.finding.difference.smallest_detectable
        for one in models
        if one.finding and one.finding.difference.smallest_detectable is not None
    ]
    if not smallest:
        return [
            f"With fewer than {FEWEST_SEEDS} seeds a side there is no interval: "
            "asked of you, if it matters: more seeds in ",
            Data("train.seeds"),
            ".",
        ]
    return [
        f"A true difference below {100 * max(smallest):.2f} pp would have been overlooked more "
        "than one time in five. Asked of you, if that matters: more seeds in ",
        Data("train.seeds"),
        ".",
    ]


TERMINAL_ROWS = 20


def terminal(evidence: Evidence, judgement: Judgement) -> str:
    """The verdict line and a compact table, for a terminal."""
    rows = [("model", "baseline", "candidate", "difference, pp (95 %)", "verdict")]
    for one in judgement.models[:TERMINAL_ROWS]:
        baseline, candidate, amount = (plain(cell) for cell in _result_row(one)[1:4])
        rows.append((one.model.name, baseline, candidate, amount, one.word))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if len(judgement.models) > TERMINAL_ROWS:
        lines.append(f"… and {len(judgement.models) - TERMINAL_ROWS} more")
    return "\n".join([plain(verdict_line(evidence, judgement)), "", *lines])


# --- the page ------------------------------------------------------------------------------------


@dataclass
class Room:
    """How much a page may hold; whatever is cut is told on the page itself.

    `rows` bounds the lists of the open parts, `folded` those of the folded ones.
    """

    rows: int
    folded: int
    is_cut: bool = field(default=False, init=False)

    def take(self, entries: Sequence[Line], *, is_folded: bool = False) -> Sequence[Line]:
        """The entries that fit, and a last one that counts the others."""
        limit = self.folded if is_folded else self.rows
        if len(entries) <= limit:
            return entries
        self.is_cut = True
        return [*entries[:limit], [f"… and {_count(len(entries) - limit)} more"]]

    def rows_of(
        self, header: Sequence[str], rows: Sequence[Sequence[Line]], *, is_folded: bool = False
    ) -> Sequence[Sequence[Line]]:
        """The rows of a table that fit, and a last one that counts the others."""
        limit = self.folded if is_folded else self.rows
        if len(rows) <= limit:
            return rows
        self.is_cut = True
        rest: list[Line] = [[f"… and {_count(len(rows) - limit)} more"]]
        return [*rows[:limit], [*rest, *([[""]] * (len(header) - 1))]]


FULL = (1_000, 1_000)
SHORTER = ((1_000, 100), (200, 30), (100, 10), (40, 5), (15, 3), (5, 1))


def text(
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
    written = ""
    for rows, folded in (FULL, *SHORTER):
        shown = drawn if pictures is not None else ()
        written = markdown(page(evidence, judgement, shown, notes, Room(rows, folded)), pictures)
        if len(written) <= MAX_CHARACTERS:
            break
    return written


def page(
    evidence: Evidence,
    judgement: Judgement,
    drawn: Sequence[Picture],
    notes: Notes,
    room: Room | None = None,
) -> Page:
    """The report as a page, in the order in which it is read."""
    room = room or Room(*FULL)
    parts: list[Block] = [
        Paragraph(verdict_line(evidence, judgement)),
        *_lifted(notes),
        *_stale(evidence),
        *_provenance(evidence, notes, room),
        *_results(evidence, judgement, room),
        Heading("What changed"),
        *_changes(evidence, room),
        Heading("What ran"),
        *_stages(evidence, room),
        Heading("What it cost"),
        *_costs(evidence, room),
        Heading("Pictures"),
        *_pictures(evidence, drawn, room),
        Heading("Details"),
        *_details(evidence, judgement, room),
    ]
    if room.is_cut:
        parts.append(
            Paragraph(
                [
                    "Lists were shortened to keep this page short; ",
                    Data("report.html"),
                    " and ",
                    Data("report.json"),
                    " hold them whole.",
                ]
            )
        )
    return Page(MARKER, "A fair trial", parts)


def _lifted(notes: Notes) -> list[Block]:
    if notes.lifted_by is None:
        return []
    return [Paragraph(["The gate was lifted by ", Data(f"@{notes.lifted_by}"), "."])]


def _stale(evidence: Evidence) -> list[Block]:
    """Says that results are stale, and how to mend it."""
    commands = [
        "make repro",
        'git add dvc.lock metrics && git commit --message "Update the results"',
    ]
    stale = [state for state in evidence.stages if state.state == STALE]
    if any(model.stale for model in evidence.models):
        names = ", ".join(state.name for state in stale[:MOST_NAMED])
        return [
            Paragraph(
                [
                    Strong("The results here are stale"),
                    ": they were not made by this code, these params and this data (",
                    Data(names),
                    "). The numbers below are those of an earlier state. To mend it:",
                ]
            ),
            Preformatted(commands),
        ]
    if evidence.candidate.committed_stale:
        return [
            Paragraph(
                [
                    Strong("The results committed in this branch are stale"),
                    " (",
                    Data(evidence.candidate.committed_stale[0]),
                    "). This report shows those that were made for it. To mend the branch:",
                ]
            ),
            Preformatted(commands),
        ]
    return []


def _provenance(evidence: Evidence, notes: Notes, room: Room) -> list[Block]:
    candidate, baseline = evidence.candidate, evidence.baseline
    line: list[Piece] = ["Candidate ", Data(candidate.commit[:12])]
    if candidate.uncommitted_total:
        line.append(f" with {_many(candidate.uncommitted_total, 'uncommitted file')}")
    line += [" against baseline ", Data(baseline.commit[:12])]
    if baseline.named is not None:
        line += [" (", Data(baseline.named), ")"]
    elif baseline.trunk is not None:
        line += [" (where it left ", Data(baseline.trunk), ")"]
    if baseline.behind and baseline.trunk is not None:
        line += [f", {_many(baseline.behind, 'commit')} behind ", Data(baseline.trunk)]
    lines: list[Line] = [[*line, "."]]
    if candidate.commit == baseline.commit:
        lines.append(_same_revision(candidate.uncommitted_total))
    lines.append([_seeds(evidence)])
    lines += _origin(evidence)
    lines += _cautions(evidence)
    if notes.run_url is not None:
        lines.append([Link("The run that made this report", notes.run_url), "."])
    lines += [[Data(note)] for note in notes.texts]
    return [Bullets(room.take(lines))]


def _same_revision(uncommitted: int) -> Line:
    if uncommitted:
        return ["Both are the same commit: what is compared is the uncommitted work."]
    return [
        "Both are the same revision: there is nothing to compare. Name another baseline: ",
        Data("make report BASE=HEAD~1"),
        ".",
    ]


def _seeds(evidence: Evidence) -> str:
    both = [
        (model.baseline.seeds, model.candidate.seeds)
        for model in evidence.models
        if model.baseline and model.candidate
    ]
    if not both:
        return "No model has results on both sides."
    sizes = sorted({(len(old), len(new)) for old, new in both})
    counts = ", ".join(
        f"{_many(old, 'seed')} a side" if old == new else f"{old} seeds against {new}"
        for old, new in sizes[:MOST_NAMED]
    )
    paired = [sorted(old) == sorted(new) for old, new in both]
    if all(paired):
        how = "the same on both sides, compared pair by pair"
    elif any(paired):
        how = "some models with other seeds than the baseline's (Welch), the rest pair by pair"
    else:
        how = "other seeds on either side, so compared without pairing (Welch)"
    return f"{counts}: {how}."


def _origin(evidence: Evidence) -> list[Line]:
    """Where the baseline's numbers come from, if not simply from its commit."""
    baseline = evidence.baseline
    why: list[Piece] = []
    if baseline.reasons:
        why = [" Why: ", Data(baseline.reasons[0])]
        if len(baseline.reasons) > 1:
            why.append(f" (and {_many(len(baseline.reasons) - 1, 'reason')} more)")
        why.append(".")
    if baseline.origin == "reproduced":
        return [
            [
                Strong("The baseline was reproduced"),
                " for this report, with its own code and "
                "the packages installed here, as its committed results could not be used.",
                *why,
            ]
        ]
    if baseline.origin == "none":
        last = baseline.reasons[-1:] if len(baseline.reasons) > 1 else []
        return [
            [
                Strong("The baseline has no results"),
                " that could be used or made.",
                *why,
                *(piece for reason in last for piece in (" ", Data(reason), ".")),
            ]
        ]
    return []


def _cautions(evidence: Evidence) -> list[Line]:
    """Differences between the sides that a reader must know to read the numbers."""
    lines: list[Line] = []
    new, old = evidence.candidate_data, evidence.baseline_data
    if (
        new
        and old
        and new.test == old.test
        and (new.train, new.validation) != (old.train, old.validation)
    ):
        lines.append([Strong("The training data differ"), "; the test set is the same."])
    if evidence.baseline_margin is not None and evidence.baseline_margin != evidence.margin:
        lines.append(
            [
                Strong("The margin itself changed"),
                f", from {100 * evidence.baseline_margin:.2g} to {100 * evidence.margin:.2g} pp; "
                "the verdicts use the new one.",
            ]
        )
    machines = {
        (
            model.baseline.device,
            model.baseline.precision,
            model.candidate.device,
            model.candidate.precision,
        )
        for model in evidence.models
        if model.baseline and model.candidate
    }
    for before, precision, after, now in sorted(machines):
        if (before, precision) != (after, now):
            lines.append(
                [
                    Strong("Device or precision differ"),
                    ": ",
                    Data(f"{before} {precision}"),
                    " → ",
                    Data(f"{after} {now}"),
                    ".",
                ]
            )
    for package in evidence.candidate.packages:
        pinned = package.baseline
        if pinned and package.candidate and package.candidate.split("+")[0] != pinned:
            lines.append(
                [
                    Data(package.key),
                    " here is ",
                    Data(package.candidate),
                    ", pinned is ",
                    Data(pinned),
                    ".",
                ]
            )
    return lines


# --- results -------------------------------------------------------------------------------------

RESULT_COLUMNS = (
    "Model",
    "Baseline, %",
    "Candidate, %",
    "Difference, pp (95 %)",
    "p (Holm)",
    "Sees, pp",
    "Verdict",
)


def _results(evidence: Evidence, judgement: Judgement, room: Room) -> list[Block]:
    rows = [_result_row(one) for one in judgement.models]
    blocks: list[Block] = [
        Heading("Test accuracy"),
        Table(RESULT_COLUMNS, room.rows_of(RESULT_COLUMNS, rows), frozenset(RESULT_COLUMNS[1:6])),
    ]
    blocks += _intervals(evidence, judgement, room)
    lines = [*_missing_lines(judgement), *_advice(evidence, judgement)]
    return [*blocks, Bullets(room.take(lines))] if lines else blocks


def _result_row(one: Judged) -> list[Line]:
    model = one.model
    name: list[Piece] = [Data(model.name)]
    if model.renamed_from:
        name += [" (was ", Data(model.renamed_from), ")"]
    sides = [
        [_spread(side.test.accuracy)] if side else ["missing" if reason else "–"]
        for side, reason in (
            (model.baseline, model.baseline_missing),
            (model.candidate, model.candidate_missing),
        )
    ]
    if one.finding is None:
        return [name, *sides, ["–"], ["–"], ["–"], [Strong(one.word)]]
    found = one.finding.difference
    seen = found.smallest_detectable
    return [
        name,
        *sides,
        [f"{points(found.estimate)} ({_interval(found)})"],
        [_p(one.finding.p_holm)],
        ["–" if seen is None else f"{100 * seen:.2f}"],
        [Strong(one.word)],
    ]


def _missing_lines(judgement: Judgement) -> list[Line]:
    lines: list[Line] = []
    for one in judgement.models:
        name = Data(one.model.name)
        if one.model.candidate_missing:
            lines.append(
                [
                    name,
                    ": the candidate's results are missing: ",
                    Data(one.model.candidate_missing),
                    ".",
                ]
            )
        if one.model.baseline_missing:
            lines.append(
                [
                    name,
                    ": the baseline's results are missing: ",
                    Data(one.model.baseline_missing),
                    ".",
                ]
            )
        if one.word == NEW:
            lines.append([name, " is new: the baseline has nothing to compare it with."])
        if one.word == REMOVED:
            lines.append([name, " was removed: only the baseline has it."])
        if one.model.renamed_from:
            lines.append(
                [
                    name,
                    " was renamed from ",
                    Data(one.model.renamed_from),
                    ": same params, same results.",
                ]
            )
        if one.word == STALE:
            lines += [[name, " is stale: ", Data(reason), "."] for reason in one.model.stale[:3]]
    return lines


def _advice(evidence: Evidence, judgement: Judgement) -> list[Line]:
    """For undecided models: how many seeds would decide."""
    lines: list[Line] = []
    for one in judgement.models:
        if one.word != Verdict.CANNOT_TELL or one.finding is None or one.model.candidate is None:
            continue
        found, seeds = one.finding.difference, len(one.model.candidate.seeds)
        if found.interval is None:
            lines.append(
                [
                    Data(one.model.name),
                    f": an interval needs at least {FEWEST_SEEDS} "
                    "seeds a side; with fewer it would rest on one degree of freedom "
                    "and say nothing.",
                ]
            )
            continue
        needed = seeds_needed(found, seeds, evidence.margin)
        if needed is not None and seeds < needed:
            amount = f"about {needed}" if needed <= MAX_SEEDS_ADVISED else "over a thousand"
            lines.append(
                [
                    Data(one.model.name),
                    f": {amount} seeds a side would show a "
                    f"difference of {100 * evidence.margin:.2g} pp four times out of five.",
                ]
            )
    return lines


HALF_WIDTH = 26  # characters either side of zero
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)


def _intervals(evidence: Evidence, judgement: Judgement, room: Room) -> list[Block]:
    """The intervals against the margin, drawn with characters."""
    told = [(one.model.name, one.finding.difference) for one in judgement.models if one.finding]
    if not told:
        return []
    shown = told[: room.rows]
    width = max(len(name) for name, _ in shown)
    scale = _scale([found for _, found in shown], evidence.margin)
    left, right = (_tick(sign * scale) for sign in (-1, 1))
    gap = 2 * HALF_WIDTH + 1
    axis = left + "0".center(gap)[len(left) : gap - len(right)] + right
    header = " " * (width + 2) + axis + " pp"
    lines = [f"{name:<{width}}  {_bar(found, evidence.margin, scale)}" for name, found in shown]
    legend = (
        f"░ within the margin of {100 * evidence.margin:.2g} pp   ├─●─┤ difference and its "
        "95 % interval"
    )
    if len(shown) < len(told):
        room.is_cut = True
        lines.append(f"… and {len(told) - len(shown)} more")
    return [Preformatted([header, *lines, "", legend])]


def _tick(value: float) -> str:
    return f"{100 * value:+.3g}".replace("-", MINUS)


def _scale(found: Sequence[Difference], margin: float) -> float:
    """The end of the axis: a round number that holds every interval and twice the margin."""
    ends = [abs(end) for one in found for end in (one.interval or (one.estimate,))]
    largest = max([2 * margin, *ends]) * 100
    power = 10.0 ** math.floor(math.log10(largest))
    step = next((step for step in STEPS if step * power >= largest * 0.999), STEPS[-1])
    return step * power / 100


def _bar(found: Difference, margin: float, scale: float) -> str:
    """One line of the drawing.

    >>> _bar(Difference(0.002, (0.001, 0.003), 0.01, 0.001, True, None), 0.001, 0.004)
    '                   ░░░░░░░│░░░░░░├──────●─────┤       '
    """

    def column(value: float) -> int:
        return HALF_WIDTH + max(-HALF_WIDTH, min(HALF_WIDTH, round(value / scale * HALF_WIDTH)))

    cells = [" "] * (2 * HALF_WIDTH + 1)
    for position in range(column(-margin), column(margin) + 1):
        cells[position] = "░"
    cells[HALF_WIDTH] = "│"
    if found.interval is not None:
        low, high = map(column, found.interval)
        for position in range(low, high + 1):
            cells[position] = "─"
        cells[low], cells[high] = "├", "┤"
    cells[column(found.estimate)] = "●"
    return "".join(cells)


# --- what changed, what ran, what it cost --------------------------------------------------------


def _changes(evidence: Evidence, room: Room) -> list[Block]:
    changes = evidence.changes
    blocks: list[Block] = [
        *_change_table("Param", changes.params, changes.params_total, room),
        *_data_table(evidence, room),
        *_code_table(evidence, room),
        *_change_table("Package", changes.packages, changes.packages_total, room),
    ]
    nothing = Paragraph(["Nothing: params, data, code and pinned packages are the same."])
    return blocks or [nothing]


def _change_table(kind: str, changes: Sequence[Change], total: int, room: Room) -> list[Block]:
    if not changes:
        return []
    header = (kind, "Baseline", "Candidate")
    rows: list[list[Line]] = [
        [[Data(change.key)], _value(change.baseline), _value(change.candidate)]
        for change in changes
    ]
    blocks: list[Block] = [Table(header, room.rows_of(header, rows))]
    if total > len(changes):
        blocks.append(Paragraph([f"… and {_count(total - len(changes))} more."]))
    return blocks


def _value(value: str | None) -> Line:
    return ["–"] if value is None else [Data(value)]


def _splits(evidence: Evidence) -> list[tuple[str, Split, Split]]:
    """The splits that differ: name, baseline, candidate."""
    new, old = evidence.candidate_data, evidence.baseline_data
    if new is None or old is None:
        return []
    pairs = [
        ("train", old.train, new.train),
        ("validation", old.validation, new.validation),
        ("test", old.test, new.test),
    ]
    return [(name, before, after) for name, before, after in pairs if before != after]


def _data_table(evidence: Evidence, room: Room) -> list[Block]:
    new, old = evidence.candidate_data, evidence.baseline_data
    if new is None or old is None:
        which = "candidate" if new is None else "baseline"
        return [
            Paragraph(
                [
                    f"The {which} has no description of its data (",
                    Data("metrics/dataset.json"),
                    ").",
                ]
            )
        ]
    header = ("Data", "Baseline", "Candidate", "Images per class")
    rows: list[list[Line]] = [
        [
            [Data(f"{new.name} {name}" if new.name == old.name else name)],
            [f"{_count(before.images)} images, ", Data(before.sha256[:12])],
            [f"{_count(after.images)} images, ", Data(after.sha256[:12])],
            _class_counts(evidence, before, after),
        ]
        for name, before, after in _splits(evidence)
    ]
    return [Table(header, room.rows_of(header, rows))] if rows else []


def _class_counts(evidence: Evidence, before: Split, after: Split) -> Line:
    changed = [
        (name, now - was)
        for name, was, now in zip(
            evidence.class_names, before.images_per_class, after.images_per_class, strict=True
        )
        if was != now
    ]
    if not changed:
        return ["the same in each class"]
    line: list[Piece] = []
    for position, (name, amount) in enumerate(changed[:10]):
        line += [", " if position else "", Data(name), f" {amount:+,}".replace("-", MINUS)]
    return [*line, ", …"] if len(changed) > 10 else line


def _code_table(evidence: Evidence, room: Room) -> list[Block]:
    changes = evidence.changes
    if not changes.code:
        return []
    header = ("File", "Lines", "Stages that read it")
    rows: list[list[Line]] = [
        [
            [Data(change.path)],
            [f"+{_count(change.added)} {MINUS}{_count(change.removed)}"],
            [Data(", ".join(change.stages))] if change.stages else ["none"],
        ]
        for change in sorted(changes.code, key=lambda change: not change.stages)
    ]
    blocks: list[Block] = [Table(header, room.rows_of(header, rows))]
    if changes.code_total > len(changes.code):
        blocks.append(Paragraph([f"… and {_count(changes.code_total - len(changes.code))} more."]))
    return blocks


STATES = {
    "ran": "ran",
    "ran again": "ran again: same inputs, other results (another machine?)",
    "unchanged": "unchanged, from the cache",
    "stale": "stale",
}


def _stages(evidence: Evidence, room: Room) -> list[Block]:
    if not evidence.stages:
        return [Paragraph(["There is no pipeline (", Data("dvc.yaml"), ")."])]
    header = ("Stage", "State", "Why")
    rows: list[list[Line]] = []
    for stage in evidence.stages:
        why: list[Piece] = []
        for reason in stage.reasons[:5] if stage.state in ("ran", "stale") else []:
            why += ["; " if why else "", Data(reason)]
        if len(stage.reasons) > 5:
            why.append(f"; and {len(stage.reasons) - 5} more")
        rows.append([[Data(stage.name)], [STATES[stage.state]], why or ["–"]])
    return [Table(header, room.rows_of(header, rows))]


def _costs(evidence: Evidence, room: Room) -> list[Block]:
    header = ("Model", "Wall, s", "CPU, s", "Images/s", "Peak memory", "Parameters")
    rows: list[list[Line]] = []
    costs: list[Cost] = []
    for model in evidence.models:
        if model.baseline or model.candidate:
            columns = list(
                zip(_cost_cells(model.baseline), _cost_cells(model.candidate), strict=True)
            )
            rows.append([[Data(model.name)], *([_both(*column)] for column in columns)])
            costs += [s.cost for s in (model.baseline, model.candidate) if s and s.cost]
    if not rows:
        return [Paragraph(["Unknown: no model has results."])]
    told: Line = [
        "Training, all seeds of a model together, baseline → candidate, on ",
        Data(evidence.candidate.machine),
        ". “?”: those results were not made in this checkout, so their cost is not known here.",
    ]
    if not costs:
        told = ["No cost is known: these results were made elsewhere or came from the cache."]
    table = Table(header, room.rows_of(header, rows), frozenset(header[1:]))
    return [table, Paragraph(told)]


def _cost_cells(side: ModelSide | None) -> list[str]:
    """Wall and CPU time, throughput, memory, parameters; `?` where unknown, `–` without results."""
    if side is None:
        return ["–"] * 5
    count = _count(side.parameter_count)
    if side.cost is None:
        return [*["?"] * 4, count]
    return [
        f"{side.cost.wall_seconds:,.1f}",
        f"{side.cost.cpu_seconds:,.1f}",
        f"{side.cost.image_steps_per_second:,.0f}",
        _bytes(side.cost.peak_memory_bytes),
        count,
    ]


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _pictures(evidence: Evidence, drawn: Sequence[Picture], room: Room) -> list[Block]:
    lines: list[Line] = []
    for flips in evidence.flips:
        if flips.missing:
            lines.append(
                [
                    Data(flips.model),
                    ": changed predictions are not known: ",
                    Data(flips.missing),
                    ".",
                ]
            )
            continue
        total = flips.mended + flips.broken + flips.otherwise
        if not total:
            lines.append([Data(flips.model), ": most seeds agree as before on every test image."])
            continue
        lines.append(
            [
                Data(flips.model),
                f": most seeds changed their mind on {_many(total, 'test image')}: "
                f"{_count(flips.mended)} right now, {_count(flips.broken)} wrong now, "
                f"{_count(flips.otherwise)} wrong either way.",
            ]
        )
    blocks: list[Block] = list(drawn)
    if not drawn:
        blocks.append(Paragraph(["No pictures here; every number stands in the text."]))
    return [*blocks, Bullets(room.take(lines))] if lines else blocks


# --- folded --------------------------------------------------------------------------------------


def _details(evidence: Evidence, judgement: Judgement, room: Room) -> list[Block]:
    compared = [one.model for one in judgement.models if one.finding]
    return [
        Folded("Per class (exploratory)", _per_class(evidence, compared, room)),
        Folded("Loss, calibration and validation (exploratory)", _scores(compared, room)),
        Folded("Raw numbers per seed", _raw(evidence, room)),
        Folded("How to reproduce this", _reproduction(evidence)),
        Folded("How to read this", _legend(evidence)),
    ]


def _per_class(evidence: Evidence, compared: Sequence[Model], room: Room) -> list[Block]:
    header = ("Model", "Class", "Baseline, %", "Candidate, %", "Difference, pp")
    rows: list[list[Line]] = []
    for model in compared:
        if model.baseline is None or model.candidate is None:
            continue
        for index, name in enumerate(evidence.class_names):
            recalls = [
                _recall(side.confusion[index], index) for side in (model.baseline, model.candidate)
            ]
            before, after = recalls
            if before is None or after is None:
                continue
            rows.append(
                [
                    [Data(model.name)],
                    [Data(name)],
                    [f"{100 * before:.2f}"],
                    [f"{100 * after:.2f}"],
                    [points(after - before)],
                ]
            )
    if not rows:
        return [Paragraph(["No model has results on both sides."])]
    return [
        Paragraph(
            [
                "How many of the test images of a class were recognised, over all seeds. Not "
                "corrected for looking at many classes: a lead to follow, no finding."
            ]
        ),
        Table(header, room.rows_of(header, rows, is_folded=True), frozenset(header[2:])),
    ]


def _recall(counts: Sequence[int], index: int) -> float | None:
    return counts[index] / sum(counts) if sum(counts) else None


EXPLORED = (
    ("test", "loss", "Test loss, nats", False),
    ("test", "calibration_error", "Test calibration error, pp", True),
    ("validation", "accuracy", "Validation accuracy, pp", True),
)


def _scores(compared: Sequence[Model], room: Room) -> list[Block]:
    header = ("Model", "Score", "Baseline", "Candidate", "Difference (95 % interval)")
    rows: list[list[Line]] = []
    for model in compared:
        if model.baseline is None or model.candidate is None:
            continue
        for split, score, label, is_percent in EXPLORED:
            old, new = (
                getattr(getattr(side, split), score) for side in (model.baseline, model.candidate)
            )
            found = difference(Side(model.candidate.seeds, new), Side(model.baseline.seeds, old))
            form = points if is_percent else _signed
            spread = (100, ".2f") if is_percent else (1, ".4g")
            rows.append(
                [
                    [Data(model.name)],
                    [label],
                    [_spread(old, *spread)],
                    [_spread(new, *spread)],
                    [f"{form(found.estimate)} ({_interval(found, form)})"],
                ]
            )
    if not rows:
        return [Paragraph(["No model has results on both sides."])]
    return [
        Paragraph(
            [
                "Not corrected for looking at many numbers: leads to follow, no findings. "
                "For loss and calibration error less is better."
            ]
        ),
        Table(header, room.rows_of(header, rows, is_folded=True), frozenset(header[2:])),
    ]


def _raw(evidence: Evidence, room: Room) -> list[Block]:
    header = ("Model", "Seed", "Baseline, %", "Candidate, %", "Difference, pp")
    rows: list[list[Line]] = []
    for model in evidence.models:
        old, new = (
            dict(zip(side.seeds, side.test.accuracy, strict=True)) if side else {}
            for side in (model.baseline, model.candidate)
        )
        for seed in dict.fromkeys([*old, *new]):
            both = seed in old and seed in new
            rows.append(
                [
                    [Data(model.name)],
                    [str(seed)],
                    [f"{100 * old[seed]:.2f}" if seed in old else "–"],
                    [f"{100 * new[seed]:.2f}" if seed in new else "–"],
                    [points(new[seed] - old[seed]) if both else "–"],
                ]
            )
    blocks: list[Block] = [
        Table(header, room.rows_of(header, rows, is_folded=True), frozenset(header[1:]))
    ]
    correlations = [
        (model.name, difference(accuracy(model.candidate), accuracy(model.baseline)).correlation)
        for model in evidence.models
        if model.candidate and model.baseline
    ]
    lines: list[Line] = [
        [Data(name), f": correlation of the pairs r = {_signed(value)}"]
        for name, value in correlations
        if value is not None
    ]
    return [*blocks, Bullets(room.take(lines, is_folded=True))] if lines else blocks


def _reproduction(evidence: Evidence) -> list[Block]:
    candidate, baseline = evidence.candidate, evidence.baseline
    blocks: list[Block] = [
        Preformatted(
            [
                f"git checkout {candidate.commit}",
                "make repro",
                f"make report BASE={baseline.commit}",
            ]
        )
    ]
    if candidate.uncommitted_total:
        blocks.append(
            Paragraph(
                [
                    f"and {_many(candidate.uncommitted_total, 'uncommitted file')}, which "
                    "no commit holds: ",
                    *_names(candidate.uncommitted[:10]),
                    ", …" if candidate.uncommitted_total > 10 else "",
                ]
            )
        )
    return blocks


def _names(names: Iterable[str]) -> list[Piece]:
    line: list[Piece] = []
    for name in names:
        line += [", " if line else "", Data(name)]
    return line


def _legend(evidence: Evidence) -> list[Block]:
    margin = f"{100 * evidence.margin:.2g} pp"
    return [
        Paragraph(
            [
                "The unit is the seed: each side trained every model once per seed, and the "
                "difference (candidate minus baseline) is that of the mean test accuracies, in "
                "percentage points (pp). Numbers behind ± are standard deviations over seeds. "
                "The interval is a t interval, paired by seed where both sides have the same "
                "seeds, Welch's otherwise. p is corrected by Holm's method over all models."
            ]
        ),
        Bullets(
            [
                [
                    Strong("improved"),
                    ", ",
                    Strong("regressed"),
                    ": the difference is told from zero "
                    f"(p below 0.05) and at least the margin of {margin}.",
                ],
                [Strong("equivalent"), ": the interval lies within the margin on both sides."],
                [Strong("real but small"), ": told from zero, but below the margin."],
                [
                    Strong("cannot tell"),
                    ": neither; “sees” is the true difference that "
                    "this many seeds would have told from zero four times out of five.",
                ],
                [
                    Strong("missing"),
                    ", ",
                    Strong("stale"),
                    ": there are no results, or none that "
                    "belong to this code. A gate stops these two and “regressed”.",
                ],
                [Strong("new"), ", ", Strong("removed"), ": only one side has the model."],
            ]
        ),
        Paragraph(["The procedure and its sources: ", Data("docs/statistics.md"), "."]),
    ]
