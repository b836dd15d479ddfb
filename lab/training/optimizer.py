"""How weights move: the learning rate's schedule, and Adam, AdamW or SGD on a whole stack."""

import math
from typing import cast

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from lab.base.params import ModelParams

SGD_MOMENTUM = 0.9
ADAM_BETAS = (0.9, 0.999)  # Kingma and Ba 2015 (arXiv 1412.6980), as is epsilon
ADAM_EPSILON = 1e-8


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


class Optimizer:
    """Adam, AdamW or SGD with momentum, on all seeds of a stack at once.

    Each updates every number by itself, so seeds stay apart. torch's functions do the arithmetic;
    its `Optimizer` classes are left out because using one imports torch's compiler, which takes
    3 s, longer than training a small model.
    """

    def __init__(self, model: ModelParams, parameters: list[Tensor]) -> None:
        self._kind = model.optimizer
        self._weight_decay = model.weight_decay
        self._parameters = parameters
        self._means = [torch.zeros_like(parameter) for parameter in parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in parameters]
        # One for each parameter: torch counts every entry of the list up.
        self._steps = [torch.zeros((), device=each.device) for each in parameters]

    def state(self) -> list[Tensor]:
        """What it remembers from step to step."""
        return [*self._means, *self._squares, *self._steps]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Moves the parameters against their gradients, and drops the gradients."""
        gradients = [cast(Tensor, parameter.grad) for parameter in self._parameters]
        if self._kind == "sgd":
            sgd(
                self._parameters,
                gradients,
                cast(list[Tensor | None], self._means),
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
                self._parameters,
                gradients,
                self._means,
                self._squares,
                [],
                self._steps,
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
        for parameter in self._parameters:
            parameter.grad = None
