"""Stacks trained on the nodes of a Ray cluster."""

import functools
import logging
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from lab.base.errors import LabError
from lab.base.params import Params
from lab.data.prepared import Prepared
from lab.parallel.work import TRIES, J, R, ShowEpoch, Train, prepared

ROOT = Path(__file__).resolve().parents[2]
CODE = ("lab", "task")


def connect(address: str) -> None:
    """Joins the Ray cluster at `address`; the project's code is sent to its nodes.

    Raises:
        LabError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError:
        raise LabError("--address: needs Ray; run `make cluster`") from None
    code = {"py_modules": [str(ROOT / name) for name in CODE]}
    try:
        ray.init(address, runtime_env=code, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise LabError(f"--address: no Ray cluster at {address!r} ({error})") from None


def on_cluster(
    tree: Params,
    stacks: Sequence[J],
    gpus_per_stack: float,
    on_epoch: ShowEpoch,
    train: Train[J, R],
) -> Generator[tuple[J, R | None]]:
    """Yields stacks, of whatever kind `train` takes, as they finish.

    Ray starts those of killed processes and lost nodes again. They start from the beginning:
    another node does not see this one's checkpoints. The examples go to each node once, into memory
    that its workers share.
    """
    import ray

    try:
        on_a_core = ray.remote(num_cpus=1, num_gpus=gpus_per_stack, max_retries=TRIES - 1)
        remote: Any = on_a_core(_train_far)
        data = _sent_examples()
        waiting = {remote.remote(train, tree, stack, data): stack for stack in stacks}
        while waiting:
            (finished,), _ = ray.wait(list(waiting), num_returns=1)
            stack = waiting.pop(finished)
            try:
                done: R = ray.get(finished)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
                yield stack, None
                continue
            for epoch in done.epochs:
                accuracy = epoch.validation_accuracy_S.mean()
                on_epoch(stack.model, epoch.seeds, epoch.number, accuracy)
            yield stack, done
    except BaseException:
        ray.shutdown()  # nothing trains on for nobody; else Python's end does it
        raise


@functools.cache
def _sent_examples() -> Any:
    import ray

    return ray.put(prepared())


def _train_far(train: Train[J, R], tree: Params, stack: J, data: Prepared) -> R:
    return train(tree, stack, data, lambda epoch: None, has_checkpoints=False)
