"""Fit and evaluate: tensors in, numbers out; the only files are its checkpoints."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

from lab.base.errors import LabError
from lab.base.params import ModelParams, TrainParams
from lab.data.prepared import Prepared
from lab.training import augmentation
from lab.training.batches import batches, gather
from lab.training.checkpoints import Checkpoints
from lab.training.device import DTYPES
from lab.training.evaluation import EVALUATION_BATCH, evaluate, on_device
from lab.training.module import Module
from lab.training.networks import initialised, is_stacked
from lab.training.objective import Objective
from lab.training.optimizer import Optimizer, learning_rate
from lab.training.outcome import Epoch, Evaluation, Trained, joined
from lab.training.stacks import stacks
from lab.training.state import State
from lab.training.streams import generators

OnEpoch = Callable[[Epoch], None]


def train_model(
    name: str,
    model: ModelParams,
    train: TrainParams,
    data: Prepared,
    on_epoch: OnEpoch,
    *,
    device: torch.device,
    precision: str,
    workers: int,
    kept: Checkpoints | None = None,
) -> Trained:
    """Trains all seeds of one model, `workers` stacks at a time, in threads.

    `on_epoch` is called from the worker threads. The numbers do not depend on `workers`. Plain
    modules are trained one after the other here; `lab.parallel` has processes for them.
    """

    def train_one(seeds: tuple[int, ...]) -> Trained:
        return train_stack(
            name, model, train, seeds, data, on_epoch,
            device=device, precision=precision, kept=kept,
        )  # fmt: skip

    pool = ThreadPoolExecutor(workers if is_stacked(model) else 1)
    try:
        return joined(list(pool.map(train_one, stacks(train))))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C shall not wait for what it ends


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Takes numbers below 1e-38 for zero, in this thread.

    What Adam remembers of a pixel that is rarely lit fades away through them, and processors
    compute with them so slowly that training took a tenth longer.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def train_stack(
    name: str,
    model: ModelParams,
    train: TrainParams,
    seeds: tuple[int, ...],
    data: Prepared,
    on_epoch: OnEpoch,
    *,
    device: torch.device,
    precision: str,
    kept: Checkpoints | None = None,
) -> Trained:
    """Trains the seeds of one stack in the calling thread: as one batched program, or one by one.

    With `kept` it goes on after the last epoch that an interrupted training finished; `on_epoch`
    is called for the epochs before, too.

    Raises:
        LabError: the task's code fails, or a seed's loss is not finite any more.
    """
    torch.set_num_threads(1)  # more threads split the sums, and the weights come out different
    parts = [seeds] if is_stacked(model) else [(seed,) for seed in seeds]
    with _without_denormals():
        return joined(
            [
                _Training(name, model, train, part, data, device, precision, kept).run(on_epoch)
                for part in parts
            ]
        )


class _Training:
    """The training of some seeds, from their first epoch or from a checkpoint."""

    def __init__(
        self,
        name: str,
        model: ModelParams,
        train: TrainParams,
        seeds: tuple[int, ...],
        data: Prepared,
        device: torch.device,
        precision: str,
        kept: Checkpoints | None,
    ) -> None:
        self.name, self.model, self.train, self.seeds = name, model, train, seeds
        self.data, self.device, self.dtype, self.kept = data, device, DTYPES[precision], kept
        self.network = initialised(name, model, data.description, seeds).to(device)
        parameters = self.network.named_parameters()
        self.optimizer = Optimizer(name, model, parameters)
        self.objective = Objective(model, data.description, device)
        self.change = augmentation.find_augmentation(name, model.augmentation)
        tensors = [*parameters.values(), *self.network.buffers()]
        self.state = State(tensors, self.optimizer.state(), seeds, patience=model.patience)

    def run(self, on_epoch: OnEpoch) -> Trained:
        """Trains, and evaluates the result on validation and test."""
        state, kept = self.state, self.kept
        if kept and (arrays := kept.load(self.seeds, like=state.arrays())):
            state.restore(arrays)
        for epoch in state.epochs:
            on_epoch(epoch)
        inputs, labels = on_device(self.data.train, self.device)
        validation = None
        while len(state.epochs) < self.train.epochs and not state.is_over:
            number = len(state.epochs) + 1
            train_loss_S = self._epoch(number, inputs, labels)
            validation = self._evaluate("validation")
            epoch = Epoch(
                self.seeds,
                number,
                (train_loss_S / len(inputs)).cpu().numpy(),
                validation.loss_S,
                validation.accuracy_S,
            )
            self._require_finite(epoch)
            state.finish(epoch)
            on_epoch(epoch)
            if kept:
                kept.save(self.seeds, state.arrays())
        if state.take_best():
            validation = None
        return Trained(
            seeds=self.seeds,
            weights=self.network.weights(),
            parameter_count=self.network.parameter_count(),
            epochs=tuple(state.epochs),
            validation=validation or self._evaluate("validation"),
            test=self._evaluate("test"),
        )

    def _epoch(self, number: int, inputs: Tensor, labels: Tensor) -> Tensor:
        """Sees every training example once; each seed's loss [S], summed over them."""
        if isinstance(self.network, Module):
            self.network.begin_epoch(number)
        size = self.train.batch_size
        steps = math.ceil(len(inputs) / size)  # an epoch
        losses_S = torch.zeros(len(self.seeds), dtype=torch.float64, device=self.device)
        order, dropout, drawn = (
            generators(self.seeds, number, purpose)
            for purpose in ("order", "dropout", "augmentation")
        )
        for step, chosen_SB in enumerate(batches(inputs, size, order)):
            rate = learning_rate(self.model, (number - 1) * steps + step, steps, self.train.epochs)
            seen = augmentation.augmented(self.change, gather(inputs, chosen_SB), drawn)
            losses_S += self._step(seen, gather(labels, chosen_SB), dropout, rate)
        return losses_S

    def _step(
        self, inputs: Tensor, labels_SB: Tensor, dropout: Sequence[Generator], rate: float
    ) -> Tensor:
        """Moves the weights by one batch; each seed's loss [S] before that, summed over it."""
        logits_SBC = self.network.logits(inputs, self.dtype, dropout)
        loss_SB = self.objective(logits_SBC, labels_SB)
        # Of the mean over examples, summed over seeds: no parameter belongs to two. To hand its
        # slope to `backward` would spare a sum, but import a computer algebra system (0.3 s).
        (loss_SB.sum() / loss_SB.shape[1]).backward()
        self.optimizer.step(rate, len(self.seeds))
        return loss_SB.detach().sum(dim=1)

    def _evaluate(self, split: str) -> Evaluation:
        is_module = isinstance(self.network, Module)
        at_once = self.train.batch_size if is_module else EVALUATION_BATCH
        return evaluate(self.network, getattr(self.data, split), self.device, at_once)

    def _require_finite(self, epoch: Epoch) -> None:
        """A seed that has diverged is named, and never averaged into the others."""
        for k, seed in enumerate(self.seeds):
            losses = float(epoch.train_loss_S[k]), float(epoch.validation_loss_S[k])
            if not all(map(math.isfinite, losses)):
                raise LabError(
                    f"models.{self.name}: seed {seed}: losses must be finite; epoch {epoch.number} "
                    f"gave {losses[0]:.3g} in training and {losses[1]:.3g} in validation; lower "
                    "learning_rate, set clip_norm, or look for NaN in the network"
                )
