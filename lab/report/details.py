"""The folded parts of a report: exploratory tables, raw numbers, how to repeat and to read it."""

from collections.abc import Sequence

from lab.evidence.schema import Evidence, ModelSide
from lab.report import per_seed
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
)
from lab.report.judgement import Judgement
from lab.report.wording import Scale, label, many, points
from lab.results.schema import ACCURACY, BUILT_IN, Score
from lab.verdict.differences import Sample, difference
from lab.verdict.shrinkage import shrunken
from lab.verdict.verdicts import Verdict

Pair = tuple[str, ModelSide, ModelSide]  # model, candidate, baseline
NO_PAIRS = Paragraph(["No model has results on both sides that can be compared."])
MOST_FILES = 10
MOST_CLASSES = 40  # of a model


def details(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """Everything that not every reader needs."""
    both = [one.model for one in judgement.models if one.model.both and not judgement.refusal]
    pairs = [(model.name, *model.both) for model in both if model.both]
    return [
        Folded("Per class (exploratory)", _per_class(evidence, pairs)),
        Folded(_other_scores(evidence), _scores(evidence, pairs)),
        *per_seed.committed(evidence, judgement),
        *_shrunken(evidence, judgement),
        Folded("Raw numbers per seed", per_seed.raw(evidence, judgement)),
        Folded("How to reproduce this", _reproduction(evidence)),
        Folded("How to read this", _legend(evidence)),
    ]


def _per_class(evidence: Evidence, pairs: Sequence[Pair]) -> list[Block]:
    rows: list[list[Line]] = []
    for model, new, old in pairs:
        for index, before, after in _recalls(new, old):
            amounts = f"{100 * before:.2f}", f"{100 * after:.2f}", points(after - before)
            cells = ([amount] for amount in amounts)
            rows.append([[Untrusted(model)], [Untrusted(evidence.class_names[index])], *cells])
    if not rows:
        return [NO_PAIRS]
    note = (
        f"How many of the test {evidence.noun}s of a class were recognised, over all seeds. Not "
        "corrected for looking at many classes: a lead to follow, no finding."
    )
    note += _of_which(evidence)
    if len(evidence.class_names) > MOST_CLASSES:
        note += f" Of {len(evidence.class_names):,} classes, those that changed most."
    header = ("Model", "Class", "Baseline, %", "Candidate, %", "Difference, pp")
    return [Paragraph([note]), Table(header, rows, header[2:])]


def _recalls(new: ModelSide, old: ModelSide) -> list[tuple[int, float, float]]:
    """Class, and which share of it each side recognises; of many those that changed most."""
    if len(new.classes) != len(old.classes):
        return []
    both = enumerate(zip(old.classes, new.classes, strict=True))
    found = [
        (label, before.right / before.actual, after.right / after.actual)
        for label, (before, after) in both
        if before.actual and after.actual
    ]
    if len(new.classes) <= MOST_CLASSES:
        return found
    return sorted(found, key=lambda row: -abs(row[2] - row[1]))[:MOST_CLASSES]


def _other_scores(evidence: Evidence) -> str:
    if len(evidence.scores) == len(BUILT_IN) and evidence.judged == ACCURACY:
        return "Loss, calibration and validation (exploratory)"
    return "Other scores and validation (exploratory)"


def _scores(evidence: Evidence, pairs: Sequence[Pair]) -> list[Block]:
    others = [score for score in evidence.scores if score != evidence.judged]
    rows = [row for pair in pairs for row in _score_rows(evidence, others, *pair)]
    removed = [
        prose("{} was removed: only the baseline has it.", label(name))
        for name in evidence.scores_removed
    ]
    ending: list[Block] = [Bullets(removed)] if removed else []
    if not rows:
        return [NO_PAIRS, *ending]
    note = "Not corrected for looking at many numbers: leads to follow, no findings."
    note += _of_which(evidence)
    less = _less_is_better(others)
    header = ("Model", "Score", "Baseline", "Candidate", "Difference (95 % interval)")
    return [Paragraph([note, *less]), Table(header, rows, header[2:]), *ending]


def _of_which(evidence: Evidence) -> str:
    return " Of the committed seeds." if evidence.trial else ""


def _less_is_better(scores: Sequence[Score]) -> list[Piece]:
    names = [label(score.name) for score in scores if not score.higher_is_better]
    line: list[Piece] = []
    for position, name in enumerate(names):
        between = " and " if position == len(names) - 1 else ", "
        line += [between if position else "", name]
    return [" For ", *line, " less is better."] if line else []


def _score_rows(
    evidence: Evidence, others: Sequence[Score], model: str, new: ModelSide, old: ModelSide
) -> list[list[Line]]:
    test = [("Test ", score, new.test, old.test) for score in others]
    chosen_by = [ACCURACY] if evidence.judged == ACCURACY else [ACCURACY, evidence.judged]
    validation = [("Validation ", score, new.validation, old.validation) for score in chosen_by]
    rows: list[list[Line]] = []
    for split, score, after, before in (*test, *validation):
        if score.name not in after:
            continue
        scale = Scale.of(score)
        name: Line = [split, label(score.name), f", {scale.step}" if scale.step else ""]
        cells = ["–", scale.spread(after[score.name]), "new"]
        if score.name in before:
            sides = Sample(new.seeds, after[score.name]), Sample(old.seeds, before[score.name])
            found = difference(*sides)
            amount = f"{scale.difference(found.estimate)} ({scale.interval(found)})"
            cells = [scale.spread(before[score.name]), cells[1], amount]
        rows.append([[Untrusted(model)], name, *([cell] for cell in cells)])
    return rows


def _shrunken(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """What to expect of an improvement, given how large differences were here before."""
    past = [(one.estimate, one.error) for one in evidence.past]
    scale = Scale.of(evidence.judged)
    lines: list[Line] = []
    for one in judgement.models:
        found = one.finding.difference if one.finding else None
        if one.verdict != Verdict.IMPROVED or found is None or found.error is None:
            continue
        if expected := shrunken(found.estimate, found.error, past):
            measured = scale.with_unit(scale.difference(found.estimate))
            what = f"{{}}: {scale.found(*expected)}, where {measured} was measured."
            lines.append(prose(what, Untrusted(one.model.name)))
    if not lines:
        return []
    note = (
        "What is called improved was lucky more often than not. This is what to expect of it, "
        f"given the last {len(past)} differences in this repository (empirical Bayes)."
    )
    return [Folded("What is left of an improvement", [Paragraph([note]), Bullets(lines)])]


def _reproduction(evidence: Evidence) -> list[Block]:
    candidate, baseline, trial = evidence.candidate, evidence.baseline, evidence.trial
    checkout, report = f"git checkout {candidate.commit}", f"make report BASE={baseline.commit}"
    if trial is not None and trial.kind == "extended":
        report += " RESOLVE=1"
    blocks: list[Block] = [Preformatted([checkout, "make repro", report])]
    if trial is not None and trial.kind == "fresh":
        what = "The fresh seeds are drawn from the run and both commits, by {}; as {} of {} on "
        where = map(Untrusted, ("lab/verdict/seeds.py", "train.seeds", "params.yaml"))
        blocks.append(Paragraph(prose(f"{what}either side they train the same.", *where)))
    if not candidate.uncommitted_total:
        return blocks
    names: list[Piece] = []
    for path in candidate.uncommitted[:MOST_FILES]:
        names += [", " if names else "", Untrusted(path)]
    files = many(candidate.uncommitted_total, "uncommitted file")
    line = [f"And {files}, which no commit holds: ", *names]
    end = ", …" if candidate.uncommitted_total > MOST_FILES else "."
    return [*blocks, Paragraph([*line, end])]


def _legend(evidence: Evidence) -> list[Block]:
    scale = Scale.of(evidence.judged)
    unit = (
        "The unit is the seed: each side trained every model once per seed, and the difference "
        f"(candidate minus baseline) is that of {_means(evidence.judged)}. Numbers behind ± are "
        "standard deviations over seeds. The interval is a t interval, paired by seed where the "
        "seeds of one side are among the other's, Welch's otherwise. p is corrected for all looks, "
        "all runs of a pull request, and by Holm's method for all rows. The minimum detectable "
        "effect (MDE) is the true difference that this many seeds find significant (p below 0.05, "
        "corrected) four times out of five."
    )
    large = f"at least the margin of {scale.margin(evidence.margin)}"
    verdicts = [
        (f"{{}}, {{}}: significant (p below 0.05), and {large}.", "improved", "regressed"),
        ("{}: shown to be smaller than the margin (corrected as p is).", "equivalent"),
        ("{}: not zero, and yet equivalent.", "real, within the margin"),
        (
            "{}: significant, below the margin, not shown to be equivalent.",
            "real, size unclear",
        ),
        ("{}: none of these; a true difference below the MDE is easily missed.", "cannot tell"),
        ("{}, {}: there are no results, or none that belong to this code.", "missing", "stale"),
        (
            "{}: git holds other numbers for this code than it gives here, by the margin or more.",
            "not reproduced",
        ),
        ("{}, {}: only one side has the model.", "new", "removed"),
    ]
    if evidence.confirmation is not None:
        verdicts.append(("{}: nothing was measured on fresh seeds.", "not confirmed"))
    if evidence.anchor is not None:
        verdicts.append(("{}: regressed against the anchor.", "below the anchor"))
    if evidence.judged != ACCURACY:
        which = "{}: the baseline lacks the score that is judged; nothing is, and the check passes."
        verdicts.append((which, "new score"))
    check = (
        "The check fails for “regressed”, “below the anchor”, “removed”, “missing”, “stale”, “not "
        "reproduced”, “not confirmed” and “not comparable”, and where results in git are stale."
    )
    return [
        Paragraph([unit]),
        Bullets([prose(template, *map(Strong, names)) for template, *names in verdicts]),
        Paragraph([check]),
        Paragraph(prose("The procedure and its sources: {}.", Untrusted("docs/statistics.md"))),
    ]


def _means(score: Score) -> str:
    """What is compared, in prose."""
    if score == ACCURACY:
        return "the mean test accuracies, in percentage points (pp)"
    step = Scale.of(score).step
    unit = {"pp": ", in percentage points (pp)", "": ""}.get(step, f", in {step}")
    better = "more" if score.higher_is_better else "less"
    return f"the mean test scores named above{unit}, of which {better} is better"
