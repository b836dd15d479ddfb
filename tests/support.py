"""What several test files use: IDX files, and folders as they are."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def head(path: Path, dimensions: int, count: int) -> bytes:
    """The first images or labels of a real file, as an IDX file of its own."""
    header, item = 4 + 4 * dimensions, 784 if dimensions == 3 else 1
    with path.open("rb") as file:
        content = file.read(header + count * item)
    shape = (count, 28, 28) if dimensions == 3 else (count,)
    return idx_bytes(np.frombuffer(content, np.uint8, offset=header).reshape(shape))


def is_one_line(message: str) -> bool:
    return bool(message) and "\n" not in message and "Traceback" not in message


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
