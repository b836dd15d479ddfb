"""What became of the export at a revision, as its files have it."""

from pydantic import ValidationError

from lab.evidence.schema import Export, ExportedForm
from lab.evidence.snapshots import Snapshot
from lab.evidence.text import bounded
from lab.results.exported import EXPORTED, Exported


def export(snapshot: Snapshot) -> Export | None:
    """What a revision's `metrics/export.json` says; None where it is missing or damaged."""
    try:
        found = Exported.model_validate_json(snapshot.read(EXPORTED.as_posix()) or b"")
    except ValidationError:
        return None
    forms = []
    for name, form in found.forms.items():
        measured = form.measured
        forms.append(
            ExportedForm(
                name=name,
                size=form.bytes,
                flips=measured.flips if measured else None,
                predictions=measured.predictions if measured else None,
                verdict=measured.verdict if measured else None,
                reason=form.reason and bounded(form.reason),
            )
        )
    return Export(model=found.model, forms=forms, reason=found.reason and bounded(found.reason))
