"""The results that lie in a revision's files."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from lab.base.errors import DataError
from lab.base.records import first_problem
from lab.base.stages import Stage
from lab.data.description import DESCRIPTION, Description
from lab.data.splits import CLASSES
from lab.evidence.costs import cost_of
from lab.evidence.schema import Curve, DataSummary, ModelSide, SeedScores
from lab.evidence.snapshots import Snapshot, model_params
from lab.evidence.text import bounded
from lab.results.schema import ModelResults, ScoreSpreads
from lab.results.storage import CURVES, MODEL_RESULTS


@dataclass(frozen=True)
class RevisionResults:
    """The results of one revision: of each model either a run, or why it is missing."""

    snapshot: Snapshot
    names: Sequence[str]
    runs: Mapping[str, ModelResults]
    sides: Mapping[str, ModelSide]
    faults: Mapping[str, str]
    data: DataSummary | None
    data_fault: str | None
    stages: Mapping[str, Stage]

    @classmethod
    def none(
        cls, snapshot: Snapshot, names: Sequence[str], data: DataSummary | None = None
    ) -> "RevisionResults":
        """Models without any."""
        return cls(snapshot, names, {}, {}, {}, data, None, {})


def read_results(snapshot: Snapshot, stages: Mapping[str, Stage]) -> RevisionResults:
    """Reads them; `stages` are DVC's of that revision.

    Raises:
        RevisionError: its params are too damaged to name its models.
    """
    names = list(model_params(snapshot) or {})
    runs: dict[str, ModelResults] = {}
    sides: dict[str, ModelSide] = {}
    faults: dict[str, str] = {}
    for name in names:
        path = f"{MODEL_RESULTS.as_posix()}/{name}.json"
        try:
            run = ModelResults.model_validate_json(_present(snapshot.read(path)))
            sides[name], runs[name] = _side(snapshot, name, run), run
        except (ValidationError, DataError) as error:
            faults[name] = _fault(path, error)
    data, data_fault = None, None
    try:
        found = Description.model_validate_json(_present(snapshot.read(DESCRIPTION.as_posix())))
        data = DataSummary.model_validate(found.model_dump(exclude={"schema_version"}))
    except (ValidationError, DataError) as error:
        data_fault = _fault(DESCRIPTION.as_posix(), error)
    return RevisionResults(snapshot, names, runs, sides, faults, data, data_fault, stages)


def _present(content: bytes | None) -> bytes:
    if content is None:
        raise DataError("is missing")
    return content


def _fault(path: str, error: ValidationError | DataError) -> str:
    if isinstance(error, ValidationError):
        return f"{path} is not of this schema ({first_problem(error)})"
    return f"{path} {error}"


def _side(snapshot: Snapshot, name: str, run: ModelResults) -> ModelSide:
    if len(run.confusion) != CLASSES:
        raise DataError(f"has a confusion matrix of {len(run.confusion)} classes, not {CLASSES}")
    return ModelSide(
        seeds=run.seeds,
        parameter_count=run.parameter_count,
        device=bounded(run.device),
        precision=bounded(run.precision),
        validation=_scores(run.validation),
        test=_scores(run.test),
        confusion=run.confusion,
        curve=_curve(snapshot.read(f"{CURVES.as_posix()}/{name}.csv")),
        cost=cost_of(snapshot.read(f"{MODEL_RESULTS.as_posix()}/{name}.json") or b"", name),
    )


def _scores(spreads: ScoreSpreads) -> SeedScores:
    return SeedScores(
        accuracy=spreads.accuracy.per_seed,
        loss=spreads.loss.per_seed,
        calibration_error=spreads.calibration_error.per_seed,
    )


def _curve(content: bytes | None) -> Curve | None:
    """The learning curve of a CSV file; None when it is missing or damaged."""
    try:
        rows = list(csv.DictReader(io.StringIO((content or b"").decode())))
        columns = {
            key: [float(row[key]) if row[key] else None for row in rows]
            for key in Curve.model_fields
            if key != "epoch"
        }
        return Curve.model_validate({"epoch": [int(row["epoch"]) for row in rows], **columns})
    except (ValueError, KeyError, TypeError, csv.Error):
        return None
