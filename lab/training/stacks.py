"""The unit of work: a stack, some seeds of one model that are trained together.

No torch here, so that a script which only hands out work need not import it.
"""

import os

from lab.base.params import TrainParams
from lab.data.prepared import Prepared
from lab.training.outcome import Trained


def stacks(train: TrainParams) -> list[tuple[int, ...]]:
    """The seeds in groups that are trained together.

    >>> from types import SimpleNamespace
    >>> stacks(SimpleNamespace(seeds=[3, 1, 4, 1 + 4, 9], seeds_per_stack=2))
    [(3, 1), (4, 5), (9,)]
    """
    seeds, size = tuple(train.seeds), train.seeds_per_stack
    return [seeds[start : start + size] for start in range(0, len(seeds), size)]


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def example_steps(trained: Trained, data: Prepared) -> int:
    """Examples seen in training, summed over seeds and epochs."""
    return len(data.train.labels) * sum(len(epoch.seeds) for epoch in trained.epochs)
