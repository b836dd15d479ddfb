"""Values -> figures. Deterministic bytes: no dates, no versions, no display."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

DOTS_PER_INCH = 150


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
    for actual in range(classes):
        for predicted in range(classes):
            count = counts[actual, predicted]
            if actual == predicted:
                axes.add_patch(_cell(actual))
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


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes, equal for equal figures."""
    content = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(content, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return content.getvalue()


def _cell(position: int) -> Rectangle:
    return Rectangle((position - 0.5, position - 0.5), 1, 1, color="#33628d")
