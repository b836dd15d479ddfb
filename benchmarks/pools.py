"""Pools of real trainings, from which benchmarks/fair_trial.py draws its comparisons.

`python -m benchmarks.pools` trains 200 seeds of every variant and keeps, in benchmarks/results/,
what each seed reached and which test images it got right. It goes on where it was stopped.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks import entry
from lab.base import params
from lab.base.files import write_json
from lab.base.params import ModelParams, Params, TrainParams
from lab.data.prepared import Prepared, load_prepared
from lab.training.outcome import Evaluation

SCORES = Path("benchmarks/results/fair_trial_pools.json")
IMAGES = SCORES.with_suffix(".npz")  # bits of 10,000 images, a row a seed

SEEDS = 200  # per variant
CHUNK = 20  # seeds of a variant trained between two saves

Pool = dict[str, dict[str, list[float]]]  # variant -> score -> a value a seed
Correct = dict[str, npt.NDArray[np.bool_]]  # variant -> [S, N]


@dataclass(frozen=True)
class Variant:
    """A model of params.yaml with a change to its entry, or to how all are trained."""

    of: str = "relu_128"
    model: dict[str, object] = field(default_factory=dict)
    train: dict[str, object] = field(default_factory=dict)


VARIANTS = {
    "relu_128": Variant(),
    "linear_64": Variant("linear_64"),
    "hidden: [127]": Variant(model={"hidden": [127]}),
    "hidden: [112]": Variant(model={"hidden": [112]}),
    "hidden: [96]": Variant(model={"hidden": [96]}),
    "hidden: [64]": Variant(model={"hidden": [64]}),
    "dropout: 0.05": Variant(model={"dropout": 0.05}),
    "learning_rate: 0.0045": Variant(model={"learning_rate": 0.0045}),
    "batch_size: 120": Variant(train={"batch_size": 120}),
    "activation: gelu": Variant(model={"activation": "gelu"}),
    "precision: float32": Variant(train={"precision": "float32"}),
}


def main() -> None:
    """Trains what is missing."""
    tree, data = params.load(), load_prepared()
    pool = scores()
    missing = sum(SEEDS - trained(pool, name) for name in VARIANTS)
    with tqdm(total=missing, unit="seed") as bar:
        for name, variant in VARIANTS.items():
            while (begin := trained(pool, name)) < SEEDS:
                seeds = list(range(begin, min(SEEDS, begin + CHUNK)))
                train(pool, name, variant, seeds, tree, data)
                bar.update(len(seeds))


def scores() -> Pool:
    """What was trained so far."""
    return json.loads(SCORES.read_text(encoding="utf-8")) if SCORES.exists() else {}


def correct() -> Correct:
    """Whether each seed of a variant got each test image right."""
    if not IMAGES.exists():
        return {}
    with np.load(IMAGES) as bits:
        return {name: np.unpackbits(bits[name], axis=1).astype(bool) for name in bits}


def whole() -> tuple[Pool, Correct]:
    """The variants that all seeds were trained of."""
    pool, images = scores(), correct()
    names = [name for name in VARIANTS if trained(pool, name) == SEEDS]
    return {name: pool[name] for name in names}, {name: images[name] for name in names}


def trained(pool: Pool, name: str) -> int:
    """Seeds of a variant, which are 0 to one less."""
    return len(pool.get(name, {}).get("accuracy", ()))


def train(
    pool: Pool, name: str, variant: Variant, seeds: list[int], tree: Params, data: Prepared
) -> None:
    """Adds some seeds of a variant to the pool and its files."""
    settings = tree.train.model_copy(update={"seeds": seeds, **variant.train})
    model = tree.models[variant.of].model_copy(update=variant.model)
    test = tested(name, model, settings, data)
    labels_N = data.test.labels
    right_SN = test.probabilities_SNC[:, np.arange(len(labels_N)), labels_N]
    found = {
        "accuracy": test.accuracy_S,
        "loss": test.loss_S,
        "soft_accuracy": right_SN.mean(axis=1, dtype=np.float64),
    }
    for score, values in found.items():
        pool.setdefault(name, {}).setdefault(score, []).extend(values.tolist())
    bits = {other: np.packbits(rows, axis=1) for other, rows in correct().items()}
    now = np.packbits(test.predictions_SN == labels_N, axis=1)
    # Of a run that was stopped between the two files the bits may be ahead.
    before = bits.get(name, now[:0])[: seeds[0]]
    np.savez_compressed(IMAGES, allow_pickle=False, **bits | {name: np.concatenate([before, now])})
    write_json(SCORES, pool)


def tested(name: str, model: ModelParams, train: TrainParams, data: Prepared) -> Evaluation:
    """What the seeds of a model say of the test set, trained now on all cores."""
    from lab.training.device import choose_device, choose_precision
    from lab.training.loop import train_model
    from lab.training.stacks import cores

    device = choose_device()
    return train_model(
        name,
        model,
        train,
        data,
        lambda _: None,
        device=device,
        precision=choose_precision(train.precision, device, print),
        workers=cores(),
    ).test


if __name__ == "__main__":
    entry.run(main)
