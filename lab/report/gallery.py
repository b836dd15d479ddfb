"""Test examples whose majority prediction changed: what they are, were called and are called."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox, BboxTransformTo, TransformedBbox

from lab.evidence.schema import Example, ImageInput, RowInput, TextInput
from lab.report.plots import AS_IT_IS, BAND, BETTER, INK, MISSING, NEUTRAL, WIDTH, WORSE, drawable
from lab.report.wording import deviation, number

COLUMNS = 6  # of images
SIDE = 1.0  # inches
HEAD = 0.35  # inches above the first row
GAP = 0.12  # inches between cards
LINE = 0.14  # inches
LINE_CHARACTERS = 50  # of a text
MOST_LINES = 5

Caption = tuple[str, str, str, float]  # text, colour, weight and size of a line


def gallery(examples: Sequence[Example], names: Sequence[str]) -> Figure:
    """The examples in rows: images with captions, or cards of text or of numbers."""
    if isinstance(examples[0].input, ImageInput):
        return _images(examples, names)
    return _cards(examples, names, 2 if isinstance(examples[0].input, TextInput) else 3)


def _title(examples: Sequence[Example], what: str) -> str:
    is_shared = len({one.model for one in examples}) == 1
    return f"Predictions{f' of {examples[0].model}' if is_shared else ''} that changed{what}"


# --- images --------------------------------------------------------------------------------------


def _images(examples: Sequence[Example], names: Sequence[str]) -> Figure:
    rows = -(-len(examples) // COLUMNS)
    is_shared = len({one.model for one in examples}) == 1
    lines = 3 + 2 * has_long_names(names) + (not is_shared)
    height = HEAD + rows * (1.15 + 0.167 * lines)
    figure = Figure(figsize=(WIDTH, height))
    title = _title(examples, ": baseline → candidate, and how many seeds agree")
    figure.text(0.01, 1 - 0.2 / height, title, fontsize=8.5, color=NEUTRAL)
    is_ink = _are_ink(examples)
    for position, one in enumerate(examples):
        row, column = divmod(position, COLUMNS)
        left = (column + 0.5) / COLUMNS - SIDE / 2 / WIDTH
        bottom = 1 - (HEAD + row * (height - HEAD) / rows) / height - SIDE / height
        place = Bbox.from_bounds(left, bottom, SIDE / WIDTH, SIDE / height)
        if isinstance(one.input, ImageInput):
            _image(figure, one.input, place, is_ink)
        _caption(figure, place, _caption_lines(one, names, is_shared))
    return figure


def _caption(figure: Figure, place: Bbox, lines: Sequence[Caption]) -> None:
    of_place = BboxTransformTo(TransformedBbox(place, figure.transFigure))
    down = -0.05
    for text, colour, weight, size in lines:
        font = {"color": colour, "fontweight": weight, "fontsize": size}
        figure.text(0.5, down, text, font, ha="center", va="top", transform=of_place)
        down -= 0.0185 * size + 0.01


def _are_ink(examples: Sequence[Example]) -> bool:
    """Whether these are drawings on an empty ground, to be shown dark on light and light on dark.

    Grey images that are empty (0) for the most part are; others are photographs, which a reader
    knows as they are.
    """
    images = [one.input for one in examples if isinstance(one.input, ImageInput)]
    values = np.frombuffer(b"".join(image.pixel_bytes() for image in images), dtype=np.uint8)
    return images[0].kind == "grey image" and 2 * int(np.count_nonzero(values)) < len(values)


def _image(figure: Figure, image: ImageInput, place: Bbox, is_ink: bool) -> None:
    """Its longer side fills the place; a shorter one is in the middle of it."""
    longer = max(image.height, image.width)
    width, height = (max(side / longer, 0.02) for side in (image.width, image.height))
    left = place.x0 + (1 - width) / 2 * place.width
    bottom = place.y0 + (1 - height) / 2 * place.height
    axes = figure.add_axes((left, bottom, width * place.width, height * place.height))
    values = np.frombuffer(image.pixel_bytes(), dtype=np.uint8).reshape(image.shape)
    how = "nearest" if longer <= 64 else "antialiased"  # hard edges of few pixels are wanted
    cmap = "gray_r" if is_ink else "gray"
    axes.imshow(values, cmap=cmap, vmin=0, vmax=255, interpolation=how, aspect="auto")
    axes.set_gid(None if is_ink else AS_IT_IS)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right"]].set_visible(True)


def _caption_lines(one: Example, names: Sequence[str], is_shared: bool) -> list[Caption]:
    before, after, truth = (
        drawable(names[label], 15)
        for label in (one.baseline_prediction, one.candidate_prediction, one.label)
    )
    outcome, colour = _outcome(one)
    votes = (_votes(one), NEUTRAL, "normal", 7.5)
    if has_long_names(names):
        predictions = [(text, INK, "bold", 7.5) for text in (before, f"→ {after}")]
        truths = [(text, colour, "normal", 7.5) for text in (f"is {truth}", outcome)]
        lines = [*predictions, *truths, votes]
    else:
        prediction = (f"{before} → {after}", INK, "bold", 10.0)
        lines = [prediction, (f"is {truth}, {outcome}", colour, "normal", 8.0), votes]
    return lines if is_shared else [*lines, (drawable(one.model, 18), NEUTRAL, "normal", 7.5)]


def _votes(one: Example) -> str:
    baseline = f"{one.baseline_votes}/{one.baseline_seeds}"
    return f"{baseline} → {one.candidate_votes}/{one.candidate_seeds}"


def _outcome(one: Example) -> tuple[str, str]:
    if one.candidate_prediction == one.label:
        return "fixed", BETTER
    if one.baseline_prediction == one.label:
        return "broken", WORSE
    return "still wrong", NEUTRAL


def has_long_names(names: Sequence[str]) -> bool:
    """Whether names of classes need more room than a digit."""
    return max(map(len, names), default=0) > 3


# --- cards ---------------------------------------------------------------------------------------


def _cards(examples: Sequence[Example], names: Sequence[str], columns: int) -> Figure:
    rows = -(-len(examples) // columns)
    is_shared = len({one.model for one in examples}) == 1
    width = (WIDTH - (columns + 1) * GAP) / columns
    tall = LINE * (2.6 + (not is_shared) + MOST_LINES) + GAP
    height = HEAD + rows * (tall + GAP)
    figure = Figure(figsize=(WIDTH, height))
    is_text = isinstance(examples[0].input, TextInput)
    what = ": baseline → candidate, and how many seeds agree" if is_text else (
        ", with the columns farthest from the training mean (in standard deviations)"
    )  # fmt: skip
    figure.text(0.01, 1 - 0.2 / height, _title(examples, what), fontsize=8.5, color=NEUTRAL)
    for position, one in enumerate(examples):
        row, column = divmod(position, columns)
        left, top = GAP + column * (width + GAP), HEAD + row * (tall + GAP)
        place = (left / WIDTH, 1 - (top + tall) / height, width / WIDTH, tall / height)
        axes = figure.add_axes(place)
        axes.set(xlim=(0, width), ylim=(tall, 0), xticks=[], yticks=[])  # inches from top left
        axes.spines[:].set(visible=True, color=BAND)
        _card(axes, one, names, is_shared, width)
    return figure


def _card(axes: Axes, one: Example, names: Sequence[str], is_shared: bool, width: float) -> None:
    longest = int(6 * width)  # characters of a name, of which two stand in a line
    before, after, truth = (
        drawable(names[label], longest)
        for label in (one.baseline_prediction, one.candidate_prediction, one.label)
    )
    outcome, colour = _outcome(one)
    _write(axes, 0.08, LINE, f"{before} → {after}", INK, fontweight="bold")
    _write(axes, 0.08, 2 * LINE, f"is {truth}, {outcome}", colour)
    _write(axes, width - 0.08, 2 * LINE, _votes(one), NEUTRAL, ha="right")
    down = 3.3 * LINE
    if not is_shared:
        _write(axes, 0.08, 3 * LINE, one.model, NEUTRAL)
        down += LINE
    lines = _text(one.input) if isinstance(one.input, TextInput) else []
    for line in lines:
        _write(axes, 0.08, down, line, INK)
        down += LINE
    for name, value, distance in _values(one.input) if isinstance(one.input, RowInput) else ():
        _write(axes, 0.08, down, name, INK)
        _write(axes, width - 0.55, down, value, INK, ha="right")
        _write(axes, width - 0.08, down, distance, NEUTRAL, ha="right")
        down += LINE


def _write(axes: Axes, x: float, y: float, text: str, colour: str, **how: Any) -> None:
    axes.text(x, y, text, color=colour, fontsize=7.5, va="center", clip_on=True, **how)


def _text(given: TextInput) -> list[str]:
    shown = drawable(given.text, len(given.text) + 1)
    if shown.count(MISSING) > len(shown) / 3:
        return ["The picture's font lacks these letters;", "the text stands below."]
    return textwrap.wrap(shown, LINE_CHARACTERS, max_lines=MOST_LINES, placeholder=" …")


def _values(row: RowInput) -> Iterator[tuple[str, str, str]]:
    """Name, value and distance of each column."""
    for one in row.columns:
        distance = "" if one.value is None else deviation(one.deviation)
        yield drawable(one.name, 18), number(one.value), distance
