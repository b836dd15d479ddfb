"""Scores that many tasks want, for task/metrics.py to take its choice from.

Each function gets one seed's probabilities float32 [N, C], its predictions [N] (the most probable
class) and the labels [N], and returns one number.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lab.results.scores import metric

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer[Any]]


@metric(unit="%", higher_is_better=True)
def macro_f1(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """Mean over classes of the harmonic mean of precision and recall.

    A class that is only predicted counts 0, one that is neither label nor prediction not at all.
    """
    classes = probabilities.shape[1]
    right = np.bincount(labels[predictions == labels], minlength=classes)
    actual = np.bincount(labels, minlength=classes)
    called = np.bincount(predictions, minlength=classes)
    there = actual + called > 0
    return float((2 * right[there] / (actual + called)[there]).mean())


@metric(unit="%", higher_is_better=True)
def balanced_accuracy(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """Mean of the classes' recalls, so that each class counts the same."""
    return float(_recalls(predictions, labels).mean())


@metric(unit="%", higher_is_better=True)
def worst_class_recall(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """The recall of the class that is recognised worst."""
    return float(_recalls(predictions, labels).min())


@metric(unit="nats", higher_is_better=False)
def log_loss(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """Mean of -log of the probability of the right class.

    A probability that float32 rounds to 0 counts as its smallest step at 1, 1.2e-7.
    """
    right_N = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(right_N, np.finfo(np.float32).eps)).mean())


@metric(unit="%", higher_is_better=True)
def soft_accuracy(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """Mean probability of the right class.

    It varies less over seeds than accuracy does, so it shows a change earlier: a report has it as
    a lead beside the verdict.
    """
    return float(probabilities[np.arange(len(labels)), labels].mean(dtype=np.float64))


@metric(unit="%", higher_is_better=True)
def top_5_accuracy(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """How often fewer than five classes are more probable than the right one.

    With six classes or fewer it says little, with five or fewer it is always 1. Among equally
    probable classes the lowest comes first, as among predictions.
    """
    right_N = probabilities[np.arange(len(labels)), labels][:, None]
    is_lower_NC = np.arange(probabilities.shape[1]) < labels[:, None]
    before_NC = (probabilities > right_N) | ((probabilities == right_N) & is_lower_NC)
    return float((before_NC.sum(axis=1) < 5).mean())


def _recalls(predictions: Labels, labels: Labels) -> npt.NDArray[np.float64]:
    """The share of each class's examples that is recognised, of the classes that there are."""
    actual = np.bincount(labels)
    right = np.bincount(labels[predictions == labels], minlength=len(actual))
    recalls: npt.NDArray[np.float64] = right[actual > 0] / actual[actual > 0]
    return recalls
