"""The on-disk schema of results, versioned: what stages write and reports read."""

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy.special import stdtrit  # scipy.stats has the same, and takes a second to import

from lab.base.records import Record
from lab.verdict.differences import CONFIDENCE, FEWEST_SEEDS

SCHEMA_VERSION: Literal[1] = 1
LARGEST_LOSS = 1e18  # nats an image; the sums over seeds stay finite

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
        largest = {"accuracy": 1.0, "loss": LARGEST_LOSS, "calibration_error": 1.0}
        for name, spread in self:
            values = [spread.mean, spread.sd or 0.0, *spread.per_seed]
            if not 0 <= min(values) <= max(values) <= largest[name]:
                raise ValueError(f"{name} must be from 0 to {largest[name]:g}")
        return self


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


class CurvePoint(NamedTuple):
    """One epoch of a learning curve: means over seeds and sample standard deviations."""

    epoch: int
    train_loss: float | None
    train_loss_sd: float | None
    validation_loss: float | None
    validation_loss_sd: float | None
    validation_accuracy: float | None
    validation_accuracy_sd: float | None
