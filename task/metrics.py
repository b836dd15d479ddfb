"""Scores beside accuracy, loss and calibration error; an edit here trains nothing anew.

Of your own: a function of one seed's probabilities float32 [N, C], its predictions [N] (the most
probable class) and the labels [N], declared by `lab.results.scores.metric` with unit and direction.
`compare.metric` in params.yaml names the score that changes are judged by.
"""

from lab.results.common_scores import (
    balanced_accuracy,
    log_loss,
    macro_f1,
    soft_accuracy,
    top_5_accuracy,
    worst_class_recall,
)

__all__ = [
    "balanced_accuracy",
    "log_loss",
    "macro_f1",
    "soft_accuracy",
    "top_5_accuracy",
    "worst_class_recall",
]
