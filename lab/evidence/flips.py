"""Test examples whose prediction changed: counts by model, and the clearest of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lab.base.dvc import Cache
from lab.base.errors import DataError, LabError
from lab.data.prepared import Prepared, load_prepared
from lab.evidence.inputs import shown
from lab.evidence.revision_results import RevisionResults, has_same_test, kept_file
from lab.evidence.schema import MAX_EXAMPLES, Example, Flips, Model
from lab.evidence.text import bounded
from lab.results.predictions import Classes, Predictions, read_predictions
from lab.results.schema import ModelResults

Ranked = tuple[float, dict[str, Any]]  # how sure the seeds of both sides are; all but the input


def flips(
    root: Path, candidate: RevisionResults, baseline: RevisionResults, models: Sequence[Model]
) -> tuple[list[Example], list[Flips]]:
    """The test examples whose majority prediction changed."""
    if not has_same_test(candidate, baseline):
        return [], []
    both = [model for model in models if model.candidate and model.baseline]
    try:
        prepared, cache = load_prepared(root), Cache(root)
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
            count, changed = _compared(model.name, prepared, old, new)
            counts.append(count)
            found += changed
    found.sort(key=lambda entry: -entry[0])
    clearest = [fields for _, fields in found[:MAX_EXAMPLES]]
    inputs = shown(root, prepared, [fields["index"] for fields in clearest]) if clearest else []
    return [
        Example(**fields, input=one) for fields, one in zip(clearest, inputs, strict=True)
    ], counts


def _unknown(model: Model, error: LabError) -> Flips:
    return Flips(model=model.name, fixed=0, broken=0, still_wrong=0, missing=bounded(str(error)))


def _compared(
    name: str, prepared: Prepared, old: Predictions, new: Predictions
) -> tuple[Flips, list[Ranked]]:
    labels_N = prepared.test.labels
    (old_N, old_votes_N), (new_N, new_votes_N) = map(majority, (old.predictions, new.predictions))
    flipped = np.flatnonzero(old_N != new_N)
    agreement_N = old_votes_N / len(old.seeds) + new_votes_N / len(new.seeds)
    clearest = flipped[np.argsort(-agreement_N[flipped], kind="stable")][:MAX_EXAMPLES]
    changed: list[Ranked] = [
        (
            float(agreement_N[index]),
            {
                "model": name,
                "index": int(index),
                "label": int(labels_N[index]),
                "baseline_prediction": int(old_N[index]),
                "candidate_prediction": int(new_N[index]),
                "baseline_votes": int(old_votes_N[index]),
                "candidate_votes": int(new_votes_N[index]),
                "baseline_seeds": len(old.seeds),
                "candidate_seeds": len(new.seeds),
            },
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
    return counts, changed


def majority(
    predictions_SN: Classes,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The class that most seeds predict, the lowest among equals, and how many they are.

    >>> majority(np.uint8([[3, 1], [3, 2], [5, 2]]))
    (array([3, 2]), array([2, 2]))
    """
    best_N = predictions_SN[0].astype(np.int64)
    votes_N = np.zeros_like(best_N)
    for label in np.unique(predictions_SN):
        of_label_N = (predictions_SN == label).sum(axis=0)
        best_N = np.where(of_label_N > votes_N, label, best_N)
        votes_N = np.maximum(votes_N, of_label_N)
    return best_N, votes_N


def predictions(
    results: RevisionResults, name: str, prepared: Prepared, cache: Cache, which: str
) -> Predictions:
    """The predictions behind a model's results, from the working tree or DVC's cache.

    Raises:
        DataError: they are nowhere to be found, or belong to other results; `which` revision's.
    """
    path = kept_file(results, name, "predictions.npz", cache)
    if path is None:
        raise DataError(f"the {which}'s predictions are not in the DVC cache")
    try:
        found = read_predictions(path, len(prepared.description.class_names))
    except DataError:
        raise DataError(f"the {which}'s predictions are damaged") from None
    if not _belong(found, results.runs[name], prepared.test.labels):
        raise DataError(f"the {which}'s predictions do not belong to its results")
    return found


def _belong(found: Predictions, results: ModelResults, labels_N: Classes) -> bool:
    """Whether every seed's predictions are as accurate as its results say."""
    if found.predictions.shape[1] != len(labels_N) or found.seeds.tolist() != results.seeds:
        return False
    accuracy_S = (found.predictions == labels_N).mean(axis=1)
    less_than_one = 0.5 / len(labels_N)
    return np.allclose(accuracy_S, results.test.accuracy.per_seed, rtol=0, atol=less_than_one)
