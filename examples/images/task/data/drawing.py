"""Made-up images, so that the example runs before there are real ones: shapes amid clutter.

Written as PNG and JPEG files of mixed sizes, in a folder for each class, as real ones would lie.
"""

import colorsys
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw


@dataclass(frozen=True)
class Shape:
    """A class: corners at equal angles, and how far from the middle every second one lies."""

    corners: int
    inner: float = 1.0  # of the others' distance


SHAPES = {
    "disc": Shape(40),
    "square": Shape(4),
    "star": Shape(10, 0.45),
    "triangle": Shape(3),
}
FILES_PER_CLASS = 400
SIDES = (40, 120)  # pixels, of the shorter side
LONGER = 1.5  # the longer side is up to so many times as long
RADIUS = (0.25, 0.45)  # of the shorter side
HUE_SPREAD = 0.12  # of the circle of hues, around each class's own: a hint, no proof
NOISE = 20.0  # standard deviation, of 255
LINES = 1  # behind the shape, and one across it


def draw_unless_there(raw: Path, say: Callable[[str], None]) -> None:
    """Draws all files into `raw` if that holds nothing; whole or not at all."""
    if any(raw.iterdir()):
        return
    beside = raw.with_name(f".{raw.name}.drawing")
    shutil.rmtree(beside, ignore_errors=True)  # what a killed run left
    for label, name in enumerate(SHAPES):
        (beside / name).mkdir(parents=True)
        for number in range(FILES_PER_CLASS):
            suffix = ("png", "jpg")[number % 2]
            image = drawn(name, Generator(PCG64([label, number])))
            image.save(beside / name / f"{number:03}.{suffix}")
    raw.rmdir()
    beside.rename(raw)
    count = FILES_PER_CLASS * len(SHAPES)
    say(f"{raw}: was empty; {count:,} made-up images of {', '.join(SHAPES)} were drawn there")


def drawn(name: str, random: Generator) -> Image.Image:
    """One shape of random size, place, turn and colour, on a slope of colours, under noise."""
    shorter = int(random.integers(*SIDES))
    size = [shorter, int(shorter * random.uniform(1, LONGER))]
    if random.random() < 0.5:
        size.reverse()
    width, height = size
    image = Image.fromarray(_slope(width, height, random))
    pen = ImageDraw.Draw(image)
    _lines(pen, size, random)
    pen.polygon(_outline(SHAPES[name], size, random), _shapes_colour(name, random))
    _lines(pen, size, random)
    noisy = np.asarray(image) + random.normal(0, NOISE, size=(height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _slope(width: int, height: int, random: Generator) -> NDArray[np.uint8]:
    """From one dull colour at the left to another at the right."""
    left, right = random.uniform(60, 200, size=(2, 3))
    share = np.linspace(0, 1, width)[None, :, None]
    slope = np.broadcast_to(left + share * (right - left), (height, width, 3))
    return slope.astype(np.uint8)


def _lines(pen: ImageDraw.ImageDraw, size: list[int], random: Generator) -> None:
    for _ in range(LINES):
        (a, b), (c, d) = (random.uniform(0, 1, size=(2, 2)) * size).tolist()
        pen.line([(a, b), (c, d)], tuple(random.integers(0, 256, size=3).tolist()), width=2)


def _outline(shape: Shape, size: list[int], random: Generator) -> list[tuple[float, float]]:
    """Anywhere in the middle square, so that a centre crop leaves it whole."""
    shorter = min(size)
    radius = shorter * random.uniform(*RADIUS)
    room = shorter / 2 - radius
    x, y = (side / 2 + random.uniform(-room, room) for side in size)
    turn = random.uniform(0, 2 * math.pi)
    points = []
    for k in range(shape.corners):
        angle = turn + 2 * math.pi * k / shape.corners
        distance = radius * (shape.inner if k % 2 else 1.0)
        points.append((x + distance * math.cos(angle), y + distance * math.sin(angle)))
    return points


def _shapes_colour(name: str, random: Generator) -> tuple[int, ...]:
    own = list(SHAPES).index(name) / len(SHAPES)
    hue = random.normal(own, HUE_SPREAD) % 1
    colour = colorsys.hsv_to_rgb(hue, random.uniform(0.5, 1), random.uniform(0.4, 1))
    return tuple(round(255 * channel) for channel in colour)
