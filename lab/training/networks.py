"""What the loop needs of a network, and where its class comes from."""

import ast
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy.typing as npt
import torch
from torch import Generator, Tensor

from lab.base.errors import TaskError
from lab.base.params import ModelParams, Params
from lab.base.signatures import checked_arguments, signature, supplied_arguments
from lab.base.task_code import imported, running_task_code
from lab.data.description import Description
from lab.training.augmentation import find_augmentation
from lab.training.module import Module

# What a signature may ask for by name, beside the arguments that params.yaml gives.
SUPPLIED = ("self", "seeds", "input_shape", "classes", "vocabulary", "scaling")
# What an optimizer does with gradients, each candidate of a batch for itself.
OF_A_STEP = (
    "optimizer", "learning_rate", "schedule", "weight_decay", "warmup_epochs", "clip_norm",
    "learning_rate_factors", "patience",
)  # fmt: skip


class Network(Protocol):
    """S networks of one architecture, one per seed; no number of one seed reaches another."""

    def to(self, device: torch.device) -> Self:
        """The same networks with leaf parameters on `device`."""

    def named_parameters(self) -> Mapping[str, Tensor]:
        """All that is learned."""

    def buffers(self) -> Sequence[Tensor]:
        """All else that training changes."""

    def parameter_count(self) -> int:
        """Numbers learned per seed."""

    def logits(
        self,
        inputs: Tensor,
        dtype: torch.dtype = torch.float32,
        dropout: Sequence[Generator] | None = None,
    ) -> Tensor:
        """Class scores [S, B, C] in float32.

        Args:
            inputs: as the data store them, [S, B, ...], or [B, ...] that all seeds share.
            dtype: of what enters and leaves the matrix products.
            dropout: one generator a seed while training, None else.
        """

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """What is needed to use the networks, by name, with the leading axis S."""


def is_stacked(model: ModelParams) -> bool:
    """Whether the seeds of a stack train as one batched program, and not one by one as modules.

    Raises:
        TaskError: `task/networks/NETWORK.py` is broken, or its `Network` is no network.
    """
    return hasattr(_class(model), "initialised")


def _class(model: ModelParams) -> Any:
    found = imported(f"networks.{model.network}", "Network")
    is_module = isinstance(found, type) and issubclass(found, torch.nn.Module)
    if not is_module and not hasattr(found, "initialised"):
        raise TaskError(
            f"task/networks/{model.network}.py: Network must be a class of torch.nn.Module; "
            f"got {found!r}; correct it"
        )
    return found


def _require_watched(network: str) -> None:
    """Refuses code whose edits would retrain nothing: stage `train` depends on this file alone.

    Raises:
        TaskError: it imports other code of `task/` than `task/common`.
    """
    source = Path(str(sys.modules[f"task.networks.{network}"].__file__)).read_bytes()
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{'task.networks.' if node.level else ''}{node.module or ''}"]
        for name in names:
            if name.split(".")[0] == "task" and name.split(".")[1:2] != ["common"]:
                raise TaskError(
                    f"task/networks/{network}.py: may import of task/ only task.common, on which "
                    f"training depends too; got {name}; move what is shared to task/common"
                )


def check(tree: Params) -> None:
    """Checks every model's network and arguments, before an hour is spent on the first.

    Raises:
        ParamsError: an argument is unknown, missing, or not of its type.
        TaskError: the network's file is broken.
    """
    for name, model in tree.models.items():
        check_entry(["models", name], model)


def check_entry(location: Sequence[str], model: ModelParams) -> None:
    """Checks the network and arguments of one model, which stands there in params.yaml.

    Raises:
        LabError: as of `check`.
    """
    _class(model)
    _require_watched(model.network)
    _arguments(location, model)
    find_augmentation(".".join(location), model.augmentation)


def keys(model: ModelParams) -> set[str]:
    """All that the model's entry may say."""
    return {*ModelParams.model_fields, *signature(_constructor(model))} - {*SUPPLIED}


def architecture(model: ModelParams) -> dict[str, Any]:
    """What candidates of one batch must have in common: all but what belongs to a step alone."""
    by_row = {*OF_A_STEP, *_class(model).BY_ROW} if is_stacked(model) else ()
    return {key: value for key, value in model.settings().items() if key not in by_row}


def _constructor(model: ModelParams) -> Callable[..., Any]:
    found = _class(model)
    constructor: Callable[..., Any] = found.initialised if is_stacked(model) else found
    return constructor


def _arguments(location: Sequence[str], model: ModelParams) -> dict[str, Any]:
    return checked_arguments(
        _constructor(model),
        model.own,
        location,
        supplied=SUPPLIED,
        known=ModelParams.model_fields,
    )


def batched(
    name: str, candidates: Sequence[ModelParams], data: Description, seeds: Sequence[int]
) -> Network:
    """The networks of all seeds of one candidate after those of the other, as one batch.

    Raises:
        LabError: as of `initialised`.
    """
    parts = [initialised(name, model, data, seeds) for model in candidates]
    return parts[0] if len(parts) == 1 else type(parts[0]).joined(parts)  # type: ignore[attr-defined]


def initialised(
    name: str,
    model: ModelParams,
    data: Description,
    seeds: Sequence[int],
) -> Network:
    """The model's networks as they stand before training, one per seed.

    A plain module has one seed, and is tried on two examples.

    Raises:
        LabError: an argument is wrong, or the task's code fails.
    """
    kind, arguments = _class(model), _arguments(["models", name], model)
    values = {
        "seeds": seeds,
        "input_shape": tuple(data.shape),
        "classes": len(data.class_names),
        "vocabulary": data.vocabulary,
        "scaling": data.scaling,
    }
    file = f"task/networks/{model.network}.py"
    if is_stacked(model):
        arguments |= supplied_arguments(kind.initialised, values)
        with running_task_code(file):
            stacked: Network = kind.initialised(**arguments)
        return stacked
    arguments |= supplied_arguments(kind, values)
    return Module.initialised(functools.partial(kind, **arguments), file, data, *seeds)
