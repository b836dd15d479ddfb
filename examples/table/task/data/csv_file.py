"""A CSV file, piece by piece and as text: every value is either what stands there or missing."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from lab.base.errors import DataError, shortened

CELLS_AT_ONCE = 1_000_000  # of the file; as text they take about 100 MB
ENCODING = "utf-8-sig"  # UTF-8, with the mark that spreadsheets put before it or without


def header(path: Path, separator: str) -> list[str]:
    """The names of the columns.

    Raises:
        DataError: there is no such file, or its first line does not name columns.
    """
    if not path.exists():
        raise _wrong(
            path, "the file must be there", "no such file", "put it there, or correct file"
        )
    if not path.is_file():
        raise _wrong(path, "must be a plain file", "something else", "put a CSV file there")
    with _reading(path):
        first = pd.read_csv(
            path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False,
            skipinitialspace=True, encoding=ENCODING, compression=None,
        )  # fmt: skip
    names = [str(name) for name in first.iloc[0]]
    if len(names) == 1:
        other = next((sign for sign in ";\t|,:" if sign in names[0]), None)
        remedy = f"set dataset.separator to {other!r}" if other else "correct dataset.separator"
        got = f"one, {shortened(repr(names[0]), 80)}"
        raise _wrong(path, f"must have columns that {separator!r} separates", got, remedy)
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise _wrong(path, "every column must have a name", f"none for column {position}")
        if names.count(name) > 1:
            raise _wrong(path, "names of columns must differ", f"{name!r} twice")
    return names


def chunks(path: Path, separator: str, names: list[str]) -> Iterator[pd.DataFrame]:
    """The rows as text, NaN where a value is missing; the index counts them from 0.

    What counts as missing is what pandas takes for it: nothing, NA, N/A, NaN, null and the like.
    Memory holds one chunk at a time, however large the file is.

    Raises:
        DataError: the file is no table in UTF-8.
    """
    with _reading(path):
        yield from pd.read_csv(
            path, sep=separator, header=0, names=names, index_col=False, dtype=str,
            skipinitialspace=True, encoding=ENCODING, compression=None,
            chunksize=max(1, CELLS_AT_ONCE // len(names)),
        )  # fmt: skip


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():  # else rows that are too long would be cut
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except UnicodeDecodeError as error:
        got = f"the byte 0x{error.object[error.start]:02x}"
        raise _wrong(path, "must be text in UTF-8", got, "save it as UTF-8") from None
    except pd.errors.EmptyDataError:
        raise _wrong(path, "must have a line of names and rows", "an empty file") from None
    except pd.errors.ParserWarning:
        got = "rows with more"
        raise _wrong(path, "every row must have as many values as there are names", got) from None
    except pd.errors.ParserError as error:
        said = shortened(str(error).removeprefix("Error tokenizing data. C error: "), 120)
        raise _wrong(path, "must be a table", said) from None


def _wrong(path: Path, rule: str, got: str, remedy: str = "correct the file") -> DataError:
    return DataError(f"{path}: {rule}; got {got}; {remedy}")
