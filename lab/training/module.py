"""A plain torch.nn.Module as the loop's network: a stack of one seed."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn

from lab.base.errors import TaskError
from lab.base.task_code import running_task_code
from lab.data.description import Description
from lab.training.scaler import Scaler
from lab.training.streams import initialisation, seed_everything

PROBED = 2  # examples on which a new module is tried


class Module:
    """One seed's module; its parameters have no axis S, its scores have one of length 1."""

    def __init__(self, module: nn.Module, file: str, scaler: Scaler, seed: int) -> None:
        self.module = module
        self.file = file
        self.scaler = scaler
        self.seed = seed

    @classmethod
    def initialised(
        cls, build: Callable[[], nn.Module], file: str, data: Description, seed: int
    ) -> Self:
        """A module whose random weights are its seed's own.

        Raises:
            TaskError: its code fails, or it does not give a score for each class.
        """
        shape = tuple(data.shape)
        with running_task_code(file), initialisation(seed):
            module = build()
        found = cls(module, file, Scaler(data.scaling, shape), seed)
        for name, tensor in found.module.state_dict().items():
            if tensor.dtype not in (torch.float32, torch.int64, torch.bool, torch.uint8):
                raise TaskError(
                    f"{file}: parameters and buffers must be float32, int64, uint8 or bool; "
                    f"got {tensor.dtype} for {name}; convert it"
                )
        if not found.named_parameters():
            raise TaskError(f"{file}: must have a parameter to learn; got none; add a layer")
        found._probe(shape, data)
        return found

    def _probe(self, shape: tuple[int, ...], data: Description) -> None:
        zeros = torch.zeros(PROBED, *shape, dtype=getattr(torch, data.dtype))
        with torch.no_grad():
            scores = self._scores(zeros, torch.float32, is_training=False)
        wanted = [PROBED, len(data.class_names)]
        if not isinstance(scores, Tensor) or list(scores.shape) != wanted:
            got = list(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise TaskError(
                f"{self.file}: forward must give scores [B, {wanted[1]}], one a class; got {got} "
                f"for {PROBED} examples of {list(shape)}; correct it"
            )

    def to(self, device: torch.device) -> Self:
        """The same module on `device`."""
        return type(self)(self.module.to(device), self.file, self.scaler, self.seed)

    def begin_epoch(self, number: int) -> None:
        """Makes the epoch's random numbers those of seed and epoch."""
        seed_everything(self.seed, number)

    def named_parameters(self) -> Mapping[str, Tensor]:
        """All that is learned; frozen parameters are not."""
        return {
            name: parameter
            for name, parameter in self.module.named_parameters()
            if parameter.requires_grad
        }

    def buffers(self) -> Sequence[Tensor]:
        """All that may change and is not learned, such as running means."""
        return list(self.module.buffers())

    def parameter_count(self) -> int:
        """Numbers learned."""
        return sum(parameter.numel() for parameter in self.named_parameters().values())

    def logits(
        self,
        inputs: Tensor,
        dtype: torch.dtype = torch.float32,
        dropout: Sequence[Generator] | None = None,
    ) -> Tensor:
        """Class scores [1, B, C] in float32 of inputs [1, B, ...] or [B, ...]."""
        if dropout is not None:
            inputs = inputs.squeeze(0)
        scores: Tensor = self._scores(inputs, dtype, is_training=dropout is not None)
        return scores.float().unsqueeze(0)

    def _scores(self, inputs: Tensor, dtype: torch.dtype, *, is_training: bool) -> Any:
        if self.module.training != is_training:
            self.module.train(is_training)
        values = self.scaler(inputs)
        mixed: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if dtype != torch.float32:
            mixed = torch.autocast(values.device.type, dtype=dtype)
        with running_task_code(self.file), mixed:
            return self.module(values)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """The module's `state_dict` with a leading axis of length 1."""
        state = self.module.state_dict()
        return {name: tensor.detach().cpu().numpy()[None] for name, tensor in state.items()}
