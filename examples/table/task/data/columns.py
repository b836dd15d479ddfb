"""What the columns of a table are: found in a first pass over it, turned into numbers in a second.

A column is one of numbers when all that stands in it are numbers, else one of categories. Nothing
is fitted to the values here: `lab` standardises the numbers, and puts means where they are missing,
by what the training rows say. Only which categories there are is read from the whole table.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.base.errors import DataError, shortened

MOST_CATEGORIES = 100  # in a column; beyond, it is rather text or a name of the row
LONGEST_NAME = 64  # characters, as lab takes them


@dataclass
class Column:
    """One column, and what the rows so far say of it."""

    name: str
    is_of_names: bool  # whether its numbers are names
    numbers: int = 0
    text: str | None = None  # the first that is no number
    text_row: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def see(self, values: "pd.Series[str]") -> None:
        """Takes note of more rows."""
        known = values.dropna()
        texts = known if self.is_of_names else known[numbers_of(known).isna()]
        self.numbers += len(known) - len(texts)
        if len(texts) and self.text is None:
            self.text, self.text_row = str(texts.iloc[0]), int(texts.index[0]) + 1
        if len(self.counts) <= MOST_CATEGORIES:
            self.counts.update({str(text): n for text, n in texts.value_counts().items()})

    def require(self, path: Path) -> None:
        """Checks what all rows say.

        Raises:
            DataError: it is neither of numbers nor of categories.
        """
        where = f"{path}: column {shortened(self.name, 60)}"
        if not self.numbers and self.text is None:
            raise DataError(
                f"{where}: must have a value in some row; got none; add it to dataset.leave_out"
            )
        if self.numbers and self.text is not None:
            raise DataError(
                f"{where}: must hold numbers only, as {self.numbers:,} of its values are; "
                f"got {shortened(repr(self.text), 60)} in row {self.text_row:,}; correct it, "
                "or add the column to dataset.categories"
            )
        if len(self.counts) > MOST_CATEGORIES:
            raise DataError(
                f"{where}: must hold at most {MOST_CATEGORIES} categories; got more, such as "
                f"{shortened(repr(self.text), 60)}; add it to dataset.leave_out"
            )

    def categories(self, rare_below: int) -> list[str]:
        """Those that have a number of their own; none in a column of numbers."""
        return sorted(text for text, count in self.counts.items() if count >= rare_below)


def numbers_of(values: "pd.Series[str]") -> "pd.Series[float]":
    """Texts as numbers, NaN where they are none or missing."""
    return pd.to_numeric(values, errors="coerce").astype(np.float64)


def one_hot(values: "pd.Series[str]", categories: list[str]) -> NDArray[np.float32]:
    """A column of 0 and 1 for each category, [N, K].

    A row whose category is missing, or none of these, is all zero.

    >>> one_hot(pd.Series(["b", None, "other"]), ["a", "b"])
    array([[0., 1.],
           [0., 0.],
           [0., 0.]], dtype=float32)
    """
    return np.stack([(values == name).to_numpy(np.float32) for name in categories], axis=1)


def names_of(column: Column, rare_below: int) -> list[str]:
    """What its numbers are called: by its name, or as `size: small`."""
    found = [f"{column.name}: {name}" for name in column.categories(rare_below)]
    return [shortened(name, LONGEST_NAME) for name in (found if column.counts else [column.name])]
