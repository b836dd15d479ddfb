"""The numbers by seed: those that are judged, and the committed ones where others decide."""

from collections.abc import Iterator

from lab.evidence.pairs import sample
from lab.evidence.schema import Evidence, ModelSide
from lab.report.document import (
    Block,
    Bullets,
    Folded,
    Line,
    Paragraph,
    Table,
    Untrusted,
    prose,
    remainder,
)
from lab.report.judgement import Judgement
from lab.report.wording import Scale, signed, titled
from lab.verdict.differences import difference

MOST_RAW = 5_000  # rows
COMMITTED = "The committed seeds: same seeds as earlier reports"


def committed(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """The committed seeds, where others decide: whoever made the commit has seen these."""
    if evidence.trial is None or evidence.trial.kind != "fresh":
        return []
    scale = Scale.of(evidence.judged)
    rows: list[list[Line]] = []
    for one in judgement.models:
        if one.finding and one.model.both and not one.identical:
            new, old = (sample(side, evidence.metric) for side in one.model.both)
            found = difference(new, old)
            cells = [scale.spread(old.values), scale.spread(new.values)]
            cells.append(f"{scale.difference(found.estimate)} ({scale.interval(found)})")
            rows.append([[Untrusted(one.model.name)], *([cell] for cell in cells)])
    if not rows:
        return []
    values = (titled(side, scale.unit) for side in ("Baseline", "Candidate"))
    header = ("Model", *values, f"{titled('Difference', scale.step)} (95 %)")
    note = "Whoever made the commit could see these, as often as they pushed: they decide nothing."
    table = Table(header, rows, header[1:])
    return [Folded(COMMITTED, [Paragraph([note]), table])]


def raw(evidence: Evidence, judgement: Judgement) -> list[Block]:
    """The values by seed, and how the pairs correlate."""
    scale = Scale.of(evidence.judged)
    values = (titled(side, scale.unit) for side in ("Baseline", "Candidate"))
    header = ("Model", "Seed", *values, titled("Difference", scale.step))
    rows: list[list[Line]] = []
    total = 0
    for name, which, old, new in _sides(evidence, judgement):
        seeds = list(dict.fromkeys([*old, *new]))
        total += len(seeds)
        for seed in seeds[: max(0, MOST_RAW - len(rows))]:
            cells = [scale.value(side[seed]) if seed in side else "–" for side in (old, new)]
            both = seed in old and seed in new
            cells.append(scale.difference(new[seed] - old[seed]) if both else "–")
            rows.append([[Untrusted(name)], [f"{seed}{which}"], *([cell] for cell in cells)])
    if not rows:
        return [Paragraph(["No model has results."])]
    blocks = [Table(header, rows, header[1:]), *remainder(len(rows), total)]
    found = {one.model.name: one.finding.difference for one in judgement.models if one.finding}
    lines = [
        prose("{}: correlation of the pairs r = {}", Untrusted(name), signed(one.correlation))
        for name, one in found.items()
        if one.correlation is not None
    ]
    return [*blocks, Bullets(lines)] if lines else blocks


def _sides(
    evidence: Evidence, judgement: Judgement
) -> Iterator[tuple[str, str, dict[int, float], dict[int, float]]]:
    """Of each model the values by seed of baseline and candidate: those judged, then the others."""
    for one in judgement.models:
        held = [
            _by_seed(side, evidence.metric) for side in (one.model.baseline, one.model.candidate)
        ]
        judged = [dict(zip(side.seeds, side.values, strict=True)) for side in one.samples or ()]
        if judged:
            yield one.model.name, "", judged[1], judged[0]
        if not judged or not judged[1].keys() & held[0].keys():
            yield one.model.name, " (committed)" if judged else "", held[0], held[1]


def _by_seed(side: ModelSide | None, score: str) -> dict[int, float]:
    if side is None or score not in side.test:
        return {}
    return dict(zip(side.seeds, side.test[score], strict=True))
