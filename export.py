"""The chosen model as ONNX files, each held against what was trained; or its card: `card`."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto

from lab.base import front_matter
from lab.base.errors import DataError, shortened
from lab.base.files import put_back, replacing_all, sha256, write_json, write_text
from lab.base.records import read_record
from lab.cards import model as card
from lab.cards import robustness
from lab.data.description import Description
from lab.data.prepared import Prepared, load_prepared
from lab.exporting import graphs
from lab.exporting.forms import Metadata, ScoresOf, Trained, Yardstick, forms
from lab.results import best, predictions, probabilities, scores, storage, weights
from lab.results.best import Best
from lab.results.common_scores import log_loss
from lab.results.comparison import Chosen, Comparison
from lab.results.exported import EXPORTED, EXPORTS, Exported, Name
from lab.results.robustness import ROBUSTNESS, Robustness
from lab.results.schema import Score
from lab.results.scores import Labels, Metric, Probabilities, Scored
from lab.serving import reference
from lab.serving.network import DESCRIBED, DESCRIPTION, Network
from lab.shifts import reference as references
from lab.training.scoring import calibration_error

BEST = Path("models/best")
COMPARISON = Path("metrics/comparison.json")
WORDS = Path("task/dataset.md")
MAX_BYTES = 2**24


def main() -> None:
    """One of the stages `export` and `model_card`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", nargs="?", choices=("card",), help="another stage")
    if parser.parse_args().step:
        write_card()
    else:
        export()


def write_card() -> None:
    """Stage `model_card`: what the accuracy is worth, and the card that says it."""
    put_back(ROBUSTNESS, card.CARD)
    write_json(ROBUSTNESS, robust().model_dump())
    write_text(card.CARD, card.card(Path()))


def robust() -> Robustness:
    """What becomes of the chosen model's accuracy on other seeds, examples and inputs."""
    data = load_prepared()
    exported = read_record(EXPORTED, Exported, MAX_BYTES, best.REMAKE)
    path, classes = storage.TRAINED / exported.model, len(data.description.class_names)
    found = predictions.read_predictions(path / "predictions.npz", classes)
    labels, inputs = np.asarray(data.test.labels).astype(np.intp), data.test.inputs
    if found.predictions.shape[1] != len(labels):
        raise DataError(
            f"{path}: must be of {len(labels):,} test examples; "
            f"got {found.predictions.shape[1]:,}; {best.REMAKE}"
        )
    asked = None
    if not exported.reason:
        network = Network(EXPORTS / "model.onnx")
        asked = robustness.asked(network, network.sha256, inputs, labels, data.description)
    right, groups = found.predictions == labels, data.test_groups
    return Robustness(
        schema_version=1,
        model=exported.model,
        seed=exported.seed,
        accuracy=robustness.right(right, groups),
        classes=robustness.classes(found, labels, classes, groups),
        slices=robustness.slices(right, inputs, data.description, groups),
        bins=robustness.bins(found, labels),
        exported=asked,
        reason=exported.reason,
    )


def export() -> None:
    """Makes the files, judges them, keeps what is the same model."""
    put_back(EXPORTED)
    data = load_prepared()
    compared = read_record(COMPARISON, Comparison, MAX_BYTES, best.REMAKE)
    model = chosen(compared.chosen)
    trained = stored(compared.chosen, data)
    yardstick = Yardstick(compared.metric, compared.margin, scores_of(compared.metric, data))
    graph, reason = graph_of(model, data.description)
    says = metadata(trained, yardstick, data)
    made = forms(graph, trained, yardstick, says) if graph else {}
    if graph and made["model"][0].measured is None:
        made, reason = {}, made["model"][0].reason
    kept = {name: content for name, (_, content) in made.items() if content is not None}
    write(kept, reference_of(trained, data, kept) if kept else None)
    own = yardstick.scores(trained.model, trained.seeds, trained.probabilities_SNC)
    found = Exported(
        schema_version=1,
        model=trained.model,
        seed=trained.seed,
        metric=yardstick.metric,
        margin=yardstick.margin,
        trained=float(np.mean(own)),
        forms={name: form for name, (form, _) in made.items()},
        reason=reason,
    )
    write_json(EXPORTED, found.model_dump())
    for line in found.lines():
        print(line)


def chosen(wanted: Chosen) -> Best:
    """How the network of `models/best` loads.

    Raises:
        DataError: it is missing, damaged, or of another model than the one that was chosen.
    """
    found = best.read(BEST)
    if (found.model, found.seed) != (wanted.model, wanted.seed):
        raise DataError(
            f"{BEST}: must be of {wanted.model}, seed {wanted.seed}, as {COMPARISON} says; "
            f"got {shortened(found.model, 60)}, seed {found.seed}; {best.REMAKE}"
        )
    return found


def stored(wanted: Chosen, data: Prepared) -> Trained:
    """What training stored of the chosen model, its seeds all together."""
    name = wanted.model
    seeds = storage.read(storage.tracked(name)[0]).seeds
    path = probabilities.path_of(name, "test")
    return Trained(
        model=name,
        seed=wanted.seed,
        seeds=seeds,
        weights=lambda seed: weights.read_seed(name, seed),
        inputs=data.test.inputs,
        probabilities_SNC=probabilities.read(path, seeds, len(data.test.labels)),
    )


def scores_of(judged: Score, data: Prepared) -> ScoresOf:
    """The judged score, computed alike for what was trained and for what is exported.

    Raises:
        DataError: nothing declares a score of that name.
    """
    built_in = {"accuracy": accuracy, "loss": log_loss.function, "calibration_error": calibration}
    known = [Metric(judged, built_in[judged.name])] if judged.name in built_in else []
    known += [own for own in scores.own_metrics() if own.score == judged]
    if not known:
        raise DataError(
            f"{COMPARISON}: metric: must be a score of {scores.OWN_FILE}; got {judged.name}; "
            f"{best.REMAKE}"
        )

    def score(where: str, seeds: Sequence[int], found_SNC: Probabilities) -> Sequence[float]:
        given = Scored(found_SNC, data.test.labels)
        return scores.spreads(known[:1], f"{where}, test", seeds, given)[judged.name].per_seed

    return score


def accuracy(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """The share that is right."""
    return float((predictions == labels).mean())


def calibration(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """As training computes it."""
    return calibration_error(probabilities.max(axis=1), predictions == labels)


def graph_of(model: Best, data: Description) -> tuple[ModelProto | None, str | None]:
    """The network of `models/best` as a graph; None and a reason where it cannot be one."""
    if model.layers:
        tensors = weights.read_seed(model.model, model.seed)
        return graphs.of_layers(model.layers, data, tensors), None
    if model.form == "class":
        return None, "torch.export cannot follow the network, so it loads only from its class"
    try:
        return graphs.of_program(BEST / best.PROGRAM), None
    except MemoryError:
        raise
    except Exception as error:  # whatever torch raises at what ONNX has not
        return None, f"ONNX has not all that the network does ({shortened(str(error), 160)})"


def metadata(trained: Trained, yardstick: Yardstick, data: Prepared) -> Metadata:
    """What the files say of themselves; no commit, because a commit comes after its files.

    git finds it by the results: `metrics/runs/MODEL.json` of that SHA-256.
    """
    about = data.description
    described = about.model_dump(include={*DESCRIBED})
    seen = reference.ranges(data.train.inputs, about.kind, about.columns)
    tree, _, _ = front_matter.read(WORDS, "say there what the data are, and their licence")
    licence = tree.get("license")
    common = {
        DESCRIPTION: json.dumps(described),
        "model": trained.model,
        "dataset": about.name,
        "train_sha256": about.train.sha256,
        "test_sha256": about.test.sha256,
        "results_sha256": sha256(storage.tracked(trained.model)[0].read_bytes()),
    }
    if seen:
        common[reference.REFERENCE] = json.dumps(seen)
    if isinstance(licence, str):
        common["licence"] = licence

    def of(form: Name, seeds: Sequence[int], score: float) -> dict[str, str]:
        metrics = json.dumps({yardstick.metric.name: score})
        return {**common, "form": form, "seed": ", ".join(map(str, seeds)), "metrics": metrics}

    return of


def reference_of(trained: Trained, data: Prepared, kept: Mapping[Name, bytes]) -> bytes:
    """What monitor.py holds the service's records against: the test split, which has no drift."""
    about, test = data.description, data.test
    ranges = reference.ranges(data.train.inputs, about.kind, about.columns)
    found = references.made(
        {
            **about.model_dump(include={"kind", "shape", "dtype", "columns", "class_names"}),
            "scaling": about.scaling and about.scaling.model_dump(),
            **({"pieces": about.tokeniser.pieces} if about.tokeniser else {}),
            "ranges": ranges,
            "model": trained.model,
            "models": {name: sha256(content) for name, content in kept.items()},
        },
        test.inputs,
        test.labels,
        trained.probabilities_SNC[list(trained.seeds).index(trained.seed)],
        reference.are_unlike(ranges, test.inputs, about.kind, about.columns),
    )
    return references.packed(found)


def write(contents: Mapping[Name, bytes], beside: bytes | None) -> None:
    """Writes the files of models/export, all or none; what else is there, of an earlier run, goes.

    The folder is there without any, too, because DVC expects it.
    """
    EXPORTS.mkdir(parents=True, exist_ok=True)
    paths = {EXPORTS / f"{name}.onnx": content for name, content in contents.items()}
    if beside is not None:
        paths[references.FILE] = beside
    with replacing_all(list(paths)) as temporaries:
        for temporary, content in zip(temporaries, paths.values(), strict=True):
            temporary.write_bytes(content)
    for path in {*EXPORTS.glob("*.onnx"), references.FILE} - paths.keys():
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    run_script(main)
