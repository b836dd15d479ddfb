"""The report's pictures: evidence and judgement in, PNG bytes out.

Each is drawn once, for a light page; its dark variant is the same pixels, so the two always show
the same. Equal evidence gives equal bytes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.evidence.schema import Curve, Evidence, ImageInput, Model
from lab.report import plots
from lab.report.confusion import confusion_changes, has_changed
from lab.report.document import Picture
from lab.report.gallery import gallery
from lab.report.judgement import Judged, Judgement
from lab.report.plots import BAND, BASELINE, BETTER, CANDIDATE, NEUTRAL, WIDTH, WORSE
from lab.report.wording import Scale
from lab.results.schema import Score
from lab.verdict.verdicts import Verdict

DIFFERENCES = Picture(
    "differences", "Difference of each model on the test set with its interval, against the margin"
)
CURVES = Picture("curves", "Learning curves of candidate and baseline with their spread over seeds")
CONFUSION = Picture(
    "confusion", "Which mistakes became more and which fewer, by actual and predicted class"
)
IMAGES = Picture("images", "Test images whose majority prediction changed, with both predictions")
CARDS = Picture("images", "Test examples whose majority prediction changed, with both predictions")
PICTURES = (DIFFERENCES, CURVES, CONFUSION, IMAGES)  # CARDS take the place of IMAGES

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
            dark = plots.dark(light, plots.photographs(figure))
            for file, variant in zip(picture.files, (light, dark), strict=True):
                files[file] = plots.encoded(variant)
    return found, files


def _figures(evidence: Evidence, judgement: Judgement) -> Iterator[tuple[Picture, Figure]]:
    judged = [one for one in judgement.models if one.finding]
    models = [one.model for one in sorted(judged, key=_size, reverse=True)]
    curves = [model for model in models if _has_other_curves(model)][:MOST_CURVES]
    moved = [model for model in models if has_changed(model)][:MOST_CONFUSIONS]
    if judged:
        yield DIFFERENCES, differences(judged[:MOST_DIFFERENCES], evidence.margin, evidence.judged)
    if curves:
        yield CURVES, learning_curves(curves)
    if moved:
        yield CONFUSION, confusion_changes(moved, evidence.class_names, evidence.noun)
    if evidence.examples:
        is_image = isinstance(evidence.examples[0].input, ImageInput)
        picture = IMAGES if is_image else CARDS
        yield picture, gallery(evidence.examples, evidence.class_names)


def _size(one: Judged) -> float:
    return abs(one.finding.difference.estimate) if one.finding else 0.0


# --- differences ---------------------------------------------------------------------------------


def differences(judged: Sequence[Judged], margin: float, score: Score) -> Figure:
    """A row a model: interval and mean over the single seeds' differences, margin as a band."""
    scale = Scale.of(score)
    band = scale.factor * margin
    height = 1.05 + 0.62 * len(judged)
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.55 / height, top=1 - 0.38 / height)
    axes = figure.add_subplot()
    axes.axvspan(-band, band, color=BAND, lw=0, zorder=0)
    axes.axvline(0, color=NEUTRAL, lw=1, zorder=1)
    for row, one in enumerate(judged):
        _difference_row(axes, row, one, score)
    axes.set_ylim(len(judged) - 0.42, -0.62)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    ends = [abs(value) for one in judged for value in _extent(one, score)]
    reach = 1.12 * max([2 * band, *ends])
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(_axis(score))
    grey = f"margin of ±{scale.margin(margin)}"
    title = f"Line: 95 % interval.  Small dots: single seeds.  Grey: {grey}"
    axes.set_title(title, loc="left", fontsize=8.5, color=NEUTRAL)
    return figure


def _axis(score: Score) -> str:
    unit = "percentage points" if score.unit == "%" else score.unit
    what = f"test {score.name.replace('_', ' ')}, candidate minus baseline"
    left, right = ("worse", "better") if score.higher_is_better else ("better", "worse")
    return f"← {left}      {what}{f' ({unit})' if unit else ''}      {right} →"


def _difference_row(axes: Axes, row: int, one: Judged, score: Score) -> None:
    if one.finding is None:
        return
    found, colour, scale = one.finding.difference, _colour(one.verdict), Scale.of(score)
    single = seed_differences(one, score)
    # A fixed wobble keeps equal dots apart without chance.
    heights = [row + 0.2 + 0.05 * ((index * 7) % 5 - 2) / 2 for index in range(len(single))]
    axes.scatter(single, heights, s=13, color=colour, alpha=0.6, linewidths=0, zorder=2)
    if found.interval is not None:
        low, high = (scale.factor * end for end in found.interval)
        axes.plot([low, high], [row, row], color=colour, lw=2.6, solid_capstyle="butt", zorder=3)
        for end in (low, high):
            axes.plot([end, end], [row - 0.12, row + 0.12], color=colour, lw=1.6, zorder=3)
    axes.plot(
        [scale.factor * found.estimate],
        [row],
        "o",
        color=colour,
        ms=7,
        mec="white",
        mew=1,
        zorder=4,
    )
    label = f"{scale.with_unit(scale.difference(found.estimate))}, {one.words}"
    where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center"}
    axes.annotate(one.model.name, (0.004, row - 0.3), fontweight="bold", **where)
    axes.annotate(label, (0.996, row - 0.3), ha="right", color=colour, **where)


def seed_differences(one: Judged, score: Score) -> list[float]:
    """Seed by seed, as they are shown; empty when the sides are not compared in pairs."""
    if one.samples is None or one.finding is None or not one.finding.difference.is_paired:
        return []
    new, old = (dict(zip(side.seeds, side.values, strict=True)) for side in one.samples)
    return [Scale.of(score).factor * (new[seed] - old[seed]) for seed in new if seed in old]


def _extent(one: Judged, score: Score) -> list[float]:
    if one.finding is None:
        return []
    found = one.finding.difference
    factor = Scale.of(score).factor
    ends = [factor * end for end in (found.estimate, *(found.interval or ()))]
    return [*ends, *seed_differences(one, score)]


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
