"""The numbers themselves: missing, infinite, far out of range, or always the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.checking.portions import Checked, Inputs, Name, Portion, called, many, sentence
from lab.results.checks import MAX_PLACES, Fault, Place

FAR = 1.0  # widths of what training holds, beyond it: another unit, or a code for "unknown"
MOST_MISSING = 0.5  # of a column


@dataclass
class Range:
    """What the numbers of a portion are like, a column each; all numbers of images are one."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    missing: NDArray[np.int64]
    infinite: NDArray[np.int64]
    count: int
    constant_rows: list[int]
    constant_count: int


def _columns(inputs: Inputs, is_row: bool) -> Inputs:
    return inputs if is_row else inputs.reshape(len(inputs), -1)


def ranges(portion: Portion, is_row: bool) -> Range:
    """Looks at every number once."""
    width = int(portion.inputs.shape[-1]) if is_row else 1
    found = Range(
        np.full(width, np.inf), np.full(width, -np.inf),
        np.zeros(width, np.int64), np.zeros(width, np.int64), 0, [], 0,
    )  # fmt: skip
    for rows, inputs in portion.pieces():
        values = _columns(inputs, is_row)
        axis = 0 if is_row else None
        finite = np.isfinite(values) if values.dtype.kind == "f" else None
        if finite is None or finite.all():
            low, high = values.min(axis=axis), values.max(axis=axis)
            least, most = values.min(axis=1), values.max(axis=1)
        else:
            found.missing += np.isnan(values).sum(axis=axis)
            found.infinite += np.isinf(values).sum(axis=axis)
            lows, highs = np.where(finite, values, np.inf), np.where(finite, values, -np.inf)
            low, high = lows.min(axis=axis), highs.max(axis=axis)
            least, most = lows.min(axis=1), highs.max(axis=1)
        found.low, found.high = np.minimum(found.low, low), np.maximum(found.high, high)
        is_constant = least >= most
        found.constant_count += int(is_constant.sum())
        room = MAX_PLACES - len(found.constant_rows)
        found.constant_rows += rows[np.flatnonzero(is_constant)[:room]].tolist()
        found.count += values.size // width
    return found


def values(checked: Checked, found: Mapping[Name, Range]) -> Iterator[Fault]:
    """Numbers that no network can learn from, and such as training has nothing like."""
    is_row = checked.description.kind == "row"
    train = found[checked.train.name]
    for portion in checked.own:
        its = found[portion.name]
        for column in np.flatnonzero(its.infinite).tolist():
            what = many(int(its.infinite[column]), "number")
            yield _fault(checked, portion, column, is_row, f"{what} infinite")
        if not _may_miss(checked):
            for column in np.flatnonzero(its.missing).tolist():
                what = many(int(its.missing[column]), "number")
                yield _fault(checked, portion, column, is_row, f"{what} missing (NaN)")
        for column in np.flatnonzero(its.missing > MOST_MISSING * its.count).tolist():
            share = its.missing[column] / its.count
            yield _fault(checked, portion, column, is_row, f"{share:.0%} of the numbers missing")
    for portion in checked.judged if checked.description.kind != "text" else ():
        its, width = found[portion.name], train.high - train.low
        far = (its.high > train.high + FAR * width) | (its.low < train.low - FAR * width)
        for column in np.flatnonzero(far & (width > 0)).tolist():
            span = f"{train.low[column]:.4g} to {train.high[column]:.4g}"
            extreme = its.high if its.high[column] > train.high[column] + width[column] else its.low
            what = f"values as far out as {extreme[column]:.4g}, where training has {span}"
            yield _fault(checked, portion, column, is_row, what)


def _may_miss(checked: Checked) -> bool:
    scaling = checked.description.scaling
    return scaling is not None and scaling.fill is not None


def _fault(checked: Checked, portion: Portion, column: int, is_row: bool, what: str) -> Fault:
    where = f"{checked.column(column)} of {called(portion)}" if is_row else called(portion)
    return Fault(sentence=sentence(f"{where}: {what}"))


def constant(checked: Checked, found: Mapping[Name, Range]) -> Iterator[Fault]:
    """Inputs of which every number is the same, and columns that never vary in training."""
    for portion in checked.own:
        its = found[portion.name]
        if its.constant_count:
            what = many(its.constant_count, f"blank {checked.noun}")
            first = f"row {its.constant_rows[0]:,}"
            text = f"{what} in {called(portion)}: every number is the same, first in {first}"
            places = [[Place(portion=portion.name, row=row)] for row in its.constant_rows]
            yield Fault(sentence=sentence(text), places=places)
    if checked.description.kind == "row" and checked.train in checked.own:
        its = found[checked.train.name]
        for column in np.flatnonzero(its.low == its.high).tolist():
            text = f"{checked.column(column)} never varies in training: {its.low[column]:.4g}"
            yield Fault(sentence=sentence(text))
