"""IDX files for tests."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SMALL_TRAIN, SMALL_TEST = 300, 100  # images of the small data set


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def head(path: Path, dimensions: int, count: int) -> bytes:
    """The first images or labels of a real file, as an IDX file of its own."""
    header, item = 4 + 4 * dimensions, 784 if dimensions == 3 else 1
    with path.open("rb") as file:
        content = file.read(header + count * item)
    shape = (count, 28, 28) if dimensions == 3 else (count,)
    return idx_bytes(np.frombuffer(content, np.uint8, offset=header).reshape(shape))
