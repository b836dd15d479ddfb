"""The report of a comparison as a page: evidence and judgement in, text out."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, StringConstraints

from lab.base.records import Record
from lab.report.document import (
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
    say,
    shortened,
)
from lab.report.document import hypertext as html_page
from lab.report.evidence import Change, Evidence, Model, ModelSide, Split, Text
from lab.report.judgement import (
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
from lab.report.wording import (
    MINUS,
    count,
    drawing,
    interval,
    many,
    mebibytes,
    p_value,
    percent,
    points,
    signed,
    spread,
)
from lab.results.schema import FEWEST_SEEDS
from lab.verdict.comparison import Side, Verdict, difference

MARKER = "fair-trial report"
TITLE = "A fair trial"
MAX_CHARACTERS = 60_000  # of Markdown; a comment on GitHub holds 65,536
MAX_SEEDS_ADVISED = 1_000  # more is no advice

_ADDRESS = r"https://[A-Za-z0-9.:-]{1,100}(/[A-Za-z0-9_.~-]{1,100}){0,12}/?"
PICTURES_URL = re.compile(_ADDRESS)


class Notes(Record):
    """What a workflow may add to a report; nothing else it says reaches the page."""

    run_url: Annotated[str, StringConstraints(pattern=f"^{_ADDRESS}$")] | None = None
    runs_url: Annotated[str, StringConstraints(pattern=f"^{_ADDRESS}$")] | None = None
    lifted_by: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,39}(\[bot\])?$")] | None
    ) = None
    texts: Annotated[list[Text], Field(max_length=10)] = Field(default_factory=list)


# --- the page ------------------------------------------------------------------------------------


# Entries of each list in the open and in the folded parts: in report.html, and in Markdown from
# most to least, until it fits.
WHOLE = (1_000, 5_000)
FITTING = ((200, 400), (200, 100), (150, 30), (80, 10), (40, 5), (15, 3), (5, 1))


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
    shown = () if pictures is None else drawn
    whole = page(evidence, judgement, shown, notes)
    remark = say("Lists were shortened here; {} and {} hold more.",
                 Data("report.html"), Data("report.json"))  # fmt: skip
    for rows, folded in FITTING:
        written = markdown(shortened(whole, rows, folded, remark), pictures)
        if len(written) <= MAX_CHARACTERS:
            break
    return written


def hypertext(
    evidence: Evidence,
    judgement: Judgement,
    drawn: Sequence[Picture],
    notes: Notes,
    files: Mapping[str, bytes],
) -> str:
    """The report as one HTML file; `files` holds the pictures' bytes by name."""
    remark = say("Lists were shortened here; {} holds more.", Data("report.json"))
    return html_page(shortened(page(evidence, judgement, drawn, notes), *WHOLE, remark), files)


def page(evidence: Evidence, judgement: Judgement, drawn: Sequence[Picture], notes: Notes) -> Page:
    """The report as a page, in the order in which it is read."""
    blocks: list[Block] = [
        Paragraph(verdict_line(judgement)),
        *_lifted(notes),
        *_stale(evidence),
        Bullets(_provenance(evidence, notes)),
        Heading("Test accuracy"),
        *_results(evidence, judgement),
        Heading("What changed"),
        *_changes(evidence),
        Heading("What ran"),
        *_stages(evidence),
        Heading("What it cost"),
        *_costs(evidence),
        Heading("Pictures"),
        *_pictures(evidence, drawn),
        Heading("Details"),
        *_details(evidence, judgement),
    ]
    return Page(MARKER, TITLE, blocks)


TERMINAL_ROWS = 20


def terminal(judgement: Judgement) -> str:
    """The verdict line and a compact table, for a terminal."""
    rows = [("model", "baseline", "candidate", "difference, pp (95 %)", "verdict")]
    for one in judgement.models[:TERMINAL_ROWS]:
        baseline, candidate, amount = (plain(cell) for cell in _result_row(one)[1:4])
        rows.append((one.model.name, baseline, candidate, amount, one.word))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if len(judgement.models) > TERMINAL_ROWS:
        lines.append(f"… and {len(judgement.models) - TERMINAL_ROWS} more")
    return "\n".join([plain(verdict_line(judgement)), "", *lines])


# --- the verdict line ----------------------------------------------------------------------------

MOST_NAMED = 3  # models of one verdict in the verdict line


def verdict_line(judgement: Judgement) -> Line:
    """The first line of a report: what was found, and what is asked of the reader."""
    if judgement.refusal:
        return say("✕ {}: {}. {}", Strong("Not comparable"), judgement.refusal, _ask(judgement))
    if not judgement.models:
        return say("✕ {}: neither revision has any results.", Strong("No models"))
    line: list[Piece] = []
    for word, models in judgement.by_word().items():
        line += (
            ["; ", f"{word}: "] if line else [f"{WORDS[word]} ", Strong(word.capitalize()), ": "]
        )
        for position, one in enumerate(models[:MOST_NAMED]):
            line += [", " if position else "", Data(one.model.name), _amount(one)]
        if len(models) > MOST_NAMED:
            line.append(f" and {len(models) - MOST_NAMED} more")
    return [*line, ". ", _ask(judgement)]


def _amount(one: Judged) -> str:
    if one.finding is None or one.word == STALE:
        return ""
    if is_identical(one.model):
        return " (identical results)"
    found = one.finding.difference
    amount = f" {points(found.estimate)} pp"
    return f"{amount} ({interval(found)})" if found.interval else amount


def _ask(judgement: Judgement) -> str:
    """What is asked of the reader, for the worst of the verdicts."""
    words = judgement.by_word()
    if judgement.refusal:
        return "Asked of you: compare with a revision that has this test set."
    if Verdict.MISSING.value in words:
        return "Asked of you: make the missing results; below it says which, and why."
    if STALE in words:
        return "Asked of you: run the pipeline again; below are the two commands."
    if Verdict.REGRESSED.value in words:
        return "Asked of you: find the cause, or say why the loss is worth it."
    if Verdict.CANNOT_TELL.value in words:
        return _blindness(words[Verdict.CANNOT_TELL.value])
    return "Nothing is asked of you."


def _blindness(models: Sequence[Judged]) -> str:
    smallest = [
        one.finding.difference.smallest_detectable
        for one in models
        if one.finding and one.finding.difference.smallest_detectable is not None
    ]
    if not smallest:
        why = f"With fewer than {FEWEST_SEEDS} seeds a side there is no interval."
    else:
        why = (
            f"A true difference below {100 * max(smallest):.2f} pp would have been overlooked more "
            "than one time in five."
        )
    return f"{why} Asked of you, if that matters: more seeds (train.seeds)."


# --- where the numbers come from -----------------------------------------------------------------

MEND = ("make repro", 'git add dvc.lock metrics && git commit --message "Update the results"')


def _lifted(notes: Notes) -> list[Block]:
    if notes.lifted_by is None:
        return []
    return [Paragraph(say("The gate was lifted by {}.", Data(f"@{notes.lifted_by}")))]


def _stale(evidence: Evidence) -> list[Block]:
    """Says that results are stale, and how to mend it."""
    if any(model.stale for model in evidence.models):
        names = [Data(state.name) for state in evidence.stages if state.state == STALE]
        line = say(
            "{}: they were not made by this code, these params and this data ({}). "
            "The numbers below are those of an earlier state. To mend it:",
            Strong("The results here are stale"),
            names[0] if names else "no stage named",
        )
    elif evidence.candidate.committed_stale:
        line = say(
            "{} ({}). This report shows those that were made for it. To mend the branch:",
            Strong("The results committed in this branch are stale"),
            Data(evidence.candidate.committed_stale[0]),
        )
    else:
        return []
    return [Paragraph(line), Preformatted(MEND)]


def _provenance(evidence: Evidence, notes: Notes) -> list[Line]:
    candidate, baseline = evidence.candidate, evidence.baseline
    dirty = many(candidate.uncommitted_total, "uncommitted file")
    line = [
        *say("Candidate {}", Data(candidate.commit[:12])),
        f" with {dirty}" if candidate.uncommitted_total else "",
        *say(" against baseline {}", Data(baseline.commit[:12])),
    ]
    if baseline.named is not None:
        line += say(" ({})", Data(baseline.named))
    elif baseline.trunk is not None:
        line += say(" (where it left {})", Data(baseline.trunk))
    if baseline.behind and baseline.trunk is not None:
        line += say(", {} behind {}", many(baseline.behind, "commit"), Data(baseline.trunk))
    lines: list[Line] = [[*line, "."]]
    if candidate.commit == baseline.commit:
        lines.append(_same_commit(candidate.uncommitted_total))
    lines += [[_seeds(evidence)], *_origin(evidence), *_cautions(evidence)]
    if notes.run_url is not None:
        lines.append([Link("The run that made this report", notes.run_url), "."])
    if notes.runs_url is not None:
        lines.append([Link("The runs of training", notes.runs_url), "."])
    return [*lines, *([Data(note)] for note in notes.texts)]


def _same_commit(uncommitted: int) -> Line:
    if uncommitted:
        return ["Both are the same commit: what is compared is the uncommitted work."]
    other = Data("make report BASE=HEAD~1")
    return say("Both are the same revision; to compare with another: {}.", other)


def _seeds(evidence: Evidence) -> str:
    both = [(m.baseline.seeds, m.candidate.seeds)
            for m in evidence.models if m.baseline and m.candidate]  # fmt: skip
    if not both:
        return "No model has results on both sides."
    sizes = sorted({(len(old), len(new)) for old, new in both})
    counts = ", ".join(
        f"{many(old, 'seed')} a side" if old == new else f"{old} seeds against {new}"
        for old, new in sizes[:MOST_NAMED]
    )
    paired = [sorted(old) == sorted(new) for old, new in both]
    if all(paired):
        return f"{counts}: the same on both sides, compared pair by pair."
    if any(paired):
        return f"{counts}: some models with other seeds than the baseline's, so not in pairs."
    return f"{counts}: other seeds on either side, so compared without pairing (Welch)."


def _origin(evidence: Evidence) -> list[Line]:
    """Where the baseline's numbers come from, if not simply from its commit."""
    baseline = evidence.baseline
    if baseline.origin == "committed":
        return []
    why: list[Piece] = []
    if baseline.reasons:
        why = [" Why: ", Data(baseline.reasons[0])]
        if len(baseline.reasons) > 1:
            why += ["; … ", Data(baseline.reasons[-1])]
        why.append(".")
    if baseline.origin == "reproduced":
        what = say(
            "{} for this report, with its own code and the packages installed here, as its "
            "committed results could not be used.",
            Strong("The baseline was reproduced"),
        )
    else:
        what = say("{} that could be used or made.", Strong("The baseline has no results"))
    return [[*what, *why]]


def _cautions(evidence: Evidence) -> list[Line]:
    """What a reader must know of the two sides to read the numbers."""
    lines: list[Line] = []
    if any(name != "test" for name, *_ in _splits(evidence)) and _has_same_test(evidence):
        lines.append(say("{}; the test set is the same.", Strong("The training data differ")))
    if evidence.baseline_margin not in (None, evidence.margin):
        before, after = percent(evidence.baseline_margin or 0), percent(evidence.margin)
        changed = Strong("The margin itself changed")
        lines.append(say("{}, from {} to {} pp; verdicts use the new one.", changed, before, after))
    machines = {
        (f"{m.baseline.device} {m.baseline.precision}",
         f"{m.candidate.device} {m.candidate.precision}")
        for m in evidence.models if m.baseline and m.candidate
    }  # fmt: skip
    for before, after in sorted(machines):
        if before != after:
            what = Strong("Device or precision differ")
            lines.append(say("{}: {} → {}.", what, Data(before), Data(after)))
    for package in evidence.candidate.packages:
        pinned, here = package.baseline, package.candidate
        if pinned and here and here.split("+")[0] != pinned:
            pieces = Data(package.key), Data(here), Data(pinned)
            lines.append(say("{} here is {}, pinned is {}.", *pieces))
    return lines


def _has_same_test(evidence: Evidence) -> bool:
    return all(name != "test" for name, *_ in _splits(evidence))


# --- results -------------------------------------------------------------------------------------

MOST_DRAWN = 40  # intervals in characters
RESULT_COLUMNS = (
    "Model",
    "Baseline, %",
    "Candidate, %",
    "Difference, pp (95 %)",
    "p (Holm)",
    "Sees, pp",
    "Verdict",
)


def _results(evidence: Evidence, judgement: Judgement) -> list[Block]:
    rows = [_result_row(one) for one in judgement.models]
    blocks: list[Block] = [Table(RESULT_COLUMNS, rows, RESULT_COLUMNS[1:6])]
    told = [(one.model.name, one.finding.difference) for one in judgement.models if one.finding]
    if told:
        blocks.append(Preformatted(drawing(told[:MOST_DRAWN], evidence.margin)))
        blocks += _unlisted(min(len(told), MOST_DRAWN), len(told))
    lines = [line for one in judgement.models for line in _remarks(one, evidence.margin)]
    return [*blocks, Bullets(lines)] if lines else blocks


def _result_row(one: Judged) -> list[Line]:
    model = one.model
    name: Line = [Data(model.name)]
    if model.renamed_from:
        name = say("{} (was {})", Data(model.name), Data(model.renamed_from))
    row: list[Line] = [
        name,
        [_accuracy_cell(model.baseline, model.baseline_missing)],
        [_accuracy_cell(model.candidate, model.candidate_missing)],
    ]
    if one.finding is None:
        return [*row, ["–"], ["–"], ["–"], [Strong(one.word)]]
    found = one.finding.difference
    seen = found.smallest_detectable
    return [
        *row,
        [f"{points(found.estimate)} ({interval(found)})"],
        [p_value(one.finding.p_holm)],
        ["–" if seen is None else f"{100 * seen:.2f}"],
        [Strong(one.word)],
    ]


def _accuracy_cell(side: ModelSide | None, missing: str | None) -> str:
    if side is None:
        return "missing" if missing else "–"
    return spread(side.test.accuracy)


def _remarks(one: Judged, margin: float) -> list[Line]:
    """What the row of a model cannot say."""
    model, name = one.model, Data(one.model.name)
    lines: list[Line] = []
    for side, reason in (("candidate", model.candidate_missing),
                         ("baseline", model.baseline_missing)):  # fmt: skip
        if reason:
            lines.append(say("{}: the {}'s results are missing: {}.", name, side, Data(reason)))
    if one.word == NEW:
        lines.append(say("{} is new: the baseline has nothing to compare it with.", name))
    if one.word == REMOVED:
        lines.append(say("{} was removed: only the baseline has it.", name))
    if model.renamed_from:
        old = Data(model.renamed_from)
        lines.append(say("{} was renamed from {}: same params, same results.", name, old))
    if one.word == STALE:
        lines += [say("{} is stale: {}.", name, Data(reason)) for reason in model.stale[:3]]
    if one.word == Verdict.CANNOT_TELL:
        lines += _advice(one, margin)
    return lines


def _advice(one: Judged, margin: float) -> list[Line]:
    """For an undecided model: how many seeds would decide."""
    name = Data(one.model.name)
    if one.finding is None or one.model.candidate is None:
        return []
    found, seeds = one.finding.difference, len(one.model.candidate.seeds)
    if found.interval is None:
        reason = "with fewer it would rest on one degree of freedom and say nothing"
        fewest = str(FEWEST_SEEDS)
        return [say("{}: an interval needs at least {} seeds a side; {}.", name, fewest, reason)]
    needed = seeds_needed(found, seeds, margin)
    if needed is None or needed <= seeds:
        return []
    amount = f"about {needed}" if needed <= MAX_SEEDS_ADVISED else "over a thousand"
    what = f"{amount} seeds a side would show a difference of {percent(margin)} pp"
    return [say("{}: {} four times out of five.", name, what)]


# --- what changed, what ran, what it cost --------------------------------------------------------


def _changes(evidence: Evidence) -> list[Block]:
    changes = evidence.changes
    blocks = [
        *_change_table("Param", changes.params, changes.params_total),
        *_data_table(evidence),
        *_code_table(evidence),
        *_change_table("Package", changes.packages, changes.packages_total),
    ]
    nothing = Paragraph(["Nothing: params, data, code and pinned packages are the same."])
    return blocks or [nothing]


def _change_table(kind: str, changes: Sequence[Change], total: int) -> list[Block]:
    if not changes:
        return []
    rows = [[[Data(one.key)], _value(one.baseline), _value(one.candidate)] for one in changes]
    return [Table((kind, "Baseline", "Candidate"), rows), *_unlisted(len(changes), total)]


def _value(value: str | None) -> Line:
    return ["–"] if value is None else [Data(value)]


def _unlisted(listed: int, total: int) -> list[Block]:
    """Counts what even report.json does not list."""
    return [Paragraph([f"… and {count(total - listed)} more."])] if total > listed else []


def _splits(evidence: Evidence) -> list[tuple[str, Split, Split]]:
    """The splits that differ: name, baseline, candidate."""
    new, old = evidence.candidate_data, evidence.baseline_data
    if new is None or old is None:
        return []
    pairs = [("train", old.train, new.train), ("validation", old.validation, new.validation),
             ("test", old.test, new.test)]  # fmt: skip
    return [(name, before, after) for name, before, after in pairs if before != after]


def _data_table(evidence: Evidence) -> list[Block]:
    new, old = evidence.candidate_data, evidence.baseline_data
    if new is None or old is None:
        which = "candidate" if new is None else "baseline"
        where = Data("metrics/dataset.json")
        return [Paragraph(say("The {} has no description of its data ({}).", which, where))]
    rows = [
        [[name], _split(old.name, before), _split(new.name, after),
         _class_counts(evidence.class_names, before, after)]
        for name, before, after in _splits(evidence)
    ]  # fmt: skip
    header = ("Data", "Baseline", "Candidate", "Images per class")
    return [Table(header, rows)] if rows else []


def _split(name: str, split: Split) -> Line:
    return say("{} {} images, {}", Data(name), count(split.images), Data(split.sha256[:12]))


def _class_counts(names: Sequence[str], before: Split, after: Split) -> Line:
    pairs = zip(before.images_per_class, after.images_per_class, strict=True)
    changed = [
        (name, new - old) for name, (old, new) in zip(names, pairs, strict=True) if new != old
    ]
    if not changed:
        return ["the same in each class"]
    line: list[Piece] = []
    for name, amount in changed[:10]:
        line += [", " if line else "", Data(name), f" {amount:+,}".replace("-", MINUS)]
    return [*line, ", …"] if len(changed) > 10 else line


def _code_table(evidence: Evidence) -> list[Block]:
    changes = evidence.changes
    if not changes.code:
        return []
    rows: list[list[Line]] = [
        [
            [Data(change.path)],
            [f"+{count(change.added)} {MINUS}{count(change.removed)}"],
            [Data(", ".join(change.stages))] if change.stages else ["none"],
        ]
        for change in sorted(changes.code, key=lambda change: not change.stages)
    ]
    table = Table(("File", "Lines", "Stages that read it"), rows)
    return [table, *_unlisted(len(changes.code), changes.code_total)]


STATES = {
    "ran": "ran",
    "ran again": "ran again: same inputs, other results (another machine?)",
    "unchanged": "unchanged, from the cache",
    "stale": "stale",
}
MOST_REASONS = 5


def _stages(evidence: Evidence) -> list[Block]:
    if not evidence.stages:
        return [Paragraph(say("There is no pipeline ({}).", Data("dvc.yaml")))]
    rows: list[list[Line]] = []
    for stage in evidence.stages:
        why: list[Piece] = []
        for reason in stage.reasons[:MOST_REASONS] if stage.state in ("ran", "stale") else []:
            why += ["; " if why else "", Data(reason)]
        if len(stage.reasons) > MOST_REASONS:
            why.append(f"; and {len(stage.reasons) - MOST_REASONS} more")
        rows.append([[Data(stage.name)], [STATES[stage.state]], why or ["–"]])
    return [Table(("Stage", "State", "Why"), rows)]


def _costs(evidence: Evidence) -> list[Block]:
    header = ("Model", "Wall, s", "CPU, s", "Images/s", "Peak memory", "Parameters")
    models = [model for model in evidence.models if model.baseline or model.candidate]
    if not models:
        return [Paragraph(["Unknown: no model has results."])]
    rows: list[list[Line]] = []
    for model in models:
        columns = zip(_cost_cells(model.baseline), _cost_cells(model.candidate), strict=True)
        rows.append([[Data(model.name)], *([_both(*column)] for column in columns)])
    table = Table(header, rows, header[1:])
    costs = [side.cost for m in models for side in (m.baseline, m.candidate) if side]
    if not any(costs):
        unknown = "No cost is known: these results were made elsewhere or came from the cache."
        return [table, Paragraph([unknown])]
    machine = Data(evidence.candidate.machine)
    told = say("Training, all seeds of a model together, baseline → candidate, on {}.", machine)
    if not all(costs):
        told = [*told, " “?”: those results were not made in this checkout."]
    return [table, Paragraph(told)]


def _cost_cells(side: ModelSide | None) -> list[str]:
    """Wall and CPU time, throughput, memory, parameters; `?` where unknown, `–` without results."""
    if side is None:
        return ["–"] * 5
    parameters = count(side.parameter_count)
    if side.cost is None:
        return [*["?"] * 4, parameters]
    return [
        f"{side.cost.wall_seconds:,.1f}",
        f"{side.cost.cpu_seconds:,.1f}",
        f"{side.cost.image_steps_per_second:,.0f}",
        mebibytes(side.cost.peak_memory_bytes),
        parameters,
    ]


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _pictures(evidence: Evidence, drawn: Sequence[Picture]) -> list[Block]:
    lines: list[Line] = []
    for flips in evidence.flips:
        name, total = Data(flips.model), flips.mended + flips.broken + flips.otherwise
        if flips.missing:
            lines.append(say("{}: changed predictions are unknown: {}.", name, Data(flips.missing)))
        elif total:
            counts = (many(total, "test image"), count(flips.mended), count(flips.broken),
                      count(flips.otherwise))  # fmt: skip
            lines.append(say("{}: most seeds changed their mind on {}: {} right now, {} wrong now, "
                             "{} wrong either way.", name, *counts))  # fmt: skip
        else:
            lines.append(say("{}: most seeds agree as before on every test image.", name))
    blocks: list[Block] = list(drawn)
    if not drawn:
        blocks.append(Paragraph(["No pictures here; every number stands in the text."]))
    return [*blocks, Bullets(lines)] if lines else blocks


# --- folded --------------------------------------------------------------------------------------


def _details(evidence: Evidence, judgement: Judgement) -> list[Block]:
    pairs = [
        (one.model, one.model.baseline, one.model.candidate)
        for one in judgement.models
        if one.finding and one.model.baseline and one.model.candidate
    ]
    return [
        Folded("Per class (exploratory)", _per_class(evidence.class_names, pairs)),
        Folded("Loss, calibration and validation (exploratory)", _scores(pairs)),
        Folded("Raw numbers per seed", _raw(evidence, pairs)),
        Folded("How to reproduce this", _reproduction(evidence)),
        Folded("How to read this", _legend(evidence.margin)),
    ]


Pairs = Sequence[tuple[Model, ModelSide, ModelSide]]  # model, baseline, candidate
NO_PAIRS = Paragraph(["No model has results on both sides that can be compared."])


def _per_class(names: Sequence[str], pairs: Pairs) -> list[Block]:
    rows: list[list[Line]] = []
    for model, old, new in pairs:
        for index, name in enumerate(names):
            before, after = (_recall(side.confusion[index], index) for side in (old, new))
            if before is not None and after is not None:
                amounts = f"{100 * before:.2f}", f"{100 * after:.2f}", points(after - before)
                rows.append([[Data(model.name)], [Data(name)], *([amount] for amount in amounts)])
    if not rows:
        return [NO_PAIRS]
    told = (
        "How many of the test images of a class were recognised, over all seeds. Not corrected "
        "for looking at many classes: a lead to follow, no finding."
    )
    header = ("Model", "Class", "Baseline, %", "Candidate, %", "Difference, pp")
    return [Paragraph([told]), Table(header, rows, header[2:])]


def _recall(counts: Sequence[int], index: int) -> float | None:
    return counts[index] / sum(counts) if sum(counts) else None


def _scores(pairs: Pairs) -> list[Block]:
    rows: list[list[Line]] = []
    for model, old, new in pairs:
        seeds = new.seeds, old.seeds
        explored = [
            ("Test loss, nats", new.test.loss, old.test.loss, signed, (1.0, ".4g")),
            ("Test calibration error, pp", new.test.calibration_error, old.test.calibration_error,
             points, (100.0, ".2f")),
            ("Validation accuracy, pp", new.validation.accuracy, old.validation.accuracy,
             points, (100.0, ".2f")),
        ]  # fmt: skip
        for label, after, before, form, scale in explored:
            found = difference(Side(seeds[0], after), Side(seeds[1], before))
            amount = f"{form(found.estimate)} ({interval(found, form)})"
            cells = [label, spread(before, *scale), spread(after, *scale), amount]
            rows.append([[Data(model.name)], *([cell] for cell in cells)])
    if not rows:
        return [NO_PAIRS]
    told = (
        "Not corrected for looking at many numbers: leads to follow, no findings. For loss and "
        "calibration error less is better."
    )
    header = ("Model", "Score", "Baseline", "Candidate", "Difference (95 % interval)")
    return [Paragraph([told]), Table(header, rows, header[2:])]


MOST_RAW = 5_000  # rows


def _raw(evidence: Evidence, pairs: Pairs) -> list[Block]:
    header = ("Model", "Seed", "Baseline, %", "Candidate, %", "Difference, pp")
    rows: list[list[Line]] = []
    total = 0
    for model in evidence.models:
        old, new = (
            dict(zip(side.seeds, side.test.accuracy, strict=True)) if side else {}
            for side in (model.baseline, model.candidate)
        )
        seeds = list(dict.fromkeys([*old, *new]))
        total += len(seeds)
        for seed in seeds[: max(0, MOST_RAW - len(rows))]:
            cells = [f"{100 * side[seed]:.2f}" if seed in side else "–" for side in (old, new)]
            both = seed in old and seed in new
            cells.append(points(new[seed] - old[seed]) if both else "–")
            rows.append([[Data(model.name)], [str(seed)], *([cell] for cell in cells)])
    if not rows:
        return [NO_PAIRS]
    lines: list[Line] = []
    for model, old_side, new_side in pairs:
        correlation = difference(accuracy(new_side), accuracy(old_side)).correlation
        if correlation is not None:
            name = Data(model.name)
            lines.append(say("{}: correlation of the pairs r = {}", name, signed(correlation)))
    table = Table(header, rows, header[1:])
    blocks = [table, *_unlisted(len(rows), total)]
    return [*blocks, Bullets(lines)] if lines else blocks


def _reproduction(evidence: Evidence) -> list[Block]:
    candidate, baseline = evidence.candidate, evidence.baseline
    commands = Preformatted([
        f"git checkout {candidate.commit}",
        "make repro",
        f"make report BASE={baseline.commit}",
    ])  # fmt: skip
    if not candidate.uncommitted_total:
        return [commands]
    names: list[Piece] = []
    for path in candidate.uncommitted[:10]:
        names += [", " if names else "", Data(path)]
    files = many(candidate.uncommitted_total, "uncommitted file")
    line = [f"And {files}, which no commit holds: ", *names]
    return [commands, Paragraph([*line, ", …" if candidate.uncommitted_total > 10 else "."])]


def _legend(margin: float) -> list[Block]:
    unit = (
        "The unit is the seed: each side trained every model once per seed, and the difference "
        "(candidate minus baseline) is that of the mean test accuracies, in percentage points "
        "(pp). Numbers behind ± are standard deviations over seeds. The interval is a t interval, "
        "paired by seed where both sides have the same seeds, Welch's otherwise. p is corrected "
        "by Holm's method over all models."
    )
    words = [
        ("{}, {}: told from zero (p below 0.05), and at least the margin of " + percent(margin)
         + " pp.", "improved", "regressed"),
        ("{}: the whole interval lies within the margin.", "equivalent"),
        ("{}: told from zero, but below the margin.", "real but small"),
        ("{}: none of these; “sees” is the true difference that this many seeds would have told "
         "from zero four times out of five.", "cannot tell"),
        ("{}, {}: there are no results, or none that belong to this code. The gate stays shut for "
         "these two, and for “regressed”.", "missing", "stale"),
        ("{}, {}: only one side has the model.", "new", "removed"),
    ]  # fmt: skip
    return [
        Paragraph([unit]),
        Bullets([say(template, *map(Strong, names)) for template, *names in words]),
        Paragraph(say("The procedure and its sources: {}.", Data("docs/statistics.md"))),
    ]
