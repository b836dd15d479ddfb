"""The first line of a report: what was found, and what is asked of the reader."""

from collections.abc import Sequence

from lab.report.document import Line, Piece, Strong, Untrusted, prose
from lab.report.judgement import SIGNS, STALE, Judged, Judgement, is_identical
from lab.report.wording import interval, points
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
    line: list[Piece] = []
    for verdict, models in judgement.by_verdict().items():
        if line:
            line += ["; ", f"{verdict}: "]
        else:
            line += [f"{SIGNS[verdict]} ", Strong(verdict.capitalize()), ": "]
        for position, one in enumerate(models[:MOST_NAMED]):
            line += [", " if position else "", Untrusted(one.model.name), _amount(one)]
        if len(models) > MOST_NAMED:
            line.append(f" and {len(models) - MOST_NAMED} more")
    return [*line, ". ", _request(judgement)]


def _amount(one: Judged) -> str:
    if one.finding is None or one.verdict == STALE:
        return ""
    if is_identical(one.model):
        return " (identical results)"
    found = one.finding.difference
    amount = f" {points(found.estimate)} pp"
    return f"{amount} ({interval(found)})" if found.interval else amount


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
        return _power(verdicts[Verdict.CANNOT_TELL.value])
    return "Nothing is asked of you."


def _power(models: Sequence[Judged]) -> str:
    """Which differences so many seeds could not find."""
    found = [one.finding.difference.minimum_detectable_effect for one in models if one.finding]
    effects = [effect for effect in found if effect is not None]
    if effects:
        most = "up to " if len(effects) > 1 else ""
        why = f"The minimum detectable effect (MDE) is {most}{100 * max(effects):.2f} pp."
    else:
        why = f"With fewer than {FEWEST_SEEDS} seeds a side there is no interval."
    return f"{why} Asked of you, if that matters: more seeds (train.seeds)."
