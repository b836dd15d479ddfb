"""The work that is handed out: one stack, trained in whatever process."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lab.base.errors import LabError
from lab.base.params import Params
from lab.data.prepared import Prepared, load_prepared
from lab.results import cost
from lab.results.cost import Meter, Usage
from lab.training import outcome
from lab.training.checkpoints import Checkpoints
from lab.training.outcome import Epoch, Trained

TRIES = 3  # of a stack whose process is killed

OnEpoch = Callable[[Epoch], None]
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

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """The history of its seeds."""
        return self.trained.epochs


Outcome = tuple[Stack, Done | None]  # None: its process was killed, and killed again


class Job(Protocol):
    """What is handed out: a stack, or a batch of candidates, which has a row a candidate's seed."""

    @property
    def model(self) -> str:
        """Under which name its progress is shown."""

    @property
    def seeds(self) -> Seeds:
        """One a row."""


class Result(Protocol):
    """What comes back of it."""

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """Its history."""


J = TypeVar("J", bound=Job)
R = TypeVar("R", bound=Result)
_J = TypeVar("_J", bound=Job, contravariant=True)
_R = TypeVar("_R", bound=Result, covariant=True)


class Train(Protocol[_J, _R]):
    """A function that does such work in the process it is called in."""

    def __call__(
        self, tree: Params, job: _J, data: Prepared, on_epoch: OnEpoch, *, has_checkpoints: bool
    ) -> _R:
        """Calls `on_epoch` after each epoch."""


def train(
    tree: Params, job: Stack, data: Prepared, on_epoch: OnEpoch, *, has_checkpoints: bool
) -> Done:
    """Trains one stack in this process."""
    from lab.training import device as devices  # torch; scripts that hand out work do without
    from lab.training import networks
    from lab.training.loop import train_stack

    networks.check(tree)
    model, device = tree.models[job.model], devices.choose_device()
    precision = devices.choose_precision(tree.precision(job.model), device, lambda _: None)
    kept = None
    if has_checkpoints:
        kept = Checkpoints(
            tree, job.model, data.description, device=device.type, precision=precision
        )
    with Meter() as meter:
        trained = train_stack(
            job.model,
            model,
            tree.train,
            job.seeds,
            data,
            on_epoch,
            device=device,
            precision=precision,
            kept=kept,
        )
    usage = None if kept and kept.is_used else meter.usage
    return Done(trained, device.type, precision, usage)


def complete(model: str, parts: Sequence[Done]) -> Done:
    """The stacks of a model as one.

    Raises:
        LabError: they were trained on different devices or in different precisions.
    """
    machines = sorted({(part.device, part.precision) for part in parts})
    if len(machines) > 1:
        raise LabError(
            f"{model}: all stacks must be trained alike; got {machines}; "
            "set train.precision to float32, or use nodes of one kind"
        )
    trained = outcome.joined([part.trained for part in parts])
    return Done(trained, *machines[0], cost.joined([part.usage for part in parts]))


def killed(lost: Sequence[Job], rest: str = "") -> LabError:
    """Names the stacks whose processes were killed at every try."""
    named = "; ".join(f"{stack.model}, seeds {', '.join(map(str, stack.seeds))}" for stack in lost)
    return LabError(
        f"killed {TRIES} times over (out of memory?): {named}; {rest}"
        "lower train.seeds_per_stack or --workers"
    )


@functools.cache
def prepared() -> Prepared:
    """The prepared splits, mapped once a process."""
    return load_prepared()
