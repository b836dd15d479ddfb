"""Stacks trained in processes of this machine, which may die.

They are forked from one that has imported torch already (multiprocessing's fork server): that
import takes 2 s, longer than many trainings, and is paid once however many processes there are, and
not again when a killed one is replaced.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext

from lab.base.params import Params
from lab.parallel.work import TRIES, J, R, ShowEpoch, Train, prepared
from lab.training.outcome import Epoch

# What a killed process raises here: a worker, or the one that it would be forked from.
KILLED = (BrokenProcessPool, ConnectionError, EOFError)
# Bytes; glibc reads these when a process starts. By default it hands the memory that a step frees
# back to the system, and the next step gets it anew, cleared: a tenth of the time of training.
KEPT_WHEN_FREED = {"MALLOC_TRIM_THRESHOLD_": 256 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}


def warm_up() -> None:
    """Starts the process that imports torch for all workers, and returns at once."""
    if context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        for variable, size in KEPT_WHEN_FREED.items():
            os.environ.setdefault(variable, str(size))
        multiprocessing.set_forkserver_preload(["lab.training.loop", "lab.parallel.processes"])
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is the script's alone
        forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def on_this_machine(
    tree: Params, stacks: Sequence[J], workers: int, on_epoch: ShowEpoch, train: Train[J, R]
) -> Generator[tuple[J, R | None]]:
    """Yields stacks (of whatever kind `train` takes) as they finish.

    One killed process (most often for its memory) ends the whole pool, and nobody can tell which
    stack it had. So those left are tried again together, and at last one by one.
    """
    left = list(stacks)
    for _ in range(TRIES - 1):
        for stack, done in _pool(tree, left, workers, on_epoch, train):
            left.remove(stack)
            yield stack, done
        if not left:
            return
        print(f"a worker process was killed; {len(left)} stacks are tried again", file=sys.stderr)
    for stack in left:
        yield next(_pool(tree, [stack], 1, on_epoch, train), (stack, None))


def _pool(
    tree: Params, stacks: Sequence[J], workers: int, on_epoch: ShowEpoch, train: Train[J, R]
) -> Generator[tuple[J, R | None]]:
    """Yields stacks as they finish; ends early when a process is killed."""
    started = context()
    reader, writer = started.Pipe(duplex=False)
    threading.Thread(target=_listen, args=(reader, stacks, on_epoch), daemon=True).start()
    pool = ProcessPoolExecutor(
        min(workers, len(stacks)), started, initializer=_begin_worker, initargs=(writer,)
    )
    try:
        futures = {}
        for stack in stacks:
            with contextlib.suppress(*KILLED):
                futures[pool.submit(_train_here, train, tree, stack)] = stack
        for future in as_completed(futures):
            with contextlib.suppress(*KILLED):
                yield futures[future], future.result()
    finally:
        for process in multiprocessing.active_children():
            process.kill()  # it is idle, or nobody waits for it any more
        pool.shutdown(cancel_futures=True)
        writer.close()


def context() -> BaseContext:
    """How processes are started: forked from the one that `warm_up` prepared, where that can be."""
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


def _train_here(train: Train[J, R], tree: Params, stack: J) -> R:
    epochs: Connection = _train_here.epochs  # type: ignore[attr-defined]

    def report(epoch: Epoch) -> None:
        # Without a lock that a killed process would keep: the system writes so few bytes at once.
        first, count = stack.seeds.index(epoch.seeds[0]), len(epoch.seeds)
        accuracy = epoch.validation_accuracy_S.mean()
        values = [stack.model, stack.seeds[0], first, count, epoch.number, accuracy]
        epochs.send_bytes(json.dumps(values).encode())

    return train(tree, stack, prepared(), report, has_checkpoints=True)


def _listen(epochs: Connection, stacks: Sequence[J], on_epoch: ShowEpoch) -> None:
    seeds = {(stack.model, stack.seeds[0]): stack.seeds for stack in stacks}
    with contextlib.suppress(EOFError, OSError):
        while True:
            model, stack, first, count, number, accuracy = json.loads(epochs.recv_bytes())
            on_epoch(model, seeds[model, stack][first : first + count], number, accuracy)
