"""Trained networks as results: scores with their spread over seeds, confusion, learning curves."""

import numpy as np
import numpy.typing as npt

from lab.data.prepared import Prepared
from lab.results import probabilities, storage, weights
from lab.results.predictions import Predictions, write_predictions
from lab.results.schema import SCHEMA_VERSION, CurvePoint, ModelResults, ScoreSpreads, Spread
from lab.training.outcome import Classes, Evaluation, Trained

CALIBRATION_BINS = 15  # as in Guo et al. 2017


def write_trained(
    model: str,
    trained: Trained,
    data: Prepared,
    *,
    device: str,
    precision: str,
) -> ModelResults:
    """Scores a trained model and writes all its files; the one that readers look for comes last."""
    weights.write(model, trained.seeds, trained.weights)
    write_predictions(
        storage.TRAINED / model / "predictions.npz",
        Predictions(
            np.array(trained.seeds, dtype=np.int64),
            trained.test.predictions_SN,
            trained.test.confidence_SN,
        ),
    )
    probabilities.write(
        model,
        {
            "validation": trained.validation.probabilities_SNC,
            "test": trained.test.probabilities_SNC,
        },
    )
    results = summary(model, trained, data, device=device, precision=precision)
    storage.write(results, curve(trained))
    return results


def summary(
    model: str,
    trained: Trained,
    data: Prepared,
    *,
    device: str,
    precision: str,
) -> ModelResults:
    """What `metrics/runs/MODEL.json` says of a trained model."""
    return ModelResults(
        schema_version=SCHEMA_VERSION,
        model=model,
        device=device,
        precision=precision,
        parameter_count=trained.parameter_count,
        seeds=list(trained.seeds),
        validation=_scores(trained.validation, data.validation.labels),
        test=_scores(trained.test, data.test.labels),
        confusion=confusion(
            trained.test.predictions_SN, data.test.labels, len(data.description.class_names)
        ),
    )


def _scores(evaluation: Evaluation, labels_N: Classes) -> ScoreSpreads:
    correct_SN = evaluation.predictions_SN == labels_N
    errors = [
        calibration_error(confidence_N, correct_N)
        for confidence_N, correct_N in zip(evaluation.confidence_SN, correct_SN, strict=True)
    ]
    return ScoreSpreads(
        accuracy=Spread.of(evaluation.accuracy_S),
        loss=Spread.of(evaluation.loss_S),
        calibration_error=Spread.of(np.array(errors)),
    )


def calibration_error(
    confidence_N: npt.NDArray[np.float32], correct_N: npt.NDArray[np.bool_]
) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over 15 equal bins.

    Source: Guo et al. 2017, arXiv 1706.04599, section 2.

    >>> calibration_error(np.float32([0.75, 0.75, 0.75, 0.75]), np.array([True, True, True, False]))
    0.0
    """
    bin_N = np.minimum((confidence_N * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gap_N = confidence_N.astype(np.float64) - correct_N
    gaps = np.bincount(bin_N, weights=gap_N, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence_N))


def confusion(predictions_SN: Classes, labels_N: Classes, classes: int) -> list[list[int]]:
    """How often class `actual` (row) was called `predicted` (column), over all seeds.

    >>> confusion(np.uint8([[0, 1, 1]]), np.uint8([0, 0, 1]), 2)
    [[1, 1], [0, 1]]
    """
    cell_SN = labels_N.astype(np.int64) * classes + predictions_SN
    counts = np.bincount(cell_SN.ravel(), minlength=classes * classes)
    rows: list[list[int]] = counts.reshape(classes, classes).tolist()
    return rows


def curve(trained: Trained) -> list[CurvePoint]:
    """The learning curve of a model: one point an epoch."""
    points = []
    for number in range(1, max(epoch.number for epoch in trained.epochs) + 1):
        parts = [epoch for epoch in trained.epochs if epoch.number == number]
        values: list[float | None] = []
        for column in ("train_loss_S", "validation_loss_S", "validation_accuracy_S"):
            spread = Spread.of(np.concatenate([getattr(part, column) for part in parts]))
            values += [spread.mean, spread.sd]
        points.append(CurvePoint(number, *values))
    return points
