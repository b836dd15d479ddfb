"""How fast training is, beside what a user would pick instead: `make bench`.

The network is 784-128-10, Adam, batches of 128. A rate is image-steps per second of wall time:
images seen in training, over all seeds. Every contender waits in a process of its own, imported,
compiled and warm; they are measured in turns, so that a busy minute of the machine hits all of
them, and those whose ratio matters most next to each other. All raw values are kept in
benchmarks/results/training.json.
"""

import argparse
import importlib.metadata
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lab.base import params  # noqa: E402
from lab.base.files import write_json  # noqa: E402
from lab.base.params import Params  # noqa: E402
from lab.data.prepared import PREPARED, load_prepared  # noqa: E402
from lab.parallel import processes  # noqa: E402
from lab.parallel.work import Stack  # noqa: E402
from lab.training import checkpoints  # noqa: E402

RESULTS = ROOT / "benchmarks/results"
BATCH, HIDDEN, RATE = 128, 128, 0.005
SECONDS = 2.0  # a measurement takes at least
ROUNDS = 9
# The two that others are compared with: the default models, and the one that is others' network.
LOOP = "training loop of train_parallel.py"
ALONE = "training loop, relu_128 alone"

Measure = Callable[[], float]  # image-steps per second


def rate(step: Callable[[], int]) -> float:
    """Repeats `step`, which returns the image-steps it did, for a while."""
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        done += step()
    return done / (time.perf_counter() - started)


# --- ours ----------------------------------------------------------------------------------------


def settings(models: int, precision: str) -> Params:
    """The default params in some precision; the first of the two models, or both."""
    tree = params.load(ROOT / "params.yaml")
    train = tree.train.model_copy(update={"precision": precision})
    some = dict(itertools.islice(tree.models.items(), models))
    return tree.model_copy(update={"train": train, "models": some})


def parallel(tree: Params, count: int) -> Measure:
    """All stacks of `tree` in `count` processes, as train_parallel.py trains them."""
    stacks = [
        Stack(name, tuple(tree.train.seeds[first : first + tree.train.seeds_per_stack]))
        for name in tree.models
        for first in range(0, len(tree.train.seeds), tree.train.seeds_per_stack)
    ]
    images = len(load_prepared(PREPARED).train.images)
    processes.warm_up()

    def step() -> int:
        done = list(processes.on_this_machine(tree, stacks, count, lambda *_: None))
        for name in tree.models:
            checkpoints.clear(name)
        return sum(len(stack.seeds) for stack, _ in done) * tree.train.epochs * images

    return lambda: rate(step)


def ours(
    precision: str, *, count: int = 2, models: int = 2, evaluating: bool = True
) -> Callable[[], Measure]:
    """Ten seeds a model, in a folder of its own: checkpoints must not meet others'.

    Validation after each epoch and the test are included if `evaluating`; other contenders only
    train.
    """

    def prepare() -> Measure:
        folder = Path(tempfile.mkdtemp())
        (folder / "metrics").symlink_to(ROOT / "metrics")
        (folder / PREPARED).mkdir(parents=True)
        for file in (ROOT / PREPARED).iterdir():
            if evaluating or file.name.startswith("train"):
                (folder / PREPARED / file.name).symlink_to(file)
            else:
                np.save(folder / PREPARED / file.name, np.load(file)[:1])
        os.chdir(folder)
        return parallel(settings(models, precision), count)

    return prepare


def bound(dtype_name: str, mode: str = "highest") -> Callable[[], Measure]:
    """The two large products of a step alone, a stack of five seeds in each of two threads."""

    def prepare() -> Measure:
        import torch

        torch.set_float32_matmul_precision(mode)
        dtype = getattr(torch, dtype_name)
        images = torch.rand(5, BATCH, 784).to(dtype)
        weights, gradient = torch.rand(5, 784, HIDDEN).to(dtype), torch.rand(5, BATCH, HIDDEN)
        gradient = gradient.to(dtype)

        def products(_: int) -> int:
            torch.set_num_threads(1)
            for _ in range(100):
                torch.bmm(images, weights)
                torch.bmm(images.transpose(1, 2), gradient)
            return 100 * 5 * BATCH

        pool = ThreadPoolExecutor(2)
        return lambda: rate(lambda: sum(pool.map(products, range(2))))

    return prepare


# --- others --------------------------------------------------------------------------------------


def plain_network() -> Any:
    """The network as most people write it."""
    import torch

    return torch.nn.Sequential(
        torch.nn.Linear(784, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10)
    )


def data_loader(count: int) -> Any:
    """Torchvision's MNIST behind a DataLoader."""
    import torch
    from torchvision import datasets, transforms

    folder = Path(tempfile.mkdtemp()) / "MNIST"
    folder.mkdir()
    (folder / "raw").symlink_to(ROOT / "data/raw/MNIST")
    transform = transforms.Compose([transforms.ToTensor(), torch.nn.Flatten(0)])
    images = datasets.MNIST(str(folder.parent), train=True, transform=transform)
    return torch.utils.data.DataLoader(images, BATCH, shuffle=True, num_workers=count)


def torch_loop(batches: Callable[[], Any]) -> Measure:
    """The training loop of a tutorial."""
    import torch

    network = plain_network()
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    endless = itertools.chain.from_iterable(batches() for _ in itertools.count())

    def step() -> int:
        images, labels = next(endless)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        return len(images)

    step()
    return lambda: rate(step)


def torch_data_loader(count: int) -> Callable[[], Measure]:
    """What most people write."""

    def prepare() -> Measure:
        loader = data_loader(count)
        return torch_loop(lambda: loader)

    return prepare


def arrays() -> tuple[Any, Any]:
    """Training images [N, 784] in [0, 1] and labels [N]."""
    train = load_prepared(PREPARED).train
    return train.images.reshape(-1, 784).astype(np.float32) / 255, np.array(train.labels)


def torch_memory() -> Measure:
    """Tensors in memory, one model, all threads."""
    import torch

    images, labels = (torch.from_numpy(array) for array in arrays())
    labels = labels.long()

    def batches() -> Any:
        for chosen in torch.randperm(len(images)).split(BATCH):
            yield images[chosen], labels[chosen]

    return torch_loop(batches)


def sklearn() -> Measure:
    """scikit-learn's MLPClassifier."""
    from sklearn.neural_network import MLPClassifier

    images, labels = arrays()
    model = MLPClassifier(
        (HIDDEN,), batch_size=BATCH, learning_rate_init=RATE, max_iter=1, alpha=0.0
    )

    def step() -> int:
        model.partial_fit(images[:12_800], labels[:12_800], classes=range(10))
        return 12_800

    step()
    return lambda: rate(step)


def jax(seeds: int) -> Callable[[], Measure]:
    """An epoch as one compiled scan, vectorised over seeds."""

    def prepare() -> Measure:
        import jax
        import jax.numpy as jnp
        import optax

        images, labels = (jax.device_put(array) for array in arrays())
        steps = len(images) // BATCH
        adam = optax.adam(RATE)

        def initial(key: Any) -> Any:
            first, second = jax.random.split(key)
            weights = {
                "a": jax.random.uniform(first, (784, HIDDEN), minval=-1 / 28, maxval=1 / 28),
                "b": jnp.zeros(HIDDEN),
                "c": jax.random.uniform(second, (HIDDEN, 10), minval=-0.09, maxval=0.09),
                "d": jnp.zeros(10),
            }
            return weights, adam.init(weights)

        def loss(w: Any, x: Any, y: Any) -> Any:
            logits = jax.nn.relu(x @ w["a"] + w["b"]) @ w["c"] + w["d"]
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        def epoch(state: Any, key: Any) -> Any:
            order = jax.random.permutation(key, len(images))[: steps * BATCH].reshape(steps, BATCH)

            def step(state: Any, chosen: Any) -> Any:
                weights, moments = state
                gradient = jax.grad(loss)(weights, images[chosen], labels[chosen])
                updates, moments = adam.update(gradient, moments)
                return (optax.apply_updates(weights, updates), moments), None

            return jax.lax.scan(step, state, order)[0]

        keys = jax.random.split(jax.random.key(0), seeds)
        state = jax.vmap(initial)(keys)
        run = jax.jit(jax.vmap(epoch))
        jax.block_until_ready(run(state, keys))

        def step() -> int:
            jax.block_until_ready(run(state, keys))
            return seeds * steps * BATCH

        return lambda: rate(step)

    return prepare


def keras() -> Measure:
    """Keras' fit on JAX."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    images, labels = arrays()
    model = keras.Sequential([keras.layers.Dense(HIDDEN, "relu"), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss)

    def step() -> int:
        model.fit(images, labels, batch_size=BATCH, verbose=0)
        return len(images)

    step()
    return lambda: rate(step)


def lightning() -> Measure:
    """Lightning's Trainer over tensors in memory."""
    import logging

    import torch
    from lightning import LightningModule, Trainer

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    images, labels = (torch.from_numpy(array) for array in arrays())

    class Classifier(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = plain_network()

        def training_step(self, batch: Any, _: int) -> Any:
            return torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), RATE)

    data = torch.utils.data.TensorDataset(images[:25_600], labels[:25_600].long())
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True)

    def step() -> int:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **quiet)
        trainer.fit(Classifier(), loader)
        return len(data)

    step()
    return lambda: rate(step)


CONTENDERS: dict[str, Callable[[], Measure]] = {
    "torchvision and DataLoader, 0 workers": torch_data_loader(0),
    LOOP: ours("bfloat16", evaluating=False),
    "the two large products alone, bfloat16": bound("bfloat16"),
    "training loop, one worker": ours("bfloat16", count=1, evaluating=False),
    "JAX, vmap over ten seeds": jax(10),
    ALONE: ours("bfloat16", models=1, evaluating=False),
    "training loop, float32": ours("float32", evaluating=False),
    "training loop, validation and test": ours("bfloat16"),
    "torchvision and DataLoader, 2 workers": torch_data_loader(2),
    "torch, tensors in memory, one model": torch_memory,
    "Lightning, tensors in memory": lightning,
    "Keras on JAX": keras,
    "scikit-learn MLPClassifier": sklearn,
    "JAX, one model": jax(1),
    "the two large products alone, float32": bound("float32"),
    "the two large products alone, float32 by oneDNN": bound("float32", "medium"),
}


# --- measuring -----------------------------------------------------------------------------------


def serve(name: str) -> None:
    """One contender: measures once for every line that arrives."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    measure = CONTENDERS[name]()
    print("ready", file=answers)
    for _ in sys.stdin:
        print(measure(), file=answers)


def race(rounds: int) -> dict[str, list[float]]:
    """Every contender's rates, measured in turns; without those that cannot start here."""
    running = {}
    for name in CONTENDERS:
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},  # for the fork server
        )
        assert process.stdout  # noqa: S101
        if process.stdout.readline() == "ready\n":
            running[name] = process
        else:
            print(f"not here: {name}", flush=True)
    rates: dict[str, list[float]] = {name: [] for name in running}
    for number in range(rounds):
        for name, process in running.items():
            assert process.stdin  # noqa: S101
            assert process.stdout  # noqa: S101
            process.stdin.write("\n")
            process.stdin.flush()
            rates[name].append(float(process.stdout.readline()))
        print(f"round {number + 1} of {rounds}", flush=True)
    for process in running.values():
        process.kill()
        process.communicate()
    return rates


def versions() -> dict[str, str]:
    """Of everything that took part."""
    found = {"python": sys.version.split()[0]}
    for name in ("torch", "torchvision", "jax", "keras", "lightning", "scikit-learn", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def table(rates: dict[str, list[float]]) -> str:
    """Medians, their spread, and what ours do of each, as Markdown."""
    lines = [
        f"| what | image-steps per second | lowest to highest | {LOOP} does | {ALONE} does |",
        "|---|---|---|---|---|",
    ]
    for name, values in rates.items():
        by_loop, by_alone = (
            statistics.median(ours / value for ours, value in zip(rates[own], values, strict=True))
            for own in (LOOP, ALONE)
        )
        lines.append(
            f"| {name} | {statistics.median(values):,.0f} | {min(values):,.0f} to "
            f"{max(values):,.0f} | {by_loop:.2f} x | {by_alone:.2f} x |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures and writes benchmarks/results/training.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    before = os.getloadavg()
    rates = race(options.rounds)
    write_json(
        RESULTS / "training.json",
        {
            "unit": "image-steps per second",
            "versions": versions(),
            "cores": os.cpu_count(),
            "load_before": before[0],
            "load_after": os.getloadavg()[0],
            "rates": rates,
        },
    )
    print(table(rates))


if __name__ == "__main__":
    main()
