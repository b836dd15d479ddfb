"""The unit of work: a stack, some seeds of one model that are trained as one batched program.

No torch here, so that a script which only hands out work need not import it.
"""

import os

from lab.base.params import TrainParams
from lab.data.splits import Prepared


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
