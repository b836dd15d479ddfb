"""The results that lie in a revision's files."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from pydantic_core import from_json

from lab.base.dvc import Cache
from lab.base.errors import DataError
from lab.base.records import Record, first_problem
from lab.base.stages import Stage
from lab.data.description import DESCRIPTION, Description
from lab.data.splits import SPLITS
from lab.evidence.costs import cost_of
from lab.evidence.schema import (
    MAX_CONFUSED,
    ClassCounts,
    Curve,
    DataSummary,
    ModelSide,
    SplitSummary,
)
from lab.evidence.snapshots import Snapshot, WorkingTree, model_params
from lab.evidence.text import bounded
from lab.results.schema import ModelResults, ScoreSpreads
from lab.results.storage import CURVES, MODEL_RESULTS, TRAINED


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

    def stage_of(self, model: str) -> str | None:
        """The name of the stage that writes a model's results."""
        return written_by(self.stages, f"{MODEL_RESULTS.as_posix()}/{model}.json")


def written_by(stages: Mapping[str, Stage], path: str) -> str | None:
    """The name of the stage that writes a file."""
    return next((name for name, stage in stages.items() if path in stage.outputs), None)


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
        data = _data(_present(snapshot.read(DESCRIPTION.as_posix())))
    except (ValidationError, DataError) as error:
        data_fault = _fault(DESCRIPTION.as_posix(), error)
    return RevisionResults(snapshot, names, runs, sides, faults, data, data_fault, stages)


class _OldSplit(Record):
    images: int
    sha256: str
    images_per_class: list[int]


class _OldDescription(Record):
    """Schema 1 of `metrics/dataset.json`: all data were grey images, and no class had a name."""

    schema_version: Literal[1]
    name: str
    split_seed: int
    train: _OldSplit
    validation: _OldSplit
    test: _OldSplit


def _data(content: bytes) -> DataSummary:
    """What `metrics/dataset.json` says, whether of today's schema or of an earlier one.

    Raises:
        ValidationError: it is of neither; the problem is that with today's.
    """
    try:
        old = _OldDescription.model_validate_json(content)
    except ValidationError:
        found = Description.model_validate_json(_of_today(content))
    else:
        return DataSummary(
            name=old.name,
            split_seed=old.split_seed,
            kind="grey image",
            class_names=None,
            **{
                name: SplitSummary(
                    examples=part.images,
                    sha256=part.sha256,
                    examples_per_class=part.images_per_class,
                )
                for name, part in ((name, getattr(old, name)) for name in SPLITS)
            },
        )
    return DataSummary(
        name=found.name,
        split_seed=found.split_seed,
        kind=found.kind,
        class_names=found.class_names,
        **{name: SplitSummary(**getattr(found, name).model_dump()) for name in SPLITS},
    )


def _of_today(content: bytes) -> bytes:
    """A description of schema 2, which knew neither framing nor tokeniser, as one of schema 3."""
    try:
        tree = from_json(content)
    except ValueError:
        return content
    if not isinstance(tree, dict) or tree.get("schema_version") != 2:
        return content
    return json.dumps({"framing": "fit", "tokeniser": None, **tree, "schema_version": 3}).encode()


def _present(content: bytes | None) -> bytes:
    if content is None:
        raise DataError("is missing")
    return content


def _fault(path: str, error: ValidationError | DataError) -> str:
    if isinstance(error, ValidationError):
        return f"{path} is not of this schema ({first_problem(error)})"
    return f"{path} {error}"


def _side(snapshot: Snapshot, name: str, run: ModelResults) -> ModelSide:
    if any(len(row) != len(run.confusion) or min(row) < 0 for row in run.confusion):
        raise DataError("has a confusion that is no square of counts")
    classes = [
        ClassCounts(actual=sum(row), right=row[index]) for index, row in enumerate(run.confusion)
    ]
    return ModelSide(
        seeds=run.seeds,
        parameter_count=run.parameter_count,
        device=bounded(run.device),
        precision=bounded(run.precision),
        validation=_scores(run.validation),
        test=_scores(run.test),
        classes=classes,
        confusion=run.confusion if len(run.confusion) <= MAX_CONFUSED else None,
        curve=_curve(snapshot.read(f"{CURVES.as_posix()}/{name}.csv")),
        cost=cost_of(snapshot.read(f"{MODEL_RESULTS.as_posix()}/{name}.json") or b""),
    )


def _scores(spreads: ScoreSpreads) -> dict[str, list[float]]:
    return {name: spread.per_seed for name, spread in spreads}


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


# --- files that DVC keeps ------------------------------------------------------------------------


def has_same_test(candidate: RevisionResults, baseline: RevisionResults) -> bool:
    """Whether both sides were tested on the same examples."""
    return (
        candidate.data is not None
        and baseline.data is not None
        and candidate.data.test.sha256 == baseline.data.test.sha256
    )


def kept_file(results: RevisionResults, model: str, file: str, cache: Cache) -> Path | None:
    """A file of a trained model, in the working tree or in DVC's cache; None where it is gone."""
    folder = f"{TRAINED.as_posix()}/{model}"
    if isinstance(results.snapshot, WorkingTree):
        path = results.snapshot.root / folder / file
        if path.is_file():
            return path
    for stage in results.stages.values():
        if folder in stage.outputs and (recorded := stage.outputs[folder].recorded):
            return cache.file(recorded, file)
    return None
