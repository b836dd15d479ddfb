"""What more seeds, models and images cost: `python -m benchmarks.scaling`.

Processor seconds of training in one worker, not wall time: they tell the work, whatever else the
machine does. (Two workers make each other a tenth slower, and that is not what a seed costs.)
Memory is what a worker holds for itself (RssAnon); files it maps belong to the system.
"""

import dataclasses
import re
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks import entry
from lab.base import params
from lab.base.files import write_json
from lab.base.params import Params
from lab.data.prepared import load_prepared
from lab.data.splits import Split
from lab.parallel import processes
from lab.parallel.work import Stack, train
from lab.results.cost import Usage
from lab.training import checkpoints
from lab.training.stacks import stacks

RESULTS = Path("benchmarks/results/scaling.json")
SEEDS, MODELS, REPEATS = (1, 2, 5, 10, 20, 40), (1, 4, 16, 64), (1, 10, 100)
ROUNDS = 5


def one_epoch(seeds: int) -> Params:
    """The default params with so many seeds."""
    tree = params.load()
    changes = {"seeds": list(range(seeds)), "epochs": 1}
    return tree.model_copy(update={"train": tree.train.model_copy(update=changes)})


def cpu_seconds(tree: Params, models: int) -> float:
    """Of training the first model of params.yaml so many times over."""
    name = next(iter(tree.models))
    copies = {f"copy_{number}": tree.models[name] for number in range(models)}
    tree = tree.model_copy(update={"models": copies})
    todo = [Stack(copy, seeds) for copy in copies for seeds in stacks(tree.train)]
    done = list(processes.on_this_machine(tree, todo, 1, lambda *_: None, train))
    for copy in copies:
        checkpoints.clear(copy)
    return sum(result.usage.cpu_seconds for _, result in done if result and result.usage)


def with_memory(measure: Callable[[], Any]) -> float:
    """Largest own memory of this process in MiB while something runs."""
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            found = re.search(r"RssAnon:\s+(\d+) kB", status)
            peak = max(peak, int(found[1]) if found else 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    measure()
    ended.set()
    watcher.join()
    return peak / 1024


def repeated(folder: Path, times: int) -> Split:
    """The training images so many times over, memory-mapped."""
    train = load_prepared().train
    count = len(train.inputs)
    shape = (times * count, *train.inputs.shape[1:])
    inputs = np.lib.format.open_memmap(folder / f"{times}.npy", "w+", np.uint8, shape)
    for number in range(times):
        inputs[number * count : (number + 1) * count] = train.inputs
    inputs.flush()
    return Split(np.load(folder / f"{times}.npy", mmap_mode="c"), np.tile(train.labels, times))


def train_repeated(folder: str, times: int, seeds: int) -> dict[str, float]:
    """Memory and processor seconds of one epoch of one stack, in a fresh process."""
    prepared = load_prepared()
    data = dataclasses.replace(prepared, train=repeated(Path(folder), times))
    tree, done = one_epoch(seeds), []
    stack = Stack(next(iter(tree.models)), tuple(range(seeds)))
    peak = with_memory(
        lambda: done.append(train(tree, stack, data, lambda epoch: None, has_checkpoints=False))
    )
    (Path(folder) / f"{times}.npy").unlink()
    cost = cast(Usage, done[0].usage)
    return {"peak_mib": peak, "cpu_seconds": cost.cpu_seconds}


def fresh(times: int, seeds: int) -> dict[str, float]:
    """`train_repeated` in a process of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, processes.context()) as pool,
    ):
        return pool.submit(train_repeated, folder, times, seeds).result()


def main() -> None:
    """Measures and writes benchmarks/results/scaling.json."""
    processes.warm_up()
    cpu_seconds(one_epoch(1), 1)
    found: dict[str, Any] = {
        "seeds": {count: [] for count in SEEDS},
        "models": {count: [] for count in MODELS},
    }
    for _ in range(ROUNDS):
        for count in SEEDS:
            found["seeds"][count].append(cpu_seconds(one_epoch(count), 1))
    for _ in range(2):
        for count in MODELS:
            found["models"][count].append(cpu_seconds(one_epoch(2), count))
    found["memory"] = {count: fresh(1, count) for count in (1, 5, 10, 20, 40)}
    found["images"] = {54_000 * times: fresh(times, 2) for times in REPEATS}
    write_json(RESULTS, found)
    for what, values in found.items():
        for count, value in values.items():
            print(what, count, value)


if __name__ == "__main__":
    entry.run(main)
