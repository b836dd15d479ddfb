"""The rows of a table as examples: numbers, classes, names and groups."""

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.base.errors import DataError, shortened
from task.data import csv_file
from task.data.columns import Column, names_of, numbers_of, one_hot

FEWEST_ROWS = 3  # of a class: one each to train, to validate and to test on
MOST_CLASSES = 1_000


@dataclass(frozen=True)
class Roles:
    """What columns are for; the others are what networks see."""

    label_column: str
    id_column: str | None = None
    group_column: str | None = None
    leave_out: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def named(self) -> Iterator[tuple[str, str]]:
        """Each option with each column that it names."""
        for option, value in vars(self).items():
            for name in value if isinstance(value, tuple) else [value]:
                if name is not None:
                    yield option, name


@dataclass(frozen=True)
class Rows:
    """The examples of a table.

    Attributes:
        values: float32 [N, D], NaN where one is missing.
        labels: [N], places in `classes`.
        classes: names of the classes, in the order of numbers if they all are numbers.
        names: of the D columns.
        ids: names of the rows.
        groups: to which they belong.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: list[str]
    names: list[str]
    ids: list[str] | None
    groups: list[str] | None


def read(path: Path, separator: str, roles: Roles, rare_below: int) -> Rows:
    """Reads a CSV file in two passes, so that only its numbers are in memory and not its text.

    Raises:
        DataError: the file breaks a rule.
    """
    header = csv_file.header(path, separator)
    for option, name in roles.named():
        if name not in header:
            close = difflib.get_close_matches(name, header, n=1)
            advice = f"did you mean {close[0]}?" if close else f"use one of {', '.join(header)}"
            raise DataError(
                f"{path}: dataset.{option} must name columns; got {shortened(repr(name), 60)}; "
                f"{shortened(advice)}"
            )
    aside = {roles.label_column, roles.id_column, roles.group_column, *roles.leave_out}
    columns = [Column(name, name in roles.categories) for name in header if name not in aside]
    if not columns:
        raise DataError(f"{path}: must have a column to learn from; got none; add one")
    labels: Counter[str] = Counter()
    for chunk in csv_file.chunks(path, separator, header):
        for column in columns:
            column.see(chunk[column.name])
        labels.update(_required(path, chunk, roles.label_column))
        _require_few(path, roles.label_column, labels)
    classes = _classes(path, roles.label_column, labels)
    for column in columns:
        column.require(path)

    names = [names_of(column, rare_below) for column in columns]
    flat = [name for several in names for name in several]
    if not flat:
        raise DataError(
            f"{path}: must have a number to learn from; got categories in fewer than {rare_below} "
            "rows each; lower dataset.rare_below, or add columns"
        )
    values = np.empty((labels.total(), len(flat)), np.float32)
    found = np.empty(labels.total(), np.int64)
    ids: list[str] = []
    groups: list[str] = []
    place = {name: number for number, name in enumerate(classes)}
    for chunk in csv_file.chunks(path, separator, header):
        rows = slice(int(chunk.index[0]), int(chunk.index[-1]) + 1)
        found[rows] = [place[name] for name in chunk[roles.label_column]]
        if roles.id_column:
            ids += _required(path, chunk, roles.id_column)
        if roles.group_column:
            groups += _required(path, chunk, roles.group_column)
        left = 0
        for column, several in zip(columns, names, strict=True):
            if several:  # else all its categories are rare
                values[rows, left : left + len(several)] = _numbers(column, chunk, rare_below)
            left += len(several)
    return Rows(values, found, classes, flat, ids or None, groups or None)


def _numbers(column: Column, chunk: pd.DataFrame, rare_below: int) -> NDArray[Any]:
    """The numbers of a column, [N, 1], or of its categories, [N, K]."""
    values = chunk[column.name]
    if column.counts:
        return one_hot(values, column.categories(rare_below))
    with np.errstate(over="ignore"):  # infinite, which lab refuses with row and column
        return numbers_of(values).to_numpy(np.float32)[:, None]


def _required(path: Path, chunk: pd.DataFrame, name: str) -> list[str]:
    """The values of a column in which none may be missing."""
    values = chunk[name]
    for row in chunk.index[values.isna()][:1]:
        raise DataError(
            f"{path}: column {name}: every row must have a value; got none in row {row + 1:,}; "
            "add it, or remove the row"
        )
    return [str(value) for value in values]


def _require_few(path: Path, column: str, labels: Counter[str]) -> None:
    if len(labels) > MOST_CLASSES:
        raise DataError(
            f"{path}: column {column}: must hold at most {MOST_CLASSES:,} classes; got more, such "
            f"as {shortened(repr(next(iter(labels))), 60)}; name another as dataset.label_column"
        )


def _classes(path: Path, column: str, labels: Counter[str]) -> list[str]:
    """The classes in order."""
    if len(labels) < 2:
        got = f"one, {next(iter(labels))!r}" if labels else "no rows"
        raise DataError(
            f"{path}: column {column}: must hold two classes or more; got {shortened(got, 60)}; "
            "add rows of another"
        )
    rarest = min(labels, key=lambda name: labels[name])
    if labels[rarest] < FEWEST_ROWS:
        raise DataError(
            f"{path}: column {column}: a class must have {FEWEST_ROWS} rows or more, to train, "
            f"validate and test on; got {labels[rarest]} of {shortened(repr(rarest), 60)}; "
            "add rows, or remove the class"
        )
    try:
        return sorted(labels, key=float)
    except ValueError:
        return sorted(labels)
