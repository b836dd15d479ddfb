"""Puts the models of params.yaml side by side and picks the best one by validation accuracy."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lab.base import params
from lab.base.errors import DataError, shortened
from lab.base.files import put_back, sha256, write_bytes, write_json, write_text
from lab.base.machine import environment_tags
from lab.base.params import Params
from lab.data.description import DESCRIPTION, Description, read_description
from lab.data.idx import CLASS_NAMES
from lab.data.prepared import PREPARED, load_prepared
from lab.data.splits import CLASSES
from lab.report import plots
from lab.results import predictions, storage, weights
from lab.results.comparison import Chosen, Comparison, ModelDifference
from lab.results.predictions import Bytes
from lab.results.schema import SCHEMA_VERSION, ModelResults
from lab.results.storage import csv_text
from lab.tracking import recording as tracking
from lab.tracking import training_runs
from lab.tracking.recording import Dataset, RunSpec
from lab.training import checkpoints
from lab.training.scoring import confusion
from lab.verdict.differences import Sample
from lab.verdict.verdicts import findings

METRICS = Path("metrics")
BEST = Path("models/best")
TRACKED = (  # by git
    METRICS / "comparison.json",
    METRICS / "confusion.csv",
    METRICS / "confusion_matrix.png",
    METRICS / "metrics.csv",
    METRICS / "metrics.json",
)


def main() -> None:
    """Compares, chooses, draws, exports, and records it all in one run."""
    tracking.warm_up()
    tree = params.load()
    put_back(*TRACKED)
    for name in tree.models:
        checkpoints.clear_recorded(name)
    trained = {name: read_results(name, tree) for name in tree.models}
    found = compare(trained, tree.compare.margin)
    chosen = found.chosen
    test = load_prepared(PREPARED).test
    predicted = predictions_of(chosen, test.labels)

    write_json(METRICS / "comparison.json", found.model_dump())
    write_metrics(trained, chosen)
    write_confusion(predicted, test.labels, chosen, CLASS_NAMES[tree.dataset.name])
    weights.export_seed(BEST, chosen.model, chosen.seed, tree.models[chosen.model])

    best = trained[chosen.model]
    with tracking.recording(describe(tree, found, read_description(DESCRIPTION))) as active:
        active.metrics(training_runs.spreads("validation", best.validation))
        active.metrics(training_runs.spreads("test", best.test))
        active.artifact(METRICS / "confusion_matrix.png")
        active.artifact(METRICS / "comparison.json")
        active.model(BEST)
    print(f"chosen by validation accuracy: {chosen.model} (seed {chosen.seed} -> {BEST})")
    for difference in found.differences:
        print(difference.sentence())


def compare(trained: dict[str, ModelResults], margin: float) -> Comparison:
    """Chooses by validation accuracy; sets the chosen model's test accuracy against the others'.

    Among equals the first of params.yaml wins, and the first seed.
    """
    model = max(trained, key=lambda name: trained[name].validation.accuracy.mean)
    validation = trained[model].validation.accuracy
    seed = trained[model].seeds[int(np.argmax(validation.per_seed))]
    others = [name for name in trained if name != model]
    pairs = [(_sample(trained[model]), _sample(trained[other])) for other in others]
    return Comparison(
        schema_version=SCHEMA_VERSION,
        margin=margin,
        chosen=Chosen(model=model, seed=seed),
        differences=[
            ModelDifference.of(model, other, finding)
            for other, finding in zip(others, findings(pairs, margin), strict=True)
        ],
    )


def predictions_of(chosen: Chosen, labels: Bytes) -> Bytes:
    """The test predictions of the chosen seed.

    Raises:
        DataError: they are missing, damaged, or of other seeds or images.
    """
    path = storage.TRAINED / chosen.model / "predictions.npz"
    found = predictions.read_predictions(path)
    if chosen.seed not in found.seeds or found.predictions.shape[1] != len(labels):
        seeds, images = found.seeds.tolist(), found.predictions.shape[1]
        raise DataError(
            f"{path}: must hold seed {chosen.seed} and {len(labels):,} images; "
            f"got seeds {shortened(str(seeds), 60)} and {images:,} images; run `dvc repro`"
        )
    return found.of_seed(chosen.seed)


def write_metrics(trained: dict[str, ModelResults], chosen: Chosen) -> None:
    """Writes metrics.csv (every model, validation) and metrics.json (the chosen one, test)."""
    rows = [
        (name, results.validation.loss.mean, results.validation.accuracy.mean)
        for name, results in trained.items()
    ]
    write_text(METRICS / "metrics.csv", csv_text(("model", "val_loss", "val_acc"), rows))
    test = trained[chosen.model].test
    write_json(
        METRICS / "metrics.json",
        {"model": chosen.model, "accuracy": test.accuracy.mean, "loss": test.loss.mean},
    )


def write_confusion(predicted: Bytes, labels: Bytes, chosen: Chosen, names: Sequence[str]) -> None:
    """Writes confusion.csv (a row per test image, as `dvc plots` counts them) and its picture."""
    rows = zip(labels.tolist(), predicted.tolist(), strict=True)
    write_text(METRICS / "confusion.csv", csv_text(("actual", "predicted"), rows))
    counts = np.array(confusion(predicted[None], labels, CLASSES))
    accuracy = np.trace(counts) / counts.sum()
    title = f"{chosen.model}, seed {chosen.seed}: {accuracy:.2%} of {counts.sum():,} test images"
    write_bytes(
        METRICS / "confusion_matrix.png", plots.png(plots.confusion_matrix(counts, names, title))
    )


def describe(tree: Params, found: Comparison, data: Description) -> RunSpec:
    """The MLflow run that carries the chosen model and the pictures."""
    chosen = found.chosen
    return RunSpec(
        name="comparison",
        params={"margin": found.margin, "models": ", ".join(tree.models)},
        tags={
            "stage": "compare",
            "model": chosen.model,
            "seed": str(chosen.seed),
            **environment_tags(),
        },
        note=(
            f"Chosen by validation accuracy: **{chosen.model}**, exported with seed {chosen.seed}."
            "\n\n" + "\n".join(f"- {difference.sentence()}" for difference in found.differences)
        ),
        dataset=Dataset(name=data.name, digest=data.test.sha256, context="test"),
        fingerprint=sha256(f"{found.model_dump_json()} {data.test.sha256}".encode()),
        is_again=True,  # the same results compared again are the same comparison
    )


def read_results(name: str, tree: Params) -> ModelResults:
    """The results of one model.

    Raises:
        DataError: they are missing, damaged, or of other seeds than those of params.yaml.
    """
    path, _ = storage.tracked(name)
    results = storage.read(path)
    if results.seeds != tree.train.seeds:
        got = shortened(str(results.seeds), 60)
        raise DataError(f"{path}: seeds must be those of params.yaml; got {got}; run `dvc repro`")
    return results


def _sample(results: ModelResults) -> Sample:
    return Sample(results.seeds, results.test.accuracy.per_seed)


if __name__ == "__main__":
    run_script(main)
