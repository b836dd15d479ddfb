"""What stands beside a verdict: the anchor, other images, and scores with more power."""

from typing import NamedTuple

from lab.evidence.pairs import in_trial, sample
from lab.evidence.schema import Evidence
from lab.report.document import Block, Line, Paragraph, Table, Untrusted, prose
from lab.report.judgement import Judged, Judgement
from lab.report.wording import Scale, label
from lab.results.schema import ACCURACY
from lab.verdict.differences import LEVEL, difference
from lab.verdict.images import Components, on_new_images
from lab.verdict.looks import at_look

SCORES = ("loss", "soft_accuracy")  # vary less over seeds, beside what a change does to them
LEADS = "Other scores show a change with fewer seeds: leads, no findings."


class Row(NamedTuple):
    """What a difference is of, the difference, and what a reader must know of it."""

    of: Line
    amount: str
    note: str = ""


def leads(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """A small table of the models that changed, and notes."""
    rows = [
        (one.model.name, row)
        for one in judgement.models
        if one.finding and not one.identical
        for row in (*_anchor(one, evidence), *_other_images(one, evidence), *_scores(one, evidence))
    ]
    if not rows:
        return []
    cells = [[[Untrusted(name)], row.of, [row.amount]] for name, row in rows]
    table = Table(("Beside the verdict", "Of", "Difference (95 %)"), cells)
    notes = dict.fromkeys(row.note for _, row in rows if row.note)
    return [table, *([Paragraph([" ".join(notes)])] if notes else [])]


def _anchor(one: Judged, evidence: Evidence) -> list[Row]:
    if one.anchor is None or evidence.anchor is None:
        return []
    found, scale = one.anchor.difference, Scale.of(evidence.judged)
    amount = f"{scale.with_unit(scale.difference(found.estimate))} ({scale.interval(found)})"
    names = label(evidence.metric), Untrusted(evidence.anchor.name)
    return [Row(prose("{} against the anchor {}", *names), f"{amount}: {one.anchor.verdict}")]


def _other_images(one: Judged, evidence: Evidence) -> list[Row]:
    found, noun = one.model.images, evidence.noun
    if found is None or evidence.judged != ACCURACY:
        return []
    interval = on_new_images(Components(**found.model_dump()), _level(evidence))
    if interval is None:
        return []
    amount = Scale.of(ACCURACY).found(found.estimate, interval)
    note = f"On other {noun}s: had the test {noun}s been drawn anew as well, not the seeds alone."
    return [Row([f"accuracy on other {noun}s"], amount, note)]


def _scores(one: Judged, evidence: Evidence) -> list[Row]:
    sides = in_trial(evidence, one.model, one.model) or one.model.both
    rows: list[Row] = []
    for score in evidence.scores:
        if score.name not in SCORES or score == evidence.judged or sides is None:
            continue
        if not all(side.test.get(score.name) for side in sides):
            continue
        new, old = (sample(side, score.name) for side in sides)
        found = difference(new, old)
        if interval := found.interval_at(_level(evidence)):
            better = [] if score.higher_is_better else [" (less is better)"]
            amount = Scale.of(score).found(found.estimate, interval)
            rows.append(Row([label(score.name), *better], amount, LEADS))
    return rows


def _level(evidence: Evidence) -> float:
    """As that of the interval that is judged: it holds whenever looking ends."""
    return at_look(LEVEL, evidence.looks)
