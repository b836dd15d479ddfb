"""The feed-forward network, batched over seeds.

Ten small networks trained one after the other leave a processor mostly waiting: each matrix
product is too small to fill it, and each step pays Python's and torch's overhead again. So the
seeds of a *stack* are trained as one program. Every weight has a leading axis, one entry per
seed; every step is a handful of batched products; no number of one seed reaches another.

A stack computes in one thread. With more, torch splits sums between threads, and the weights
come out different with the number of cores. Several stacks use several cores instead.

Weights are float32 and stay so: a step of Adam is often smaller than the spacing of bfloat16
(three significant digits), and would be lost in it. Only what enters and leaves a matrix product
may be bfloat16, which processors with the instructions multiply four times as fast. Images enter
as bytes, because 0 to 255 are exact in bfloat16 and 1/255 of them are not.

A search trains candidates of one architecture the same way: theirs are more rows of S, all seeds of
one candidate after those of the other, and what a seed draws is drawn once for all candidates.

Axes, used as suffixes of names: S seeds of the stack, B images of a batch, D inputs of a layer,
H outputs of a layer, C classes.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Generator, Tensor

from lab.base.errors import TaskError
from lab.data.examples import Scaling
from lab.training import streams
from lab.training.scaler import Scaler

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda hidden: hidden,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
}
Width = Annotated[int, Field(ge=1, le=65_536)]


@dataclass(frozen=True)
class Layer:
    """One dense layer of every seed: weight_SDH [S, D, H] and bias_S1H [S, 1, H]."""

    weight_SDH: Tensor
    bias_S1H: Tensor


class FeedForward:
    """S feed-forward networks of one architecture, one per seed, each with a dropout of its own."""

    BY_ROW = ("dropout",)  # in which candidates of one batch may differ

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        input_shape: tuple[int, ...],
        scaler: Scaler,
        activation: str,
        dropout_S: Sequence[float],
    ) -> None:
        self.layers = list(layers)
        self.input_shape = input_shape
        self.scaler = scaler
        self.activation = activation
        self.dropout_S = dropout_S

    @classmethod
    def initialised(
        cls,
        seeds: Sequence[int],
        input_shape: tuple[int, ...],
        classes: int,
        vocabulary: int | None,
        scaling: Scaling | None,
        hidden: Annotated[list[Width], Field(max_length=64)],
        activation: Literal["linear", "relu", "tanh", "gelu"],
        dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)],
    ) -> Self:
        """Draws where each unit starts from a stream of its own, uniform in ±1/sqrt(D).

        So a unit starts alike in a wider layer, and but for that bound with more inputs. The
        scores have their own stream too, whatever layers stand before them.

        Source: He et al. 2015 (arXiv 1502.01852) with a=sqrt(5), the default of torch.nn.Linear.

        Args:
            seeds: of the stack.
            input_shape: of one example; its numbers are the inputs of the first layer.
            classes: outputs of the last layer.
            vocabulary: None; ids of tokens are no numbers.
            scaling: how the examples are seen.
            hidden: units of each hidden layer.
            activation: of hidden units.
            dropout: fraction of hidden units dropped while training.

        Raises:
            TaskError: the examples are ids of tokens.
        """
        if vocabulary is not None:
            raise TaskError(
                "task/networks/feed_forward.py: takes examples of numbers; got ids of tokens; "
                "choose a network that embeds them"
            )
        widths = [math.prod(input_shape), *hidden, classes]
        names = [*(f"hidden {position}" for position in range(len(hidden))), "scores"]
        layers = []
        for name, (fan_in, fan_out) in zip(names, itertools.pairwise(widths), strict=True):
            # The bias comes first, so that it stays where it is when inputs are added.
            drawn = [streams.units(seed, name, fan_out, 1 + fan_in) for seed in seeds]
            start_SDH = torch.from_numpy(np.stack(drawn)).transpose(1, 2) / math.sqrt(fan_in)
            layers.append(Layer(start_SDH[:, 1:].contiguous(), start_SDH[:, :1].contiguous()))
        return cls(
            layers,
            input_shape=input_shape,
            scaler=Scaler(scaling, input_shape),
            activation=activation,
            dropout_S=[dropout] * len(seeds),
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Networks of one architecture, and of as many seeds each, as one batch."""
        layers = [
            Layer(
                torch.cat([layer.weight_SDH for layer in of_parts]),
                torch.cat([layer.bias_S1H for layer in of_parts]),
            )
            for of_parts in zip(*(part.layers for part in parts), strict=True)
        ]
        return cls(
            layers,
            input_shape=parts[0].input_shape,
            scaler=parts[0].scaler,
            activation=parts[0].activation,
            dropout_S=[dropout for part in parts for dropout in part.dropout_S],
        )

    def to(self, device: torch.device) -> Self:
        """The same networks with leaf parameters on `device`."""
        layers = [
            Layer(*(t.to(device).requires_grad_() for t in (layer.weight_SDH, layer.bias_S1H)))
            for layer in self.layers
        ]
        return type(self)(
            layers,
            input_shape=self.input_shape,
            scaler=self.scaler,
            activation=self.activation,
            dropout_S=self.dropout_S,
        )

    def named_parameters(self) -> dict[str, Tensor]:
        """All weights and biases, each with the leading axis S."""
        return {
            f"{position}.{what}": tensor
            for position, layer in enumerate(self.layers)
            for what, tensor in (("weight", layer.weight_SDH), ("bias", layer.bias_S1H))
        }

    def buffers(self) -> list[Tensor]:
        """Nothing but its parameters changes in training."""
        return []

    def parameter_count(self) -> int:
        """Numbers learned per seed."""
        return sum(tensor[0].numel() for tensor in self.named_parameters().values())

    def logits(
        self,
        inputs: Tensor,
        dtype: torch.dtype = torch.float32,
        dropout: Sequence[Generator] | None = None,
    ) -> Tensor:
        """Class scores [S, B, C] in float32.

        Args:
            inputs: as the data store them, [S, B, ...]; without the axis S, [B, ...], they are the
                same for all seeds. Of a batch of candidates they are those of one candidate's
                seeds, and the same for all.
            dtype: of what enters and leaves the matrix products.
            dropout: one generator a seed of a candidate while training, None else.
        """
        activate = ACTIVATIONS[self.activation]
        scale = self.scaler.factor  # the product is scaled, not what enters it, where that will do
        if scale is None:
            inputs, scale = self.scaler(inputs), 1.0
        is_shared = inputs.dim() == 1 + len(self.input_shape)
        values_SBD = inputs.flatten(start_dim=1 if is_shared else 2).to(dtype)
        if not is_shared:
            values_SBD = _to_all(values_SBD, len(self.dropout_S))
        for layer in self.layers[:-1]:
            values_SBD = activate(_dense(values_SBD, layer, scale))
            if dropout is not None and any(self.dropout_S):
                values_SBD = values_SBD * self._mask(values_SBD, dropout)
            scale = 1.0
        return _dense(values_SBD, self.layers[-1], scale).float()

    def _mask(self, values_SBH: Tensor, generators: Sequence[Generator]) -> Tensor:
        """Inverted dropout: 0 with probability `dropout`, else 1/(1 - dropout)."""
        keep_S11 = (1 - torch.tensor(self.dropout_S, dtype=torch.float64)).float()[:, None, None]
        drawn = [torch.rand(values_SBH.shape[1:], generator=generator) for generator in generators]
        drawn_SBH = _to_all(torch.stack(drawn), len(keep_S11))
        return ((drawn_SBH < keep_S11) / keep_S11).to(values_SBH)

    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Weights as torch.nn.Sequential names and lays them out, with the leading axis S.

        `weights()["0.weight"][k]` is seed k's first weight, [H, D]; layers stand at even
        positions because activations stand between them.
        """
        named = {}
        for position, layer in enumerate(self.layers):
            weight_SHD = layer.weight_SDH.detach().transpose(1, 2).contiguous()
            named[f"{2 * position}.weight"] = weight_SHD.cpu().numpy()
            named[f"{2 * position}.bias"] = layer.bias_S1H.detach().squeeze(1).cpu().numpy()
        return named


def _to_all(of_seeds: Tensor, rows: int) -> Tensor:
    """What belongs to the seeds of a candidate, [N, B, ...], for all rows of a batch of them."""
    if len(of_seeds) == rows:
        return of_seeds
    return of_seeds.repeat(rows // len(of_seeds), 1, 1)


def _dense(values_SBD: Tensor, layer: Layer, scale: float) -> Tensor:
    """The layer's sums, scale * values @ weight + bias [S, B, H], in the dtype of the values.

    The product is scaled, not what enters it: it is the smaller one, and bytes are exact. (The
    `alpha` of torch.baddbmm would do the same, but leaves the fast path for bfloat16.)
    """
    weight_SDH, bias_S1H = (t.to(values_SBD.dtype) for t in (layer.weight_SDH, layer.bias_S1H))
    product = torch.bmm if values_SBD.dim() == 3 else _product_of_shared
    return torch.add(bias_S1H, product(values_SBD, weight_SDH), alpha=scale)


def _product_of_shared(values_BD: Tensor, weight_SDH: Tensor) -> Tensor:
    """`values @ weight` [S, B, H] for values that all seeds share: one large product.

    On a processor by oneDNN, equally exact. MKL, which torch prefers for float32, takes twice as
    long on AMD's.
    """
    seeds, _, hidden = weight_SDH.shape
    weight_KD = weight_SDH.transpose(1, 2).flatten(end_dim=1)  # K: every output of every seed
    if values_BD.device.type == "cpu" and torch.backends.mkldnn.is_available():
        values, weight = values_BD.to_mkldnn(), weight_KD.to_mkldnn()
        product_BK = torch.nn.functional.linear(values, weight).to_dense()
    else:
        product_BK = torch.nn.functional.linear(values_BD, weight_KD)
    return product_BK.view(-1, seeds, hidden).transpose(0, 1)
