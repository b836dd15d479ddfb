"""The files of trained models: where they lie, and how they are written and read."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from lab.base.conflicts import require_none_in
from lab.base.errors import DataError
from lab.base.files import read_bytes, write_json, write_text
from lab.base.records import first_problem
from lab.results.schema import CurvePoint, ModelResults

MODEL_RESULTS = Path("metrics/runs")
CURVES = Path("metrics/curves")
TRAINED = Path("models/runs")  # weights and predictions, kept by DVC

MAX_RESULTS_BYTES = 20 * 2**20  # a thousand seeds have 200 kB


def tracked(model: str) -> tuple[Path, Path]:
    """The files of one trained model that git tracks: its results and its learning curve."""
    return MODEL_RESULTS / f"{model}.json", CURVES / f"{model}.csv"


def write(results: ModelResults, curve: Sequence[CurvePoint]) -> None:
    """Writes both; the one that readers look for comes last."""
    results_file, curve_file = tracked(results.model)
    write_text(curve_file, csv_text(CurvePoint._fields, curve))
    write_json(results_file, results.model_dump())


def read(path: Path) -> ModelResults:
    """Reads one `metrics/runs/MODEL.json`.

    Raises:
        DataError: the file is missing or breaks the schema.
        ConflictError: it does for what git left of a merge.
    """
    try:
        content = read_bytes(path, MAX_RESULTS_BYTES)
        return ModelResults.model_validate_json(content)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    except ValidationError as error:
        require_none_in(content, path.as_posix())
        raise DataError(
            f"{path}: {first_problem(error)}; run `dvc repro` to write it anew"
        ) from None


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV file; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def remake(path: Path) -> str:
    """What fixes a file of a model, also when DVC takes it for unchanged by its time and size."""
    return f"run `dvc repro --force train@{path.parent.name}`"
