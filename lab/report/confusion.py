"""Which mistakes a model makes more often than before, and which less often."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.evidence.schema import Model, ModelSide
from lab.report import plots
from lab.report.gallery import has_long_names
from lab.report.plots import (
    BETTER,
    INK,
    MOST_NUMBERED,
    MOST_SQUARES,
    NEUTRAL,
    WIDTH,
    WORSE,
    drawable,
)
from lab.report.wording import MINUS

MOST_BARS = 15  # mistakes of a model

Counts = npt.NDArray[np.float64]


class Mistake(NamedTuple):
    """How many examples of class `actual` a seed calls `predicted`, on each side."""

    actual: int
    predicted: int
    before: float
    after: float

    @property
    def change(self) -> float:
        """Candidate minus baseline."""
        return self.after - self.before


def mistakes(model: Model) -> list[Mistake]:
    """Those whose number changed, the largest change first."""
    if model.both is None:
        return []
    new, old = model.both
    if new.confusion is None or old.confusion is None:
        found = [
            Mistake(
                one.actual,
                one.predicted,
                one.baseline / len(old.seeds),
                one.candidate / len(new.seeds),
            )
            for one in model.moved
        ]
    else:
        moved = change(model)
        places = np.argwhere(moved * (1 - np.eye(len(moved)))).tolist()
        after, before = _per_seed(new), _per_seed(old)
        found = [Mistake(a, p, before[a, p], after[a, p]) for a, p in places]
    return sorted(found, key=lambda one: -abs(one.change))


def has_changed(model: Model) -> bool:
    """Whether there is anything to draw."""
    return bool(np.any(change(model))) or bool(model.both and mistakes(model))


def change(model: Model) -> Counts:
    """Confusion counts per seed [actual, predicted], candidate minus baseline; 0 if unknown."""
    if model.both is None or None in [side.confusion for side in model.both]:
        return np.zeros((1, 1))
    new, old = map(_per_seed, model.both)
    return new - old if new.shape == old.shape else np.zeros((1, 1))


def _per_seed(side: ModelSide) -> Counts:
    return np.array(side.confusion, dtype=np.float64) / len(side.seeds)


# --- pictures ------------------------------------------------------------------------------------


def confusion_changes(models: Sequence[Model], names: Sequence[str], noun: str) -> Figure:
    """How many more or fewer examples a seed calls `predicted` than before.

    A matrix a model for classes that it has room for, the first model's alone where there are
    more, bars of the largest changes for still more.
    """
    if len(names) > MOST_SQUARES:
        return _bars(models, names, noun)
    is_numbered = len(names) <= MOST_NUMBERED
    models = models if is_numbered else models[:1]
    is_long, columns = has_long_names(names), len(models)
    if is_numbered:
        figure = Figure(figsize=(WIDTH, 4.1 if columns > 1 else 5.6))
        left, wspace, bottom = (0.15, 0.42, 0.24) if is_long else (0.07, 0.2, 0.12)
        figure.subplots_adjust(left=left, right=0.99, wspace=wspace, bottom=bottom, top=0.89)
    else:
        figure = Figure(figsize=(WIDTH, 6.8), layout="constrained")
    title = f"Change of {noun}s per seed.  Off the diagonal: orange more mistakes, blue fewer"
    figure.suptitle(title, x=0.01, ha="left", fontsize=8.5, color=NEUTRAL)
    shown = [drawable(name, 14 if is_numbered else plots.LONGEST_LABEL) for name in names]
    size = 8.0 if is_numbered else plots.label_size(len(names))
    for axes, model in zip(figure.subplots(1, columns, squeeze=False)[0], models, strict=True):
        plots.confusion_change(axes, change(model), 6.5 if columns > 1 else 8)
        axes.set_title(model.name, loc="left", fontweight="bold")
        axes.set_xticks(range(len(names)), shown, rotation=90 if is_long else 0, fontsize=size)
        axes.set_yticks(range(len(names)), shown, fontsize=size)
        axes.set_xlabel("predicted")
    figure.axes[0].set_ylabel("actual")
    return figure


def _bars(models: Sequence[Model], names: Sequence[str], noun: str) -> Figure:
    parts = [mistakes(model)[:MOST_BARS] for model in models]
    rows = sum(map(len, parts))
    height = 0.4 + 0.62 * len(models) + 0.2 * rows
    figure = Figure(figsize=(WIDTH, height))
    title = (
        f"Mistakes that changed most, in {noun}s per seed: actual → predicted.  "
        "Orange more, blue fewer"
    )
    figure.text(0.01, 1 - 0.2 / height, title, fontsize=8.5, color=NEUTRAL)
    ratios: dict[str, Any] = {"height_ratios": [len(part) + 1 for part in parts]}
    figure.subplots_adjust(left=0.5, right=0.98, bottom=0.1 / height, top=1 - 0.62 / height)
    grid = figure.subplots(len(models), 1, squeeze=False, gridspec_kw=ratios)[:, 0]
    for axes, model, part in zip(grid, models, parts, strict=True):
        _bars_of(axes, part, names)
        axes.set_title(model.name, loc="left", fontweight="bold", x=-0.98)
    return figure


def _bars_of(axes: Axes, found: Sequence[Mistake], names: Sequence[str]) -> None:
    values = [one.change for one in found]
    colours = [WORSE if value > 0 else BETTER for value in values]
    axes.barh(range(len(found)), values, color=colours, height=0.7)
    axes.axvline(0, color=NEUTRAL, lw=1)
    labels = [plots.pair(names, one.actual, one.predicted) for one in found]
    axes.set_yticks(range(len(found)), labels, fontsize=7)
    axes.set_ylim(len(found) - 0.4, -0.6)
    reach = 1.9 * max(map(abs, values), default=1)  # the numbers stand beside the bars
    axes.set_xlim(-reach, reach)
    for row, one in enumerate(found):
        text = f" {one.change:+.1f} ({one.before:.1f} → {one.after:.1f}) ".replace("-", MINUS)
        side = "left" if one.change > 0 else "right"
        axes.text(one.change, row, text, fontsize=6.5, ha=side, va="center", color=INK)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
