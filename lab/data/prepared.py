"""The prepared splits on disk: memory-mapped arrays, whole or absent."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base import files
from lab.base.errors import DataError, shortened
from lab.data.splits import REPREPARE, SPLITS, Prepared, Split, require_images, require_labels

PREPARED = Path("data/prepared")


def save_prepared(prepared: Prepared, folder: Path) -> None:
    """Writes the six arrays: `{train,validation,test}_{images,labels}.npy`.

    They are all written before the first is renamed, so a full disk cannot leave a new training
    set beside an old validation set, which may overlap.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    parts: dict[str, Split] = {name: getattr(prepared, name) for name in SPLITS}
    arrays = {
        **{f"{name}_images.npy": part.images for name, part in parts.items()},
        **{f"{name}_labels.npy": part.labels for name, part in parts.items()},
    }
    paths = [folder / name for name in arrays]
    with files.naming(folder), files.replacing_all(paths) as temporaries:
        for temporary, array in zip(temporaries, arrays.values(), strict=True):
            _write_npy(temporary, array)


def _write_npy(path: Path, array: NDArray[np.uint8]) -> None:
    array = np.ascontiguousarray(array)
    header = np.lib.format.header_data_from_array_1_0(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)  # np.save's own write says of a full disk only how many bytes went


def load_prepared(folder: Path) -> Prepared:
    """Memory-maps the prepared arrays; the images are not read here.

    The maps are copy-on-write: PyTorch needs writable memory, and the files stay as they are.

    Raises:
        DataError: A file is missing, damaged, or of the wrong shape or type.
    """
    return Prepared(*(_load_split(folder, name) for name in SPLITS))


def _load_split(folder: Path, name: str) -> Split:
    images_path = folder / f"{name}_images.npy"
    labels_path = folder / f"{name}_labels.npy"
    images, labels = load_array(images_path), load_array(labels_path)
    require_images(str(images_path), images)
    require_labels(str(labels_path), labels, len(images))
    return Split(images, labels)


def load_array(path: Path) -> NDArray[Any]:
    """Memory-maps one `.npy` file, whatever its shape and type.

    Raises:
        DataError: It is missing or damaged.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; {REPREPARE}")
    try:
        array = np.lib.format.open_memmap(path, mode="c")
    except OSError:
        raise
    except Exception as error:
        # NumPy evaluates the header as Python text, and hostile ones raise nearly anything.
        reason = shortened(str(error) or type(error).__name__)
        raise DataError(f"{path}: not a whole .npy file ({reason}); {REPREPARE}") from None
    expected = array.offset + array.nbytes
    if path.stat().st_size != expected:
        raise DataError(
            f"{path}: shape {array.shape} needs {expected:,} bytes; "
            f"got {path.stat().st_size:,}; {REPREPARE}"
        )
    return array
