"""What is checked: examples that belong together, and samples of them that fit into memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lab.data.description import Description
from lab.data.prepared import Prepared
from lab.data.scaling import rows_at_once
from lab.results.checks import LONGEST_SENTENCE

Name = Literal["train", "validation", "test", "new"]
Rows = NDArray[np.intp]
Inputs = NDArray[Any]

SAMPLE = 20_000  # examples of a portion that statistics are taken of


@dataclass(frozen=True)
class Portion:
    """A split, or data that are in none; their labels, if they have any."""

    name: Name
    inputs: Inputs
    labels: NDArray[Any] | None

    def __len__(self) -> int:
        """Examples."""
        return len(self.inputs)

    def sample(self, most: int = SAMPLE) -> Rows:
        """At most so many rows, in their order; drawn, because what is stored may be periodic."""
        if len(self) <= most:
            return np.arange(len(self))
        drawn = np.random.default_rng(0).choice(len(self), most, replace=False, shuffle=False)
        return np.sort(drawn).astype(np.intp)

    def pieces(self, rows: Rows | None = None) -> Iterator[tuple[Rows, Inputs]]:
        """Rows, or some of them, at most 16 MiB at once: the whole may be larger than memory."""
        rows = np.arange(len(self)) if rows is None else rows
        step = rows_at_once(self.inputs)
        for start in range(0, len(rows), step):
            piece = rows[start : start + step]
            is_whole = len(piece) == piece[-1] - piece[0] + 1
            taken = slice(piece[0], piece[-1] + 1) if is_whole else piece
            yield piece, np.asarray(self.inputs[taken])

    def labels_of(self, rows: Rows) -> NDArray[np.intp]:
        """The labels of some rows; all 0 where nobody knows them."""
        if self.labels is None:
            return np.zeros(len(rows), dtype=np.intp)
        return np.asarray(self.labels[rows]).astype(np.intp)


@dataclass(frozen=True)
class Checked:
    """The training examples, what is held against them, and what is beside both.

    In the pipeline validation and test are held against training. New data are held against it by
    themselves; they must repeat no example of validation and test either.
    """

    description: Description
    train: Portion
    judged: tuple[Portion, ...]
    beside: tuple[Portion, ...] = ()

    @classmethod
    def of(cls, data: Prepared, new: Portion | None = None) -> "Checked":
        """The splits of the pipeline, or new data beside them."""
        train = Portion("train", data.train.inputs, data.train.labels)
        validation = Portion("validation", data.validation.inputs, data.validation.labels)
        test = Portion("test", data.test.inputs, data.test.labels)
        if new is None:
            return cls(data.description, train, (validation, test))
        return cls(data.description, train, (new,), (validation, test))

    @property
    def own(self) -> tuple[Portion, ...]:
        """What has not been checked before."""
        return self.judged if self.beside else (self.train, *self.judged)

    @property
    def everything(self) -> tuple[Portion, ...]:
        """All portions, training first."""
        return (self.train, *self.judged, *self.beside)

    @property
    def is_image(self) -> bool:
        """Whether the examples are images."""
        return self.description.kind.endswith("image")

    @property
    def noun(self) -> str:
        """What one of the data is called."""
        return "image" if self.is_image else "example"

    def column(self, feature: int) -> str:
        """What a number of an input is called."""
        described = self.description
        if described.kind == "row":
            names = described.columns
            return f"column {named(names[feature]) if names else feature}"
        if described.kind == "text":
            return f"token {feature}"
        return f"the pixel at {', '.join(map(str, np.unravel_index(feature, described.shape)))}"


def called(portion: Portion) -> str:
    """A portion in a sentence."""
    return {"train": "training", "new": "the new data"}.get(portion.name, portion.name)


def named(text: str) -> str:
    """A name of a column or class that somebody else chose, short and printable.

    >>> named("a" * 40)
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= 32 else f"{shown[:29]}..."


def sentence(text: str) -> str:
    """A sentence as results take it."""
    return text if len(text) <= LONGEST_SENTENCE else f"{text[: LONGEST_SENTENCE - 3]}..."


def many(count: int, noun: str) -> str:
    """A number and what it counts.

    >>> many(1, "image"), many(1_200, "image")
    ('1 image', '1,200 images')
    """
    plural = "classes" if noun == "class" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"
