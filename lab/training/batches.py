"""In which order a stack sees its examples."""

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

SHUFFLE_WINDOW = 65_536  # examples; bounds the memory that an epoch's order takes


def batches(inputs: Tensor, size: int, generators: Sequence[Generator]) -> Iterator[Tensor]:
    """One epoch: indices [S, B] of the examples, each once, shuffled for every seed by itself.

    Beyond 65,536 examples they are shuffled window by window, in a ring of examples entered
    anywhere: a whole permutation of millions would take more memory than the networks, and
    reading files memory-mapped in such an order is slow.
    """
    count = len(inputs)
    window = max(SHUFFLE_WINDOW // size, 1) * size  # whole batches
    enter = [0 if count <= window else _below(count, generator) for generator in generators]
    for start in range(0, count, window):
        length = min(window, count - start)
        order_SN = torch.stack(
            [
                (torch.randperm(length, generator=generator) + start + first) % count
                for generator, first in zip(generators, enter, strict=True)
            ]
        )
        yield from order_SN.to(inputs.device).split(size, dim=1)


def _below(limit: int, generator: Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def gather(rows: Tensor, chosen_SB: Tensor) -> Tensor:
    """`rows[chosen_SB]`, which torch itself does twenty times slower on a CPU."""
    return rows.index_select(0, chosen_SB.flatten()).view(*chosen_SB.shape, *rows.shape[1:])
