"""The first line of a report: what was found, and what is asked of the reader."""

from collections.abc import Sequence

from lab.report.document import Line, Piece, Strong, Untrusted, prose
from lab.report.judgement import (
    BELOW_ANCHOR,
    NEW_SCORE,
    NOT_COMPARABLE,
    NOT_CONFIRMED,
    NOT_REPRODUCED,
    REMOVED,
    SIGNS,
    STALE,
    Judged,
    Judgement,
)
from lab.report.results_table import named
from lab.report.wording import Scale
from lab.verdict.differences import FEWEST_SEEDS
from lab.verdict.looks import planned
from lab.verdict.verdicts import Verdict

MOST_NAMED = 3  # models of one verdict
ASKED = "Asked of you: "


def verdict_line(judgement: Judgement) -> Line:
    """Every verdict with its models, the worst first, and what is asked."""
    found = _found(judgement)
    if judgement.stale:
        return _stale_in_git(judgement, found)
    line: list[Piece] = []
    for position, (verdict, what) in enumerate(found):
        if position:
            line += ["; ", f"{verdict}: ", *what]
        else:
            line += [f"{SIGNS.get(verdict, '✕')} ", Strong(verdict.capitalize()), ": ", *what]
    request = _request(judgement)
    return [*line, ". ", *request] if request else [*line, "."]


def _stale_in_git(judgement: Judgement, found: Sequence[tuple[str, Line]]) -> Line:
    """What a branch needs whose results are not its own, and what those made for it say."""
    line: list[Piece] = [
        "✕ ",
        Strong("Stale in git"),
        ": the results in this branch are not those of its code, params and data. What was made "
        "for it here is judged: ",
    ]
    for position, (verdict, what) in enumerate(found):
        line += ["; " if position else "", f"{verdict}: ", *what]
    commands = map(Untrusted, ("make repro", "git add dvc.lock metrics", "git commit"))
    asked = prose("Asked of you: commit the results: {}, then {} and {}.", *commands)
    is_all = all(one.passes for one in judgement.entries) and not judgement.refusal
    others = [] if is_all else _request(judgement)
    others = [
        piece.replace(ASKED, " Also asked: ") if isinstance(piece, str) else piece
        for piece in others
    ]
    return [*line, ". ", *asked, *others]


def _found(judgement: Judgement) -> list[tuple[str, Line]]:
    """The verdicts, the worst first, and of each its models."""
    if judgement.refusal:
        return [(NOT_COMPARABLE, [judgement.refusal])]
    if not judgement.models:
        return [("no models", ["neither revision has any results"])]
    scale = Scale.of(judgement.score)
    return [(verdict, _models(models, scale)) for verdict, models in judgement.by_verdict().items()]


def _models(models: Sequence[Judged], scale: Scale) -> Line:
    line: list[Piece] = []
    for position, one in enumerate(models[:MOST_NAMED]):
        line += [", " if position else "", *named(one), _amount(one, scale)]
    if len(models) > MOST_NAMED:
        line.append(f" and {len(models) - MOST_NAMED} more")
    return line


def _amount(one: Judged, scale: Scale) -> str:
    finding, suffix = one.finding, ""
    if one.verdict == NOT_REPRODUCED:
        finding, suffix = one.reproduction, " against what git holds"
    if one.verdict == BELOW_ANCHOR:
        finding, suffix = one.anchor, " against the anchor"
    if finding is None or one.verdict in (STALE, NOT_CONFIRMED):
        return ""
    if one.identical and not suffix:
        return f" ({one.identical})"
    found = finding.difference
    amount = f" {scale.with_unit(scale.difference(found.estimate))}"
    return f"{amount} ({scale.interval(found)}){suffix}" if found.interval else f"{amount}{suffix}"


def _request(judgement: Judgement) -> Line:
    """What is asked of the reader, for the worst of the verdicts."""
    verdicts = judgement.by_verdict()
    if judgement.refusal:
        return ["Asked of you: compare with a revision that has this test set."]
    if not judgement.models:
        return []
    if Verdict.MISSING.value in verdicts:
        return ["Asked of you: make the missing results; below it says which, and why."]
    if STALE in verdicts:
        return ["Asked of you: run the pipeline again; below are the two commands."]
    if NOT_REPRODUCED in verdicts:
        return [
            "Asked of you: make those results again, on a machine like this one where yours gives "
            "other numbers, and commit them."
        ]
    if NOT_CONFIRMED in verdicts:
        return [
            "Asked of you: have it judged on fresh seeds, by another run; below it says why this "
            "one did not."
        ]
    if losses := _losses(verdicts):
        return [f"Asked of you: {losses}."]
    if Verdict.CANNOT_TELL.value in verdicts:
        return _power(verdicts[Verdict.CANNOT_TELL.value], judgement)
    if not judgement.is_certain and NEW_SCORE not in verdicts:
        return ["The loss is real, and may be one that matters. Asked of you: say whether it does."]
    if NEW_SCORE in verdicts:
        return [
            "The baseline lacks the score that is judged, so nothing is. Asked of you: judge by a "
            "score that it has, or merge the new one before changes are judged by it."
        ]
    return ["Nothing is asked of you."]


def _losses(verdicts: dict[str, list[Judged]]) -> str:
    """What is asked where something is lost."""
    asked = []
    if Verdict.REGRESSED.value in verdicts:
        asked.append("find the cause, or say why the loss is worth it")
    if BELOW_ANCHOR in verdicts:
        asked.append("find what was lost since the anchor, or say why that is worth it")
    if removed := verdicts.get(REMOVED, []):
        what = "the removed model" if asked else "it"
        goes, it = (f"{what} goes", "it") if len(removed) == 1 else ("models go", "them")
        asked.append(f"say why {goes}, or keep {it}")
    return "; ".join(asked)


def _power(models: Sequence[Judged], judgement: Judgement) -> Line:
    """Which differences so many seeds could not find, and what would find them."""
    scale = Scale.of(judgement.score)
    found = [one.finding.difference.minimum_detectable_effect for one in models if one.finding]
    effects = [effect for effect in found if effect is not None]
    if not effects:
        few = f"With fewer than {FEWEST_SEEDS} seeds a side there is no interval. "
        return prose(f"{few}Asked of you, if that matters: more of {{}}.", Untrusted("train.seeds"))
    most = "up to " if len(effects) > 1 else ""
    largest = scale.with_unit(scale.effect(max(effects)))
    effect = f"The minimum detectable effect (MDE) is {most}{largest}."
    return [f"{effect} Asked of you, if that matters: ", *_help(models, judgement)]


def _help(models: Sequence[Judged], judgement: Judgement) -> Line:
    """More seeds on both sides, by whatever gives them; or a margin that fewer can tell."""
    if max(one.seeds for one in models) < planned(judgement.looks[0], judgement.budget)[-1]:
        resolve = Untrusted("make report RESOLVE=1")
        return prose("{}, which trains more seeds on both sides.", resolve)
    budget = Untrusted("compare.budget")
    if judgement.budget == 0:
        return prose("set {}, so that a report trains more seeds where it must.", budget)
    margin = Untrusted("compare.margin")
    return prose("a larger {}, or a {} that such an effect is below.", budget, margin)
