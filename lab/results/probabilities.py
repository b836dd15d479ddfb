"""`{validation,test}_probabilities.npy`: what scores of a trained model are computed from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lab.base.errors import DataError, shortened
from lab.base.files import replacing_all
from lab.results.storage import TRAINED, remake

Probabilities = npt.NDArray[np.float32]

TOLERANCE = 1e-4  # of a probability: float32 sums in another order differ by 1e-6 or so


def path_of(model: str, split: str) -> Path:
    """Where a model's probabilities of a split lie."""
    return TRAINED / model / f"{split}_probabilities.npy"


def write(model: str, splits: dict[str, Probabilities]) -> None:
    """Writes a model's probabilities float32 [S, N, C] of some splits, both files or none."""
    paths = [path_of(model, split) for split in splits]
    with replacing_all(paths) as temporaries:
        for temporary, probabilities_SNC in zip(temporaries, splits.values(), strict=True):
            _write_npy(temporary, probabilities_SNC)


def _write_npy(path: Path, array_SNC: Probabilities) -> None:
    """Seed by seed, so that no second copy of all is made, whatever order the array is in."""
    header = {"descr": "<f4", "fortran_order": False, "shape": array_SNC.shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for array_NC in array_SNC:
            # np.save's own write says of a full disk only how many bytes went
            file.write(np.ascontiguousarray(array_NC, dtype="<f4").data)


def read(path: Path, seeds: Sequence[int], examples: int) -> Probabilities:
    """Memory-maps a file of probabilities [S, N, C], read-only.

    Raises:
        DataError: it is missing, damaged, of other seeds or examples, or holds no probabilities.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; {remake(path)}")
    try:
        found = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # of a damaged header numpy raises nearly anything
        raise DataError(f"{path}: damaged ({shortened(str(error))}); {remake(path)}") from None
    if path.stat().st_size != found.offset + found.nbytes:
        raise DataError(f"{path}: damaged (bytes after its end); {remake(path)}")
    _check(path, found, seeds, examples)
    return found


def _check(path: Path, found: Probabilities, seeds: Sequence[int], examples: int) -> None:
    shape = found.shape
    if (
        found.dtype != np.float32
        or len(shape) != 3
        or shape[:2] != (len(seeds), examples)
        or not found.size
    ):
        raise DataError(
            f"{path}: must be float32 [{len(seeds)} seeds, {examples} examples, classes]; "
            f"got {found.dtype} {list(shape)}; {remake(path)}"
        )
    for seed, probabilities_NC in zip(seeds, found, strict=True):
        low, high = (float(end) for end in (probabilities_NC.min(), probabilities_NC.max()))
        if not 0 <= low <= high <= 1:  # also where one is NaN
            raise DataError(
                f"{path}: seed {seed}: probabilities must be from 0 to 1; "
                f"got {low:g} to {high:g}; {remake(path)}"
            )
