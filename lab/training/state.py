"""All that an epoch changes: weights, the optimizer's memory, the history.

No random numbers: each epoch begins streams of its own.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lab.training.checkpoints import Arrays
from lab.training.outcome import Epoch


class State:
    """What a checkpoint holds, and which epoch of each seed was the best.

    Args:
        tensors: what is evaluated and stored: parameters and buffers. With more than one seed
            each has the leading axis S.
        memory: the optimizer's.
        seeds: of the stack.
        patience: epochs without a smaller validation loss after which a seed has come to its end
            and what it was in its best epoch is kept; None keeps what it is in the last.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        memory: Sequence[Tensor],
        seeds: tuple[int, ...],
        patience: int | None,
    ) -> None:
        self.epochs: list[Epoch] = []
        self._tensors = tensors
        self._memory = memory
        self._seeds = seeds
        self._patience = patience or 0
        self._best = [tensor.detach().clone() for tensor in tensors] if patience else []

    def finish(self, epoch: Epoch) -> None:
        """Notes an epoch, and keeps the weights of the seeds that it was the best for."""
        self.epochs.append(epoch)
        if self._patience:
            is_best_S = torch.from_numpy(self._best_epochs() == epoch.number)
            for best, tensor in zip(self._best, self._tensors, strict=True):
                # A seed alone need not have the axis S.
                chosen = (is_best_S if len(is_best_S) > 1 else is_best_S[0]).to(best.device)
                best[chosen] = tensor.detach()[chosen]

    def _best_epochs(self) -> npt.NDArray[np.int64]:
        """The number of each seed's best epoch before its patience ended."""
        loss_ES = np.stack([epoch.validation_loss_S for epoch in self.epochs])
        best_S = np.zeros(len(self._seeds), dtype=np.int64)
        for number in range(1, len(loss_ES)):
            is_smaller_S = loss_ES[number] < loss_ES[best_S, np.arange(len(best_S))]
            best_S = np.where(is_smaller_S & (number - best_S <= self._patience), number, best_S)
        return best_S + 1

    @property
    def is_over(self) -> bool:
        """Whether every seed has come to its end."""
        if not self._patience or not self.epochs:
            return False
        return bool((len(self.epochs) - self._best_epochs() >= self._patience).all())

    @torch.no_grad()
    def take_best(self) -> bool:
        """Puts every seed's best epoch in place; whether that may change anything."""
        for tensor, best in zip(self._tensors, self._best, strict=False):
            tensor.copy_(best)
        return bool(self._best)

    def arrays(self) -> Arrays:
        """A copy for a checkpoint; the history has a leading axis for epochs."""
        history = [
            [epoch.train_loss_S, epoch.validation_loss_S, epoch.validation_accuracy_S]
            for epoch in self.epochs
        ]
        return {
            "history": np.array(history, dtype=np.float64).reshape(-1, 3, len(self._seeds)),
            **{str(k): each.detach().cpu().numpy() for k, each in enumerate(self._all())},
        }

    def _all(self) -> list[Tensor]:
        return [*self._tensors, *self._memory, *self._best]

    @torch.no_grad()
    def restore(self, arrays: Arrays) -> None:
        """Puts back what `arrays` gave."""
        for k, tensor in enumerate(self._all()):
            tensor.copy_(torch.from_numpy(arrays[str(k)]))
        self.epochs = [
            Epoch(self._seeds, number, *values)
            for number, values in enumerate(arrays["history"], start=1)
        ]
