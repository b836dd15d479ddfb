"""Pictures of examples in rows; alone here, as matplotlib takes longer to import than to check."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lab.evidence.schema import ImageInput
from lab.report import plots

COLUMNS = 6  # of pictures, in a row
HEAD, TALL = 0.3, 1.65  # inches: of the title, of a row
LONGEST_NAME = 14  # characters of a class


def gallery(title: str, cells: Sequence[tuple[str, Sequence[ImageInput]]]) -> bytes:
    """A PNG: images with up to three lines above each; those of one cell stand side by side."""
    width = max(len(images) for _, images in cells)
    across = COLUMNS // width
    rows = -(-len(cells) // across)
    with plots.style():
        height = HEAD + TALL * rows
        figure = Figure(figsize=(plots.WIDTH, height))
        figure.suptitle(title, fontsize=10, y=1 - 0.1 / height, va="top")
        # One pair of axes for all: to lay out eighteen takes longer than to draw them.
        axes = figure.add_axes((0, 0, 1, 1 - HEAD / height))
        axes.set(xlim=(0, COLUMNS), ylim=(rows, 0), xticks=[], yticks=[])
        axes.set_axis_off()
        for position, (caption, of_cell) in enumerate(cells):
            row, cell = divmod(position, across)
            middle = (cell + 0.5) * width
            axes.text(middle, row + 0.29, caption, fontsize=7.5, ha="center", va="bottom")
            for number, image in enumerate(of_cell):
                _draw(axes, image, middle + number - (len(of_cell) - 1) / 2, row + 0.64)
    return plots.png(figure)


def drawable(name: str) -> str:
    """The name of a class as it fits above an image."""
    return plots.drawable(name, LONGEST_NAME)


def _draw(axes: Any, image: ImageInput, x: float, y: float) -> None:
    pixels = np.frombuffer(image.pixel_bytes(), dtype=np.uint8).reshape(image.shape)
    half = 0.42 / max(image.height, image.width)  # of a cell's width, for a pixel
    wide, tall = half * image.width, half * image.height * plots.WIDTH / COLUMNS / TALL
    extent = (x - wide, x + wide, y + tall, y - tall)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
