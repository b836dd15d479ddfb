"""Random numbers that belong to a seed, whatever else runs in the process.

A plain module draws its weights and its dropout from torch's global generator, and a task's code
may draw from Python's and NumPy's. All are seeded anew at the start of every epoch from seed and
epoch alone, so what they give does not depend on threads, workers, order or resuming.
"""

import random

import numpy as np
import torch

INITIALISATION = 0  # in place of an epoch; those count from 1


def seed_everything(seed: int, epoch: int) -> None:
    """Seeds the global generators of torch (all devices), NumPy and Python."""
    number = stream(seed, epoch, "modules")
    torch.manual_seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)


def stream(seed: int, epoch: int, purpose: str) -> int:
    """The seed of a generator for one purpose in one epoch."""
    words = [seed, epoch, *purpose.encode()]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
