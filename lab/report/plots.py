"""How figures are drawn here: colours, style, matrices, PNG bytes, the variant for dark pages.

Equal figures give equal bytes: no dates, no versions, no display. Blue is the candidate and what is
better, vermillion what is worse (Okabe and Ito 2008: distinct for colour-blind readers).
"""

import contextlib
import functools
import io
import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image

DOTS_PER_INCH = 150
WIDTH = 7.0  # inches; shown 700 pixels wide

BETTER = CANDIDATE = "#0072b2"
WORSE = "#d55e00"
BASELINE = "#8a5a00"
NEUTRAL = "#57606a"
BAND = "#e3e6ea"
INK = "#1f2328"
DIAGONAL = "#33628d"
CHANGE = LinearSegmentedColormap.from_list("mistakes", [BETTER, "#ffffff", WORSE])  # fewer, more
MOST_NUMBERED = 20  # classes; the numbers of more would not be readable
MOST_SQUARES = 60  # classes; nor would the names of still more
MOST_CONFUSED = 25  # pairs of classes, shown instead
LONGEST_LABEL = 24  # characters of a class's name
FONT = "DejaVu Sans"  # comes with matplotlib, so it is everywhere the same
MISSING = "\N{WHITE SQUARE}"
ROUNDED = 1e-6  # pixels, by which a box of whole ones may be off
AS_IT_IS = "photograph"  # `gid` of axes whose pixels are the same on a dark page

# White and black of GitHub's dark page; see `dark`.
DARK_PAGE = np.array([13.0, 17.0, 23.0])
DARK_INK = np.array([240.0, 246.0, 252.0])

Pixels = npt.NDArray[np.uint8]  # [height, width, RGB or RGBA]


def style() -> contextlib.AbstractContextManager[None]:
    """Matplotlib's settings while a picture of a report is drawn."""
    return mpl.rc_context(
        {
            "font.family": [FONT],
            "font.size": 9.0,
            "text.parse_math": False,  # a dollar sign in a name is a dollar sign
            "axes.titlesize": 10.0,
            "axes.edgecolor": NEUTRAL,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.unicode_minus": True,
            "figure.dpi": DOTS_PER_INCH,
        }
    )


# --- text ----------------------------------------------------------------------------------------


def drawable(text: str, longest: int) -> str:
    r"""Text for a picture: cut, and a square for every letter that the font lacks.

    >>> drawable("Fahrräder", 7), drawable("\N{CJK UNIFIED IDEOGRAPH-7532} $x$", 9)
    ('Fahrrä…', '□ $x$')
    """
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(letter if ord(letter) in _letters() else MISSING for letter in cut)


@functools.cache
def _letters() -> frozenset[int]:
    """What can be drawn, in bold too; matplotlib warns of anything else."""
    fonts = [FontProperties(family=[FONT], weight=weight) for weight in ("normal", "bold")]
    found = [frozenset(get_font(findfont(font)).get_charmap()) for font in fonts]
    return found[0] & found[1]


def pair(names: Sequence[str], actual: int, predicted: int) -> str:
    """Two classes as the label of a mistake."""
    return " → ".join(drawable(names[label], LONGEST_LABEL) for label in (actual, predicted))


def label_size(classes: int) -> float:
    """The font size, in points, at which the names of classes along an axis stay apart."""
    return min(8.0, 300 / classes)


# --- matrices ------------------------------------------------------------------------------------


def confusion_matrix(
    counts: npt.NDArray[np.int64], class_names: Sequence[str], title: str
) -> Figure:
    """Counts [actual, predicted]; colour shows mistakes only, the diagonal each class's recall.

    On one colour scale the diagonal, a hundred times larger, would hide every mistake. Without
    numbers for more than 20 classes; of more than 60, bars of the most frequent mistakes.
    """
    with mpl.rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(7, 6.4), layout="constrained")
        axes = figure.add_subplot()
        if len(counts) > MOST_SQUARES:
            mistakes = int(counts.sum() - np.trace(counts))
            what = f"the most frequent of {mistakes:,} mistakes: actual → predicted"
            figure.suptitle(f"{title}\n{what}", fontsize=11)
            _most_confused(axes, counts, class_names)
        else:
            axes.set_title(title, fontsize=11)
            _matrix(axes, counts, class_names)
    return figure


def _matrix(axes: Axes, counts: npt.NDArray[np.int64], class_names: Sequence[str]) -> None:
    classes = len(counts)
    mistakes = np.where(np.eye(classes, dtype=bool), 0, counts)
    largest = max(1, mistakes.max())
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=largest)
    for diagonal in range(classes):
        corner = (diagonal - 0.5, diagonal - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, color=DIAGONAL))
    size = min(8.0, 96 / classes)
    for actual, predicted in np.ndindex(counts.shape if classes <= MOST_NUMBERED else (0, 0)):
        count = counts[actual, predicted]
        if actual == predicted:
            text, colour = f"{count}\n{count / max(1, counts[actual].sum()):.1%}", "white"
        elif count:
            text, colour = str(count), "white" if count > 0.6 * largest else "black"
        else:
            continue
        axes.text(predicted, actual, text, ha="center", va="center", color=colour, fontsize=size)
    labels = [drawable(name, LONGEST_LABEL) for name in class_names]
    if max(map(len, labels)) < 3 and classes <= MOST_NUMBERED:
        axes.set_xticks(range(classes), labels)
        axes.set_yticks(range(classes), labels)
    else:
        font = label_size(classes) if classes > MOST_NUMBERED else 8.0
        axes.set_xticks(range(classes), labels, rotation=90, fontsize=font)
        axes.set_yticks(range(classes), labels, fontsize=font)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")


def _most_confused(axes: Axes, counts: npt.NDArray[np.int64], class_names: Sequence[str]) -> None:
    classes = len(counts)
    mistakes = np.where(np.eye(classes, dtype=bool), 0, counts)
    largest = np.argsort(-mistakes, axis=None, kind="stable")[:MOST_CONFUSED]
    shown = [divmod(int(place), classes) for place in largest]
    shown = [place for place in shown if mistakes[place]]
    values = [int(mistakes[place]) for place in shown]
    axes.barh(range(len(shown)), values, color=WORSE, height=0.7)
    axes.set_yticks(range(len(shown)), [pair(class_names, *place) for place in shown], fontsize=7.5)
    for row, (value, (actual, _)) in enumerate(zip(values, shown, strict=True)):
        axes.text(value, row, f" {value} of {counts[actual].sum()}", fontsize=7, va="center")
    axes.set_xlim(0, 1.25 * max(values, default=1))
    axes.set_ylim(MOST_CONFUSED - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def confusion_change(axes: Axes, change: npt.NDArray[np.float64], font_size: float) -> None:
    """Draws a change of counts [actual, predicted]; colour shows mistakes only."""
    classes = len(change)
    mistakes = np.where(np.eye(classes, dtype=bool), 0, change)
    largest = max(0.1, float(np.abs(mistakes).max()))
    axes.imshow(mistakes, cmap=CHANGE, vmin=-largest, vmax=largest)
    axes.spines[["top", "right"]].set_visible(True)
    for diagonal in range(classes):
        corner = (diagonal - 0.5, diagonal - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, color=BAND, lw=0))
    if classes > MOST_NUMBERED:
        return
    for actual, predicted in np.ndindex(classes, classes):
        value = change[actual, predicted]
        if abs(value) < 0.05:
            continue
        is_dark = actual != predicted and abs(value) > 0.6 * largest
        text = f"{value:+.{0 if abs(value) >= 9.95 else 1}f}".replace("-", "−")
        font = {"color": "white" if is_dark else INK, "fontsize": font_size}
        axes.text(predicted, actual, text, font, ha="center", va="center")


# --- pixels --------------------------------------------------------------------------------------


def pixels(figure: Figure) -> Pixels:
    """The figure drawn on white, RGBA."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DOTS_PER_INCH)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba()).copy()  # type: ignore[no-untyped-call]


def photographs(figure: Figure) -> list[tuple[slice, slice]]:
    """Where on the figure's pixels photographs are, [rows, columns]: they have no dark variant."""
    height = round(figure.bbox.height)
    boxes = [axes.get_window_extent() for axes in figure.axes if axes.get_gid() == AS_IT_IS]
    return [
        (
            slice(height - math.floor(box.y1 + ROUNDED), height - math.ceil(box.y0 - ROUNDED)),
            slice(math.ceil(box.x0 - ROUNDED), math.floor(box.x1 + ROUNDED)),
        )
        for box in boxes
    ]


def dark(light: Pixels, kept: Sequence[tuple[slice, slice]] = ()) -> Pixels:
    """The same picture (RGB) for a dark page: lightness turned round, hue kept.

    White becomes the page's colour, black the ink's; a grey turns round between the two, and a
    colour keeps its distance from its grey. What is `kept` stays as it is.
    """
    colours = light.astype(np.float32)
    lightness = colours @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    turned = (1 - lightness / 255)[:, :, None]
    grey = DARK_PAGE + turned * (DARK_INK - DARK_PAGE)
    moved = grey + (colours - lightness[:, :, None])
    turned_round: Pixels = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    for place in kept:
        turned_round[place] = light[place]
    return turned_round


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes."""
    return encoded(pixels(figure))


def encoded(picture: Pixels) -> bytes:
    """PNG bytes without any metadata but the resolution."""
    content = io.BytesIO()
    resolution = (DOTS_PER_INCH, DOTS_PER_INCH)
    Image.fromarray(picture).save(content, format="png", dpi=resolution)
    return content.getvalue()
