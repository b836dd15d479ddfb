"""How fast a plain module trains, beside the same elsewhere: `python -m benchmarks.modules`.

It is the network of task/networks/cnn.py with 8 and 16 channels, Adam, batches of 128, float32 but
where it says otherwise. Every contender trains in two processes of one thread each, all of them
warm; only ours starts its processes anew each time. How it is measured: benchmarks/race.py.
"""

import functools
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from benchmarks import race
from benchmarks.race import ROOT, Measure, Step, rate
from benchmarks.training import data_loader, lightning_step, torch_step
from lab.base import params
from lab.base.params import ModelParams, Params
from lab.data.prepared import load_prepared
from lab.parallel.processes import KEPT_WHEN_FREED
from task.networks.cnn import Network

BATCH, RATE, CHANNELS = 128, 0.005, [8, 16]
PROCESSES, EPOCHS = 2, 3  # a seed in each process
STACKED = 5  # seeds of a program by vmap
ROUNDS = 7
LOOP = "training loop of train_parallel.py"
EVALUATING = "training loop, validation and test"
BY_HAND = "by hand, tensors in memory"


def network() -> Network:
    """The module with new weights."""
    return Network((28, 28), 10, CHANNELS)


# --- ours ----------------------------------------------------------------------------------------


def settings(precision: str) -> Params:
    """The module as the only model of params.yaml."""
    tree = params.load(ROOT / "params.yaml")
    changes = {
        "seeds": list(range(PROCESSES)),
        "seeds_per_stack": 1,
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "precision": precision,
    }
    model = ModelParams(
        network="cnn",
        optimizer="adam",
        learning_rate=RATE,
        schedule="constant",
        weight_decay=0.0,
        channels=CHANNELS,  # type: ignore[call-arg]
    )
    train = tree.train.model_copy(update=changes)
    return tree.model_copy(update={"train": train, "models": {"cnn": model}})


def ours(precision: str, *, evaluating: bool = False) -> Callable[[], Measure]:
    """A seed in each process."""
    return race.ours(lambda: settings(precision), count=PROCESSES, evaluating=evaluating)


# --- others --------------------------------------------------------------------------------------


class Worker:
    """The step of a contender, in a process that waits for work."""

    step: Step


def begin(prepare: Callable[[], Step]) -> None:
    """Makes this process one of a contender's."""
    torch.set_num_threads(1)
    Worker.step = staticmethod(prepare())


def work(_: int) -> int:
    """One step in one process."""
    return Worker.step()


def side_by_side(prepare: Callable[[], Step], *, keeping: bool = False) -> Callable[[], Measure]:
    """The same step in every process at once, done once before.

    With `keeping`, the processes keep memory that is freed, as ours do.
    """

    def measure() -> Measure:
        if keeping:
            os.environ.update({name: str(size) for name, size in KEPT_WHEN_FREED.items()})
        started = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(PROCESSES, started, initializer=begin, initargs=(prepare,))
        list(pool.map(work, range(PROCESSES)))
        return lambda: rate(lambda: sum(pool.map(work, range(PROCESSES))))

    return measure


def tensors() -> tuple[Tensor, Tensor]:
    """Training images [N, 28, 28] in [0, 1] and labels [N]."""
    train = load_prepared(ROOT).train
    return torch.tensor(train.inputs) / 255, torch.tensor(train.labels).long()


def by_hand(*, precision: torch.dtype = torch.float32, tuned: bool = False) -> Step:
    """The loop that one would write for this task alone.

    With `tuned` it also has what makes ours fast: Adam in one call, the faster way to gather,
    denormal numbers taken for zero.
    """
    images, labels = tensors()
    torch.set_flush_denormal(tuned)

    def pick(rows: Tensor, chosen: Tensor) -> Tensor:
        return rows.index_select(0, chosen) if tuned else rows[chosen]

    def step() -> int:
        module = network()
        optimizer = torch.optim.Adam(module.parameters(), RATE, fused=tuned)
        for _ in range(EPOCHS):
            for chosen in torch.randperm(len(images)).split(BATCH):
                optimizer.zero_grad()
                with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                    scores = module(pick(images, chosen))
                cross_entropy(scores.float(), pick(labels, chosen)).backward()
                optimizer.step()
        return EPOCHS * len(images)

    return step


def by_vmap(precision: torch.dtype = torch.float32) -> Step:
    """Seeds as one batched program, what `torch.func` makes of a module.

    Batch normalisation trains as it does alone: its running means are stacked like the weights.
    """
    images, labels = tensors()
    template = network().to("meta")
    parameters, buffers = stack_module_state([network() for _ in range(STACKED)])
    optimizer = torch.optim.Adam(parameters.values(), RATE, fused=True)
    batched = vmap(lambda *state: functional_call(template, state[:2], state[2]))

    def epochs() -> Iterator[Tensor]:
        while True:
            orders = [torch.randperm(len(images)) for _ in range(STACKED)]
            yield from torch.stack(orders).split(BATCH, dim=1)

    batches = epochs()

    def step() -> int:
        done = 0
        for chosen in itertools.islice(batches, 100):
            seen = images.index_select(0, chosen.flatten()).view(*chosen.shape, 28, 28)
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                scores = batched(parameters, buffers, seen)
            loss = cross_entropy(scores.float().flatten(end_dim=1), labels[chosen.flatten()])
            optimizer.zero_grad()
            (STACKED * loss).backward()
            optimizer.step()
            done += chosen.numel()
        return done

    return step


def by_data_loader(count: int) -> Step:
    """What most people write: torchvision's MNIST, `count` workers that load it."""
    loader = data_loader(count)
    one = torch_step(network(), lambda: loader)
    return lambda: sum(one() for _ in range(100))


def by_lightning() -> Step:
    """Lightning's Trainer over tensors in memory."""
    return lightning_step(network)


partial = functools.partial
CONTENDERS: dict[str, Callable[[], Measure]] = {
    EVALUATING: ours("float32", evaluating=True),
    BY_HAND: side_by_side(by_hand),
    LOOP: ours("float32"),
    "by hand, tuned as ours is": side_by_side(partial(by_hand, tuned=True), keeping=True),
    "training loop, bfloat16": ours("bfloat16"),
    "by hand, bfloat16": side_by_side(partial(by_hand, precision=torch.bfloat16)),
    "torch.func.vmap over five seeds": side_by_side(by_vmap, keeping=True),
    "torch.func.vmap over five seeds, bfloat16": side_by_side(
        partial(by_vmap, torch.bfloat16), keeping=True
    ),
    "torchvision and DataLoader, 0 workers": side_by_side(partial(by_data_loader, 0)),
    "torchvision and DataLoader, 2 workers": side_by_side(partial(by_data_loader, 2)),
    "Lightning, tensors in memory": side_by_side(by_lightning),
}


if __name__ == "__main__":
    race.main("modules", CONTENDERS, [LOOP, EVALUATING], ROUNDS)
