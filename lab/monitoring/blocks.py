"""What is kept of records: counts, which add up whatever the number of records."""

from dataclasses import dataclass

import numpy as np

from lab.monitoring.windows import Window
from lab.serving.reference import are_unlike
from lab.shifts.reference import Counts, Reference, counted


@dataclass(frozen=True)
class Block:
    """Counts of records that follow each other.

    Attributes:
        records: answers.
        start_ms: of the first.
        end_ms: of the last.
        counts_SB: inputs in each bin of each statistic.
        unlike: inputs beyond the ranges of training.
        predicted_C: answers of each class, of models of the reference.
        confident: those of these whose probability exceeds the reference's.
    """

    records: int
    start_ms: int
    end_ms: int
    counts_SB: Counts
    unlike: int
    predicted_C: Counts
    confident: int

    @property
    def inputs(self) -> int:
        """Inputs of the reference's shape."""
        return int(self.counts_SB[0].sum()) if len(self.counts_SB) else 0

    @property
    def answers(self) -> int:
        """Answers of models of the reference."""
        return int(self.predicted_C.sum())

    def __add__(self, other: "Block") -> "Block":
        return Block(
            self.records + other.records,
            min(self.start_ms, other.start_ms),
            max(self.end_ms, other.end_ms),
            self.counts_SB + other.counts_SB,
            self.unlike + other.unlike,
            self.predicted_C + other.predicted_C,
            self.confident + other.confident,
        )


def block_of(window: Window, reference: Reference) -> Block:
    """The counts of a window."""
    about, inputs = reference.about, window.inputs
    judged = window.predicted[window.predicted >= 0]
    beyond = are_unlike(about["ranges"], inputs, about["kind"], about["columns"])
    return Block(
        records=window.records,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        counts_SB=counted(reference.bins(inputs)),
        unlike=int(beyond.sum()),
        predicted_C=np.bincount(judged, minlength=len(reference.predicted_C)),
        confident=int((window.probability > about["confidence"]).sum()),
    )
