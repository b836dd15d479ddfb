"""Image files in a folder for each class, torchvision's `ImageFolder` layout -> a data set."""

import os
import re
import tempfile
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.base.errors import DataError, ParamsError, shortened
from lab.base.files import naming
from lab.data.examples import Dataset, Examples
from task.data.decoding import SUFFIXES, Form, ImageFileError, decoded

TRAIN, TEST = "train", "test"
THREADS = 4  # at once at most, because each takes up to 1.1 GB, for the largest image there may be
CHUNK = 256  # images handed to the threads at a time
PROGRESS_SECONDS = 10.0
REMEDY = "correct or remove it"

Say = Callable[[str], None]


@dataclass(frozen=True)
class ImageFile:
    """One example: where it lies, what it is, what names it."""

    path: Path
    label: int
    id: str
    group: str | None


def images_by_folder(raw: Path, say: Say, form: Form, group: str | None) -> Dataset:
    """A data set of all images under a folder; see `task.data.folder`.

    Raises:
        ParamsError: `group` is no regular expression, or finds nothing in the name of a file.
        DataError: the folders or a file break a rule.
    """
    train_root, test_root = _roots(raw)
    classes = _folders(train_root)
    if not classes:
        raise DataError(
            f"{train_root}: must hold a folder of images for each class; got none; "
            f"put them there as {train_root}/CLASS/*.png"
        )
    found = [_files(root, classes, group, say) for root in (train_root, test_root) if root]
    train, *test = (_examples(files, form, raw, say) for files in found)
    return Dataset(
        train=train,
        test=test[0] if test else None,
        class_names=classes,
        kind="grey image" if form.grey else "colour image",
        scaling="standardise",
    )


def _roots(raw: Path) -> tuple[Path, Path | None]:
    """Where the classes of the official splits are, or of all there is."""
    there = _folders(raw)
    if TRAIN not in there:
        return raw, None
    for other in sorted({*there} - {TRAIN, TEST}):
        raise DataError(
            f"{raw / other}: beside {TRAIN} only {TEST} may stand; got {other}; move its classes "
            f"into {TRAIN} (validation is chosen from it) or remove it"
        )
    return raw / TRAIN, raw / TEST if TEST in there else None


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in _visible(root) if path.is_dir())


def _visible(root: Path) -> Iterator[Path]:
    return (path for path in root.iterdir() if not path.name.startswith("."))


def _files(root: Path, classes: list[str], group: str | None, say: Say) -> list[ImageFile]:
    """All image files of the classes, in the order of their ids.

    Raises:
        DataError: a class has none, a file lies in none, or a name cannot be used.
    """
    for path in sorted(_visible(root)):
        if path.is_dir() and path.name not in classes:
            raise DataError(f"{path}: must be a class of {TRAIN} too; got no such class; {REMEDY}")
        if not path.is_dir() and path.suffix.lower() in SUFFIXES:
            raise DataError(
                f"{path}: must lie in the folder of a class; got none; move it to {root}/CLASS"
            )
    images: list[ImageFile] = []
    others: list[Path] = []
    for label, name in enumerate(classes):
        if not (root / name).is_dir():  # a class that is not tested
            continue
        paths = sorted(path for path in (root / name).rglob("*") if not path.is_dir())
        paths = [path for path in paths if not path.name.startswith(".")]
        here = [path for path in paths if path.suffix.lower() in SUFFIXES]
        if not here:
            raise DataError(
                f"{root / name}: must hold images ({', '.join(SUFFIXES)}); got none among "
                f"{len(paths)} files; put some there or remove the folder"
            )
        others += [path for path in paths if path not in set(here)]
        images += [_image_file(path, root, label, group) for path in here]
    if others:
        say(
            f"{root}: {len(others):,} files that are no images by their names were passed over, "
            f"such as {shortened(str(others[0].relative_to(root)), 100)}"
        )
    return sorted(images, key=lambda image: image.id)


def _image_file(path: Path, root: Path, label: int, group: str | None) -> ImageFile:
    # macOS takes accents apart in names; the split shall not depend on it.
    name = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
    if not name.isprintable():
        raise DataError(
            f"{root}: names of files must be printable; got {shortened(repr(name))}; rename it"
        )
    if not path.is_file():
        raise DataError(f"{path}: must be a plain file; got something else; {REMEDY}")
    return ImageFile(path, label, name, None if group is None else _group(path, group))


def _group(path: Path, pattern: str) -> str:
    where = "params.yaml: dataset.group"
    try:
        match = re.search(pattern, unicodedata.normalize("NFC", path.name))
    except re.error as error:
        got = shortened(repr(pattern), 60)
        raise ParamsError(
            f"{where}: must be a regular expression; got {got} ({error}); correct it"
        ) from None
    if not match or not match[0]:
        raise ParamsError(
            f"{where}: must find something in the name of every file; got nothing in {path}; "
            "correct the expression, or rename the file"
        )
    return match[0]


def _examples(files: list[ImageFile], form: Form, raw: Path, say: Say) -> Examples:
    return Examples(
        inputs=_inputs(files, form, raw, say),
        labels=np.array([file.label for file in files]),
        ids=[file.id for file in files],
        groups=[file.group for file in files if file.group is not None] or None,
    )


def _inputs(files: Sequence[ImageFile], form: Form, raw: Path, say: Say) -> NDArray[np.uint8]:
    """All images, in a file without a name that goes when the process does.

    It lies beside the raw files, since a folder for temporary files may be memory itself. Images
    are written to it one after the other, so memory holds only those that are being decoded.

    Raises:
        DataError: some cannot be read; the first is named with its reason.
        OSError: the disk is full.
    """
    faults: list[str] = []
    told = time.monotonic()
    with tempfile.TemporaryFile(dir=raw.parent) as array, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on oddities that do no harm
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for number, pixels in enumerate(_decoded(files, form), start=1):
            if isinstance(pixels, str):
                faults.append(pixels)
            else:
                with naming(raw.parent):
                    array.write(pixels.tobytes())
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                say(f"{raw}: {number:,} of {len(files):,} images read")
        if faults:
            more = f" (and {len(faults) - 1:,} more that cannot be used)" if faults[1:] else ""
            raise DataError(f"{faults[0]}; {REMEDY}{more}")
        with naming(raw.parent):
            array.flush()
        return np.memmap(array, np.uint8, mode="r", shape=(len(files), *form.shape))


def _decoded(files: Sequence[ImageFile], form: Form) -> Iterator[NDArray[np.uint8] | str]:
    """Each image, or what is wrong with its file, in order."""

    def one(file: ImageFile) -> NDArray[np.uint8] | str:
        try:
            return decoded(file.path, form)
        except ImageFileError as error:
            return f"{file.path}: {error}"

    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), CHUNK):
            yield from pool.map(one, files[start : start + CHUNK])
