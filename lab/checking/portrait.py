"""The data by class, `metrics/classes.png`: averages, spread, what is usual and what is not."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from lab.checking.portions import Portion, many
from lab.data.prepared import Prepared
from lab.evidence.inputs import as_bytes
from lab.report import plots
from lab.results.checks import LabelResults

MOST_CLASSES = 20  # rows of images
MOST_LINES = 6  # classes in one histogram
MOST_COLUMNS = 12  # of rows, the most telling ones
LARGEST_SIDE = 64  # pixels of an image
SPREAD = (0.0, 1 / 3, 2 / 3, 1.0)  # of the way from the example nearest to the mean to the farthest
DOUBTFUL = 3  # a class
HEADS = ("mean", "deviation", "nearest", "", "", "farthest", *["doubtful"], *[""] * (DOUBTFUL - 1))
LEFT, HEAD, CELL = 0.9, 0.3, 0.6  # inches
BINS = 24
LONGEST_NAME = 16  # characters
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a5a00", "#57606a")  # Okabe and Ito 2008
Pixels = NDArray[np.uint8]


def portrait(data: Prepared, labels: LabelResults) -> bytes:
    """A PNG; the same data give the same bytes."""
    kind = data.description.kind
    train = Portion("train", data.train.inputs, data.train.labels)
    rows = train.sample()
    inputs, numbers = np.array(train.inputs[rows]), train.labels_of(rows)
    names = data.description.class_names
    if kind == "row":
        columns = data.description.columns or [f"input {one}" for one in range(inputs.shape[1])]
        return _histograms(inputs.astype(np.float64), columns, numbers, names)
    if kind == "text":
        tokens = (inputs != 0).sum(axis=1, keepdims=True).astype(np.float64)
        return _histograms(tokens, ["tokens of a text"], numbers, names)
    return _images(data, labels, inputs, numbers)


def caption(data: Prepared, labels: LabelResults) -> str:
    """What the picture shows, in a sentence."""
    count, kind = len(data.description.class_names), data.description.kind
    most = MOST_CLASSES if kind.endswith("image") else MOST_LINES
    which = f"the first {most} of {count:,} classes" if count > most else "each class"
    sampled = min(len(data.train.labels), Portion("train", data.train.inputs, None).sample().size)
    of = f"{many(sampled, 'example')} of training"
    if kind == "text":
        return f"How many tokens a text of {which} has ({of})"
    if kind == "row":
        return f"The columns that tell classes apart best, by class: {which} ({of})"
    doubtful = " and labels that may be mistakes" if labels.candidates else ""
    return (
        f"Of {which}: mean and standard deviation, examples from the nearest to the mean to the "
        f"farthest{doubtful} ({of})"
    )


# --- images --------------------------------------------------------------------------------------


def _images(
    data: Prepared, labels: LabelResults, inputs: NDArray[Any], numbers: NDArray[np.intp]
) -> bytes:
    described = data.description
    names = described.class_names[:MOST_CLASSES]
    height = HEAD + CELL * len(names)
    with plots.style():
        figure = Figure(figsize=(LEFT + CELL * len(HEADS), height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-LEFT / CELL, len(HEADS)), ylim=(len(names), -HEAD / CELL))
        axes.set_axis_off()
        for place, head in enumerate(HEADS):
            axes.text(place + 0.03, -0.12, head, fontsize=7)
        shown = as_bytes(inputs, described.scaling)
        spread = [_mean_and_deviation(shown[numbers == number]) for number in range(len(names))]
        widest = max(1.0, *(float(deviation.max()) for _, deviation in spread))
        for number, name in enumerate(names):
            drawn = plots.drawable(name, LONGEST_NAME)
            axes.text(-0.1, number + 0.5, drawn, ha="right", va="center", fontsize=8)
            of_class = shown[numbers == number]
            if len(of_class):
                mean, deviation = spread[number]
                cells = [np.rint(mean), np.rint(255 * deviation / widest)]
                cells += list(_from_near_to_far(of_class, mean))
                for place, cell in enumerate(cells):
                    _draw(axes, cell.astype(np.uint8), place, number)
            for place, (cell, called) in enumerate(_doubtful(data, labels, number)):
                _draw(axes, cell, 2 + len(SPREAD) + place, number)
                said = plots.drawable(described.class_names[called], LONGEST_NAME // 2)
                corner = (2 + len(SPREAD) + place + 0.06, number + 0.96)
                box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "linewidth": 0}
                axes.text(*corner, f"{said}?", fontsize=7, bbox=box)
        pixels = plots.pixels(figure)
    return _small(pixels, is_grey=shown.ndim == 3)


def _mean_and_deviation(shown: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not len(shown):
        return np.zeros(shown.shape[1:]), np.zeros(shown.shape[1:])
    return shown.mean(axis=0, dtype=np.float64), shown.std(axis=0, dtype=np.float64)


def _from_near_to_far(shown: Pixels, mean: NDArray[np.float64]) -> Pixels:
    """Examples by their distance from the mean of the class."""
    flat = shown.reshape(len(shown), -1).astype(np.float32)
    distances = np.square(flat - mean.reshape(-1).astype(np.float32)).sum(axis=1)
    order = np.argsort(distances, kind="stable")
    places = [round(part * (len(order) - 1)) for part in SPREAD]
    chosen: Pixels = shown[order[places]]
    return chosen


def _doubtful(data: Prepared, labels: LabelResults, number: int) -> list[tuple[Pixels, int]]:
    """The most doubtful labels of a class: the image, and what models call it."""
    found = [one for one in labels.candidates if one.label == number][:DOUBTFUL]
    return [
        (
            as_bytes(
                np.array(getattr(data, one.place.portion).inputs[one.place.row])[None],
                data.description.scaling,
            )[0],
            one.called,
        )
        for one in found
    ]


def _draw(axes: Any, image: Pixels, column: int, row: int) -> None:
    """One image into a cell, its form kept; grey [H, W] or colour [3, H, W]."""
    pixels = np.moveaxis(image, 0, -1) if image.ndim == 3 else image
    step = max(1, -(-max(pixels.shape[:2]) // LARGEST_SIDE))
    pixels = pixels[::step, ::step]
    height, width = pixels.shape[:2]
    tall, wide = 0.46 * height / max(height, width), 0.46 * width / max(height, width)
    extent = (column + 0.5 - wide, column + 0.5 + wide, row + 0.5 + tall, row + 0.5 - tall)
    axes.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto",
        interpolation="nearest",
    )  # fmt: skip


# --- rows and texts ------------------------------------------------------------------------------


def _histograms(
    values: NDArray[np.float64],
    columns: Sequence[str],
    numbers: NDArray[np.intp],
    names: Sequence[str],
) -> bytes:
    """A small histogram a column, a line a class; the columns that tell classes apart best."""
    shown = min(len(names), MOST_LINES)
    telling = [_telling(values[:, place], numbers) for place in range(len(columns))]
    order = np.argsort(-np.array(telling), kind="stable")[:MOST_COLUMNS]
    across = min(3, len(order))
    down = -(-len(order) // across)
    with plots.style():
        figure = Figure(figsize=(7, 0.5 + 1.35 * down), layout="constrained")
        for place, column in enumerate(order):
            axes = figure.add_subplot(down, across, place + 1)
            known = values[:, column]
            edges = _edges(known[~np.isnan(known)])
            for number in range(shown):
                of_class = known[(numbers == number) & ~np.isnan(known)]
                counts, _ = np.histogram(of_class, edges)
                share = counts / max(1, counts.sum())
                axes.stairs(share, edges, color=LINES[number], label=_name(names[number]))
            axes.set_title(plots.drawable(columns[column], 2 * LONGEST_NAME), fontsize=8)
            axes.tick_params(labelsize=6)
            axes.set_yticks([])
        handles, said = axes.get_legend_handles_labels()
        figure.legend(handles, said, loc="outside upper center", ncols=shown, fontsize=7)
        pixels = plots.pixels(figure)
    return _small(pixels)


def _edges(known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a histogram, without the outermost values; whole numbers lie in the middle of their bins.

    >>> _edges(np.array([1.0, 2.0, 4.0])).tolist()
    [0.5, 1.5, 2.5, 3.5, 4.5]
    """
    if not len(known):
        return np.linspace(0, 1, BINS + 1)
    low, high = (float(end) for end in np.quantile(known, [0.005, 0.995], method="nearest"))
    if (known == np.rint(known)).all():
        width = max(1, -(-int(high - low + 1) // BINS))
        count = -(-int(high - low + 1) // width)
        return low - 0.5 + width * np.arange(count + 1, dtype=np.float64)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _name(name: str) -> str:
    return plots.drawable(name, LONGEST_NAME).lstrip("_")  # matplotlib leaves those out of legends


def _telling(values: NDArray[np.float64], numbers: NDArray[np.intp]) -> float:
    """The share of a column's variance that lies between classes."""
    is_known = ~np.isnan(values)
    known, of = values[is_known], numbers[is_known]
    total = float(np.square(known - known.mean()).sum()) if len(known) else 0.0
    if not total:
        return 0.0
    counts = np.bincount(of)
    means = np.bincount(of, weights=known) / np.maximum(1, counts)
    return float((counts * np.square(means - known.mean())).sum()) / total


def _small(pixels: Pixels, is_grey: bool = False) -> bytes:
    """PNG bytes without colours, or with a palette, which take a third; nothing else is in them."""
    picture = Image.fromarray(pixels).convert("L" if is_grey else "RGB")
    if not is_grey:
        picture = picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    content = io.BytesIO()
    picture.save(content, format="png", optimize=True)
    return content.getvalue()
