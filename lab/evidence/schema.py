"""`report.json`: what was measured on both sides of a comparison, and nothing that is concluded.

Everything in it may have been written by a stranger, so every field is bounded; what it means is
worked out by `lab.report.judgement` alone, from these numbers.
"""

import base64
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from lab.base.errors import DataError
from lab.base.params import MAX_SEED
from lab.base.records import Record, first_problem

Item = TypeVar("Item")

SCHEMA_VERSION: Literal[2] = 2
MAX_BYTES = 20 * 2**20
MAX_IMAGES = 12  # pictures of single images
MAX_LISTED = 200  # entries of any list of changes; beyond, the report says how many there are

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
ClassName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ()/_.+-]{1,32}$")]
Text = Annotated[str, StringConstraints(max_length=400)]  # free; escaped wherever it is shown
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=10**15)]
Quantity = Annotated[float, Field(ge=0, le=1e18)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


def _distinct(values: list[Item]) -> list[Item]:
    if len(set(values)) != len(values):
        raise ValueError("entries must differ")
    return values


class SeedScores(Record):
    """One value per seed of each score; accuracy and calibration error in [0, 1], loss in nats."""

    accuracy: Annotated[list[Fraction], Field(max_length=1_000)]
    loss: Annotated[list[Quantity], Field(max_length=1_000)]
    calibration_error: Annotated[list[Fraction], Field(max_length=1_000)]


class Curve(Record):
    """Means over seeds and standard deviations, one entry an epoch."""

    epoch: Annotated[list[Annotated[int, Field(ge=1, le=10**6)]], Field(max_length=10_000)]
    train_loss: list[Quantity | None]
    train_loss_sd: list[Quantity | None]
    validation_accuracy: list[Fraction | None]
    validation_accuracy_sd: list[Quantity | None]

    @model_validator(mode="after")
    def _one_value_an_epoch(self) -> "Curve":
        if {len(column) for _, column in self} != {len(self.epoch)}:
            raise ValueError("every column of a curve needs one value an epoch")
        return self


class Cost(Record):
    """What training took, all seeds together; see `lab.results.cost`."""

    wall_seconds: Annotated[Quantity, Field(gt=0)]
    cpu_seconds: Quantity
    image_steps_per_second: Quantity
    peak_memory_bytes: Count


class ModelSide(Record):
    """The results of one model at one revision; `confusion` as in `lab.results.schema`."""

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1_000), AfterValidator(_distinct)]
    parameter_count: Count
    device: Text
    precision: Text
    validation: SeedScores
    test: SeedScores
    confusion: Annotated[list[list[Count]], Field(max_length=100)]
    curve: Curve | None
    cost: Cost | None

    @model_validator(mode="after")
    def _shapes_agree(self) -> "ModelSide":
        for scores in (self.validation, self.test):
            for name, values in scores:
                if len(values) != len(self.seeds):
                    raise ValueError(
                        f"{name}: {len(self.seeds)} seeds, but {len(values)} values per seed"
                    )
        if any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("confusion must be square")
        return self


class Model(Record):
    """A model on both sides.

    A side that is None without a reason does not have the model at all (it is new, or removed);
    with a reason its results are missing. `stale` says why the candidate's results do not belong
    to its code, params or data.
    """

    name: Name
    renamed_from: Name | None
    candidate: ModelSide | None
    baseline: ModelSide | None
    candidate_missing: Text | None
    baseline_missing: Text | None
    stale: Annotated[list[Text], Field(max_length=MAX_LISTED)]

    @property
    def both(self) -> tuple[ModelSide, ModelSide] | None:
        """Candidate and baseline, where both have results."""
        if self.candidate is None or self.baseline is None:
            return None
        return self.candidate, self.baseline


class SplitSummary(Record):
    """One split of a data set; see `lab.data.description.SplitDescription`."""

    images: Count
    sha256: Sha256
    images_per_class: Annotated[list[Count], Field(max_length=100)]


class DataSummary(Record):
    """The data of one revision, as `metrics/dataset.json` describes them."""

    name: Name
    split_seed: Count
    train: SplitSummary
    validation: SplitSummary
    test: SplitSummary


class Change(Record):
    """Something that has a value on each side; None where it does not exist."""

    key: Text
    baseline: Text | None
    candidate: Text | None


class CodeChange(Record):
    """A changed file, the lines it gained and lost, and the stages that depend on it."""

    path: Text
    added: Count
    removed: Count
    stages: Annotated[list[Text], Field(max_length=50)]


class StageState(Record):
    """What became of a stage of the candidate between the two revisions, and why."""

    name: Text
    state: Literal["ran", "ran again", "unchanged", "stale"]
    reasons: Annotated[list[Text], Field(max_length=MAX_LISTED)]


class Changes(Record):
    """What differs between the two revisions; `*_total` counts what the lists may not hold."""

    params: Annotated[list[Change], Field(max_length=MAX_LISTED)]
    params_total: Count
    code: Annotated[list[CodeChange], Field(max_length=MAX_LISTED)]
    code_total: Count
    packages: Annotated[list[Change], Field(max_length=MAX_LISTED)]
    packages_total: Count


class Image(Record):
    """A test image whose majority prediction differs between the sides.

    `index` counts from 0 in the test split; votes are seeds that agree with the majority;
    `pixels` is base64 of 28 x 28 bytes, row by row.
    """

    model: Name
    index: Count
    label: Annotated[int, Field(ge=0, lt=100)]
    baseline_prediction: Annotated[int, Field(ge=0, lt=100)]
    candidate_prediction: Annotated[int, Field(ge=0, lt=100)]
    baseline_votes: Count
    candidate_votes: Count
    baseline_seeds: Count
    candidate_seeds: Count
    pixels: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{1046}==$")]

    def pixel_bytes(self) -> bytes:
        """The 784 bytes of the image."""
        return base64.b64decode(self.pixels)


class Flips(Record):
    """Test images of one model whose majority prediction changed, by what became of them.

    `fixed` are right now, `broken` wrong now, `still_wrong` were wrong already.
    """

    model: Name
    fixed: Count
    broken: Count
    still_wrong: Count
    missing: Text | None


class Baseline(Record):
    """Where the baseline's results come from.

    `named` is the revision that was asked for; without it the baseline is the merge-base with
    `default_branch`, `behind` commits behind it.
    """

    commit: Commit
    named: Text | None
    default_branch: Text | None
    behind: Count | None
    origin: Literal["committed", "reproduced", "none"]
    reasons: Annotated[list[Text], Field(max_length=MAX_LISTED)]


class Candidate(Record):
    """The revision under report: a commit, and what of the working tree is not in it."""

    commit: Commit
    uncommitted: Annotated[list[Text], Field(max_length=MAX_LISTED)]
    uncommitted_total: Count
    committed_stale: Annotated[list[Text], Field(max_length=MAX_LISTED)]
    machine: Text
    packages: Annotated[list[Change], Field(max_length=MAX_LISTED)]


class Evidence(Record):
    """The whole of `report.json`."""

    schema_version: Literal[2]
    margin: Annotated[float, Field(gt=0, lt=1)]
    baseline_margin: Annotated[float, Field(gt=0, lt=1)] | None
    class_names: Annotated[list[ClassName], Field(min_length=1, max_length=100)]
    candidate: Candidate
    baseline: Baseline
    candidate_data: DataSummary | None
    baseline_data: DataSummary | None
    models: Annotated[list[Model], Field(max_length=1_000)]
    changes: Changes
    stages: Annotated[list[StageState], Field(max_length=1_000)]
    images: Annotated[list[Image], Field(max_length=MAX_IMAGES)]
    flips: Annotated[list[Flips], Field(max_length=1_000)]

    @model_validator(mode="after")
    def _classes_agree(self) -> "Evidence":
        _distinct([model.name for model in self.models])
        classes = len(self.class_names)
        for model in self.models:
            for side in (model.candidate, model.baseline):
                if side is not None and len(side.confusion) != classes:
                    raise ValueError(f"confusion needs {classes} rows, as class_names has entries")
        for data in (self.candidate_data, self.baseline_data):
            for split in (data.train, data.validation, data.test) if data else ():
                if len(split.images_per_class) != classes:
                    raise ValueError(f"images_per_class needs {classes} entries")
        for image in self.images:
            named = (image.label, image.baseline_prediction, image.candidate_prediction)
            if max(named) >= classes:
                raise ValueError(f"a class of an image must be below {classes}")
        return self


def read(path: Path) -> Evidence:
    """Reads a `report.json` that nobody has to trust.

    Raises:
        DataError: it is missing, larger than 20 MiB, or breaks the schema.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `python report.py collect`") from None
    return parse(content, str(path))


def parse(content: bytes, where: str) -> Evidence:
    """Checks the bytes of a `report.json`; `where` names it in errors.

    Raises:
        DataError: they are more than 20 MiB, or break the schema.
    """
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{where}: at most {MAX_BYTES:,} bytes; got more; collect it again with fewer models"
        )
    try:
        return Evidence.model_validate_json(content)
    except ValidationError as error:
        problem = first_problem(error)[:300].encode("ascii", "backslashreplace").decode()
        remedy = "write it with this revision's `python report.py collect`"
        if problem.startswith("schema_version:"):
            remedy = f"merge the default branch, or {remedy}"
        raise DataError(f"{where}: {problem}; {remedy}") from None
