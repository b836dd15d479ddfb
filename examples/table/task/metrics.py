"""Scores beside accuracy, loss and calibration error; an edit here trains nothing anew.

What is found of the rarer, dangerous class counts as much as what is found of the other.
"""

from lab.results.common_scores import balanced_accuracy, log_loss, macro_f1, worst_class_recall

__all__ = ["balanced_accuracy", "log_loss", "macro_f1", "worst_class_recall"]
