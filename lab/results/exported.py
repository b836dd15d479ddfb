"""`metrics/export.json`: the files of `models/export`, each held against what training stored."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lab.base.records import Record
from lab.results.comparison import ModelDifference
from lab.results.probabilities import TOLERANCE
from lab.results.schema import Score
from lab.verdict.verdicts import Verdict

EXPORTED = Path("metrics/export.json")
EXPORTS = Path("models/export")
Count = Annotated[int, Field(ge=0)]
Name = Literal["model", "model.int8", "ensemble"]


class Measured(Record):
    """How far a form is what was trained; over all seeds, not the exported one alone.

    Attributes:
        largest_difference: of a probability, from the one that training stored.
        flips: test examples of another class than training stored, over all seeds.
        predictions: how many could have been.
        score: the test score that models were compared by: the mean over seeds; the ensemble's own.
        difference: of that score from what training stored, seed by seed; the ensemble has none.
    """

    largest_difference: float
    flips: Count
    predictions: Count
    score: float
    difference: ModelDifference | None

    @property
    def verdict(self) -> Verdict | None:
        """Of the difference; the same up to rounding is equivalent, however few seeds there are."""
        if self.difference is None:
            return None
        is_same = self.largest_difference <= TOLERANCE
        return Verdict.EQUIVALENT if is_same else self.difference.verdict


class Form(Record):
    """One file; without one `sha256` is None and `reason` says why.

    `bytes` is its size, or what it would be; `measured` is None where it does not run at all.
    """

    sha256: str | None
    bytes: Count | None
    measured: Measured | None
    reason: str | None


class Exported(Record):
    """The whole file; without `forms` the network cannot be a graph, and `reason` says why.

    `trained` is the score that training stored, the mean over seeds.
    """

    schema_version: Literal[1]
    model: str
    seed: int
    metric: Score
    margin: float
    trained: float
    forms: dict[Name, Form]
    reason: str | None

    def lines(self) -> list[str]:
        """What a reader is told: a line a form."""
        if self.reason:
            return [f"{self.model}: not exported: {self.reason}"]
        return [f"{name}: {self._of(form)}" for name, form in self.forms.items()]

    def _of(self, form: Form) -> str:
        said = self._measured(form.bytes or 0, form.measured) if form.measured else ""
        if form.reason:
            return f"not exported: {form.reason}" + (f" ({said})" if said else "")
        return said

    def _measured(self, size: int, found: Measured) -> str:
        scale, unit = (100, "pp") if self.metric.unit == "%" else (1, self.metric.unit)
        change = round(scale * (found.score - self.trained), 9) + 0.0  # never -0
        said = (
            f"{size:,} bytes, {found.flips:,} of {found.predictions:,} predictions differ, "
            f"{self.metric.name} {change:+.3g} {unit}".rstrip()
        )
        return f"{said}, {found.verdict}" if found.verdict else f"{said} (mean of all)"
