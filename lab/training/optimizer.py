"""How weights move: the learning rate's schedule, and Adam, AdamW or SGD on a whole stack."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from lab.base.errors import ParamsError, shortened
from lab.base.params import ModelParams

SGD_MOMENTUM = 0.9
ADAM_BETAS = (0.9, 0.999)  # Kingma and Ba 2015 (arXiv 1412.6980), as is epsilon
ADAM_EPSILON = 1e-8
CLIP_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def decay(schedule: str, progress: float) -> float:
    """Factor on the learning rate when `progress` (0 to 1) of all steps is done.

    >>> [decay("linear", progress) for progress in (0, 0.25, 1)]
    [1.0, 0.75, 0.0]
    >>> [round(decay("cosine", progress), 3) for progress in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    >>> decay("constant", 0.9)
    1.0
    """
    factors = {
        "constant": 1.0,
        "linear": 1.0 - progress,
        "cosine": (1.0 + math.cos(math.pi * progress)) / 2,
    }
    return factors[schedule]


def learning_rate(model: ModelParams, step: int, steps: int, epochs: int) -> float:
    """The rate of a step, counted from 0, of `epochs` epochs of `steps` steps.

    With `warmup_epochs` it first rises linearly to what the schedule says.
    """
    rate = model.learning_rate * decay(model.schedule, step / (epochs * steps))
    if model.warmup_epochs:
        rate *= min(1.0, (step + 1) / (model.warmup_epochs * steps))
    return rate


@dataclass(frozen=True)
class _Group:
    """Parameters that share a learning rate, and what the optimizer remembers of them."""

    factor: float
    parameters: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]

    @classmethod
    def of(cls, factor: float, parameters: list[Tensor]) -> "_Group":
        return cls(
            factor,
            parameters,
            [torch.zeros_like(parameter) for parameter in parameters],
            [torch.zeros_like(parameter) for parameter in parameters],
            # One for each parameter: torch counts every entry of the list up.
            [torch.zeros((), device=each.device) for each in parameters],
        )

    def with_gradients(self) -> "_Group":
        """Those that took part in the loss; the others stay as they are."""
        has = [parameter.grad is not None for parameter in self.parameters]
        if all(has):
            return self
        lists = (self.parameters, self.means, self.squares, self.steps)
        return _Group(self.factor, *(list(itertools.compress(each, has)) for each in lists))


class Optimizer:
    """Adam, AdamW or SGD with momentum, on all seeds of a stack at once.

    Each updates every number by itself, so seeds stay apart. torch's functions do the arithmetic;
    its `Optimizer` classes are left out because using one imports torch's compiler, which takes
    3 s, longer than training a small model.

    Raises:
        ParamsError: `learning_rate_factors` names no parameters.
    """

    def __init__(self, name: str, model: ModelParams, parameters: Mapping[str, Tensor]) -> None:
        self._kind = model.optimizer
        self._weight_decay = model.weight_decay
        self._clip_norm = model.clip_norm
        factors = _factors(name, model.learning_rate_factors or {}, parameters)
        self._groups = [
            _Group.of(factor, [parameters[key] for key in parameters if factors[key] == factor])
            for factor in dict.fromkeys(factors.values())
        ]

    def state(self) -> list[Tensor]:
        """What it remembers from step to step."""
        return [
            tensor
            for group in self._groups
            for tensor in (*group.means, *group.squares, *group.steps)
        ]

    @torch.no_grad()
    def step(self, learning_rate: float, seeds: int) -> None:
        """Moves the parameters of some seeds against their gradients, and drops the gradients."""
        if self._clip_norm:
            parameters = [each for group in self._groups for each in group.parameters]
            _clip(parameters, self._clip_norm, seeds)
        for group in self._groups:
            self._move(group, group.factor * learning_rate)
            for parameter in group.parameters:
                parameter.grad = None

    def _move(self, group: _Group, learning_rate: float) -> None:
        group = group.with_gradients()
        gradients = [cast(Tensor, parameter.grad) for parameter in group.parameters]
        if self._kind == "sgd":
            sgd(
                group.parameters,
                gradients,
                cast(list[Tensor | None], group.means),
                fused=True,
                foreach=False,
                lr=learning_rate,
                momentum=SGD_MOMENTUM,
                weight_decay=self._weight_decay,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
        else:
            adam(
                group.parameters,
                gradients,
                group.means,
                group.squares,
                [],
                group.steps,
                fused=True,
                decoupled_weight_decay=self._kind == "adamw",
                lr=learning_rate,
                beta1=ADAM_BETAS[0],
                beta2=ADAM_BETAS[1],
                eps=ADAM_EPSILON,
                weight_decay=self._weight_decay,
                amsgrad=False,
                maximize=False,
            )


def parts(parameters: Mapping[str, Tensor], count: int) -> list[Mapping[str, Tensor]]:
    """Each candidate's own rows of the parameters [S, ...] of a batch: what moves them moves those.

    One candidate alone has all of them, which need no axis S then.
    """
    if count == 1:
        return [parameters]
    rows = {key: each.detach().chunk(count) for key, each in parameters.items()}
    return [{key: each[k] for key, each in rows.items()} for k in range(count)]


def hand_down_gradients(
    parameters: Mapping[str, Tensor], candidates: Sequence[Mapping[str, Tensor]]
) -> None:
    """Moves the gradients of a batch to the `parts` that its optimizers know."""
    if len(candidates) == 1:
        return
    for key, parameter in parameters.items():
        if parameter.grad is not None:
            for part, grad in zip(candidates, parameter.grad.chunk(len(candidates)), strict=True):
                part[key].grad = grad
            parameter.grad = None


def _factors(
    model: str, wanted: Mapping[str, float], parameters: Mapping[str, Tensor]
) -> dict[str, float]:
    """The factor of each parameter: that of the longest prefix of its name, else 1."""
    for prefix in wanted:
        if not any(_starts(name, prefix) for name in parameters):
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in parameters))
            raise ParamsError(
                f"params.yaml: models.{model}.learning_rate_factors.{prefix}: must begin the name "
                f"of a parameter that is learned; got none; use one of {shortened(known)}"
            )
    return {
        name: max(
            ((len(prefix), factor) for prefix, factor in wanted.items() if _starts(name, prefix)),
            default=(0, 1.0),
        )[1]
        for name in parameters
    }


def _starts(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _clip(parameters: Sequence[Tensor], limit: float, seeds: int) -> None:
    """Shortens each seed's gradient to `limit` where it is longer.

    Source: Pascanu et al. 2013 (arXiv 1211.5063), algorithm 1.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    squares = [gradient.reshape(seeds, -1).square().sum(dim=1) for gradient in gradients]
    scale_S = (limit / (torch.stack(squares).sum(dim=0).sqrt() + CLIP_EPSILON)).clamp(max=1.0)
    for gradient in gradients:
        is_one = seeds == 1  # whose gradients need not have the axis S
        gradient.mul_(scale_S[0] if is_one else scale_S.view(-1, *[1] * (gradient.dim() - 1)))
