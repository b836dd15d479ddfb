"""What comes out of training, in memory: epochs, evaluations, weights.

No torch here, so that a script which only hands out work need not import it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # as few bytes as will do


@dataclass(frozen=True)
class Evaluation:
    """What S networks say of N examples.

    accuracy_S in [0, 1]; loss_S mean cross-entropy in nats per example; predictions_SN
    and confidence_SN (float32, probability of the predicted class); probabilities_SNC (float32).
    """

    accuracy_S: Floats
    loss_S: Floats
    predictions_SN: Classes
    confidence_SN: npt.NDArray[np.float32]
    probabilities_SNC: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Epoch:
    """One finished epoch of some seeds; `number` counts from 1, values are per seed."""

    seeds: tuple[int, ...]
    number: int
    train_loss_S: Floats
    validation_loss_S: Floats
    validation_accuracy_S: Floats


@dataclass(frozen=True)
class Trained:
    """A trained model: weights as a network's `weights()`, every seed's history and evaluations."""

    seeds: tuple[int, ...]
    weights: dict[str, npt.NDArray[Any]]
    parameter_count: int
    epochs: tuple[Epoch, ...]
    validation: Evaluation
    test: Evaluation


def joined(parts: Sequence[Trained]) -> Trained:
    """Several stacks of one model as one result, seeds in the order given."""
    return Trained(
        seeds=tuple(seed for part in parts for seed in part.seeds),
        weights={
            name: np.concatenate([part.weights[name] for part in parts])
            for name in parts[0].weights
        },
        parameter_count=parts[0].parameter_count,
        epochs=tuple(epoch for part in parts for epoch in part.epochs),
        validation=_joined_evaluations([part.validation for part in parts]),
        test=_joined_evaluations([part.test for part in parts]),
    )


def _joined_evaluations(parts: Sequence[Evaluation]) -> Evaluation:
    if len(parts) == 1:
        return parts[0]  # probabilities of many classes are large
    return Evaluation(
        accuracy_S=np.concatenate([part.accuracy_S for part in parts]),
        loss_S=np.concatenate([part.loss_S for part in parts]),
        predictions_SN=np.concatenate([part.predictions_SN for part in parts]),
        confidence_SN=np.concatenate([part.confidence_SN for part in parts]),
        probabilities_SNC=np.concatenate([part.probabilities_SNC for part in parts]),
    )
