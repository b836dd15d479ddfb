"""The test scores that a report judges: a row a model, the intervals, what rows cannot say."""

from lab.evidence.schema import Evidence, Model, ModelSide
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
from lab.report.judgement import (
    NEW,
    NEW_SCORE,
    NOT_CONFIRMED,
    NOT_REPRODUCED,
    REMOVED,
    STALE,
    Judged,
    Judgement,
    seeds_wanted,
)
from lab.report.leads import leads
from lab.report.wording import Scale, drawing, label, p_value, titled
from lab.results.schema import Score
from lab.verdict.differences import FEWEST_SEEDS
from lab.verdict.verdicts import Verdict

MOST_DRAWN = 40  # intervals in characters
MOST_REASONS = 3  # why a model is stale
BEST = "best model"
OVER_SEEDS = "mean ± sd over seeds"
MAX_SEEDS_ADVISED = 1_000  # more is no advice


def results(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """The table, the intervals drawn in characters, and remarks."""
    score = judgement.score
    scale, header = Scale.of(score), columns(score)
    entries = [*judgement.models, *([judgement.best] if judgement.best else [])]
    rows = [row(one, score) for one in entries]
    blocks: list[Block] = [Table(header, rows, header[1:6])]
    found = [
        (BEST if one.before else one.model.name, one.finding.difference)
        for one in entries
        if one.finding
    ]
    if found:
        blocks.append(Preformatted(drawing(found[:MOST_DRAWN], evidence.margin, scale)))
        blocks += remainder(min(len(found), MOST_DRAWN), len(found))
    blocks += leads(evidence, judgement)
    lines = [line for one in entries for line in _remarks(one, evidence, score)]
    if not score.higher_is_better:
        lines.insert(0, prose("Of {} less is better.", label(score.name)))
    return [*blocks, Bullets(lines)] if lines else blocks


def columns(score: Score) -> tuple[str, ...]:
    """The header of the table."""
    scale = Scale.of(score)
    return (
        "Model",
        f"{titled('Baseline', scale.unit)} ({OVER_SEEDS})",
        f"{titled('Candidate', scale.unit)} ({OVER_SEEDS})",
        f"{titled('Difference', scale.step)} (95 %)",
        "p (Holm)",
        titled("MDE", scale.step),
        "Verdict",
    )


def row(one: Judged, score: Score) -> list[Line]:
    """The cells of a model, in the order of `columns`."""
    model, scale, name = one.model, Scale.of(score), named(one)
    if model.renamed_from and not one.before:
        name = prose("{} (was {})", Untrusted(model.name), Untrusted(model.renamed_from))
    before = one.before or model
    sides: list[Line] = [
        [_value(before.baseline, before.baseline_missing, score)],
        [_value(model.candidate, model.candidate_missing, score)],
    ]
    if one.samples:
        sides = [[scale.spread(side.values)] for side in reversed(one.samples)]
    verdict = [Strong(one.words)]
    if one.finding is None:
        return [name, *sides, ["–"], ["–"], ["–"], verdict]
    found = one.finding.difference
    if one.identical:
        return [name, *sides, [scale.difference(found.estimate)], ["–"], ["–"], verdict]
    effect = found.minimum_detectable_effect
    return [
        name,
        *sides,
        [f"{scale.difference(found.estimate)} ({scale.interval(found)})"],
        [p_value(one.finding.p_holm)],
        ["–" if effect is None else scale.effect(effect)],
        verdict,
    ]


def named(one: Judged) -> Line:
    """A model by its name; the best models of the two sides by theirs."""
    name = Untrusted(one.model.name)
    if one.before is None:
        return [name]
    return prose("{} {} (before {})", BEST, name, Untrusted(_old_name(one.before)))


def _old_name(model: Model) -> str:
    return model.renamed_from or model.name


def _value(side: ModelSide | None, missing: str | None, score: Score) -> str:
    if side is None:
        return "missing" if missing else "–"
    return Scale.of(score).spread(side.test[score.name]) if score.name in side.test else "none"


def _remarks(one: Judged, evidence: Evidence, score: Score) -> list[Line]:
    """What the row of a model cannot say."""
    model, name = one.model, Untrusted(one.model.name)
    lines = _decided(one, evidence, score)
    if one.before:
        return [_best(one.before, model, score), *lines]
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
        where, what = Untrusted("compare.was"), Untrusted("params.yaml")
        lines.append(
            prose(
                "{} was removed: only the baseline has it. If it has another name now, {} in {} "
                "says so.",
                name,
                where,
                what,
            )
        )
    if model.renamed_from:
        old = Untrusted(model.renamed_from)
        lines.append(prose("{} is {} by another name, and compared with it.", name, old))
    if model.committed and one.verdict != STALE:
        lines.append(_reproduced(one, model.committed, score))
    if one.verdict == STALE:
        reasons = map(Untrusted, model.stale[:MOST_REASONS])
        lines += [prose("{} is stale: {}.", name, reason) for reason in reasons]
    return lines


def _decided(one: Judged, evidence: Evidence, score: Score) -> list[Line]:
    """What the seeds and the anchor have to do with the verdict."""
    if one.verdict == NOT_CONFIRMED:
        what = " was not judged on fresh seeds; its difference is that of the committed ones."
        return [[*named(one), what]]
    lines = _more_seeds(one, evidence, score)
    if one.anchor and one.anchor.verdict == Verdict.REGRESSED and one.anchor.difference.interval:
        found = one.anchor.difference
        amount = Scale.of(score).found(found.estimate, one.anchor.difference.interval)
        lines.append([*named(one), f" is below the anchor: {amount}."])
    return lines


def _best(before: Model, now: Model, score: Score) -> Line:
    """Why two models are compared."""
    names = Untrusted(now.name), label(score.name), Untrusted(_old_name(before))
    return prose("The best model is {} now (by validation {}), and was {} before.", *names)


def _reproduced(one: Judged, committed: ModelSide, score: Score) -> Line:
    """What became here of results that another machine made."""
    model, scale = one.model, Scale.of(score)
    name, finding = Untrusted(one.model.name), one.reproduction
    if finding is None or model.candidate is None:
        which = label(score.name)
        return prose("{}: another machine made what git holds, which has no {}.", name, which)
    held, made = (scale.spread(side.test[score.name]) for side in (committed, model.candidate))
    found = finding.difference
    amount = scale.with_unit(scale.difference(found.estimate))
    if found.interval:
        amount += f", 95 % interval {scale.interval(found)}"
    numbers = f"({held} in git, {made} here: {amount})"
    if one.verdict == NOT_REPRODUCED:
        what = "{}: another machine made what git holds, and it is {} here {}."
        return prose(what, name, Strong(NOT_REPRODUCED), numbers)
    word = "the same" if found.is_identical else finding.verdict.value
    return prose(
        "{}: another machine made what git holds. Reproduced here: {} {}.", name, word, numbers
    )


def _more_seeds(one: Judged, evidence: Evidence, score: Score) -> list[Line]:
    """For an undecided model: how many seeds would decide."""
    if one.verdict != Verdict.CANNOT_TELL or one.finding is None:
        return []
    if one.finding.difference.interval is None:
        reason = "with fewer it would rest on one degree of freedom and say nothing"
        what = f": an interval needs at least {FEWEST_SEEDS} seeds a side; {reason}."
        return [[*named(one), what]]
    needed = seeds_wanted(one, evidence.margin)
    if needed is None or needed <= one.seeds:
        return []
    amount = f"about {needed}" if needed <= MAX_SEEDS_ADVISED else "over a thousand"
    what = f"the MDE would be the margin of {Scale.of(score).margin(evidence.margin)}"
    return [[*named(one), f": with {amount} seeds on both sides {what}."]]
