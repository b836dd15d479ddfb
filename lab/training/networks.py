"""What the loop needs of a network, and where its class comes from."""

import importlib
from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from lab.base.params import ModelParams


class Network(Protocol):
    """S networks of one architecture, one per seed; no number of one seed reaches another.

    `task/networks/NAME.py` defines one as its class `Network`, and `models.MODEL.network: NAME`
    in params.yaml chooses it.
    """

    @classmethod
    def initialised(
        cls, model: ModelParams, inputs: int, classes: int, generators: Sequence[Generator]
    ) -> Self:
        """Networks that draw each seed's weights from its own generator."""

    def to(self, device: torch.device) -> Self:
        """The same networks with leaf parameters on `device`."""

    def parameters(self) -> list[Tensor]:
        """All that is learned, each with the leading axis S."""

    def parameter_count(self) -> int:
        """Numbers learned per seed."""

    def logits(
        self,
        images_SBD: Tensor,
        dtype: torch.dtype = torch.float32,
        dropout: Sequence[Generator] | None = None,
    ) -> Tensor:
        """Class scores [S, B, C] in float32 of images [S, B, D], or [B, D] that all seeds share.

        Args:
            images_SBD: bytes from 0 to 255.
            dtype: of what enters and leaves the matrix products.
            dropout: one generator a seed while training, None else.
        """

    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """What is learned by name, with the leading axis S."""


def initialised(
    model: ModelParams, inputs: int, classes: int, generators: Sequence[Generator]
) -> Network:
    """The model's networks as they stand before training, one per generator."""
    kind: type[Network] = importlib.import_module(f"task.networks.{model.network}").Network
    return kind.initialised(model, inputs, classes, generators)
