"""Files of labelled sentences -> texts and labels; what is wrong with a file is one line."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.base import files
from lab.base.errors import DataError, shortened

MAX_FILE_BYTES = 2**28  # CoLA's largest file has half a megabyte, Banking77's less than one
COLUMNS = 4  # source, label, annotation, sentence
HEADER = ["text", "category"]


@dataclass(frozen=True)
class Sentences:
    """Texts, and the name of each one's class."""

    texts: list[str]
    classes: list[str]


def read_cola(path: Path) -> Sentences:
    """One file of CoLA: four columns between tabs, no header, the label 0 or 1.

    A quotation mark is a character like any other: many have no partner.

    Raises:
        DataError: it is not in that format; with the line.
    """
    texts, classes = [], []
    # Ends of lines are \\n, \\r\\n and \\r, and nothing else that Unicode knows.
    for number, line in enumerate(io.StringIO(_text(path), newline=None), start=1):
        columns = line.removesuffix("\n").split("\t")
        if len(columns) != COLUMNS:
            rule = f"must have {COLUMNS} columns between tabs: source, label, annotation, sentence"
            raise _wrong(path, number, rule, f"{len(columns)} in {line!r}")
        _, label, _, sentence = columns
        if label not in ("0", "1"):
            raise _wrong(path, number, "the label must be 0 or 1", repr(label))
        texts.append(_sentence(path, number, sentence))
        classes.append(label)
    return _some(path, Sentences(texts, classes))


def read_csv(path: Path) -> Sentences:
    """A file as Banking77 has it: `text,category`, quoted where commas or ends of lines need it.

    Raises:
        DataError: it is not in that format; with the line.
    """
    texts, classes = [], []
    for number, row in _rows(path):
        if number == 1:
            if row != HEADER:
                raise _wrong(path, number, f"must be the header {','.join(HEADER)}", repr(row))
        elif len(row) != len(HEADER):
            raise _wrong(path, number, f"must have {len(HEADER)} columns", f"{len(row)} in {row!r}")
        else:
            texts.append(_sentence(path, number, row[0]))
            classes.append(_category(path, number, row[1]))
    return _some(path, Sentences(texts, classes))


def require(folder: Path, names: Sequence[str], source: str) -> None:
    """Checks that the files are there.

    Raises:
        DataError: with those that are not, and where they can be had.
    """
    lacking = [name for name in names if not (folder / name).is_file()]
    if lacking:
        raise DataError(f"{folder}: must hold {', '.join(lacking)}; got no such file; {source}")


def _text(path: Path) -> str:
    try:
        content = files.read_bytes(path, MAX_FILE_BYTES)
        return content.decode("utf-8-sig")  # spreadsheets put a mark before UTF-8
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        got = f"the byte 0x{error.object[error.start]:02x}"
        raise _wrong(path, number, "must be UTF-8", got, "save it as UTF-8") from None


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, and the line each begins in."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    number = 1
    try:
        for row in reader:
            if row:
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        raise _wrong(path, number, "must be CSV with quotes in pairs", error) from None


def _sentence(path: Path, number: int, text: str) -> str:
    """On one line: what separates words makes no difference to a tokeniser."""
    words = text.split()
    if not words:
        raise _wrong(path, number, "must have a sentence", repr(text))
    return " ".join(words)


def _category(path: Path, number: int, text: str) -> str:
    if not text.strip():
        raise _wrong(path, number, "must have a category", repr(text))
    return text.strip()


def _some(path: Path, found: Sentences) -> Sentences:
    if not found.texts:
        raise DataError(f"{path}: must hold sentences; got none; put the whole file there")
    return found


def _wrong(
    path: Path, number: int, rule: str, got: object, remedy: str = "correct the line"
) -> DataError:
    return DataError(f"{path}: line {number}: {rule}; got {shortened(str(got), 100)}; {remedy}")
