"""Scores beside accuracy, loss and calibration error; an edit here trains nothing anew."""

import numpy as np

from lab.results.common_scores import macro_f1
from lab.results.scores import Labels, Probabilities, metric

__all__ = ["macro_f1", "matthews"]


@metric(unit="", higher_is_better=True)
def matthews(probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
    """Matthews' correlation of predictions and labels, by which CoLA is judged; 0 is chance.

    Source: Gorodkin 2004 (doi 10.1016/j.compbiolchem.2004.09.006) for more than two classes.
    """
    classes = probabilities.shape[1]
    actual = np.bincount(labels, minlength=classes).astype(np.float64)
    called = np.bincount(predictions, minlength=classes).astype(np.float64)
    count, right = len(labels), float((predictions == labels).sum())
    spread = (count**2 - actual @ actual) * (count**2 - called @ called)
    return float((right * count - actual @ called) / np.sqrt(spread)) if spread else 0.0
