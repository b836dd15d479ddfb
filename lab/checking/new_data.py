"""Data that are in no split yet, read from a folder; what of them cannot be read is a broken rule.

A folder has `inputs.npy` in the form in which the data are stored, with `labels.npy` and, of texts,
`texts.json` if there are any; or one subfolder a class with PNG and JPEG files; or `.csv` files
with the data set's columns and, if known, a column `label`; or what `serve.py` recorded. A task may
read its own: `read_new` in `task/data`. Nothing is resized, converted or filled in.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lab.base.errors import DataError, shortened
from lab.base.files import read_bytes, replacing_all
from lab.base.task_code import imported, running_task_code
from lab.checking.portions import Portion, named, sentence
from lab.data.description import Description
from lab.data.examples import Examples
from lab.data.prepared import MAX_TEXTS_BYTES, load_array
from lab.results.checks import Fault
from lab.serving import records

PICTURES = (".png", ".jpg", ".jpeg")
READER = "read_new"
LABEL = "label"  # a column


@dataclass
class New:
    """What was read: None where nothing can be compared, `faults` say why not all could be.

    `names` are those of the files that the examples come from, `texts` what a reader sees of texts.
    """

    portion: Portion | None = None
    faults: list[Fault] = field(default_factory=list)
    names: Sequence[str] | None = None
    texts: Sequence[str] | None = None

    def broken(self, text: str) -> None:
        """Notes something that cannot be read."""
        shown = "".join(letter if letter.isprintable() else "?" for letter in text)
        self.faults.append(Fault(sentence=sentence(shown)))


def read(folder: Path, described: Description, *, are_labelled: bool = False) -> New:
    """Reads a folder in whichever form it is; of records those alone that have labels, if asked.

    Raises:
        DataError: there is no such folder, or nothing in it that could be data.
        LabError: the task's own reader fails.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: must be a folder with data; got none; name another one")
    if (folder / "inputs.npy").exists():
        return _stored(folder, described)
    if records.are_in(folder):
        return _recorded(folder, described, are_labelled)
    if (reader := _reader()) is not None:
        with running_task_code("task/data"):
            examples = reader(folder, described)
        return _checked(examples, described)
    if described.kind == "row" and (files := sorted(folder.glob("*.csv"))):
        return _rows(files, described)
    if described.kind.endswith("image") and any(path.is_dir() for path in folder.iterdir()):
        return _images(folder, described)
    forms = {"row": "*.csv", "text": "nothing else"}.get(described.kind, "a subfolder a class")
    raise DataError(
        f"{folder}: must have inputs.npy (or {forms}), or task/data a function {READER}; "
        "got neither; see docs/data-checks.md"
    )


def save(new: New, folder: Path, keep: Path) -> int:
    """Writes what was read from a folder as inputs.npy and labels.npy; how many examples.

    Raises:
        DataError: not all of them have labels.
    """
    if new.portion is None or new.portion.labels is None:
        raise DataError(
            f"{folder}: must hold examples with labels to be kept; got none, or not for all; "
            "label them, or leave KEEP out"
        )
    arrays = {"inputs.npy": new.portion.inputs, "labels.npy": new.portion.labels}
    with replacing_all([keep / name for name in arrays]) as temporaries:
        for temporary, array in zip(temporaries, arrays.values(), strict=True):
            with temporary.open("wb") as file:
                np.save(file, np.asarray(array))
    return len(new.portion.labels)


def _reader() -> Callable[[Path, Description], Any] | None:
    """The task's own, if it has one."""
    imported("data", "DATASETS")
    reader: Any = getattr(sys.modules["task.data"], READER, None)
    return reader if callable(reader) else None


# --- arrays --------------------------------------------------------------------------------------


def _stored(folder: Path, described: Description) -> New:
    new = New()
    try:
        inputs = load_array(folder / "inputs.npy")
        path = folder / "labels.npy"
        labels = load_array(path) if path.exists() else None
    except DataError as error:
        new.broken(str(error).partition("; run `dvc")[0])
        return new
    _take(new, inputs, labels, described)
    path = folder / "texts.json"
    if new.portion is not None and path.exists():
        try:
            texts = json.loads(read_bytes(path, MAX_TEXTS_BYTES))
        except ValueError:
            texts = None
        if isinstance(texts, list) and len(texts) == len(inputs):
            new.texts = [str(text) for text in texts]
        else:
            new.broken(f"texts.json must be a list of {len(inputs):,} texts")
    return new


def _checked(examples: Any, described: Description) -> New:
    new = New()
    if not isinstance(examples, Examples):
        got = type(examples).__name__
        raise DataError(f"task/data: {READER} must return lab.data.examples.Examples; got {got}")
    _take(new, np.asarray(examples.inputs), examples.labels, described)
    new.names, new.texts = examples.ids, examples.texts
    return new


def _take(
    new: New, inputs: NDArray[Any], labels: NDArray[Any] | None, described: Description
) -> None:
    wanted = f"{described.dtype} {['N', *described.shape]}".replace("'", "")
    if inputs.dtype.name != described.dtype or list(inputs.shape[1:]) != described.shape:
        new.broken(f"inputs must be {wanted}, as training has them; got {inputs.dtype} "
                   f"{list(inputs.shape)}")  # fmt: skip
        return
    if not len(inputs):
        new.broken("inputs must hold at least one example; got none")
        return
    if inputs.dtype == np.int64 and described.vocabulary is not None:
        for piece in Portion("new", inputs, None).pieces():
            if (wrong := (piece[1] < 0) | (piece[1] >= described.vocabulary)).any():
                row = int(piece[0][np.argwhere(wrong)[0][0]])
                new.broken(
                    f"token ids must be 0 to {described.vocabulary - 1}; row {row:,} has others"
                )
                return
    new.portion = Portion("new", inputs, _known(new, inputs, labels, described))


def _known(
    new: New, inputs: NDArray[Any], labels: NDArray[Any] | None, described: Description
) -> NDArray[Any] | None:
    """The labels, where every one of them is a class."""
    if labels is None:
        return None
    if labels.dtype.kind not in "iu" or labels.shape != inputs.shape[:1]:
        new.broken(f"labels must be whole numbers [{len(inputs):,}]; got {labels.dtype} "
                   f"{list(labels.shape)}")  # fmt: skip
        return None
    classes = len(described.class_names)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        new.broken(f"labels must be 0 to {classes - 1}; {len(wrong):,} are not, the first "
                   f"{labels[wrong[0]]} at row {wrong[0]:,}")  # fmt: skip
        return None
    return labels


# --- what was asked of the service ---------------------------------------------------------------


def _recorded(folder: Path, described: Description, are_labelled: bool) -> New:
    """All inputs, or those with labels; labels, where somebody said what every one of them was."""
    inputs: dict[str, NDArray[Any]] = {}
    said: dict[str, str] = {}
    new, others = New(), 0
    for batch in records.read(folder):
        for row in batch.select(["id", "label", "dtype", "shape", "input"]).to_pylist():
            if row["label"] is not None:
                said[row["id"]] = row["label"]
            elif (row["dtype"], row["shape"]) == (described.dtype, described.shape):
                array = np.frombuffer(row["input"], described.dtype)
                inputs[row["id"]] = array.reshape(described.shape)
            else:
                others += 1
    if others:
        wanted = f"{described.dtype} {described.shape}"
        new.broken(f"inputs must be {wanted}, as training has them; {others:,} records are not")
    if are_labelled:
        inputs = {identity: one for identity, one in inputs.items() if identity in said}
    labels = None
    if inputs and inputs.keys() <= said.keys():
        places = {name: place for place, name in enumerate(described.class_names)}
        labels = np.array([places.get(said[identity], -1) for identity in inputs])
    stacked = np.stack([*inputs.values()]) if inputs else np.empty((0, *described.shape))
    _take(new, stacked.astype(described.dtype, copy=False), labels, described)
    new.names = [*inputs]
    return new


# --- images --------------------------------------------------------------------------------------


def _images(folder: Path, described: Description) -> New:
    new = New()
    if described.dtype != "uint8":
        raise DataError(
            f"{folder}: pictures can be read where inputs are uint8, not {described.dtype}; "
            f"give inputs.npy, or task/data a function {READER}"
        )
    label_of = {name: label for label, name in enumerate(described.class_names)}
    pixels, labels, names = [], [], []
    for path in _entries(folder):
        if path.is_dir() and path.name in label_of:
            for file in _entries(path):
                if (image := _image(new, file, folder, described)) is not None:
                    pixels.append(image)
                    labels.append(label_of[path.name])
                    names.append(file.relative_to(folder).as_posix())
        else:
            what = "a folder of no class" if path.is_dir() else "a file outside of any class"
            new.broken(f"{path.name} is {what}; classes are {', '.join(described.class_names)}")
    if pixels:
        new.portion = Portion("new", np.stack(pixels), np.array(labels))
        new.names = names
    elif not new.faults:
        raise DataError(f"{folder}: must hold pictures in its subfolders; got none; add some")
    return new


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _image(new: New, file: Path, folder: Path, described: Description) -> NDArray[np.uint8] | None:
    """A picture in stored form; None where it is of another size or kind, or damaged."""
    where = file.relative_to(folder).as_posix()
    if file.suffix.lower() not in PICTURES or not file.is_file():
        new.broken(f"{where} is no PNG or JPEG file")
        return None
    is_colour = described.kind == "colour image"
    height, width = described.shape[-2:]
    try:
        with Image.open(file) as picture:
            if picture.size != (width, height):
                got = f"{picture.width} x {picture.height}"
                new.broken(f"{where} is {got} pixels; training has {width} x {height}")
                return None
            if picture.mode != (wanted := "RGB" if is_colour else "L"):
                new.broken(f"{where} has the mode {picture.mode}; training has {wanted}")
                return None
            values = np.asarray(picture, dtype=np.uint8)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        new.broken(f"{where} is damaged, or no picture")
        return None
    return np.moveaxis(values, -1, 0) if is_colour else values


# --- rows ----------------------------------------------------------------------------------------


def _rows(files: Sequence[Path], described: Description) -> New:
    new = New()
    columns = described.columns or [str(number) for number in range(described.shape[0])]
    label_of = {name: label for label, name in enumerate(described.class_names)}
    values: list[list[float]] = []
    labels: list[int] = []
    names: list[str] = []
    is_labelled = True
    for file in files:
        for line, cells in _lines(new, file, columns):
            row = _numbers(new, f"{file.name}, line {line}", cells, columns)
            if row is None:
                continue
            if LABEL not in cells:
                is_labelled = False
            elif (own := cells[LABEL] or "") not in label_of:
                new.broken(f"{file.name}, line {line}: the label {named(own)!r} is no class")
                continue
            else:
                labels.append(label_of[own])
            values.append(row)
            names.append(f"{file.name}, line {line}")
    if values:
        inputs = np.array(values, dtype=np.float64).astype(described.dtype)
        new.portion = Portion("new", inputs, np.array(labels) if is_labelled else None)
        new.names = names
    elif not new.faults:
        new.broken("no row in any .csv file")
    return new


def _lines(
    new: New, file: Path, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str | None]]]:
    try:
        with file.open(encoding="utf-8", newline="") as text:
            reader = csv.DictReader(text, restkey="")
            header = list(reader.fieldnames or [])
            if absent := [name for name in columns if name not in header]:
                listed = shortened(", ".join(map(named, absent)), 80)
                new.broken(f"{file.name} lacks {len(absent)} columns: {listed}")
                return
            for name in header:
                if name not in columns and name != LABEL:
                    new.broken(f"{file.name} has a column that training lacks: {named(name)}")
            for cells in reader:
                if "" in cells or None in cells.values():
                    new.broken(f"{file.name}, line {reader.line_num}: not {len(header)} cells")
                    continue
                yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        new.broken(f"{file.name} is no CSV file in UTF-8 ({shortened(str(error), 60)})")


def _numbers(
    new: New, where: str, cells: dict[str, str | None], columns: Sequence[str]
) -> list[float] | None:
    """The numbers of a row; an empty cell is one that is missing."""
    found = []
    for name in columns:
        cell = (cells[name] or "").strip()
        try:
            found.append(float(cell) if cell else float("nan"))
        except ValueError:
            new.broken(f"{where}: {named(name)} must be a number; got {named(cell)}")
            return None
    return found
