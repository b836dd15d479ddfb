"""The on-disk schema of results, versioned: what stages write and reports read."""

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints, model_validator
from scipy.special import stdtrit  # scipy.stats has the same, and takes a second to import

from lab.base.records import Record
from lab.verdict.differences import CONFIDENCE, FEWEST_SEEDS

SCHEMA_VERSION: Literal[1] = 1
LARGEST_LOSS = 1e18  # nats an image; the sums over seeds stay finite
LARGEST = {"accuracy": 1.0, "loss": LARGEST_LOSS, "calibration_error": 1.0}  # none is below 0
LARGEST_SCORE = 1e18  # of any other score, of either sign
MAX_SCORES = 50  # in all; a page has to show them

SCORE_NAME = r"^[a-z][a-z0-9_]{0,39}$"
UNIT = r"^(%|[A-Za-z][A-Za-z0-9/]{0,11})?$"  # one word: it stands in prose, and is a stranger's

Floats = npt.NDArray[np.float64]


class Spread(Record):
    """A quantity over seeds: mean, sample standard deviation (None for one seed), raw values."""

    mean: float
    sd: float | None
    per_seed: list[float]

    @classmethod
    def of(cls, values_S: Floats) -> "Spread":
        """The spread of one value per seed."""
        sd = float(np.std(values_S, ddof=1)) if len(values_S) > 1 else None
        return cls(mean=float(np.mean(values_S)), sd=sd, per_seed=[float(v) for v in values_S])

    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean; None with fewer than three seeds."""
        count = len(self.per_seed)
        if self.sd is None or count < FEWEST_SEEDS:
            return None
        half = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * self.sd / math.sqrt(count)
        return self.mean - half, self.mean + half


class ScoreSpreads(Record):
    """Accuracy in [0, 1]; loss in nats per image; calibration error in [0, 1]."""

    accuracy: Spread
    loss: Spread
    calibration_error: Spread

    @model_validator(mode="after")
    def _possible(self) -> "ScoreSpreads":
        for name, spread in self:
            values = [spread.mean, spread.sd or 0.0, *spread.per_seed]
            if not 0 <= min(values) <= max(values) <= LARGEST[name]:
                raise ValueError(f"{name} must be from 0 to {LARGEST[name]:g}")
        return self


class Score(Record):
    """What a reader must know of a score: a `%` is stored as a fraction and shown in percent.

    The unit of a number that has none is empty.
    """

    name: Annotated[str, StringConstraints(pattern=SCORE_NAME)]
    unit: Annotated[str, StringConstraints(pattern=UNIT)]
    higher_is_better: bool


ACCURACY = Score(name="accuracy", unit="%", higher_is_better=True)
BUILT_IN = (  # those of `ScoreSpreads`, in its order
    ACCURACY,
    Score(name="loss", unit="nats", higher_is_better=False),
    Score(name="calibration_error", unit="%", higher_is_better=False),
)


class ModelResults(Record):
    """`metrics/runs/MODEL.json`: everything known of one trained model.

    `confusion[actual][predicted]` counts test images over all seeds.
    """

    schema_version: Literal[1]
    model: str
    device: str
    precision: str
    parameter_count: Annotated[int, Field(ge=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    validation: ScoreSpreads
    test: ScoreSpreads
    confusion: list[list[int]]

    @model_validator(mode="after")
    def _one_value_per_seed(self) -> "ModelResults":
        for scores in (self.validation, self.test):
            for spread in (scores.accuracy, scores.loss, scores.calibration_error):
                if len(spread.per_seed) != len(self.seeds):
                    raise ValueError(
                        f"{len(self.seeds)} seeds, but {len(spread.per_seed)} values per seed"
                    )
        return self


Spreads = dict[str, Spread]  # by the name of the score


class Source(Record):
    """A file that scores were computed by, as it was then."""

    file: str
    sha256: str


class ScoreTable(Record):
    """`metrics/scores.json`: every score of every model, by split and name.

    What is no score stands in lists, which `dvc metrics show` leaves out.
    """

    schema_version: Literal[1]
    seeds: Annotated[list[int], Field(min_length=1)]
    scores: Annotated[list[Score], Field(max_length=MAX_SCORES)]
    sources: list[Source]
    validation: dict[str, Spreads]
    test: dict[str, Spreads]

    @model_validator(mode="after")
    def _one_value_per_seed(self) -> "ScoreTable":
        names = [score.name for score in self.scores]
        for of_model in (*self.validation.values(), *self.test.values()):
            if list(of_model) != names:
                raise ValueError(f"every model needs the scores declared; got {list(of_model)}")
            for spread in of_model.values():
                if len(spread.per_seed) != len(self.seeds):
                    raise ValueError(f"every score needs {len(self.seeds)} values per seed")
                if max(map(abs, spread.per_seed)) > LARGEST_SCORE:
                    raise ValueError(f"every score must be within {LARGEST_SCORE:g} of zero")
        return self


class CurvePoint(NamedTuple):
    """One epoch of a learning curve: means over seeds and sample standard deviations."""

    epoch: int
    train_loss: float | None
    train_loss_sd: float | None
    validation_loss: float | None
    validation_loss_sd: float | None
    validation_accuracy: float | None
    validation_accuracy_sd: float | None
