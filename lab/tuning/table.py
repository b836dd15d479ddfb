"""`metrics/tuning.csv`, a line a candidate, and `metrics/tuning.json`: what searches came to.

No output of a stage: it belongs to the params that a search began with. The same search gives the
same bytes, wherever it stopped in between.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from lab.base.errors import DataError, LabError
from lab.base.files import read_bytes, write_json, write_text
from lab.base.records import Record, first_problem
from lab.data.description import Description
from lab.report.wording import Scale
from lab.results.schema import Score
from lab.tuning.search import TODAY, Candidate
from lab.tuning.trial import Trial
from lab.verdict.verdicts import Verdict

TABLE = Path("metrics/tuning.csv")
LEDGER = Path("metrics/tuning.json")
MAX_BYTES = 2**22


class Reading(Record):
    """A trial of a search: the one time that it read the test examples.

    Scores are those of the seeds, in their order; `values` are the winner's, by searched key;
    `causes` is a hash of what determined them.
    """

    model: str
    causes: str
    test_sha256: str
    metric: str
    values: dict[str, Any]
    seeds: list[int]
    winner: list[float]
    today: list[float]
    search_said: float
    estimate: float
    interval: tuple[float, float] | None
    verdict: str

    @property
    def is_improved(self) -> bool:
        """Whether the winner may take the place of what it was compared with."""
        return self.verdict == Verdict.IMPROVED

    def sentence(self, score: Score) -> str:
        """The search's claim beside what the trial found.

        For example `search said +0.32 pp on validation; on fresh seeds +0.36 pp on test (+0.30 to
        +0.43), improved`.
        """
        scale = Scale.of(score)
        claim = scale.with_unit(scale.difference(self.search_said))
        found = scale.with_unit(scale.difference(self.estimate))
        ends = f" ({scale.ends(self.interval)})" if self.interval else ""
        return (
            f"search said {claim} on validation; on fresh seeds {found} on test{ends}, "
            f"{self.verdict}"
        )


class Ledger(Record):
    """All trials so far, the oldest first."""

    schema_version: Literal[1]
    readings: Annotated[list[Reading], Field(max_length=10_000)]

    def readings_of(self, test_sha256: str) -> int:
        """How many searches read these test examples."""
        return sum(each.test_sha256 == test_sha256 for each in self.readings)

    def known(self, causes: str) -> Reading | None:
        """The trial that had the same causes: a second one would only ask chance again."""
        return next((each for each in self.readings if each.causes == causes), None)

    def last_of(self, model: str) -> Reading:
        """The last trial of a model's search.

        Raises:
            LabError: there is none.
        """
        of_model = [each for each in self.readings if each.model == model]
        if not of_model:
            raise LabError(
                f"{LEDGER}: has no trial of {model}; search first: `make tune MODEL={model}`"
            )
        return of_model[-1]

    def with_reading(
        self,
        model: str,
        causes: str,
        data: Description,
        score: Score,
        winner: Candidate,
        said: float,
        found: Trial,
    ) -> "Ledger":
        """One more."""
        difference = found.finding.difference
        new = Reading(
            model=model,
            causes=causes,
            test_sha256=data.test.sha256,
            metric=score.name,
            values=dict(winner.values),
            seeds=list(found.winner.seeds),
            winner=list(found.winner.values),
            today=list(found.today.values),
            search_said=said,
            estimate=difference.estimate,
            interval=difference.interval,
            verdict=str(found.finding.verdict),
        )
        return self.model_copy(update={"readings": [*self.readings, new]})

    def counted(self, data: Description) -> str:
        """How often the test examples were read, and by what."""
        count = self.readings_of(data.test.sha256)
        times = "once" if count == 1 else f"{count} times"
        return (
            f"searches have read these test examples {times} ({LEDGER}; runs of the pipeline are "
            "not counted)" + (", each judged more strictly than the one before" * (count > 1))
        )


def read_ledger() -> Ledger:
    """What is there; nothing where there is no file.

    Raises:
        DataError: it is damaged.
    """
    try:
        return Ledger.model_validate_json(read_bytes(LEDGER, MAX_BYTES))
    except FileNotFoundError:
        return Ledger(schema_version=1, readings=[])
    except ValidationError as error:
        raise DataError(
            f"{LEDGER}: {first_problem(error)}; get it back with `git checkout {LEDGER}`"
        ) from None


def write_ledger(ledger: Ledger) -> None:
    """Replaces the file."""
    write_json(LEDGER, ledger.model_dump(mode="json"))


def write_table(candidates: Sequence[Candidate], score: Score) -> None:
    """A line a candidate, in the order in which they were proposed; 0 are today's params."""
    winner = candidates[0].number
    keys = list(candidates[0].values)
    into = io.StringIO()
    lines = csv.writer(into, lineterminator="\n")
    lines.writerow(
        ["candidate", "round", *keys, "epochs", "seeds", f"validation_{score.name}", "remark"]
    )
    for each in sorted(candidates, key=lambda one: one.number):
        value = each.score(list(each.found))
        lines.writerow(
            [
                each.number,
                each.round,
                *(_cell(each.values[key]) for key in keys),
                each.epochs,
                len(each.found),
                "" if each.has_diverged else repr(value),
                remark(each, winner),
            ]
        )
    write_text(TABLE, into.getvalue())


def remark(candidate: Candidate, winner: int) -> str:
    """What is special about a candidate."""
    if candidate.has_diverged:
        return "diverged"
    words = ["today"] if candidate.number == TODAY else []
    return ", ".join([*words, *(["winner"] if candidate.number == winner else [])])


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
