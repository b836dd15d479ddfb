"""A score in percent and one in a unit of its own, of which less is better."""

from lab.results.common_scores import log_loss, macro_f1

__all__ = ["log_loss", "macro_f1"]
