"""Test images whose prediction changed: counts by model, and the clearest of them."""

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lab.base.dvc import Cache
from lab.base.errors import DataError, LabError
from lab.data.prepared import PREPARED, load_prepared
from lab.data.splits import CLASSES, Prepared
from lab.evidence.revision_results import RevisionResults
from lab.evidence.schema import MAX_IMAGES, Flips, Image, Model
from lab.evidence.snapshots import WorkingTree
from lab.evidence.text import bounded
from lab.results.predictions import Predictions, read_predictions
from lab.results.schema import ModelResults
from lab.results.storage import TRAINED

Ranked = tuple[float, Image]  # how sure the seeds of both sides are


def flips(
    root: Path, candidate: RevisionResults, baseline: RevisionResults, models: Sequence[Model]
) -> tuple[list[Image], list[Flips]]:
    """The test images whose majority prediction changed."""
    if not _same_test(candidate, baseline):
        return [], []
    both = [model for model in models if model.candidate and model.baseline]
    try:
        prepared, cache = load_prepared(root / PREPARED), Cache(root)
    except LabError as error:
        return [], [_unknown(model, error) for model in both]
    found: list[Ranked] = []
    counts = []
    for model in both:
        try:
            old = predictions(
                baseline, model.renamed_from or model.name, prepared, cache, "baseline"
            )
            new = predictions(candidate, model.name, prepared, cache, "candidate")
        except LabError as error:
            counts.append(_unknown(model, error))
        else:
            count, images = _compared(model.name, prepared, old, new)
            counts.append(count)
            found += images
    found.sort(key=lambda entry: -entry[0])
    return [image for _, image in found[:MAX_IMAGES]], counts


def _same_test(candidate: RevisionResults, baseline: RevisionResults) -> bool:
    return (
        candidate.data is not None
        and baseline.data is not None
        and candidate.data.test.sha256 == baseline.data.test.sha256
    )


def _unknown(model: Model, error: LabError) -> Flips:
    return Flips(model=model.name, fixed=0, broken=0, still_wrong=0, missing=bounded(str(error)))


def _compared(
    name: str, prepared: Prepared, old: Predictions, new: Predictions
) -> tuple[Flips, list[Ranked]]:
    labels_N = prepared.test.labels
    old_N, old_votes_N = majority(old.predictions)
    new_N, new_votes_N = majority(new.predictions)
    flipped = np.flatnonzero(old_N != new_N)
    agreement_N = old_votes_N / len(old.seeds) + new_votes_N / len(new.seeds)
    clearest = flipped[np.argsort(-agreement_N[flipped], kind="stable")][:MAX_IMAGES]
    images = [
        (
            float(agreement_N[index]),
            Image(
                model=name,
                index=int(index),
                label=int(labels_N[index]),
                baseline_prediction=int(old_N[index]),
                candidate_prediction=int(new_N[index]),
                baseline_votes=int(old_votes_N[index]),
                candidate_votes=int(new_votes_N[index]),
                baseline_seeds=len(old.seeds),
                candidate_seeds=len(new.seeds),
                pixels=base64.b64encode(prepared.test.images[index].tobytes()).decode(),
            ),
        )
        for index in clearest
    ]
    fixed = int((new_N == labels_N)[flipped].sum())
    broken = int((old_N == labels_N)[flipped].sum())
    counts = Flips(
        model=name,
        fixed=fixed,
        broken=broken,
        still_wrong=len(flipped) - fixed - broken,
        missing=None,
    )
    return counts, images


def majority(
    predictions_SN: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The class that most seeds predict, the lowest among equals, and how many they are.

    >>> majority(np.uint8([[3, 1], [3, 2], [5, 2]]))
    (array([3, 2]), array([2, 2]))
    """
    votes_CN = np.stack([(predictions_SN == label).sum(axis=0) for label in range(CLASSES)])
    return votes_CN.argmax(axis=0), votes_CN.max(axis=0)


def predictions(
    results: RevisionResults, name: str, prepared: Prepared, cache: Cache, which: str
) -> Predictions:
    """The predictions behind a model's results, from the working tree or DVC's cache.

    Raises:
        DataError: they are nowhere to be found, or belong to other results; `which` revision's.
    """
    path = _place(results, name, cache)
    if path is None:
        raise DataError(f"the {which}'s predictions are not in the DVC cache")
    try:
        found = read_predictions(path)
    except DataError:
        raise DataError(f"the {which}'s predictions are damaged") from None
    if not _belong(found, results.runs[name], prepared.test.labels):
        raise DataError(f"the {which}'s predictions do not belong to its results")
    return found


def _belong(found: Predictions, results: ModelResults, labels_N: npt.NDArray[np.uint8]) -> bool:
    """Whether every seed's predictions are as accurate as its results say."""
    if found.predictions.shape[1] != len(labels_N) or found.seeds.tolist() != results.seeds:
        return False
    accuracy_S = (found.predictions == labels_N).mean(axis=1)
    less_than_one = 0.5 / len(labels_N)
    return np.allclose(accuracy_S, results.test.accuracy.per_seed, rtol=0, atol=less_than_one)


def _place(results: RevisionResults, name: str, cache: Cache) -> Path | None:
    folder = f"{TRAINED.as_posix()}/{name}"
    if isinstance(results.snapshot, WorkingTree):
        path = results.snapshot.root / folder / "predictions.npz"
        if path.is_file():
            return path
    for stage in results.stages.values():
        if folder in stage.outputs and (recorded := stage.outputs[folder].recorded):
            return cache.file(recorded, "predictions.npz")
    return None
