"""Trains stacks in processes that may die: of this machine, or of a Ray cluster.

Processes here are forked from one that has imported torch already (multiprocessing's fork
server): that import takes 2 s, longer than many trainings, and is paid once however many
processes there are, and not again when a killed one is replaced.
"""

import contextlib
import functools
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path

from lab.base.errors import LabError
from lab.base.params import Params
from lab.data.dataset import (
    DESCRIPTION,
    PREPARED,
    Description,
    Prepared,
    load_prepared,
    read_description,
)
from lab.results.cost import Cost, Meter
from lab.results.schema import Epoch, Trained
from lab.training.checkpoints import Checkpoints

# What a killed process raises here: a worker, or the one that it would be forked from.
KILLED = (BrokenProcessPool, ConnectionError, EOFError)
# Bytes; glibc reads these when a process starts. By default it hands the memory that a step frees
# back to the system, and the next step gets it anew, cleared: a tenth of the time of training.
KEPT_WHEN_FREED = {"MALLOC_TRIM_THRESHOLD_": 256 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}
TRIES = 3  # of a stack whose process is killed
ROOT = Path(__file__).resolve().parents[2]

Seeds = tuple[int, ...]
OnEpoch = Callable[[str, Seeds, int, float], None]  # model, seeds, epoch, validation accuracy


@dataclass(frozen=True)
class Stack:
    """Some seeds of one model; results do not depend on which process trains them."""

    model: str
    seeds: Seeds


@dataclass(frozen=True)
class Done:
    """A trained stack: on which device, in which precision, at what cost."""

    trained: Trained
    device: str
    precision: str
    cost: Cost | None  # None when it went on from a checkpoint


Outcome = tuple[Stack, Done | None]  # None: its process was killed, and killed again


def train(
    tree: Params,
    stack: Stack,
    data: Prepared,
    on_epoch: Callable[[Epoch], None],
    described: Description | None = None,
) -> Done:
    """Trains one stack in this process, with checkpoints where the data are `described`."""
    from lab.training import loop as training  # torch; the scripts that hand out work do without

    device = training.choose_device()
    precision = training.choose_precision(tree.train.precision, device, lambda _: None)
    kept = None
    if described:
        kept = Checkpoints(tree, stack.model, described, device=device.type, precision=precision)
    with Meter() as meter:
        trained = training.train_stack(
            tree.models[stack.model],
            tree.train,
            stack.seeds,
            data,
            on_epoch,
            device=device,
            precision=precision,
            kept=kept,
        )
    cost = None if kept and kept.is_used else meter.cost
    return Done(trained, device.type, precision, cost)


# --- this machine --------------------------------------------------------------------------------


def warm_up() -> None:
    """Starts the process that imports torch for all workers, and returns at once."""
    if _context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        for variable, size in KEPT_WHEN_FREED.items():
            os.environ.setdefault(variable, str(size))
        multiprocessing.set_forkserver_preload(["lab.training.loop", "lab.parallel.workers"])
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is the script's alone
        forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def on_this_machine(
    tree: Params, stacks: Sequence[Stack], workers: int, on_epoch: OnEpoch
) -> Generator[Outcome]:
    """Yields stacks as they finish.

    One killed process (most often for its memory) ends the whole pool, and nobody can tell which
    stack it had. So those left are tried again together, and at last one by one.
    """
    left = list(stacks)
    for _ in range(TRIES - 1):
        for stack, done in _pool(tree, left, workers, on_epoch):
            left.remove(stack)
            yield stack, done
        if not left:
            return
        print(f"a worker process was killed; {len(left)} stacks are tried again", file=sys.stderr)
    for stack in left:
        yield next(_pool(tree, [stack], 1, on_epoch), (stack, None))


def _pool(
    tree: Params, stacks: Sequence[Stack], workers: int, on_epoch: OnEpoch
) -> Generator[Outcome]:
    """Yields stacks as they finish; ends early when a process is killed."""
    context = _context()
    reader, writer = context.Pipe(duplex=False)
    threading.Thread(target=_listen, args=(reader, stacks, on_epoch), daemon=True).start()
    pool = ProcessPoolExecutor(
        min(workers, len(stacks)), context, initializer=_begin_worker, initargs=(writer,)
    )
    try:
        futures = {}
        for stack in stacks:
            with contextlib.suppress(*KILLED):
                futures[pool.submit(_train_here, tree, stack)] = stack
        for future in as_completed(futures):
            with contextlib.suppress(*KILLED):
                yield futures[future], future.result()
    finally:
        for process in multiprocessing.active_children():
            process.kill()  # it is idle, or nobody waits for it any more
        pool.shutdown(cancel_futures=True)
        writer.close()


def _context() -> BaseContext:
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def _begin_worker(epochs: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the script ends the workers
    threading.Thread(target=_end_with_the_script, daemon=True).start()
    _train_here.epochs = epochs  # type: ignore[attr-defined]


def _end_with_the_script() -> None:
    script = multiprocessing.parent_process()
    if script:
        script.join()
    os._exit(1)


def _train_here(tree: Params, stack: Stack) -> Done:
    epochs: Connection = _train_here.epochs  # type: ignore[attr-defined]

    def tell(epoch: Epoch) -> None:
        # Without a lock that a killed process would keep: the system writes so few bytes at once.
        told = [stack.model, stack.seeds[0], epoch.number, epoch.validation_accuracy_S.mean()]
        epochs.send_bytes(json.dumps(told).encode())

    return train(tree, stack, _prepared(), tell, read_description(DESCRIPTION))


@functools.cache
def _prepared() -> Prepared:
    return load_prepared(PREPARED)


def _listen(epochs: Connection, stacks: Sequence[Stack], on_epoch: OnEpoch) -> None:
    seeds = {(stack.model, stack.seeds[0]): stack.seeds for stack in stacks}
    with contextlib.suppress(EOFError, OSError):
        while True:
            model, first, number, accuracy = json.loads(epochs.recv_bytes())
            on_epoch(model, seeds[model, first], number, accuracy)


# --- a cluster -----------------------------------------------------------------------------------


def connect(address: str) -> None:
    """Joins the Ray cluster at `address`; `lab/` is sent to its nodes.

    Raises:
        LabError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError:
        raise LabError("--address: needs Ray; run `make cluster`") from None
    code = {"py_modules": [str(ROOT / "lab")]}
    try:
        ray.init(address, runtime_env=code, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise LabError(f"--address: no Ray cluster at {address!r} ({error})") from None


def on_cluster(
    tree: Params, stacks: Sequence[Stack], gpus_per_stack: float, on_epoch: OnEpoch
) -> Generator[Outcome]:
    """Yields stacks as they finish; Ray starts those of killed processes and lost nodes again.

    They start from the beginning: another node does not see this one's checkpoints.
    The images go to each node once, into memory that its workers share.
    """
    import ray

    try:
        remote = ray.remote(num_cpus=1, num_gpus=gpus_per_stack, max_retries=TRIES - 1)(_train_far)
        data = ray.put(_prepared())
        waiting = {remote.remote(tree, stack, data): stack for stack in stacks}
        while waiting:
            (finished,), _ = ray.wait(list(waiting), num_returns=1)
            stack = waiting.pop(finished)
            try:
                done: Done = ray.get(finished)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
                yield stack, None
                continue
            for epoch in done.trained.epochs:
                accuracy = epoch.validation_accuracy_S.mean()
                on_epoch(stack.model, stack.seeds, epoch.number, accuracy)
            yield stack, done
    finally:
        ray.shutdown()


def _train_far(tree: Params, stack: Stack, data: Prepared) -> Done:
    return train(tree, stack, data, lambda epoch: None)
