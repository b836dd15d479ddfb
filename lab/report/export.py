"""The export of the chosen model, where it is not the same model in every file."""

from lab.evidence.schema import Evidence, ExportedForm
from lab.report.document import Block, Folded, Line, Paragraph, Strong, Table, Untrusted, prose
from lab.report.wording import count

TITLE = Strong("Export")
HEADER = ("File", "Bytes", "Predictions that differ", "Verdict", "Why not exported")


def exports(evidence: Evidence) -> list[Block]:
    """One line, and a folded table; nothing where all is exported and no prediction differs."""
    found = evidence.candidate_export
    if found is None:
        return []
    name = Untrusted(found.model)
    if found.reason is not None:
        said = prose("{} of {}: no ONNX file: {}.", TITLE, name, Untrusted(found.reason))
        return [Paragraph(said)]
    missing = [one for one in found.forms if one.reason is not None]
    differing = [one for one in found.forms if one.reason is None and one.flips]
    if not missing and not differing:
        return []
    said = prose("{} of {}", TITLE, name)
    for number, one in enumerate([*missing, *differing]):
        said = [*said, ": " if number == 0 else "; ", *_words(one)]
    return [
        Paragraph([*said, "."]),
        Folded("Export", [Table(HEADER, _rows(found.forms), HEADER[1:3])]),
    ]


def _words(one: ExportedForm) -> Line:
    if one.reason is None:
        return prose("{} differs on {}", Untrusted(one.name), _flips(one))
    verdict = f" ({one.verdict})" if one.verdict else ""
    return prose("{} is not exported{}", Untrusted(one.name), verdict)


def _flips(one: ExportedForm) -> str:
    if one.flips is None or one.predictions is None:
        return "–"
    return f"{count(one.flips)} of {count(one.predictions)}"


def _rows(forms: list[ExportedForm]) -> list[list[Line]]:
    return [
        [
            [Untrusted(one.name)],
            [count(one.size) if one.size is not None else "–"],
            [_flips(one)],
            [one.verdict or "–"],
            [Untrusted(one.reason)] if one.reason is not None else ["–"],
        ]
        for one in forms
    ]
