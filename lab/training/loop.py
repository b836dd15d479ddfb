"""Fit and evaluate: tensors in, numbers out; no files, no logging."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Generator, Tensor

from lab.base.params import ModelParams, TrainParams
from lab.data.splits import CLASSES, Prepared
from lab.training.batches import batches, gather
from lab.training.checkpoints import Arrays, Checkpoints
from lab.training.device import DTYPES
from lab.training.evaluation import cross_entropy, evaluate, on_device
from lab.training.networks import Network, initialised
from lab.training.optimizer import Optimizer, decay
from lab.training.outcome import Epoch, Trained, joined
from lab.training.stacks import stacks

OnEpoch = Callable[[Epoch], None]


def train_model(
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
    """Trains all seeds of one model, `workers` stacks at a time.

    `on_epoch` is called from the worker threads. The numbers do not depend on `workers`.
    """

    def train_one(seeds: tuple[int, ...]) -> Trained:
        return train_stack(
            model, train, seeds, data, on_epoch, device=device, precision=precision, kept=kept
        )

    pool = ThreadPoolExecutor(workers)
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


@_without_denormals()
def train_stack(
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
    """Trains the seeds of one stack as one batched program in the calling thread.

    With `kept` it goes on after the last epoch that an interrupted training finished; `on_epoch`
    is called for the epochs before, too.
    """
    torch.set_num_threads(1)  # more threads split the sums, and the weights come out different
    generators = [Generator().manual_seed(seed) for seed in seeds]
    inputs = math.prod(data.train.images.shape[1:])
    network = initialised(model, inputs, CLASSES, generators).to(device)
    optimizer = Optimizer(model, network.parameters())
    state = State([*network.parameters(), *optimizer.state()], generators, seeds)
    if kept and (arrays := kept.load(seeds, like=state.arrays())):
        state.restore(arrays)
    for epoch in state.epochs:
        on_epoch(epoch)
    images, labels = on_device(data.train, device)
    steps = math.ceil(len(images) / train.batch_size)  # an epoch
    validation = None
    for number in range(len(state.epochs) + 1, train.epochs + 1):
        losses_S = torch.zeros(len(seeds), dtype=torch.float64, device=device)
        for step, chosen_SB in enumerate(batches(images, train.batch_size, generators)):
            progress = ((number - 1) * steps + step) / (train.epochs * steps)
            losses_S += _step(
                network,
                optimizer,
                gather(images, chosen_SB),
                gather(labels, chosen_SB),
                learning_rate=model.learning_rate * decay(model.schedule, progress),
                dtype=DTYPES[precision],
                generators=generators,
            )
        train_loss_S = (losses_S / len(images)).cpu().numpy()
        validation = evaluate(network, data.validation, device)
        epoch = Epoch(seeds, number, train_loss_S, validation.loss_S, validation.accuracy_S)
        state.epochs.append(epoch)
        on_epoch(epoch)
        if kept:
            kept.save(seeds, state.arrays())
    return Trained(
        seeds=seeds,
        weights=network.weights(),
        parameter_count=network.parameter_count(),
        epochs=tuple(state.epochs),
        validation=validation or evaluate(network, data.validation, device),
        test=evaluate(network, data.test, device),
    )


def _step(
    network: Network,
    optimizer: Optimizer,
    images_SBD: Tensor,
    labels_SB: Tensor,
    *,
    learning_rate: float,
    dtype: torch.dtype,
    generators: Sequence[Generator],
) -> Tensor:
    """Moves the weights by one batch; each seed's loss [S] before that, summed over the batch."""
    loss_SB = cross_entropy(network.logits(images_SBD, dtype, generators), labels_SB)
    # Of the mean over images, summed over seeds: no parameter belongs to two. To hand its
    # slope to `backward` would spare a sum, but import a computer algebra system (0.3 s).
    (loss_SB.sum() / loss_SB.shape[1]).backward()
    optimizer.step(learning_rate)
    return loss_SB.detach().sum(dim=1)


class State:
    """All that an epoch changes: weights, the optimizer's memory, random numbers, the history."""

    def __init__(
        self, tensors: Sequence[Tensor], generators: Sequence[Generator], seeds: tuple[int, ...]
    ) -> None:
        self.epochs: list[Epoch] = []
        self._tensors = tensors
        self._generators = generators
        self._seeds = seeds

    def arrays(self) -> Arrays:
        """A copy for a checkpoint; the history has a leading axis for epochs."""
        history = [
            [epoch.train_loss_S, epoch.validation_loss_S, epoch.validation_accuracy_S]
            for epoch in self.epochs
        ]
        return {
            "history": np.array(history, dtype=np.float64).reshape(-1, 3, len(self._seeds)),
            "generators": np.stack([each.get_state().numpy() for each in self._generators]),
            **{str(k): each.detach().cpu().numpy() for k, each in enumerate(self._tensors)},
        }

    @torch.no_grad()
    def restore(self, arrays: Arrays) -> None:
        """Puts back what `arrays` gave."""
        for k, tensor in enumerate(self._tensors):
            tensor.copy_(torch.from_numpy(arrays[str(k)]))
        for generator, numbers in zip(self._generators, arrays["generators"], strict=True):
            generator.set_state(torch.from_numpy(numbers))
        self.epochs = [
            Epoch(self._seeds, number, *values)
            for number, values in enumerate(arrays["history"], start=1)
        ]
