"""What is known of a model that is put into production: the record that its tag holds."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from lab.base import gto
from lab.base.records import Record
from lab.evidence.schema import Commit, Name, Printable, Sha256
from lab.results.exported import Name as FormName

MAX_TEXT = 400  # characters
MAX_BYTES = 2**20  # of a file with one of them


def _of_time(text: str) -> str:
    datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return text


FACTS = ("commit", "model", "seed", "data", "results_sha256", "metric", "score",
         "parameter_count", "files")  # fmt: skip
How = Literal["verdict", "accepted", "rolled back"]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT), Printable]
Time = Annotated[str, StringConstraints(max_length=20), AfterValidator(_of_time)]
Whole = Annotated[int, Field(ge=1, le=999_999)]


class Data(Record):
    """What the model was trained and tested on."""

    name: Text
    train_sha256: Sha256
    test_sha256: Sha256


class Promotion(Record):
    """One step: a version of the model that is in production from `since` on.

    Attributes:
        number: of its tag, which GTO counts over all stages.
        version: which one; the same as an earlier step's where that comes back.
        commit: whose model it is.
        how: by the verdict, by a reason that somebody gave, or a step back.
        since: in UTC.
        who: name and address, as git knows them.
        model: its name in params.yaml.
        results_sha256: of the model's `metrics/runs/MODEL.json`.
        score: the test score that models are compared by, the mean over seeds.
        files: SHA-256 of `models/export/FORM.onnx`, by form.
        before: the version that was in production.
        verdict: of the comparison with it, one of the report's.
        line: the report's first line.
        reason: why, where somebody gave one.
    """

    schema_version: Literal[1]
    number: Annotated[int, Field(ge=1, le=999_999_999)]
    version: Whole
    commit: Commit
    how: How
    since: Time
    who: Text
    model: Name
    seed: int
    data: Data
    results_sha256: Sha256
    metric: Name
    score: float
    parameter_count: Annotated[int, Field(ge=0)]
    files: Annotated[dict[FormName, Sha256], Field(min_length=1)]
    before: Whole | None
    verdict: Text
    line: Text
    reason: Text | None

    @property
    def tag(self) -> str:
        """That decides."""
        return gto.stage_tag(self.number)

    @property
    def title(self) -> str:
        """For a sentence: `v3 (relu_128, 0123456789ab)`."""
        return f"v{self.version} ({self.model}, {self.commit[:12]})"

    @property
    def facts(self) -> dict[str, Any]:
        """What it keeps of the model."""
        return self.model_dump(include={*FACTS})

    @property
    def seconds(self) -> int:
        """Since 1970."""
        return int(datetime.fromisoformat(self.since).timestamp())

    def message(self) -> str:
        """What its tag says: a line for people, and the record."""
        return f"v{self.version} in {gto.STAGE}\n\n{self.text()}"

    def text(self) -> str:
        """The record as JSON."""
        return json.dumps(self.model_dump(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def stamp(seconds: float) -> str:
    """A time in UTC, to the second.

    >>> stamp(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def file_name(form: str) -> Path:
    """Of a form of the model."""
    return Path(f"{form}.onnx")
