"""`predictions.npz`: what every seed of a model says of every test example."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lab.base.errors import DataError, shortened
from lab.base.files import read_bytes, replacing
from lab.results.storage import remake

MAX_PREDICTIONS_BYTES = 2**29  # packed and unpacked; a thousand seeds have 50 MB

Classes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class Predictions(NamedTuple):
    """Test predictions: seeds [S], predicted class [S, N], its probability [S, N] float32."""

    seeds: npt.NDArray[np.int64]
    predictions: Classes
    confidence: npt.NDArray[np.float32]

    def of_seed(self, seed: int) -> Classes:
        """The predicted classes [N] of one seed."""
        row: Classes = self.predictions[self.seeds.tolist().index(seed)]
        return row


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Writes `predictions.npz`; same predictions, same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **predictions._asdict())


def read_predictions(path: Path, classes: int) -> Predictions:
    """Reads `predictions.npz` of so many classes without running any code it might hold.

    Raises:
        DataError: the file is missing, damaged or of another shape.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; run `dvc repro`")
    content = read_bytes(path, MAX_PREDICTIONS_BYTES)
    try:
        found = _unpacked(content)
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file numpy and zipfile raise nearly anything
        raise DataError(f"{path}: damaged ({shortened(str(error))}); {remake(path)}") from None
    shapes = [array.shape for array in found]
    images = found.predictions.shape
    if len(images) != 2 or not found.predictions.size or shapes != [images[:1], images, images]:
        raise DataError(
            f"{path}: must be [seeds], [seeds, examples] and the same; got {shapes}; {remake(path)}"
        )
    kinds = [array.dtype.str[1:] for array in found]
    if kinds not in (["i8", "u1", "f4"], ["i8", "u2", "f4"]):
        raise DataError(
            f"{path}: must be int64, uint8 or uint16, and float32; got {kinds}; {remake(path)}"
        )
    if found.predictions.max() >= classes:
        raise DataError(
            f"{path}: classes must be 0 to {classes - 1}; got {found.predictions.max()}; "
            f"{remake(path)}"
        )
    return found


def _unpacked(content: bytes) -> Predictions:
    file = io.BytesIO(content)  # numpy leaves one on disk open when it turns out not to be a zip
    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_PREDICTIONS_BYTES:
        raise ValueError(f"it unpacks to {size:,} bytes")
    with np.load(file, allow_pickle=False) as arrays:
        return Predictions(*(np.asarray(arrays[name]) for name in Predictions._fields))
