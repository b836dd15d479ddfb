"""Many clients' examples through one network: alone while it is quick, together when they wait."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.serving.network import AT_ONCE, Network

QUICK_SECONDS = 0.0003  # a network that answers within is run where the request is read
TRIED = 5  # runs, the fastest of which counts

Probabilities = NDArray[np.float32]


class BusyError(Exception):
    """More examples wait than may."""


@dataclass(frozen=True)
class Loaded:
    """A network, and whether it takes less time than handing work to a thread."""

    network: Network
    is_quick: bool

    @classmethod
    def tried(cls, network: Network) -> "Loaded":
        """Runs it on zeros, which takes a while.

        Raises:
            Exception: it does not run, or its description is not one.
        """
        examples = np.zeros((1, *network.description["shape"]), network.description["dtype"])
        taken = []
        for _ in range(TRIED):
            start = time.perf_counter()
            network(examples)
            taken.append(time.perf_counter() - start)
        return cls(network, min(taken) < QUICK_SECONDS)


@dataclass(frozen=True)
class _Waiting:
    network: Network
    examples: NDArray[Any]
    probabilities: "asyncio.Future[Probabilities]"


class Batches:
    """Runs networks for whoever asks, in one thread of its own.

    While it runs, requests wait; all that wait when it is done make up the next batch. So nobody
    waits for a batch to fill, and batches grow with the load. A quick network (most that are not
    convolutions) is run at once on a single example.

    Args:
        most_waiting: examples.
        ran: is told of each batch how many examples it had.
    """

    def __init__(self, most_waiting: int, ran: Callable[[int], None]) -> None:
        self.most_waiting = most_waiting
        self.waiting = 0
        self._ran = ran
        self._queue: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, "network")
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self, loaded: Loaded, examples: NDArray[Any]) -> Probabilities:
        """The probabilities [N, C] of some examples in stored form.

        Raises:
            BusyError: too many wait already.
        """
        if len(examples) == 1 and loaded.is_quick and not self.waiting:
            self._ran(1)
            return loaded.network(examples)
        if self.waiting and self.waiting + len(examples) > self.most_waiting:
            raise BusyError
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loaded.network, examples, loop.create_future())
        self._queue.append(waiting)
        self.waiting += len(examples)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        try:
            return await waiting.probabilities
        finally:
            self.waiting -= len(examples)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch = self._next()
            try:
                found_NC = await loop.run_in_executor(self._thread, _together, batch)
            except Exception as error:  # goes to who asked
                for each in batch:
                    if not each.probabilities.done():
                        each.probabilities.set_exception(error)
                continue
            self._ran(len(found_NC))
            start = 0
            for each in batch:
                end = start + len(each.examples)
                if not each.probabilities.done():  # its client may have gone
                    each.probabilities.set_result(found_NC[start:end])
                start = end

    def _next(self) -> list[_Waiting]:
        """The first that waits, and who can go with it: for the same network, not too many."""
        batch = [self._queue.popleft()]
        network, count = batch[0].network, len(batch[0].examples)
        while self._queue and self._queue[0].network is network:
            count += len(self._queue[0].examples)
            if count > AT_ONCE:
                break
            batch.append(self._queue.popleft())
        return batch


def _together(batch: list[_Waiting]) -> Probabilities:
    return batch[0].network(np.concatenate([each.examples for each in batch]))
