"""Random numbers that belong to a seed, whatever else runs in the process.

Each purpose has a stream of its own: where every unit starts, the order of the examples, dropout,
augmentation. So a change of the network leaves the order as it was, and its seeds can be compared
with the same seeds before it one by one: what a seed had of luck, it has on both sides.

A plain module draws its dropout from torch's global generator, and a task's code may draw from
Python's and NumPy's. All are seeded anew at the start of every epoch from seed and epoch alone, so
what they give does not depend on threads, workers, order or resuming.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator
from torch.overrides import TorchFunctionMode

INITIALISATION = 0  # in place of an epoch; those count from 1


def stream(seed: int, epoch: int, purpose: str) -> int:
    """The seed of a generator for one purpose in one epoch."""
    words = [seed, epoch, *purpose.encode()]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


def generators(seeds: Sequence[int], epoch: int, purpose: str) -> list[Generator]:
    """A generator for each seed, for one purpose in one epoch."""
    return [Generator().manual_seed(stream(seed, epoch, purpose)) for seed in seeds]


def units(seed: int, layer: str, count: int, numbers: int) -> npt.NDArray[np.float32]:
    """Uniform numbers in [-1, 1) [count, numbers]: a row is a unit's, and belongs to it alone.

    A unit keeps its row whatever other units its layer has, and the first numbers of it however
    many there are.
    """
    drawn = np.empty((count, numbers), np.float32)
    key = np.array([0, stream(seed, INITIALISATION, layer)], np.uint64)
    for unit in range(count):
        key[0] = unit
        # Raw, because NumPy keeps those from version to version; float32 holds 24 bits.
        drawn[unit] = np.random.Philox(key=key).random_raw(numbers) >> 40
    return drawn * np.float32(2**-23) - 1


def seed_everything(seed: int, epoch: int) -> None:
    """Seeds the global generators of torch (all devices), NumPy and Python."""
    number = stream(seed, epoch, "modules")
    torch.manual_seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)


@contextmanager
def initialisation(seed: int) -> Iterator[None]:
    """Gives what is built within random numbers of its seed, and each draw a stream of its own.

    A parameter is drawn in one go, before it has a name; so the first parameter has the first
    stream, and so on. One that has another shape than before takes nothing from those after it.
    What the module's code does with what it drew stays as it is, as do weights that it loads.
    """
    seed_everything(seed, INITIALISATION)
    with _Draws(seed):
        yield


class _Draws(TorchFunctionMode):
    """Seeds torch's global generator anew after every function that drew from it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed, self._count = seed, 0
        self._before = torch.get_rng_state()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not torch.equal(torch.get_rng_state(), self._before):
            self._count += 1
            torch.manual_seed(stream(self._seed, INITIALISATION, f"draw {self._count}"))
            self._before = torch.get_rng_state()
        return result
