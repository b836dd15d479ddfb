"""Fit and evaluate: tensors in, numbers out; the only files are its checkpoints."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
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
from lab.training.networks import batched, is_stacked
from lab.training.objective import Objective
from lab.training.optimizer import Optimizer, hand_down_gradients, learning_rate, parts
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


def try_candidates(
    name: str,
    candidates: Sequence[ModelParams],
    train: TrainParams,
    seeds: tuple[int, ...],
    data: Prepared,
    on_epoch: Callable[[int, Epoch], None],
    *,
    until: int,
    device: torch.device,
    precision: str,
    kept: Sequence[Checkpoints] = (),
) -> Evaluation:
    """What candidates say of the validation examples after some epochs; the test is not read.

    They are of one architecture, and train as one batch in the calling thread; a module has one
    candidate and one seed. Each follows its schedule of all epochs. One whose loss is not finite
    goes on, and harms no other.

    Args:
        name: of the model that they are candidates for.
        candidates: the entries to try.
        train: what all models share.
        seeds: of every candidate.
        data: the prepared splits.
        on_epoch: gets each candidate's position, and an epoch of its seeds.
        until: the last epoch.
        device: on which.
        precision: of products.
        kept: the checkpoints of each candidate, which goes on after its last finished epoch if all
            have finished the same.

    Returns:
        Of all seeds of one candidate after those of the other.

    Raises:
        LabError: the task's code fails.
    """
    torch.set_num_threads(1)
    with _without_denormals():
        training = _Training(name, candidates, train, seeds, data, device, precision, kept)
        return training.fit(on_epoch, until, check=lambda _: None)


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
    together = [seeds] if is_stacked(model) else [(seed,) for seed in seeds]
    checkpoints = [kept] if kept else []
    with _without_denormals():
        return joined(
            [
                _Training(name, [model], train, part, data, device, precision, checkpoints).run(
                    on_epoch
                )
                for part in together
            ]
        )


class _Training:
    """The training of some seeds of one or more candidates, from scratch or from checkpoints.

    `states` has one for each candidate, with what its seeds alone would have in it; so a candidate
    goes on from a checkpoint in whatever batch.
    """

    def __init__(
        self,
        name: str,
        models: Sequence[ModelParams],
        train: TrainParams,
        seeds: tuple[int, ...],
        data: Prepared,
        device: torch.device,
        precision: str,
        kept: Sequence[Checkpoints],
    ) -> None:
        self.name, self.models, self.train, self.seeds = name, models, train, seeds
        self.data, self.device, self.dtype, self.kept = data, device, DTYPES[precision], kept
        self.network = batched(name, models, data.description, seeds).to(device)
        self.parameters = self.network.named_parameters()
        self.parts = parts(self.parameters, len(models))
        self.optimizers = [
            Optimizer(name, model, part) for model, part in zip(models, self.parts, strict=True)
        ]
        # Candidates differ in what belongs to a step, and not in these.
        self.objective = Objective(models[0], data.description, device)
        self.change = augmentation.find_augmentation(f"models.{name}", models[0].augmentation)
        buffers = self.network.buffers()  # none, if there are several candidates
        self.states = [
            State([*part.values(), *buffers], optimizer.state(), seeds, patience=model.patience)
            for model, part, optimizer in zip(models, self.parts, self.optimizers, strict=True)
        ]

    def run(self, on_epoch: OnEpoch) -> Trained:
        """Trains, and evaluates the result on validation and test."""
        validation = self.fit(
            lambda _, epoch: on_epoch(epoch), self.train.epochs, self._require_finite
        )
        return Trained(
            seeds=self.seeds,
            weights=self.network.weights(),
            parameter_count=self.network.parameter_count(),
            epochs=tuple(self.states[0].epochs),
            validation=validation,
            test=self._evaluate("test"),
        )

    def fit(self, on_epoch: Callable[[int, Epoch], None], until: int, check: OnEpoch) -> Evaluation:
        """Trains up to an epoch, and evaluates the result on validation.

        `on_epoch` gets the position of a candidate, too; `check` may raise.
        """
        states = self.states
        self._restore()
        for k, state in enumerate(states):
            for epoch in state.epochs:
                on_epoch(k, epoch)
        inputs, labels = on_device(self.data.train, self.device)
        validation = None
        while (done := len(states[0].epochs)) < until and not all(each.is_over for each in states):
            train_loss_S = (self._epoch(done + 1, inputs, labels) / len(inputs)).cpu().numpy()
            validation = self._evaluate("validation")
            columns = (train_loss_S, validation.loss_S, validation.accuracy_S)
            of_candidates = zip(*(np.split(each, len(states)) for each in columns), strict=True)
            for k, values in enumerate(of_candidates):
                epoch = Epoch(self.seeds, done + 1, *values)
                check(epoch)
                states[k].finish(epoch)
                on_epoch(k, epoch)
            for kept, state in zip(self.kept, states, strict=False):
                kept.save(self.seeds, state.arrays())
        for state in states:
            if state.take_best():
                validation = None
        return validation or self._evaluate("validation")

    def _restore(self) -> None:
        """Goes on after the last epoch of the checkpoints, if every candidate has one of it."""
        found = [
            kept.load(self.seeds, like=state.arrays())
            for kept, state in zip(self.kept, self.states, strict=False)
        ]
        arrays = [each for each in found if each is not None]
        if len(arrays) == len(self.states) and len({len(one["history"]) for one in arrays}) == 1:
            for state, each in zip(self.states, arrays, strict=True):
                state.restore(each)

    def _epoch(self, number: int, inputs: Tensor, labels: Tensor) -> Tensor:
        """Sees every training example once; each seed's loss [S], summed over them."""
        if isinstance(self.network, Module):
            self.network.begin_epoch(number)
        size = self.train.batch_size
        steps = math.ceil(len(inputs) / size)  # an epoch
        losses_S = torch.zeros(
            len(self.seeds) * len(self.models), dtype=torch.float64, device=self.device
        )
        order, dropout, drawn = (
            generators(self.seeds, number, purpose)
            for purpose in ("order", "dropout", "augmentation")
        )
        for step, chosen_SB in enumerate(batches(inputs, size, order)):
            done, epochs = (number - 1) * steps + step, self.train.epochs
            rates = [learning_rate(model, done, steps, epochs) for model in self.models]
            seen = augmentation.augmented(self.change, gather(inputs, chosen_SB), drawn)
            losses_S += self._step(seen, gather(labels, chosen_SB), dropout, rates)
        return losses_S

    def _step(
        self,
        inputs: Tensor,
        labels_SB: Tensor,
        dropout: Sequence[Generator],
        rates: Sequence[float],
    ) -> Tensor:
        """Moves the weights by one batch; each seed's loss [S] before that, summed over it."""
        logits_SBC = self.network.logits(inputs, self.dtype, dropout)
        if len(self.models) > 1:
            labels_SB = labels_SB.repeat(len(self.models), 1)
        loss_SB = self.objective(logits_SBC, labels_SB)
        # Of the mean over examples, summed over seeds: no parameter belongs to two. To hand its
        # slope to `backward` would spare a sum, but import a computer algebra system (0.3 s).
        (loss_SB.sum() / loss_SB.shape[1]).backward()
        hand_down_gradients(self.parameters, self.parts)
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            optimizer.step(rate, len(self.seeds))
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
