"""The folded parts of a report: exploratory tables, raw numbers, how to repeat and to read it."""

from collections.abc import Sequence

from lab.evidence.schema import Evidence, ModelSide
from lab.report.document import (
    Block,
    Bullets,
    Folded,
    Line,
    Paragraph,
    Piece,
    Preformatted,
    Strong,
    Table,
    Untrusted,
    prose,
    remainder,
)
from lab.report.judgement import Judgement, accuracy
from lab.report.wording import interval, many, percent, points, signed, spread
from lab.verdict.differences import Sample, difference

Pair = tuple[str, ModelSide, ModelSide]  # model, candidate, baseline
NO_PAIRS = Paragraph(["No model has results on both sides that can be compared."])
MOST_RAW = 5_000  # rows
MOST_FILES = 10


def details(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """Everything that not every reader needs."""
    pairs = [
        (one.model.name, *one.model.both)
        for one in judgement.models
        if one.finding and one.model.both
    ]
    return [
        Folded("Per class (exploratory)", _per_class(evidence.class_names, pairs)),
        Folded("Loss, calibration and validation (exploratory)", _scores(pairs)),
        Folded("Raw numbers per seed", _raw(evidence, pairs)),
        Folded("How to reproduce this", _reproduction(evidence)),
        Folded("How to read this", _legend(evidence.margin)),
    ]


def _per_class(names: Sequence[str], pairs: Sequence[Pair]) -> list[Block]:
    rows: list[list[Line]] = []
    for model, new, old in pairs:
        for index, name in enumerate(names):
            before, after = (_recall(side.confusion[index], index) for side in (old, new))
            if before is not None and after is not None:
                amounts = f"{100 * before:.2f}", f"{100 * after:.2f}", points(after - before)
                cells = ([amount] for amount in amounts)
                rows.append([[Untrusted(model)], [Untrusted(name)], *cells])
    if not rows:
        return [NO_PAIRS]
    note = (
        "How many of the test images of a class were recognised, over all seeds. Not corrected "
        "for looking at many classes: a lead to follow, no finding."
    )
    header = ("Model", "Class", "Baseline, %", "Candidate, %", "Difference, pp")
    return [Paragraph([note]), Table(header, rows, header[2:])]


def _recall(counts: Sequence[int], index: int) -> float | None:
    return counts[index] / sum(counts) if sum(counts) else None


def _scores(pairs: Sequence[Pair]) -> list[Block]:
    rows = [row for pair in pairs for row in _score_rows(*pair)]
    if not rows:
        return [NO_PAIRS]
    note = (
        "Not corrected for looking at many numbers: leads to follow, no findings. For loss and "
        "calibration error less is better."
    )
    header = ("Model", "Score", "Baseline", "Candidate", "Difference (95 % interval)")
    return [Paragraph([note]), Table(header, rows, header[2:])]


def _score_rows(model: str, new: ModelSide, old: ModelSide) -> list[list[Line]]:
    errors = new.test.calibration_error, old.test.calibration_error
    validation = new.validation.accuracy, old.validation.accuracy
    explored = [
        ("Test loss, nats", new.test.loss, old.test.loss, signed, (1.0, ".4g")),
        ("Test calibration error, pp", *errors, points, (100.0, ".2f")),
        ("Validation accuracy, pp", *validation, points, (100.0, ".2f")),
    ]
    rows: list[list[Line]] = []
    for label, after, before, form, scale in explored:
        found = difference(Sample(new.seeds, after), Sample(old.seeds, before))
        amount = f"{form(found.estimate)} ({interval(found, form)})"
        cells = [label, spread(before, *scale), spread(after, *scale), amount]
        rows.append([[Untrusted(model)], *([cell] for cell in cells)])
    return rows


def _raw(evidence: Evidence, pairs: Sequence[Pair]) -> list[Block]:
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
            rows.append([[Untrusted(model.name)], [str(seed)], *([cell] for cell in cells)])
    if not rows:
        return [NO_PAIRS]
    blocks = [Table(header, rows, header[1:]), *remainder(len(rows), total)]
    lines = _correlations(pairs)
    return [*blocks, Bullets(lines)] if lines else blocks


def _correlations(pairs: Sequence[Pair]) -> list[Line]:
    lines = []
    for model, new, old in pairs:
        correlation = difference(accuracy(new), accuracy(old)).correlation
        if correlation is not None:
            pieces = Untrusted(model), signed(correlation)
            lines.append(prose("{}: correlation of the pairs r = {}", *pieces))
    return lines


def _reproduction(evidence: Evidence) -> list[Block]:
    candidate, baseline = evidence.candidate, evidence.baseline
    checkout, report = f"git checkout {candidate.commit}", f"make report BASE={baseline.commit}"
    commands = Preformatted([checkout, "make repro", report])
    if not candidate.uncommitted_total:
        return [commands]
    names: list[Piece] = []
    for path in candidate.uncommitted[:MOST_FILES]:
        names += [", " if names else "", Untrusted(path)]
    files = many(candidate.uncommitted_total, "uncommitted file")
    line = [f"And {files}, which no commit holds: ", *names]
    end = ", …" if candidate.uncommitted_total > MOST_FILES else "."
    return [commands, Paragraph([*line, end])]


def _legend(margin: float) -> list[Block]:
    unit = (
        "The unit is the seed: each side trained every model once per seed, and the difference "
        "(candidate minus baseline) is that of the mean test accuracies, in percentage points "
        "(pp). Numbers behind ± are standard deviations over seeds. The interval is a t interval, "
        "paired by seed where both sides have the same seeds, Welch's otherwise. p is corrected "
        "by Holm's method over all models. The minimum detectable effect (MDE) is the true "
        "difference that this many seeds find significant (p below 0.05, uncorrected) four times "
        "out of five."
    )
    large = f"at least the margin of {percent(margin)} pp"
    certain = f"{{}}, {{}}: significant (p below 0.05), and {large}."
    verdicts = [
        (certain, "improved", "regressed"),
        ("{}: the whole interval lies within the margin.", "equivalent"),
        ("{}: significant, but below the margin.", "real but small"),
        ("{}: none of these; a true difference below the MDE is easily missed.", "cannot tell"),
        ("{}, {}: there are no results, or none that belong to this code.", "missing", "stale"),
        ("{}, {}: only one side has the model.", "new", "removed"),
    ]
    check = "The check fails for “regressed”, “missing”, “stale” and “not comparable”."
    return [
        Paragraph([unit]),
        Bullets([prose(template, *map(Strong, names)) for template, *names in verdicts]),
        Paragraph([check]),
        Paragraph(prose("The procedure and its sources: {}.", Untrusted("docs/statistics.md"))),
    ]
