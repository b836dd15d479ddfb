"""Fit and evaluate: tensors in, numbers out; no files, no logging."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor
from torch.optim.sgd import sgd

from lab.base.params import ModelParams, TrainParams
from lab.data.dataset import CLASSES, Prepared, Split
from lab.results.schema import Epoch, Evaluation, Trained
from lab.training.checkpoints import Arrays, Checkpoints
from lab.training.network import Network
from lab.training.stacks import joined, stacks

EVALUATION_BATCH = 2_000  # images at once; the memory it takes, not the result, depends on it
SGD_MOMENTUM = 0.9
ADAM_BETAS = (0.9, 0.999)  # Kingma and Ba 2015 (arXiv 1412.6980), as is epsilon
ADAM_EPSILON = 1e-8
SHUFFLE_WINDOW = 65_536  # images; bounds the memory that an epoch's order takes
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

OnEpoch = Callable[[Epoch], None]


def choose_device() -> torch.device:
    """CUDA when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(asked: str, device: torch.device, say: Callable[[str], None]) -> str:
    """The precision to train in: the one asked for, or float32 where that would be slow.

    Without instructions for it, a processor takes far longer over bfloat16 than over float32.
    """
    if asked == "bfloat16" and not _has_fast_bfloat16(device):
        say(f"train.precision: this {device.type} has no instructions for bfloat16; using float32")
        return "float32"
    return asked


def _has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


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
    network = Network.initialised(model, inputs, CLASSES, generators).to(device)
    optimizer = Optimizer(model, network.parameters())
    state = State([*network.parameters(), *optimizer.state()], generators, seeds)
    if kept and (arrays := kept.load(seeds, like=state.arrays())):
        state.restore(arrays)
    for epoch in state.epochs:
        on_epoch(epoch)
    images, labels = _on_device(data.train, device)
    steps_per_epoch = math.ceil(len(images) / train.batch_size)
    validation = None
    for number in range(len(state.epochs) + 1, train.epochs + 1):
        losses_S = torch.zeros(len(seeds), dtype=torch.float64, device=device)
        for step, chosen_SB in enumerate(batches(images, train.batch_size, generators)):
            progress = ((number - 1) * steps_per_epoch + step) / (train.epochs * steps_per_epoch)
            logits_SBC = network.logits(
                _gather(images, chosen_SB), DTYPES[precision], dropout=generators
            )
            loss_SB = _cross_entropy(logits_SBC, _gather(labels, chosen_SB))
            # Of the mean over images, summed over seeds: no parameter belongs to two. To hand its
            # slope to `backward` would spare a sum, but import a computer algebra system (0.3 s).
            (loss_SB.sum() / loss_SB.shape[1]).backward()
            optimizer.step(model.learning_rate * decay(model.schedule, progress))
            losses_S += loss_SB.detach().sum(dim=1)
        validation = evaluate(network, data.validation, device)
        epoch = Epoch(
            seeds,
            number,
            (losses_S / len(images)).cpu().numpy(),
            validation.loss_S,
            validation.accuracy_S,
        )
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


def batches(images: Tensor, size: int, generators: Sequence[Generator]) -> Iterator[Tensor]:
    """One epoch: indices [S, B] of the images, each once, shuffled for every seed by itself.

    Beyond 65,536 images they are shuffled window by window, in a ring of images entered
    anywhere: a whole permutation of millions would take more memory than the networks, and
    reading files memory-mapped in such an order is slow.
    """
    count = len(images)
    window = max(SHUFFLE_WINDOW // size, 1) * size  # whole batches
    enter = [0 if count <= window else _below(count, generator) for generator in generators]
    for start in range(0, count, window):
        length = min(window, count - start)
        order_SN = torch.stack(
            [
                (torch.randperm(length, generator=generator) + start + first) % count
                for generator, first in zip(generators, enter, strict=True)
            ]
        )
        yield from order_SN.to(images.device).split(size, dim=1)


def _below(limit: int, generator: Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


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


@torch.no_grad()
def evaluate(network: Network, split: Split, device: torch.device) -> Evaluation:
    """Every seed's network on every image of a split, in the split's order.

    In float32 whatever the training was in, so that the results are true of the stored weights.
    """
    images, labels = _on_device(split, device)
    losses, predictions, confidences = [], [], []
    for start in range(0, len(images), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        logits_SBC = network.logits(images[part])
        losses.append(_cross_entropy(logits_SBC, labels[part].expand(len(logits_SBC), -1)))
        # Classes before images: torch vectorises softmax over the last axis but one, ten
        # classes are too few to fill a vector.
        confidence_SB, prediction_SB = logits_SBC.transpose(1, 2).softmax(dim=1).max(dim=1)
        predictions.append(prediction_SB.to(torch.uint8))
        confidences.append(confidence_SB)
    prediction_SN = torch.cat(predictions, dim=1)
    return Evaluation(
        accuracy_S=(prediction_SN == labels).double().mean(dim=1).cpu().numpy(),
        loss_S=torch.cat(losses, dim=1).double().mean(dim=1).cpu().numpy(),
        predictions_SN=prediction_SN.cpu().numpy(),
        confidence_SN=torch.cat(confidences, dim=1).cpu().numpy(),
    )


def _on_device(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images flat [N, D] uint8 and labels [N]; memory-mapped files stay so on the CPU."""
    images = torch.from_numpy(split.images).flatten(start_dim=1)
    return images.to(device), torch.from_numpy(split.labels).to(device)


def _gather(rows: Tensor, chosen_SB: Tensor) -> Tensor:
    """rows[chosen_SB], which torch does twenty times slower on a CPU."""
    return rows.index_select(0, chosen_SB.flatten()).view(*chosen_SB.shape, *rows.shape[1:])


def _cross_entropy(logits_SBC: Tensor, labels_SB: Tensor) -> Tensor:
    """Cross-entropy [S, B] in nats."""
    logits_SCB = logits_SBC.transpose(1, 2)
    return torch.nn.functional.cross_entropy(logits_SCB, labels_SB.long(), reduction="none")


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
        self._steps = torch.zeros((), device=parameters[0].device)

    def state(self) -> list[Tensor]:
        """What it remembers from step to step."""
        return [*self._means, *self._squares, self._steps]

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
            self._steps += 1
            fused = torch._fused_adamw_ if self._kind == "adamw" else torch._fused_adam_
            fused(  # torch.optim.adam.adam prepares as long as it takes to move a small layer
                self._parameters,
                gradients,
                self._means,
                self._squares,
                [],
                [self._steps] * len(gradients),
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
