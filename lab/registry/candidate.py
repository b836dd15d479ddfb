"""The model of a commit that may be put into production: its own, exported, and here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab.base.errors import DataError, shortened
from lab.base.files import sha256
from lab.base.records import Kind, first_problem
from lab.data.description import DESCRIPTION, Description
from lab.evidence.snapshots import Committed
from lab.registry.promotion import Promotion, file_name
from lab.results.comparison import Comparison
from lab.results.exported import EXPORTED, EXPORTS, Exported
from lab.results.exported import Name as FormName
from lab.results.schema import ModelResults
from lab.results.storage import MODEL_RESULTS

COMPARISON = Path("metrics/comparison.json")
REMEDY = "run `make repro`, commit"


@dataclass(frozen=True)
class Candidate:
    """The chosen model of a commit, as git has it; `facts` are those that a record keeps of it."""

    commit: str
    model: str
    results_sha256: str
    parameter_count: int
    files: Mapping[FormName, str]
    facts: Mapping[str, Any]

    def is_of(self, step: Promotion) -> bool:
        """Whether a step is of the same results and files."""
        return (self.results_sha256, self.files) == (step.results_sha256, step.files)


def of_commit(root: Path, commit: str) -> Candidate:
    """Reads it from git, and nothing from the working tree.

    Raises:
        DataError: its results are missing or damaged, or its network cannot be exported.
    """
    there = Committed(root, commit, ["metrics"])
    exported = _read(there, EXPORTED, Exported)
    compared = _read(there, COMPARISON, Comparison)
    if compared.chosen.model != exported.model:
        raise DataError(
            f"{EXPORTED}: model: must be {shortened(compared.chosen.model, 60)}, as {COMPARISON} "
            f"says; got {shortened(exported.model, 60)}; {REMEDY}"
        )
    files = {name: form.sha256 for name, form in exported.forms.items() if form.sha256}
    if "model" not in files:
        reason = exported.reason or "the form `model` is none"
        raise DataError(
            f"{EXPORTED}: forms: must have the model as a file; got none "
            f"({shortened(reason, 120)}); choose a network that can be exported"
        )
    path = MODEL_RESULTS / f"{exported.model}.json"
    results, data = _read(there, path, ModelResults), _read(there, DESCRIPTION, Description)
    digest = sha256(there.read(path.as_posix()) or b"")
    facts = {
        "commit": commit,
        "model": exported.model,
        "seed": exported.seed,
        "data": {
            "name": data.name,
            "train_sha256": data.train.sha256,
            "test_sha256": data.test.sha256,
        },
        "results_sha256": digest,
        "metric": exported.metric.name,
        "score": exported.trained,
        "parameter_count": results.parameter_count,
        "files": files,
    }
    return Candidate(commit, exported.model, digest, results.parameter_count, files, facts)


def _read(there: Committed, path: Path, kind: type[Kind]) -> Kind:
    content = there.read(path.as_posix())
    if content is None:
        raise DataError(f"{path}: must be in git at HEAD; got no such file; {REMEDY}")
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise DataError(f"{path}: {first_problem(error)}; {REMEDY}") from None


def require_files(root: Path, candidate: Candidate) -> None:
    """Holds the files here against those that git names.

    Raises:
        DataError: one is missing, or another one.
    """
    for form, digest in candidate.files.items():
        path = EXPORTS / file_name(form)
        if not (root / path).is_file():
            raise DataError(f"{path}: must be here; got no such file; run `dvc checkout {EXPORTS}`")
        if (found := sha256((root / path).read_bytes())) != digest:
            raise DataError(
                f"{path}: must be the file of {EXPORTED} in git ({digest[:12]}); got "
                f"{found[:12]}; run `dvc checkout --force {EXPORTS}`, or {REMEDY}"
            )
