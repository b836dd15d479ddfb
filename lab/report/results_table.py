"""The test accuracies of a report: a row a model, the intervals, what the rows cannot say."""

from lab.evidence.schema import Evidence, ModelSide
from lab.report.document import (
    Block,
    Bullets,
    Line,
    Preformatted,
    Strong,
    Table,
    Untrusted,
    prose,
    remainder,
)
from lab.report.judgement import NEW, REMOVED, STALE, Judged, Judgement, seeds_needed
from lab.report.wording import drawing, interval, p_value, percent, points, spread
from lab.verdict.differences import FEWEST_SEEDS
from lab.verdict.verdicts import Verdict

MOST_DRAWN = 40  # intervals in characters
MOST_REASONS = 3  # why a model is stale
MAX_SEEDS_ADVISED = 1_000  # more is no advice
COLUMNS = (
    "Model",
    "Baseline, %",
    "Candidate, %",
    "Difference, pp (95 %)",
    "p (Holm)",
    "MDE, pp",
    "Verdict",
)


def results(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """The table, the intervals drawn in characters, and remarks."""
    rows = [row(one) for one in judgement.models]
    blocks: list[Block] = [Table(COLUMNS, rows, COLUMNS[1:6])]
    found = [(one.model.name, one.finding.difference) for one in judgement.models if one.finding]
    if found:
        blocks.append(Preformatted(drawing(found[:MOST_DRAWN], evidence.margin)))
        blocks += remainder(min(len(found), MOST_DRAWN), len(found))
    lines = [line for one in judgement.models for line in _remarks(one, evidence.margin)]
    return [*blocks, Bullets(lines)] if lines else blocks


def row(one: Judged) -> list[Line]:
    """The cells of a model, in the order of `COLUMNS`."""
    model = one.model
    name: Line = [Untrusted(model.name)]
    if model.renamed_from:
        name = prose("{} (was {})", Untrusted(model.name), Untrusted(model.renamed_from))
    sides: list[Line] = [
        [_accuracy(model.baseline, model.baseline_missing)],
        [_accuracy(model.candidate, model.candidate_missing)],
    ]
    verdict = [Strong(one.verdict)]
    if one.finding is None:
        return [name, *sides, ["–"], ["–"], ["–"], verdict]
    found = one.finding.difference
    effect = found.minimum_detectable_effect
    return [
        name,
        *sides,
        [f"{points(found.estimate)} ({interval(found)})"],
        [p_value(one.finding.p_holm)],
        ["–" if effect is None else f"{100 * effect:.2f}"],
        verdict,
    ]


def _accuracy(side: ModelSide | None, missing: str | None) -> str:
    if side is None:
        return "missing" if missing else "–"
    return spread(side.test.accuracy)


def _remarks(one: Judged, margin: float) -> list[Line]:
    """What the row of a model cannot say."""
    model, name = one.model, Untrusted(one.model.name)
    lines: list[Line] = []
    missing = (("candidate", model.candidate_missing), ("baseline", model.baseline_missing))
    for side, reason in missing:
        if reason:
            what = Untrusted(reason)
            lines.append(prose("{}: the {}'s results are missing: {}.", name, side, what))
    if one.verdict == NEW:
        lines.append(prose("{} is new: the baseline has nothing to compare it with.", name))
    if one.verdict == REMOVED:
        lines.append(prose("{} was removed: only the baseline has it.", name))
    if model.renamed_from:
        old = Untrusted(model.renamed_from)
        lines.append(prose("{} was renamed from {}: same params, same results.", name, old))
    if one.verdict == STALE:
        reasons = map(Untrusted, model.stale[:MOST_REASONS])
        lines += [prose("{} is stale: {}.", name, reason) for reason in reasons]
    if one.verdict == Verdict.CANNOT_TELL:
        lines += _advice(one, margin)
    return lines


def _advice(one: Judged, margin: float) -> list[Line]:
    """For an undecided model: how many seeds would decide."""
    name = Untrusted(one.model.name)
    if one.finding is None or one.model.candidate is None:
        return []
    found, seeds = one.finding.difference, len(one.model.candidate.seeds)
    if found.interval is None:
        reason = "with fewer it would rest on one degree of freedom and say nothing"
        fewest = str(FEWEST_SEEDS)
        return [prose("{}: an interval needs at least {} seeds a side; {}.", name, fewest, reason)]
    needed = seeds_needed(found, seeds, margin)
    if needed is None or needed <= seeds:
        return []
    amount = f"about {needed}" if needed <= MAX_SEEDS_ADVISED else "over a thousand"
    what = f"the MDE would be the margin of {percent(margin)} pp"
    return [prose("{}: with {} seeds a side {}.", name, amount, what)]
