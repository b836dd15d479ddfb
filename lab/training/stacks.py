"""The unit of work: a stack, some seeds of one model that are trained as one batched program.

No torch here, so that a script which only hands out work need not import it.
"""

import os
from collections.abc import Sequence

import numpy as np

from lab.base.params import TrainParams
from lab.data.dataset import Prepared
from lab.results.schema import Evaluation, Trained


def stacks(train: TrainParams) -> list[tuple[int, ...]]:
    """The seeds in groups trained as one batched program each.

    >>> from types import SimpleNamespace
    >>> stacks(SimpleNamespace(seeds=[3, 1, 4, 1 + 4, 9], seeds_per_stack=2))
    [(3, 1), (4, 5), (9,)]
    """
    seeds, size = tuple(train.seeds), train.seeds_per_stack
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def image_steps(train: TrainParams, data: Prepared) -> int:
    """Images seen in training, summed over seeds and epochs."""
    return len(train.seeds) * train.epochs * len(data.train.images)


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
    return Evaluation(
        accuracy_S=np.concatenate([part.accuracy_S for part in parts]),
        loss_S=np.concatenate([part.loss_S for part in parts]),
        predictions_SN=np.concatenate([part.predictions_SN for part in parts]),
        confidence_SN=np.concatenate([part.confidence_SN for part in parts]),
    )
