"""The data sets that `dataset.name` in params.yaml may name: folders of images, and CIFAR-10.

An edit here makes stage `prepare` run again, and training only if its examples come out different.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lab.data.examples import Dataset
from task.data import drawing
from task.data.cifar10 import cifar10
from task.data.decoding import Form
from task.data.folders import images_by_folder

Side = Annotated[int, Field(ge=4, le=2_048)]
Say = Callable[[str], None]


def folder(
    raw: Path,
    say: Say,
    *,
    size: tuple[Side, Side],
    fit: Literal["crop", "pad"] = "crop",
    grey: bool = False,
    group: str | None = None,
) -> Dataset:
    """Image files of any size in a folder for each class, `data/raw/folder/CLASS/*.png`.

    Where there are folders `train` and `test` with the classes in both, they are the official
    split.

    Args:
        raw: holds the classes' folders.
        say: takes one line of progress at a time.
        size: height and width that networks see.
        fit: "crop" fills them and cuts off what is over, alike on both sides; "pad" shows all of an
            image, between white margins.
        grey: one channel instead of three.
        group: regular expression; what it first finds in the name of a file names a group (a
            patient, a place) that stays together in every split. `^[^_]+`: all before the first _.

    Raises:
        ParamsError: `group` is no regular expression.
        DataError: there is no image in the folder of a class, or one cannot be read.
    """
    height, width = size
    return images_by_folder(raw, say, Form(height, width, fit, grey), group)


def shapes(
    raw: Path,
    say: Say,
    *,
    size: tuple[Side, Side],
    fit: Literal["crop", "pad"] = "crop",
    grey: bool = False,
) -> Dataset:
    """As `folder`, with made-up images that are drawn into `data/raw/shapes` while it is empty."""
    drawing.draw_unless_there(raw, say)
    return folder(raw, say, size=size, fit=fit, grey=grey)


DATASETS = {"shapes": shapes, "folder": folder, "CIFAR10": cifar10}
