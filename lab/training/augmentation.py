"""Changes to training examples as they are drawn: functions of `task.common.augmentations`."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from lab.base.errors import TaskError
from lab.base.task_code import imported, running_task_code

Augmentation = Callable[[Tensor, Generator], Tensor]


def find_augmentation(where: str, name: str | None) -> Augmentation | None:
    """The function that the key `augmentation` names, below `where` in params.yaml.

    Raises:
        TaskError: there is none.
    """
    if name is None:
        return None
    found: Augmentation = imported("common.augmentations", name)
    if not callable(found):
        raise TaskError(
            f"params.yaml: {where}.augmentation: must name a function of "
            f"task.common.augmentations; got {name}; correct it"
        )
    return found


def augmented(
    change: Augmentation | None, inputs: Tensor, generators: Sequence[Generator]
) -> Tensor:
    """Inputs [S, B, ...], each seed's changed with numbers of its own.

    Raises:
        TaskError: the function fails, or gives another shape or type.
    """
    if change is None:
        return inputs
    with running_task_code("task/common/augmentations.py"):
        parts = [change(part, drawn) for part, drawn in zip(inputs, generators, strict=True)]
    for part in parts:
        if part.shape != inputs.shape[1:] or part.dtype != inputs.dtype:
            raise TaskError(
                f"task/common/augmentations.py: must give {inputs.dtype} {list(inputs.shape[1:])} "
                f"as it got; got {part.dtype} {list(part.shape)}; correct it"
            )
    return torch.stack(parts)
