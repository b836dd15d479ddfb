"""IDX, the format of MNIST and its relatives: their four files, and the names of their classes."""

import math
import struct

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import DataError
from lab.data.examples import Examples

IMAGE_SIDE = 28  # pixels

# Class names as the data sets' own pages give them (KMNIST: the romanised hiragana).
CLASS_NAMES = {
    "MNIST": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "FashionMNIST": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "KMNIST": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
REMEDY = "remove the file, then run `dvc repro prepare`"


def read(files: dict[str, bytes]) -> tuple[Examples, Examples]:
    """The official training and test examples.

    Args:
        files: The bytes of the four files by name, as `sources.fetch` returns them.

    Raises:
        DataError: A file is not what its name says.
    """
    return _examples(files, TRAIN_IMAGES, TRAIN_LABELS), _examples(files, TEST_IMAGES, TEST_LABELS)


def _examples(files: dict[str, bytes], images_file: str, labels_file: str) -> Examples:
    images = parse_idx(files[images_file], images_file, dimensions=3)
    labels = parse_idx(files[labels_file], labels_file, dimensions=1)
    if images.shape[1:] != (IMAGE_SIDE, IMAGE_SIDE):
        raise DataError(
            f"{images_file}: images must be [N, {IMAGE_SIDE}, {IMAGE_SIDE}]; "
            f"got {list(images.shape)}; {REMEDY}"
        )
    return Examples(images, labels)


def parse_idx(content: bytes, where: str, dimensions: int) -> NDArray[np.uint8]:
    """Reads an IDX file of unsigned bytes.

    Args:
        content: The unpacked file.
        where: Names the file in errors.
        dimensions: 3 for images, 1 for labels.

    Returns:
        A read-only array that shares `content`'s memory.

    Raises:
        DataError: The magic number, a dimension or the length is wrong.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section
        "File formats". The magic number is 0x00000800 + the number of dimensions.

    >>> header = bytes([0, 0, 8, 1, 0, 0, 0, 2])
    >>> parse_idx(header + bytes([7, 9]), "labels", dimensions=1)
    array([7, 9], dtype=uint8)
    """
    header = struct.Struct(f">I{dimensions}I")
    if len(content) < header.size:
        raise DataError(f"{where}: no IDX header; got {len(content)} bytes; {REMEDY}")
    magic, *shape = header.unpack_from(content)
    if magic != 0x0800 + dimensions:
        raise DataError(
            f"{where}: the magic number must be 0x{0x0800 + dimensions:08x}; "
            f"got 0x{magic:08x}; {REMEDY}"
        )
    expected = header.size + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{where}: shape {tuple(shape)} needs {expected:,} bytes; "
            f"got {len(content):,}; {REMEDY}"
        )
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)
