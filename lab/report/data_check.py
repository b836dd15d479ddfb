"""What the checks of the data found, where the data or what was found changed."""

from lab.evidence.schema import DataCheck, Evidence, RuleFinding
from lab.report.changes import changed_splits
from lab.report.document import Block, Folded, Line, Paragraph, Strong, Table, Untrusted, prose
from lab.report.wording import count

TITLE = Strong("Data check")


def data_checks(evidence: Evidence) -> list[Block]:
    """One line, and a folded table; nothing where neither the data nor the findings changed."""
    new, old = evidence.candidate_check, evidence.baseline_check
    if new == old and (new is None or not changed_splits(evidence)):
        return []
    if new is None:
        missing = Untrusted("metrics/check.json")
        return [Paragraph(prose("{}: the candidate has no valid {}.", TITLE, missing))]
    rows = [row for rule in _rules(new, old) for row in _rows(rule, new, old)]
    if new.doubtful_labels is not None or (old and old.doubtful_labels is not None):
        amounts = [_doubtful(old), _doubtful(new)]
        rows.append([["labels in doubt"], [""], *amounts])
    header = ("Rule", "When broken", "Baseline", "Candidate")
    return [Paragraph(_line(new, old)), Folded("Data check", [Table(header, rows)])]


def _line(new: DataCheck, old: DataCheck | None) -> Line:
    broken = [one.rule for one in new.findings if one.sentences]
    before = {one.rule for one in old.findings if one.sentences} if old else set()
    fresh = [rule for rule in broken if rule not in before]
    mended = sorted(before - {*broken})
    if not broken:
        said = prose("{}: nothing found", TITLE)
    else:
        said = prose("{}: found by {}", TITLE, Untrusted(", ".join(broken)))
    if old is None:
        return [*said, "; the baseline has no data check."]
    if fresh:
        said = [*said, "; new: ", Untrusted(", ".join(fresh))]
    if mended:
        said = [*said, "; no longer: ", Untrusted(", ".join(mended))]
    if not fresh and not mended:
        said = [*said, ", by the same rules as at the baseline"]
    return [*said, "."]


def _rules(new: DataCheck, old: DataCheck | None) -> list[str]:
    names = [one.rule for check in (new, old) if check for one in check.findings]
    return [*dict.fromkeys(names)]


def _rows(rule: str, new: DataCheck, old: DataCheck | None) -> list[list[Line]]:
    """A row for each sentence of a side, and one where neither found anything."""
    here, there = _of(rule, new), _of(rule, old)
    level = here.level if here else "off"
    ours, theirs = _sentences(here), _sentences(there)
    height = max(len(ours), len(theirs))
    empty: Line = [""]
    return [
        [
            [Untrusted(rule)] if number == 0 else empty,
            [level] if number == 0 else empty,
            theirs[number] if number < len(theirs) else empty,
            ours[number] if number < len(ours) else empty,
        ]
        for number in range(height)
    ]


def _of(rule: str, check: DataCheck | None) -> RuleFinding | None:
    return next((one for one in check.findings if one.rule == rule), None) if check else None


def _sentences(found: RuleFinding | None) -> list[Line]:
    if found is None:
        return [["not asked"]]
    lines: list[Line] = [[Untrusted(sentence)] for sentence in found.sentences]
    if found.more:
        lines.append([f"… and {count(found.more)} more"])
    return lines or [["nothing"]]


def _doubtful(check: DataCheck | None) -> Line:
    if check is None or check.doubtful_labels is None:
        return ["not looked at"]
    return [count(check.doubtful_labels)]
