"""The prepared splits on disk: memory-mapped arrays, whole or absent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lab.base import files
from lab.base.errors import DataError, shortened
from lab.data.description import DESCRIPTION, Description, checksum, read_description
from lab.data.scaling import rows_at_once
from lab.data.splits import REPREPARE, SPLITS, Part, Split, label_dtype, require_labels

PREPARED = Path("data/prepared")
REMAKE = "run `dvc repro --force prepare`"
TEXTS = {split: f"{split}_texts.json" for split in SPLITS}  # what a reader sees of texts
GROUPS = "test_groups.npy"  # where examples come in groups: a number for the one of each
MAX_TEXTS_BYTES = 2**28


@dataclass(frozen=True)
class Prepared:
    """The three splits, and what they are; `test` chooses nothing.

    `test_groups` [N] numbers the groups of the test examples, where these come in groups.
    """

    train: Split
    validation: Split
    test: Split
    description: Description
    test_groups: NDArray[np.int64] | None = None


def save_prepared(parts: Mapping[str, Part], classes: int, folder: Path) -> None:
    """Writes `{train,validation,test}_{inputs,labels}.npy`, all texts, groups of the test split.

    They are all written before the first is renamed, so a full disk cannot leave a new training
    set beside an old validation set, which may overlap.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    dtype = label_dtype(classes)
    arrays = [(parts[name], what) for what in ("inputs", "labels") for name in SPLITS]
    names = [f"{name}_{what}.npy" for what in ("inputs", "labels") for name in SPLITS]
    test = parts["test"]
    groups = test.examples.groups
    texts = {TEXTS[split]: part for split, part in parts.items() if part.examples.texts is not None}
    kept = [*texts, *([GROUPS] if groups is not None else [])]
    paths = [folder / name for name in (*names, *kept)]
    with files.naming(folder), files.replacing_all(paths) as temporaries:
        for temporary, (part, what) in zip(temporaries, arrays, strict=False):
            array = getattr(part.examples, what)
            _write_npy(temporary, array, part.rows, dtype if what == "labels" else array.dtype)
        for temporary, part in zip(temporaries[len(names) :], texts.values(), strict=False):
            every: Sequence[str] = part.examples.texts or ()
            shown = [str(every[row]) for row in part.rows]
            temporary.write_text(json.dumps(shown), encoding="utf-8")
        if groups is not None:
            _, numbers_N = np.unique([groups[row] for row in test.rows], return_inverse=True)
            _write_npy(temporaries[-1], numbers_N, np.arange(len(numbers_N)), np.int64)
    for name in {*TEXTS.values(), GROUPS}.difference(kept):
        (folder / name).unlink(missing_ok=True)


def _write_npy(path: Path, array: NDArray[Any], rows: NDArray[np.intp], dtype: DTypeLike) -> None:
    """Some rows of an array that may be larger than memory."""
    shape = (len(rows), *array.shape[1:])
    header = np.lib.format.header_data_from_array_1_0(np.empty((0, *shape[1:]), dtype))
    step = rows_at_once(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
        for start in range(0, len(rows), step):
            piece = np.ascontiguousarray(array[rows[start : start + step]], dtype=dtype)
            file.write(piece.data)  # np.save's own write says of a full disk only how much went


def load_prepared(root: Path = Path()) -> Prepared:
    """Memory-maps the prepared arrays of a project; the inputs are not read here.

    The maps are copy-on-write: PyTorch needs writable memory, and the files stay as they are.

    Raises:
        DataError: A file is missing, damaged, or not of the shape or type that is described.
    """
    described = read_description(root / DESCRIPTION)
    folder = root / PREPARED
    train, validation, test = (_load_split(folder, name, described) for name in SPLITS)
    return Prepared(train, validation, test, described, _load_groups(folder, len(test.labels)))


def _load_groups(folder: Path, count: int) -> NDArray[np.int64] | None:
    path = folder / GROUPS
    if not path.exists():
        return None
    groups = load_array(path)
    if groups.dtype != np.int64 or groups.shape != (count,):
        got = f"{groups.dtype} {list(groups.shape)}"
        raise DataError(f"{path}: must be int64 [{count}]; got {got}; {REPREPARE}")
    return groups


def _load_split(folder: Path, name: str, described: Description) -> Split:
    inputs_path = folder / f"{name}_inputs.npy"
    labels_path = folder / f"{name}_labels.npy"
    inputs, labels = load_array(inputs_path), load_array(labels_path)
    wanted = [getattr(described, name).examples, *described.shape]
    if inputs.dtype.name != described.dtype or list(inputs.shape) != wanted:
        raise DataError(
            f"{inputs_path}: must be {described.dtype} {wanted}, as {DESCRIPTION} has it; "
            f"got {inputs.dtype} {list(inputs.shape)}; {REPREPARE}"
        )
    require_labels(str(labels_path), labels, len(inputs), len(described.class_names))
    return Split(inputs, labels)


def load_texts(folder: Path, count: int, split: str = "test") -> list[str]:
    """What a reader sees of the texts of a split.

    Raises:
        DataError: The file is missing or damaged, or has another number of texts.
    """
    path = folder / TEXTS[split]
    try:
        texts = json.loads(files.read_bytes(path, MAX_TEXTS_BYTES))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {REPREPARE}") from None
    except ValueError:
        texts = None
    if not isinstance(texts, list) or len(texts) != count:
        raise DataError(f"{path}: must be a list of {count:,} texts; {REPREPARE}")
    return [str(text) for text in texts]


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


def verify(prepared: Prepared) -> None:
    """Compares the examples with their checksums, at more than a gigabyte a second.

    DVC takes a file for unchanged while its time and size are, which a decaying disk leaves alone.

    Raises:
        DataError: Some input or label is not what `prepare.py` wrote.
    """
    for name in SPLITS:
        expected: str = getattr(prepared.description, name).sha256
        part = getattr(prepared, name)
        got = checksum(part.inputs, None, part.labels)
        if got != expected:
            raise DataError(
                f"{PREPARED}/{name}_*.npy: SHA-256 must be {expected[:12]}... ({DESCRIPTION}); "
                f"got {got[:12]}...; {REMAKE}"
            )
