"""Dense layers: `hidden`, `activation`, `dropout` (see the class for what they mean)."""

from lab.training.feed_forward import FeedForward as Network

__all__ = ["Network"]
