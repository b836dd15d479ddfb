"""What changed between the two revisions of a report, and which stages ran for it."""

from collections.abc import Sequence

from lab.evidence.schema import Change, DataSummary, Evidence, SplitSummary
from lab.report.document import Block, Line, Paragraph, Piece, Table, Untrusted, prose, remainder
from lab.report.wording import MINUS, count

STATES = {
    "ran": "ran",
    "ran again": "ran again: same inputs, other results (another machine?)",
    "unchanged": "unchanged, from the cache",
    "stale": "stale",
}
MOST_REASONS = 5
MOST_CLASSES = 10


def changes(evidence: Evidence) -> list[Block]:
    """Params, data, code and pinned packages, a table each."""
    found = evidence.changes
    blocks = [
        *_values("Param", found.params, found.params_total),
        *_data(evidence),
        *_code(evidence),
        *_values("Package", found.packages, found.packages_total),
    ]
    nothing = Paragraph(["Nothing: params, data, code and pinned packages are the same."])
    return blocks or [nothing]


def _values(kind: str, found: Sequence[Change], total: int) -> list[Block]:
    if not found:
        return []
    rows = [[[Untrusted(one.key)], _value(one.baseline), _value(one.candidate)] for one in found]
    return [Table((kind, "Baseline", "Candidate"), rows), *remainder(len(found), total)]


def _value(value: str | None) -> Line:
    return ["–"] if value is None else [Untrusted(value)]


def changed_splits(evidence: Evidence) -> list[tuple[str, SplitSummary, SplitSummary]]:
    """The splits that differ: name, baseline, candidate."""
    new, old = evidence.candidate_data, evidence.baseline_data
    if new is None or old is None:
        return []
    pairs = [
        ("train", old.train, new.train),
        ("validation", old.validation, new.validation),
        ("test", old.test, new.test),
    ]
    return [(name, before, after) for name, before, after in pairs if before != after]


def _data(evidence: Evidence) -> list[Block]:
    new, old = evidence.candidate_data, evidence.baseline_data
    if new is None or old is None:
        which = "candidate" if new is None else "baseline"
        where = Untrusted("metrics/dataset.json")
        return [Paragraph(prose("The {} has no valid description of its data ({}).", which, where))]
    rows = [
        [
            [name],
            _split(old, before),
            _split(new, after),
            _class_counts(evidence.class_names, before, after),
        ]
        for name, before, after in changed_splits(evidence)
    ]
    header = ("Data", "Baseline", "Candidate", f"{evidence.noun.capitalize()}s per class")
    return [Table(header, rows)] if rows else []


def _split(data: DataSummary, split: SplitSummary) -> Line:
    what, digest = f"{count(split.examples)} {data.noun}s", Untrusted(split.sha256[:12])
    return prose("{} {}, {}", Untrusted(data.name), what, digest)


def _class_counts(names: Sequence[str], before: SplitSummary, after: SplitSummary) -> Line:
    old_count, new_count = len(before.examples_per_class), len(after.examples_per_class)
    if old_count != new_count:
        return [f"{old_count} classes, now {new_count}"]
    pairs = zip(before.examples_per_class, after.examples_per_class, strict=True)
    changed = [
        (name, new - old) for name, (old, new) in zip(names, pairs, strict=True) if new != old
    ]
    if not changed:
        return ["the same in each class"]
    line: list[Piece] = []
    for name, amount in changed[:MOST_CLASSES]:
        line += [", " if line else "", Untrusted(name), f" {amount:+,}".replace("-", MINUS)]
    return [*line, ", …"] if len(changed) > MOST_CLASSES else line


def _code(evidence: Evidence) -> list[Block]:
    found = evidence.changes
    if not found.code:
        return []
    rows: list[list[Line]] = [
        [
            [Untrusted(change.path)],
            [f"+{count(change.added)} {MINUS}{count(change.removed)}"],
            [Untrusted(", ".join(change.stages))] if change.stages else ["none"],
        ]
        for change in sorted(found.code, key=lambda change: not change.stages)
    ]
    table = Table(("File", "Lines", "Stages that read it"), rows)
    return [table, *remainder(len(found.code), found.code_total)]


def stages(evidence: Evidence) -> list[Block]:
    """What became of each stage of the candidate, and why."""
    if not evidence.stages:
        return [Paragraph(prose("There is no pipeline ({}).", Untrusted("dvc.yaml")))]
    rows: list[list[Line]] = []
    for stage in evidence.stages:
        why: list[Piece] = []
        for reason in stage.reasons[:MOST_REASONS] if stage.state in ("ran", "stale") else []:
            why += ["; " if why else "", Untrusted(reason)]
        if len(stage.reasons) > MOST_REASONS:
            why.append(f"; and {len(stage.reasons) - MOST_REASONS} more")
        rows.append([[Untrusted(stage.name)], [STATES[stage.state]], why or ["–"]])
    return [Table(("Stage", "State", "Why"), rows)]
