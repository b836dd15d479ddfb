"""The report's pictures: evidence and judgement in, PNG bytes out.

Each is drawn once, for a light page; its dark variant is the same pixels, so the two always show
the same. Equal evidence gives equal bytes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.evidence.schema import Curve, Evidence, Model, ModelSide
from lab.report import plots
from lab.report.document import Picture
from lab.report.gallery import gallery, has_long_names
from lab.report.judgement import Judged, Judgement
from lab.report.plots import BAND, BASELINE, BETTER, CANDIDATE, NEUTRAL, WIDTH, WORSE
from lab.report.wording import percent, points
from lab.verdict.verdicts import Verdict

DIFFERENCES = Picture(
    "differences", "Difference of test accuracy of each model with its interval, against the margin"
)
CURVES = Picture("curves", "Learning curves of candidate and baseline with their spread over seeds")
CONFUSION = Picture(
    "confusion", "Which mistakes became more and which fewer, by actual and predicted class"
)
IMAGES = Picture("images", "Test images whose majority prediction changed, with both predictions")
PICTURES = (DIFFERENCES, CURVES, CONFUSION, IMAGES)

MOST_DIFFERENCES = 20  # models
MOST_CURVES = 3
MOST_CONFUSIONS = 2


def draw(evidence: Evidence, judgement: Judgement) -> tuple[list[Picture], dict[str, bytes]]:
    """Draws what there is to draw.

    Returns:
        The pictures in reading order, and their PNG bytes by file name.
    """
    found: list[Picture] = []
    files: dict[str, bytes] = {}
    with plots.style():
        for picture, figure in _figures(evidence, judgement):
            light = plots.pixels(figure)[:, :, :3]  # opaque, and a tenth smaller
            found.append(picture)
            for file, variant in zip(picture.files, (light, plots.dark(light)), strict=True):
                files[file] = plots.encoded(variant)
    return found, files


def _figures(evidence: Evidence, judgement: Judgement) -> Iterator[tuple[Picture, Figure]]:
    judged = [one for one in judgement.models if one.finding]
    models = [one.model for one in sorted(judged, key=_size, reverse=True)]
    curves = [model for model in models if _has_other_curves(model)][:MOST_CURVES]
    moved = [model for model in models if np.any(_confusion_change(model))][:MOST_CONFUSIONS]
    if judged:
        yield DIFFERENCES, differences(judged[:MOST_DIFFERENCES], evidence.margin)
    if curves:
        yield CURVES, learning_curves(curves)
    if moved:
        yield CONFUSION, confusion_changes(moved, evidence.class_names)
    if evidence.images:
        yield IMAGES, gallery(evidence.images, evidence.class_names)


def _size(one: Judged) -> float:
    return abs(one.finding.difference.estimate) if one.finding else 0.0


# --- differences ---------------------------------------------------------------------------------


def differences(judged: Sequence[Judged], margin: float) -> Figure:
    """A row a model: interval and mean over the single seeds' differences, margin as a band."""
    height = 1.05 + 0.62 * len(judged)
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.55 / height, top=1 - 0.38 / height)
    axes = figure.add_subplot()
    axes.axvspan(-100 * margin, 100 * margin, color=BAND, lw=0, zorder=0)
    axes.axvline(0, color=NEUTRAL, lw=1, zorder=1)
    for row, one in enumerate(judged):
        _difference_row(axes, row, one)
    axes.set_ylim(len(judged) - 0.42, -0.62)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    ends = [abs(value) for one in judged for value in _extent(one)]
    reach = 1.12 * max([200 * margin, *ends])
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(
        "← worse      test accuracy, candidate minus baseline (percentage points)      better →"
    )
    grey = f"margin of ±{percent(margin)} pp"
    title = f"Line: 95 % interval.  Small dots: single seeds.  Grey: {grey}"
    axes.set_title(title, loc="left", fontsize=8.5, color=NEUTRAL)
    return figure


def _difference_row(axes: Axes, row: int, one: Judged) -> None:
    if one.finding is None:
        return
    found, colour = one.finding.difference, _colour(one.verdict)
    single = seed_differences(one.model)
    # A fixed wobble keeps equal dots apart without chance.
    heights = [row + 0.2 + 0.05 * ((index * 7) % 5 - 2) / 2 for index in range(len(single))]
    axes.scatter(single, heights, s=13, color=colour, alpha=0.6, linewidths=0, zorder=2)
    if found.interval is not None:
        low, high = (100 * end for end in found.interval)
        axes.plot([low, high], [row, row], color=colour, lw=2.6, solid_capstyle="butt", zorder=3)
        for end in (low, high):
            axes.plot([end, end], [row - 0.12, row + 0.12], color=colour, lw=1.6, zorder=3)
    axes.plot([100 * found.estimate], [row], "o", color=colour, ms=7, mec="white", mew=1, zorder=4)
    label = f"{points(found.estimate)} pp, {one.verdict}"
    where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center"}
    axes.annotate(one.model.name, (0.004, row - 0.3), fontweight="bold", **where)
    axes.annotate(label, (0.996, row - 0.3), ha="right", color=colour, **where)


def seed_differences(model: Model) -> list[float]:
    """Seed by seed, in percentage points; empty when the sides have other seeds."""
    if model.both is None:
        return []
    new, old = (dict(zip(s.seeds, s.test.accuracy, strict=True)) for s in model.both)
    return [100 * (new[seed] - old[seed]) for seed in new] if new.keys() == old.keys() else []


def _extent(one: Judged) -> list[float]:
    if one.finding is None:
        return []
    found = one.finding.difference
    interval = [100 * end for end in found.interval or ()]
    return [100 * found.estimate, *interval, *seed_differences(one.model)]


def _colour(verdict: str) -> str:
    colours = {Verdict.IMPROVED.value: BETTER, Verdict.REGRESSED.value: WORSE}
    return colours.get(verdict, NEUTRAL)


# --- learning curves -----------------------------------------------------------------------------


def _curves(model: Model) -> list[tuple[Curve, dict[str, Any]]]:
    """The curve of each side that has one, and how it is drawn."""
    baseline = {"label": "baseline", "color": BASELINE, "linestyle": "--"}
    candidate = {"label": "candidate", "color": CANDIDATE, "linestyle": "-"}
    sides = ((model.baseline, baseline), (model.candidate, candidate))
    return [(side.curve, how) for side, how in sides if side and side.curve and side.curve.epoch]


def _has_other_curves(model: Model) -> bool:
    """Whether there is a curve, and the two sides are not the same one."""
    curves = [curve for curve, _ in _curves(model)]
    return len(curves) == 1 or (len(curves) == 2 and curves[0] != curves[1])


def learning_curves(models: Sequence[Model]) -> Figure:
    """A row a model: training loss and validation accuracy by epoch, mean and one sd."""
    height = 0.4 + 2.2 * len(models)
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots_adjust(
        left=0.085, right=0.98, bottom=0.5 / height, top=1 - 0.28 / height, wspace=0.22, hspace=0.42
    )
    grid = figure.subplots(len(models), 2, squeeze=False)
    for model, (loss, accuracy) in zip(models, grid, strict=True):
        for curve, how in _curves(model):
            _curve(loss, curve.epoch, curve.train_loss, curve.train_loss_sd, 1, how)
            means, deviations = curve.validation_accuracy, curve.validation_accuracy_sd
            _curve(accuracy, curve.epoch, means, deviations, 100, how)
        loss.set_title(f"{model.name}: training loss (nats)", loc="left")
        accuracy.set_title("validation accuracy (%)", loc="left")
    for axes in grid.flat:
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color=BAND, lw=0.8)
        axes.set_axisbelow(True)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    title = {"title": "mean ± sd over seeds", "title_fontsize": 8}
    grid[0][1].legend(frameon=False, loc="lower right", fontsize=8.5, **title)
    return figure


def _curve(
    axes: Axes,
    epochs: Sequence[int],
    means: Sequence[float | None],
    deviations: Sequence[float | None],
    scale: float,
    how: dict[str, Any],
) -> None:
    mean = scale * np.array([np.nan if value is None else value for value in means])
    sd = scale * np.array([value or 0.0 for value in deviations])
    axes.fill_between(epochs, mean - sd, mean + sd, color=how["color"], alpha=0.18, lw=0)
    axes.plot(epochs, mean, lw=1.8, marker="o" if len(mean) == 1 else "", **how)


# --- confusion -----------------------------------------------------------------------------------


def _confusion_change(model: Model) -> npt.NDArray[np.float64]:
    """Confusion counts per seed [actual, predicted], candidate minus baseline."""
    if model.both is None:
        return np.zeros((1, 1))
    new, old = map(_confusion_per_seed, model.both)
    return new - old


def _confusion_per_seed(side: ModelSide) -> npt.NDArray[np.float64]:
    return np.array(side.confusion, dtype=np.float64) / len(side.seeds)


def confusion_changes(models: Sequence[Model], names: Sequence[str]) -> Figure:
    """A matrix a model: how many more or fewer images a seed calls `predicted` than before."""
    is_long, columns = has_long_names(names), len(models)
    figure = Figure(figsize=(WIDTH, 4.1 if columns > 1 else 5.6))
    left, wspace, bottom = (0.15, 0.42, 0.24) if is_long else (0.07, 0.2, 0.12)
    figure.subplots_adjust(left=left, right=0.99, wspace=wspace, bottom=bottom, top=0.89)
    title = "Change of images per seed.  Off the diagonal: orange more mistakes, blue fewer"
    figure.suptitle(title, x=0.01, ha="left", fontsize=8.5, color=NEUTRAL)
    for axes, model in zip(figure.subplots(1, columns, squeeze=False)[0], models, strict=True):
        plots.confusion_change(axes, _confusion_change(model), 6.5 if columns > 1 else 8)
        axes.set_title(model.name, loc="left", fontweight="bold")
        axes.set_xticks(range(len(names)), names, rotation=90 if is_long else 0, fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_xlabel("predicted")
    figure.axes[0].set_ylabel("actual")
    return figure
