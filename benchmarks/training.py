"""How fast training is, beside what a user would pick instead: `python -m benchmarks.training`.

The network is 784-128-10, Adam, batches of 128. How it is measured: benchmarks/race.py.
"""

import itertools
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import race
from benchmarks.race import ROOT, Measure, Step, rate
from lab.base import params
from lab.base.params import Params
from lab.data.prepared import load_prepared

BATCH, HIDDEN, RATE = 128, 128, 0.005
ROUNDS = 9
# The two that others are compared with: the default models, and the one that is others' network.
LOOP = "training loop of train_parallel.py"
ALONE = "training loop, relu_128 alone"


# --- ours ----------------------------------------------------------------------------------------


def settings(models: int, precision: str) -> Params:
    """The default params in some precision; the first of the two models, or both."""
    tree = params.load(ROOT / "params.yaml")
    train = tree.train.model_copy(update={"precision": precision})
    some = dict(itertools.islice(tree.models.items(), models))
    return tree.model_copy(update={"train": train, "models": some})


def ours(
    precision: str, *, count: int = 2, models: int = 2, evaluating: bool = True
) -> Callable[[], Measure]:
    """Ten seeds a model."""
    return race.ours(lambda: settings(models, precision), count=count, evaluating=evaluating)


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


def torch_step(network: Any, batches: Callable[[], Any]) -> Step:
    """The training step of a tutorial."""
    import torch

    optimizer = torch.optim.Adam(network.parameters(), RATE)
    endless = itertools.chain.from_iterable(batches() for _ in itertools.count())

    def step() -> int:
        images, labels = next(endless)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        return len(images)

    return step


def warm(step: Step) -> Measure:
    """The rate of a step that was done before."""
    step()
    return lambda: rate(step)


def torch_data_loader(count: int) -> Callable[[], Measure]:
    """What most people write."""

    def prepare() -> Measure:
        loader = data_loader(count)
        return warm(torch_step(plain_network(), lambda: loader))

    return prepare


def arrays() -> tuple[Any, Any]:
    """Training images [N, 784] in [0, 1] and labels [N]."""
    train = load_prepared().train
    return train.inputs.reshape(-1, 784).astype(np.float32) / 255, np.array(train.labels)


def torch_memory() -> Measure:
    """Tensors in memory, one model, all threads."""
    import torch

    images, labels = (torch.from_numpy(array) for array in arrays())
    labels = labels.long()

    def batches() -> Any:
        for chosen in torch.randperm(len(images)).split(BATCH):
            yield images[chosen], labels[chosen]

    return warm(torch_step(plain_network(), batches))


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

    return warm(step)


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

    return warm(step)


def lightning_step(network: Callable[[], Any]) -> Step:
    """A fit of Lightning's Trainer over tensors in memory."""
    import logging

    import torch
    from lightning import LightningModule, Trainer

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    images, labels = (torch.from_numpy(array) for array in arrays())

    class Classifier(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

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

    return step


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
    "Lightning, tensors in memory": lambda: warm(lightning_step(plain_network)),
    "Keras on JAX": keras,
    "scikit-learn MLPClassifier": sklearn,
    "JAX, one model": jax(1),
    "the two large products alone, float32": bound("float32"),
    "the two large products alone, float32 by oneDNN": bound("float32", "medium"),
}


if __name__ == "__main__":
    race.main("training", CONTENDERS, [LOOP, ALONE], ROUNDS)
