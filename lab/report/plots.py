"""How figures are drawn here: colours, style, matrices, PNG bytes, the variant for dark pages.

Equal figures give equal bytes: no dates, no versions, no display. Blue is the candidate and what is
better, vermillion what is worse (Okabe and Ito 2008: distinct for colour-blind readers).
"""

import contextlib
import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
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

# White and black of GitHub's dark page; see `dark`.
DARK_PAGE = np.array([13.0, 17.0, 23.0])
DARK_INK = np.array([240.0, 246.0, 252.0])

Pixels = npt.NDArray[np.uint8]  # [height, width, RGB or RGBA]


def style() -> contextlib.AbstractContextManager[None]:
    """Matplotlib's settings while a picture of a report is drawn."""
    return mpl.rc_context(
        {
            "font.family": ["DejaVu Sans"],
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


# --- matrices ------------------------------------------------------------------------------------


def confusion_matrix(
    counts: npt.NDArray[np.int64], class_names: Sequence[str], title: str
) -> Figure:
    """Counts [actual, predicted]; colour shows mistakes only, the diagonal each class's recall.

    On one colour scale the diagonal, a hundred times larger, would hide every mistake.
    """
    classes = len(counts)
    figure = Figure(figsize=(7, 6.4), layout="constrained")
    axes = figure.add_subplot()
    mistakes = np.where(np.eye(classes, dtype=bool), 0, counts)
    largest = max(1, mistakes.max())
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=largest)
    for actual, predicted in np.ndindex(classes, classes):
        count = counts[actual, predicted]
        if actual == predicted:
            axes.add_patch(Rectangle((actual - 0.5, actual - 0.5), 1, 1, color=DIAGONAL))
            text, colour = f"{count}\n{count / max(1, counts[actual].sum()):.1%}", "white"
        elif count:
            text, colour = str(count), "white" if count > 0.6 * largest else "black"
        else:
            continue
        axes.text(predicted, actual, text, ha="center", va="center", color=colour, fontsize=8)
    rotation = 0 if max(map(len, class_names)) < 3 else 45
    axes.set_xticks(range(classes), class_names, rotation=rotation)
    axes.set_yticks(range(classes), class_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.set_title(title, fontsize=11)
    return figure


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


def dark(light: Pixels) -> Pixels:
    """The same picture (RGB) for a dark page: lightness turned round, hue kept.

    White becomes the page's colour, black the ink's; a grey turns round between the two, and a
    colour keeps its distance from its grey.
    """
    colours = light.astype(np.float32)
    lightness = colours @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    turned = (1 - lightness / 255)[:, :, None]
    grey = DARK_PAGE + turned * (DARK_INK - DARK_PAGE)
    moved = grey + (colours - lightness[:, :, None])
    turned_round: Pixels = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
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
