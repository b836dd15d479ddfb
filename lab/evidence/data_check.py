"""What the checks of the data found at a revision, as its files have it."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lab.base.records import Record
from lab.evidence.schema import DataCheck, RuleFinding
from lab.evidence.snapshots import Snapshot
from lab.evidence.text import bounded
from lab.results.checks import CHECK, LABELS, CheckResults, LabelResults

Results = TypeVar("Results", bound=Record)


def data_check(snapshot: Snapshot) -> DataCheck | None:
    """What a revision's `metrics/check.json` and `metrics/labels.json` say.

    None where the first is missing, as before there were checks, or damaged.
    """
    found = _read(snapshot, CHECK, CheckResults)
    if found is None:
        return None
    labels = _read(snapshot, LABELS, LabelResults)
    return DataCheck(
        findings=[
            RuleFinding(
                rule=one.rule,
                level=one.level,
                sentences=[bounded(fault.sentence) for fault in one.faults],
                more=one.more,
            )
            for one in found.findings
        ],
        doubtful_labels=labels.doubtful if labels and labels.folds else None,
    )


def _read(snapshot: Snapshot, path: Path, kind: type[Results]) -> Results | None:
    try:
        return kind.model_validate_json(snapshot.read(path.as_posix()) or b"")
    except ValidationError:
        return None
