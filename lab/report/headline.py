"""The first line of a report: what was found, and what is asked of the reader."""

from collections.abc import Sequence

from lab.report.document import Line, Piece, Strong, Untrusted, prose
from lab.report.judgement import NEW_SCORE, SIGNS, STALE, Judged, Judgement, is_identical
from lab.report.wording import Scale
from lab.verdict.differences import FEWEST_SEEDS
from lab.verdict.verdicts import Verdict

MOST_NAMED = 3  # models of one verdict


def verdict_line(judgement: Judgement) -> Line:
    """Every verdict with its models, the worst first, and what is asked."""
    if judgement.refusal:
        name, reason = Strong("Not comparable"), judgement.refusal
        return prose("✕ {}: {}. {}", name, reason, _request(judgement))
    if not judgement.models:
        return prose("✕ {}: neither revision has any results.", Strong("No models"))
    scale, line = Scale.of(judgement.score), list[Piece]()
    for verdict, models in judgement.by_verdict().items():
        if line:
            line += ["; ", f"{verdict}: "]
        else:
            line += [f"{SIGNS[verdict]} ", Strong(verdict.capitalize()), ": "]
        for position, one in enumerate(models[:MOST_NAMED]):
            line += [", " if position else "", Untrusted(one.model.name), _amount(one, scale)]
        if len(models) > MOST_NAMED:
            line.append(f" and {len(models) - MOST_NAMED} more")
    return [*line, ". ", _request(judgement)]


def _amount(one: Judged, scale: Scale) -> str:
    if one.finding is None or one.verdict == STALE:
        return ""
    if is_identical(one.model):
        return " (identical results)"
    found = one.finding.difference
    amount = f" {scale.with_unit(scale.difference(found.estimate))}"
    return f"{amount} ({scale.interval(found)})" if found.interval else amount


def _request(judgement: Judgement) -> str:
    """What is asked of the reader, for the worst of the verdicts."""
    verdicts = judgement.by_verdict()
    if judgement.refusal:
        return "Asked of you: compare with a revision that has this test set."
    if Verdict.MISSING.value in verdicts:
        return "Asked of you: make the missing results; below it says which, and why."
    if STALE in verdicts:
        return "Asked of you: run the pipeline again; below are the two commands."
    if Verdict.REGRESSED.value in verdicts:
        return "Asked of you: find the cause, or say why the loss is worth it."
    if Verdict.CANNOT_TELL.value in verdicts:
        return _power(verdicts[Verdict.CANNOT_TELL.value], Scale.of(judgement.score))
    if NEW_SCORE in verdicts:
        return (
            "The baseline lacks the score that is judged, so nothing is. Asked of you: judge by a "
            "score that it has, or merge the new one before changes are judged by it."
        )
    return "Nothing is asked of you."


def _power(models: Sequence[Judged], scale: Scale) -> str:
    """Which differences so many seeds could not find."""
    found = [one.finding.difference.minimum_detectable_effect for one in models if one.finding]
    effects = [effect for effect in found if effect is not None]
    if effects:
        most = "up to " if len(effects) > 1 else ""
        largest = scale.with_unit(scale.effect(max(effects)))
        why = f"The minimum detectable effect (MDE) is {most}{largest}."
    else:
        why = f"With fewer than {FEWEST_SEEDS} seeds a side there is no interval."
    return f"{why} Asked of you, if that matters: more seeds (train.seeds)."
