"""What somebody sends, by its content type, as examples in stored form.

What is asked of a body first is what bounds the work that reading it takes: its bytes (which the
service counts), then how many examples it can hold, then the rest.
"""

import csv
import math
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from lab.base.errors import shortened
from lab.data.tokens import token_ids
from lab.results.served_model import stored
from lab.serving.pictures import FORMATS, PictureError, decoded, framed

Description = Mapping[str, Any]

RAW, JSON, CSV, TEXT = "application/octet-stream", "application/json", "text/csv", "text/plain"
PICTURES = tuple(f"image/{name.lower()}" for name in FORMATS)
LABEL = "label"  # a column that a file of training data may have, too


class BodyError(ValueError):
    """A body that is not read: the status of the answer, and one sentence that says why."""

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status


def examples(
    content_type: str, body: bytes, description: Description, most: int = 2**31
) -> NDArray[Any]:
    """The examples [N, ...] of a body, N from 1 to `most`.

    Args:
        content_type: says how the body is to be read.
        body: all of it.
        description: what the network says of its inputs.
        most: examples.

    Raises:
        BodyError: it is of no kind that is read, damaged, too large, or not as the data store
            examples.
    """
    kind = content_type.partition(";")[0].strip().lower()
    readers = readers_of(description)
    if kind not in readers:
        listed, got = ", ".join(readers), shortened(kind, 60) or "none"
        raise BodyError(f"content-type must be one of {listed}; got {got}; set it", 415)
    try:
        found = stored(description, readers[kind](body, description, most))
    except BodyError:
        raise
    except ValueError as error:
        raise BodyError(str(error)) from None
    if not len(found):
        raise BodyError("body must hold at least one input; got none; send one")
    _require_few(len(found), most)
    return found


Reader = Callable[[bytes, Description, int], NDArray[Any]]


def readers_of(description: Description) -> dict[str, Reader]:
    """How bodies for this network are read, by content type; the first is the usual one."""
    readers: dict[str, Reader] = {JSON: _json, RAW: _raw}
    if description["kind"].endswith("image"):
        readers |= dict.fromkeys(PICTURES, _picture)
    if description["kind"] == "row":
        readers[CSV] = _csv
    if description.get("tokeniser"):
        readers[TEXT] = _text
    return readers


def _require_few(count: int, most: int) -> None:
    if count > most:
        raise BodyError(
            f"body must hold at most {most:,} inputs; got {count:,}; send them in parts", 413
        )


def _raw(body: bytes, description: Description, most: int) -> NDArray[Any]:
    dtype = np.dtype(description["dtype"]).newbyteorder("<")
    shape = description["shape"]
    size = math.prod(shape) * dtype.itemsize
    if not body or len(body) % size:
        raise ValueError(
            f"body must be {size:,} bytes an input ({dtype.name} {shape}); got {len(body):,}; "
            "send whole inputs one after the other"
        )
    _require_few(len(body) // size, most)
    return np.frombuffer(body, dtype).reshape(-1, *shape)


def _json(body: bytes, description: Description, most: int) -> NDArray[Any]:
    # Counted before, because an empty list takes 56 bytes of memory for 2 that are sent.
    numbers, lists = math.prod(description["shape"]), sum(_lists(description["shape"]))
    may_be_many = len(body) > most * min(numbers, lists)  # so that a small one need not be counted
    if may_be_many and (body.count(b"[") > 1 + most * lists or body.count(b",") >= most * numbers):
        raise BodyError(
            f"body must hold at most {most:,} inputs; got more; send them in parts", 413
        )
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        reason = shortened(str(error), 80)
        raise ValueError(f"body must be JSON; got {reason}; correct it") from None
    if not isinstance(found, dict) or {*found} != {"inputs"}:
        got = shortened(", ".join(map(str, found)), 60) if isinstance(found, dict) else "no object"
        raise ValueError(f'body must be {{"inputs": [...]}}; got {got or "none"}; send inputs')
    array = None
    # NumPy would make numbers of texts and truth values that stand among numbers.
    if body.count(b'"') == 2 and b"true" not in body and b"false" not in body:
        try:
            if description["dtype"] == "uint8":
                array = _bytes(found["inputs"], description["shape"])
            array = np.array(found["inputs"]) if array is None else array
            if array.dtype == object and description["dtype"] == "float32":
                array = array.astype(np.float32)  # null is a missing number
        except (ValueError, TypeError, OverflowError):
            array = None
    if array is None or array.dtype.kind not in "iuf":
        raise ValueError("inputs must be lists of numbers, each of one length; got others")
    return array


def _bytes(inputs: Any, shape: list[int]) -> NDArray[np.uint8] | None:
    """Lists of numbers from 0 to 255, in a third of NumPy's time; None if they are something else.

    >>> _bytes([[[0, 255]]], [1, 2])
    array([[[  0, 255]]], dtype=uint8)
    >>> _bytes([[[0, 256]]], [1, 2]), _bytes([[0, 255]], [1, 2]), _bytes([[[0.5, 1]]], [1, 2])
    (None, None, None)
    """
    rows = [inputs]
    for size in (len(inputs) if isinstance(inputs, list) else 0, *shape[:-1]):
        if not size or any(type(row) is not list or len(row) != size for row in rows):
            return None
        rows = list(chain.from_iterable(rows))
    if any(type(row) is not list or len(row) != shape[-1] for row in rows):
        return None  # of a number Python would make so many zeros
    try:
        return np.frombuffer(b"".join(map(bytes, rows)), np.uint8).reshape(-1, *shape)
    except (TypeError, ValueError):
        return None


def _lists(shape: list[int]) -> list[int]:
    """How many lists there are in each other, a level each: of [3, 2, 2] one, three, six."""
    return [math.prod(shape[:depth]) for depth in range(len(shape))]


def _csv(body: bytes, description: Description, most: int) -> NDArray[Any]:
    _require_few(body.count(b"\n") - 1, most)  # a header, and a last line that ends
    try:
        lines = [
            (number, cells)
            for number, cells in enumerate(csv.reader(body.decode("utf-8-sig").splitlines()), 1)
            if cells
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        reason = shortened(str(error), 60)
        raise ValueError(f"body must be CSV in UTF-8; got {reason}; correct it") from None
    width = description["shape"][0]
    columns = list(description.get("columns") or map(str, range(1, width + 1)))
    header = columns
    if lines and not all(_is_number(cell) for cell in lines[0][1]):
        header = [name.strip() for name in lines.pop(0)[1]]
    cells = _cells(header, columns)
    values = []
    for number, row in lines:
        if len(row) != len(header):
            raise ValueError(
                f"line {number} must have {len(header)} cells; got {len(row)}; correct it"
            )
        values.append([_number(number, header[at], row[at], is_it) for at, is_it in cells])
    array = np.array(values, np.float64).reshape(-1, width)
    if description["dtype"] != "float32" and (array == np.floor(array)).all():
        return array.astype(np.int64)  # else `stored` says what is wrong
    return array


def _cells(header: list[str], columns: list[str]) -> list[tuple[int, str | None]]:
    """Of each column where it stands; `size: small` may be the `small` in a column `size`."""
    found: list[tuple[int, str | None]] = []
    used = {LABEL}
    for column in columns:
        name, _, category = column.partition(": ")
        is_one = bool(category) and column not in header
        named = name if is_one else column
        if header.count(named) != 1:
            got = "more" if named in header else "none"
            raise ValueError(
                f"the header must have {shortened(named, 60)} once; got {got}; name it"
            )
        found.append((header.index(named), category if is_one else None))
        used.add(named)
    if unknown := [name for name in header if name not in used]:
        got = shortened(repr(unknown[0]), 60)
        raise ValueError(f"the header must name columns of the data; got {got}; take it out")
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip() or "nan")
    except ValueError:
        return False
    return True


def _number(line: int, column: str, cell: str, category: str | None) -> float:
    """A cell; an empty one is missing."""
    if category is not None:
        return float(cell.strip() == category)
    try:
        return float(cell.strip() or "nan")
    except ValueError:
        got = shortened(repr(cell), 60)
        raise ValueError(f"line {line}: {column} must be a number; got {got}; correct it") from None


def _text(body: bytes, description: Description, most: int) -> NDArray[Any]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"body must be UTF-8; got {error.reason}; encode it so") from None
    if not text.strip():
        raise ValueError("body must be a text; got none; write one")
    return token_ids([text], description["tokeniser"], description["shape"][0])


def _picture(body: bytes, description: Description, most: int) -> NDArray[Any]:
    try:
        image = framed(decoded(body), description["shape"], description.get("framing", "fit"))
    except PictureError as error:
        raise ValueError(str(error)) from None
    return image[None].astype(description["dtype"])
