"""The test scores that a report judges: a row a model, the intervals, what rows cannot say."""

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
from lab.report.judgement import NEW, NEW_SCORE, REMOVED, STALE, Judged, Judgement, seeds_needed
from lab.report.wording import Scale, drawing, label, p_value, titled
from lab.results.schema import Score
from lab.verdict.differences import FEWEST_SEEDS
from lab.verdict.verdicts import Verdict

MOST_DRAWN = 40  # intervals in characters
MOST_REASONS = 3  # why a model is stale
MAX_SEEDS_ADVISED = 1_000  # more is no advice


def results(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """The table, the intervals drawn in characters, and remarks."""
    score = judgement.score
    scale, header = Scale.of(score), columns(score)
    rows = [row(one, score) for one in judgement.models]
    blocks: list[Block] = [Table(header, rows, header[1:6])]
    found = [(one.model.name, one.finding.difference) for one in judgement.models if one.finding]
    if found:
        blocks.append(Preformatted(drawing(found[:MOST_DRAWN], evidence.margin, scale)))
        blocks += remainder(min(len(found), MOST_DRAWN), len(found))
    lines = [line for one in judgement.models for line in _remarks(one, evidence, score)]
    if not score.higher_is_better:
        lines.insert(0, prose("Of {} less is better.", label(score.name)))
    return [*blocks, Bullets(lines)] if lines else blocks


def columns(score: Score) -> tuple[str, ...]:
    """The header of the table."""
    scale = Scale.of(score)
    return (
        "Model",
        titled("Baseline", scale.unit),
        titled("Candidate", scale.unit),
        f"{titled('Difference', scale.step)} (95 %)",
        "p (Holm)",
        titled("MDE", scale.step),
        "Verdict",
    )


def row(one: Judged, score: Score) -> list[Line]:
    """The cells of a model, in the order of `columns`."""
    model, scale = one.model, Scale.of(score)
    name: Line = [Untrusted(model.name)]
    if model.renamed_from:
        name = prose("{} (was {})", Untrusted(model.name), Untrusted(model.renamed_from))
    sides: list[Line] = [
        [_value(model.baseline, model.baseline_missing, score)],
        [_value(model.candidate, model.candidate_missing, score)],
    ]
    verdict = [Strong(one.verdict)]
    if one.finding is None:
        return [name, *sides, ["–"], ["–"], ["–"], verdict]
    found = one.finding.difference
    effect = found.minimum_detectable_effect
    return [
        name,
        *sides,
        [f"{scale.difference(found.estimate)} ({scale.interval(found)})"],
        [p_value(one.finding.p_holm)],
        ["–" if effect is None else scale.effect(effect)],
        verdict,
    ]


def _value(side: ModelSide | None, missing: str | None, score: Score) -> str:
    if side is None:
        return "missing" if missing else "–"
    return Scale.of(score).spread(side.test[score.name]) if score.name in side.test else "none"


def _remarks(one: Judged, evidence: Evidence, score: Score) -> list[Line]:
    """What the row of a model cannot say."""
    model, name = one.model, Untrusted(one.model.name)
    lines: list[Line] = []
    missing = (("candidate", model.candidate_missing), ("baseline", model.baseline_missing))
    for side, reason in missing:
        if reason:
            what = Untrusted(reason)
            lines.append(prose("{}: the {}'s results are missing: {}.", name, side, what))
    if model.candidate and score.name not in model.candidate.test:
        why = Untrusted(evidence.scores_missing or "it was not computed")
        lines.append(prose("{}: the candidate has no {}: {}.", name, label(score.name), why))
    if one.verdict == NEW_SCORE:
        so = "and no probabilities to compute it from, so nothing is judged."
        lines.append(prose("{}: the baseline has no {}, {}", name, label(score.name), so))
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
        lines += _advice(one, evidence.margin, Scale.of(score))
    return lines


def _advice(one: Judged, margin: float, scale: Scale) -> list[Line]:
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
    what = f"the MDE would be the margin of {scale.margin(margin)}"
    return [prose("{}: with {} seeds a side {}.", name, amount, what)]
