"""The work that is handed out: one stack, trained in whatever process."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from lab.base.params import Params
from lab.data.description import Description
from lab.data.prepared import PREPARED, load_prepared
from lab.data.splits import Prepared
from lab.results.cost import Meter, Usage
from lab.training.checkpoints import Checkpoints
from lab.training.outcome import Epoch, Trained

TRIES = 3  # of a stack whose process is killed

Seeds = tuple[int, ...]
ShowEpoch = Callable[[str, Seeds, int, float], None]  # model, seeds, epoch, validation accuracy


@dataclass(frozen=True)
class Stack:
    """Some seeds of one model; results do not depend on which process trains them."""

    model: str
    seeds: Seeds


@dataclass(frozen=True)
class Done:
    """A trained stack: on which device, in which precision, at what usage."""

    trained: Trained
    device: str
    precision: str
    usage: Usage | None  # None when it went on from a checkpoint


Outcome = tuple[Stack, Done | None]  # None: its process was killed, and killed again


def train(
    tree: Params,
    stack: Stack,
    data: Prepared,
    on_epoch: Callable[[Epoch], None],
    described: Description | None = None,
) -> Done:
    """Trains one stack in this process, with checkpoints where the data are `described`."""
    from lab.training import device as devices  # torch; scripts that hand out work do without
    from lab.training.loop import train_stack

    device = devices.choose_device()
    precision = devices.choose_precision(tree.train.precision, device, lambda _: None)
    kept = None
    if described:
        kept = Checkpoints(tree, stack.model, described, device=device.type, precision=precision)
    with Meter() as meter:
        trained = train_stack(
            tree.models[stack.model],
            tree.train,
            stack.seeds,
            data,
            on_epoch,
            device=device,
            precision=precision,
            kept=kept,
        )
    usage = None if kept and kept.is_used else meter.usage
    return Done(trained, device.type, precision, usage)


@functools.cache
def prepared() -> Prepared:
    """The prepared splits, mapped once a process."""
    return load_prepared(PREPARED)
