"""Computes every score of the models of params.yaml and picks the best one by validation."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.base import params
from lab.base.errors import DataError, shortened
from lab.base.files import put_back, write_bytes, write_json, write_text
from lab.base.params import Params
from lab.data.description import Description
from lab.data.prepared import Prepared, load_prepared
from lab.report import plots
from lab.results import best as best_model
from lab.results import leftovers, predictions, probabilities, scores, storage
from lab.results.comparison import Chosen, Comparison, ModelDifference
from lab.results.predictions import Classes, Predictions
from lab.results.schema import ACCURACY, ModelResults, Score, ScoreTable, Spread, Spreads
from lab.results.scores import Labels, Metric, Scored
from lab.results.storage import csv_text
from lab.tracking import recording as tracking
from lab.tracking.comparison_run import comparison_run, log_comparison
from lab.training import checkpoints
from lab.training.scoring import confusion
from lab.verdict.differences import Sample
from lab.verdict.images import Groups, Right, components, on_new_images
from lab.verdict.verdicts import findings

METRICS = Path("metrics")
BEST = Path("models/best")
TRACKED = (  # by git
    METRICS / "comparison.json",
    METRICS / "confusion.csv",
    METRICS / "confusion_matrix.png",
    METRICS / "metrics.csv",
    METRICS / "metrics.json",
    scores.SCORES,
)


def main() -> None:
    """Compares, chooses, draws, exports, and records it all in one run."""
    tracking.warm_up()
    tree = params.load()
    put_back(*TRACKED)
    leftovers.remove(tree.models)
    for name in tree.models:
        checkpoints.clear_recorded(name)
    own = scores.own_metrics()
    metric = scores.judged(tree.compare, scores.declared(own))
    trained = {name: read_results(name, tree) for name in tree.models}
    data = load_prepared()
    described, test = data.description, data.test
    table = score_table(trained, own, data)
    shape = (table.seeds, len(test.labels), len(described.class_names))
    predicted = {name: predictions_of(name, *shape) for name in trained}
    right_KN = {name: of_model.predictions == test.labels for name, of_model in predicted.items()}
    found = compare(table, metric, tree.compare.margin, right_KN, data.test_groups)
    chosen = found.chosen
    shown = predicted[chosen.model].of_seed(chosen.seed)

    write_json(scores.SCORES, table.model_dump())
    write_json(METRICS / "comparison.json", found.model_dump())
    write_metrics(table, found)
    write_confusion(shown, test.labels, chosen, described)
    best_model.write(BEST, chosen.model, chosen.seed, tree.models[chosen.model], data, export)

    with tracking.recording(comparison_run(tree, found, described)) as active:
        artifacts = [METRICS / "confusion_matrix.png", METRICS / "comparison.json", scores.SCORES]
        log_comparison(active, found, table, described, BEST, artifacts)
    by = f"validation {metric.name}"
    print(f"chosen by {by}: {chosen.model} (seed {chosen.seed} -> {BEST})")
    for difference in found.differences:
        print(difference.sentence(metric.unit))


def score_table(
    trained: dict[str, ModelResults], own: Sequence[Metric], data: Prepared
) -> ScoreTable:
    """All scores of all models: those that training wrote, and those of task/metrics.py.

    Raises:
        DataError: probabilities are missing or damaged, or a function of task/metrics.py fails.
    """
    splits = {"validation": data.validation.labels, "test": data.test.labels}
    return ScoreTable(
        schema_version=1,
        seeds=next(iter(trained.values())).seeds,
        scores=scores.declared(own),
        sources=scores.own_sources(),
        **{
            split: {name: _scores(results, split, own, labels) for name, results in trained.items()}
            for split, labels in splits.items()
        },
    )


def _scores(results: ModelResults, split: str, own: Sequence[Metric], labels_N: Labels) -> Spreads:
    model, seeds = results.model, results.seeds
    path = probabilities.path_of(model, split)
    given = Scored(probabilities.read(path, seeds, len(labels_N)), labels_N)
    own_spreads = scores.spreads(own, f"{model}, {split}", seeds, given)
    return {**scores.built_in(results, split), **own_spreads}


def compare(
    table: ScoreTable,
    metric: Score,
    margin: float,
    right_KN: Mapping[str, Right],
    groups_N: Groups | None = None,
) -> Comparison:
    """Chooses by the score on validation; sets the chosen model's test score against the others'.

    Among equals the first of params.yaml wins, and the first seed. `right_KN` says of each model
    which test examples each seed is right on, `groups_N` which of these belong together.
    """
    sign = 1 if metric.higher_is_better else -1
    validation = {name: of_model[metric.name] for name, of_model in table.validation.items()}
    model = max(validation, key=lambda name: sign * validation[name].mean)
    seed = table.seeds[int(np.argmax(sign * np.array(validation[model].per_seed)))]
    others = [name for name in validation if name != model]
    of = {name: _sample(table.seeds, scores[metric.name]) for name, scores in table.test.items()}
    pairs = [(of[model], of[other]) for other in others]
    judged = findings(pairs, margin, higher_is_better=metric.higher_is_better)

    def on_others(other: str) -> tuple[float, float] | None:
        if metric != ACCURACY:
            return None
        return on_new_images(components(right_KN[model], right_KN[other], groups_N))

    return Comparison(
        schema_version=3,
        metric=metric,
        margin=margin,
        chosen=Chosen(model=model, seed=seed),
        differences=[
            ModelDifference.of(model, other, finding, on_others(other))
            for other, finding in zip(others, judged, strict=True)
        ],
    )


def predictions_of(model: str, seeds: Sequence[int], examples: int, classes: int) -> Predictions:
    """The test predictions of a model.

    Raises:
        DataError: they are missing, damaged, or of other seeds or examples.
    """
    path = storage.TRAINED / model / "predictions.npz"
    found = predictions.read_predictions(path, classes)
    if found.seeds.tolist() != list(seeds) or found.predictions.shape[1] != examples:
        raise DataError(
            f"{path}: must hold seeds {shortened(str(list(seeds)), 60)} and {examples:,} examples; "
            f"got seeds {shortened(str(found.seeds.tolist()), 60)} and "
            f"{found.predictions.shape[1]:,} examples; run `dvc repro`"
        )
    return found


def write_metrics(table: ScoreTable, found: Comparison) -> None:
    """Writes metrics.csv (every model, validation) and metrics.json (the chosen one, test)."""
    rows = [
        (name, of_model["loss"].mean, of_model["accuracy"].mean)
        for name, of_model in table.validation.items()
    ]
    write_text(METRICS / "metrics.csv", csv_text(("model", "val_loss", "val_acc"), rows))
    test = table.test[found.chosen.model]
    shown = dict.fromkeys(("accuracy", "loss", found.metric.name))
    write_json(
        METRICS / "metrics.json",
        {"model": found.chosen.model, **{name: test[name].mean for name in shown}},
    )


def write_confusion(predicted: Classes, labels: Classes, chosen: Chosen, data: Description) -> None:
    """Writes confusion.csv (a row per test example, as `dvc plots` counts them) and its picture."""
    rows = zip(labels.tolist(), predicted.tolist(), strict=True)
    write_text(METRICS / "confusion.csv", csv_text(("actual", "predicted"), rows))
    counts = np.array(confusion(predicted[None], labels, len(data.class_names)))
    accuracy = np.trace(counts) / counts.sum()
    what = f"{counts.sum():,} test {'images' if data.kind.endswith('image') else 'examples'}"
    title = f"{chosen.model}, seed {chosen.seed}: {accuracy:.2%} of {what}"
    figure = plots.confusion_matrix(counts, data.class_names, title)
    write_bytes(METRICS / "confusion_matrix.png", plots.png(figure))


def export(*network: Any) -> tuple[dict[str, Any], bytes | None]:
    """As `lab.training.export.exported`, which imports torch; dense layers do without."""
    from lab.training.export import exported

    return exported(*network)


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


def _sample(seeds: Sequence[int], spread: Spread) -> Sample:
    return Sample(seeds, spread.per_seed)


if __name__ == "__main__":
    run_script(main)
