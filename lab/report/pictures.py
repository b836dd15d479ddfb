"""The report's pictures: evidence in, PNG bytes out, each in a light and a dark variant.

Drawn once, for a light page; the dark variant is the same pixels with their lightness turned
round, so the two always show the same. Blue is the candidate and what is better, vermillion what
is worse (Okabe and Ito 2008: told apart by colour-blind readers). Equal evidence gives equal bytes.
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
from PIL import Image as PillowImage

from lab.report.document import Picture, file_names
from lab.report.evidence import Curve, Evidence, Image, Model
from lab.report.judgement import Judged, Judgement
from lab.report.wording import MINUS, percent, points
from lab.verdict.comparison import Verdict

DOTS_PER_INCH = 150
WIDTH = 7.0  # inches; shown 700 pixels wide
MOST_DIFFERENCES = 20  # models
MOST_CURVES = 3
MOST_CONFUSIONS = 2

BETTER = CANDIDATE = "#0072b2"
WORSE = "#d55e00"
BASELINE = "#8a5a00"
NEUTRAL = "#57606a"
BAND = "#e3e6ea"
INK = "#1f2328"

# White and black of GitHub's dark page; see `dark`.
DARK_PAGE = np.array([13.0, 17.0, 23.0])
DARK_INK = np.array([240.0, 246.0, 252.0])

Pixels = npt.NDArray[np.uint8]


def _style() -> contextlib.AbstractContextManager[None]:
    """Matplotlib's settings while a picture is drawn."""
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


def draw(evidence: Evidence, judgement: Judgement) -> tuple[list[Picture], dict[str, bytes]]:
    """Draws what there is to draw.

    Returns:
        The pictures in reading order, and their PNG bytes by file name.
    """
    found: list[Picture] = []
    files: dict[str, bytes] = {}
    with _style():
        for name, alternative, figure in _figures(evidence, judgement):
            light = pixels(figure)
            found.append(Picture(name, alternative))
            for file, variant in zip(file_names(name), (light, dark(light)), strict=True):
                files[file] = png(variant)
    return found, files


PICTURES = ("differences", "curves", "confusion", "images")


def _figures(evidence: Evidence, judgement: Judgement) -> list[tuple[str, str, Figure]]:
    told = [one for one in judgement.models if one.finding]
    both = sorted(told, key=lambda one: -_size(one))  # the largest differences first
    curves = [one.model for one in both if _has_other_curves(one.model)][:MOST_CURVES]
    moved = [one.model for one in both if _has_moved(one.model)][:MOST_CONFUSIONS]
    figures = []
    if told:
        figures.append(
            (
                "differences",
                "Difference of test accuracy of each model with its interval, against the margin",
                differences(told[:MOST_DIFFERENCES], evidence.margin),
            )
        )
    if curves:
        figures.append(
            (
                "curves",
                "Learning curves of candidate and baseline with their spread over seeds",
                learning_curves(curves),
            )
        )
    if moved:
        figures.append(
            (
                "confusion",
                "Which mistakes became more and which fewer, by actual and predicted class",
                confusion_changes(moved, evidence.class_names),
            )
        )
    if evidence.images:
        figures.append(
            (
                "images",
                "Test images whose majority prediction changed, with both predictions",
                gallery(evidence.images, evidence.class_names),
            )
        )
    return figures


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
    axes.set_title(
        f"Line: 95 % interval.  Small dots: single seeds.  Grey: margin of ±{percent(margin)} pp",
        loc="left",
        fontsize=8.5,
        color=NEUTRAL,
    )
    return figure


def _difference_row(axes: Axes, row: int, one: Judged) -> None:
    if one.finding is None:
        return
    found, colour = one.finding.difference, _colour(one.word)
    single = _single_differences(one.model)
    # A fixed wobble keeps equal dots apart without chance.
    wobble = [0.05 * ((position * 7) % 5 - 2) / 2 for position in range(len(single))]
    axes.scatter(
        single,
        [row + 0.2 + offset for offset in wobble],
        s=13,
        color=colour,
        alpha=0.6,
        linewidths=0,
        zorder=2,
    )
    if found.interval is not None:
        low, high = (100 * end for end in found.interval)
        axes.plot([low, high], [row, row], color=colour, lw=2.6, solid_capstyle="butt", zorder=3)
        for end in (low, high):
            axes.plot([end, end], [row - 0.12, row + 0.12], color=colour, lw=1.6, zorder=3)
    axes.plot([100 * found.estimate], [row], "o", color=colour, ms=7, mec="white", mew=1, zorder=4)
    axes.annotate(
        one.model.name,
        (0.004, row - 0.3),
        xycoords=("axes fraction", "data"),
        va="center",
        fontweight="bold",
    )
    axes.annotate(
        f"{points(found.estimate)} pp, {one.word}",
        (0.996, row - 0.3),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="center",
        color=colour,
    )


def _single_differences(model: Model) -> list[float]:
    """In percentage points, seed by seed; empty when the sides have other seeds."""
    new, old = model.candidate, model.baseline
    if new is None or old is None or sorted(new.seeds) != sorted(old.seeds):
        return []
    of_seed = dict(zip(old.seeds, old.test.accuracy, strict=True))
    return [
        100 * (value - of_seed[seed])
        for seed, value in zip(new.seeds, new.test.accuracy, strict=True)
    ]


def _extent(one: Judged) -> list[float]:
    if one.finding is None:
        return []
    found = one.finding.difference
    interval = [100 * end for end in found.interval or ()]
    return [100 * found.estimate, *interval, *_single_differences(one.model)]


def _colour(word: str) -> str:
    colours = {Verdict.IMPROVED.value: BETTER, Verdict.REGRESSED.value: WORSE}
    return colours.get(word, NEUTRAL)


# --- learning curves -----------------------------------------------------------------------------


def _curve_sides(model: Model) -> list[tuple[str, str, str, Curve]]:
    """Label, colour and line style of each side that has a curve."""
    sides = [
        ("baseline", BASELINE, "--", model.baseline),
        ("candidate", CANDIDATE, "-", model.candidate),
    ]
    return [
        (label, colour, line, side.curve)
        for label, colour, line, side in sides
        if side and side.curve and side.curve.epoch
    ]


def _has_other_curves(model: Model) -> bool:
    """Whether there is a curve, and the two sides are not the same one."""
    sides = [curve for *_, curve in _curve_sides(model)]
    return len(sides) == 1 or (len(sides) == 2 and sides[0] != sides[1])


def learning_curves(models: Sequence[Model]) -> Figure:
    """A row a model: training loss and validation accuracy by epoch, mean and one sd."""
    height = 0.4 + 2.2 * len(models)
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots_adjust(
        left=0.085, right=0.98, bottom=0.5 / height, top=1 - 0.28 / height, wspace=0.22, hspace=0.42
    )
    grid = figure.subplots(len(models), 2, squeeze=False)
    for row, model in enumerate(models):
        loss, accuracy = grid[row]
        for label, colour, line, curve in _curve_sides(model):
            _curve(loss, curve, curve.train_loss, curve.train_loss_sd, 1, label, colour, line)
            _curve(
                accuracy,
                curve,
                curve.validation_accuracy,
                curve.validation_accuracy_sd,
                100,
                label,
                colour,
                line,
            )
        loss.set_title(f"{model.name}: training loss (nats)", loc="left")
        accuracy.set_title("validation accuracy (%)", loc="left")
        for axes in (loss, accuracy):
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(axis="y", color=BAND, lw=0.8)
            axes.set_axisbelow(True)
            if row == len(models) - 1:
                axes.set_xlabel("epoch")
    grid[0][1].legend(
        frameon=False,
        loc="lower right",
        title="mean ± sd over seeds",
        title_fontsize=8,
        fontsize=8.5,
    )
    return figure


def _curve(
    axes: Axes,
    curve: Curve,
    means: Sequence[float | None],
    deviations: Sequence[float | None],
    scale: float,
    label: str,
    colour: str,
    line: str,
) -> None:
    mean = scale * np.array([np.nan if value is None else value for value in means])
    sd = scale * np.array([value or 0.0 for value in deviations])
    axes.fill_between(curve.epoch, mean - sd, mean + sd, color=colour, alpha=0.18, lw=0)
    axes.plot(
        curve.epoch,
        mean,
        line,
        color=colour,
        lw=1.8,
        label=label,
        marker="o" if len(mean) == 1 else "",
    )


# --- confusion -----------------------------------------------------------------------------------

# Fewer mistakes, no change, more mistakes.
_MISTAKES = LinearSegmentedColormap.from_list("mistakes", [BETTER, "#ffffff", WORSE])


def _change(model: Model) -> npt.NDArray[np.float64]:
    """Confusion counts per seed [actual, predicted], candidate minus baseline."""
    if model.candidate is None or model.baseline is None:
        return np.zeros((1, 1))
    new, old = (
        np.array(side.confusion, dtype=np.float64) / len(side.seeds)
        for side in (model.candidate, model.baseline)
    )
    change: npt.NDArray[np.float64] = new - old
    return change


def _has_moved(model: Model) -> bool:
    return bool(np.abs(_change(model)).max(initial=0) > 0)


def confusion_changes(models: Sequence[Model], names: Sequence[str]) -> Figure:
    """A matrix a model: how many more or fewer images a seed calls `predicted` than before."""
    is_long = _has_long_names(names)
    columns = len(models)
    figure = Figure(figsize=(WIDTH, 4.1 if columns > 1 else 5.6))
    figure.subplots_adjust(
        left=0.15 if is_long else 0.07,
        right=0.99,
        wspace=0.42 if is_long else 0.2,
        bottom=0.24 if is_long else 0.12,
        top=0.89,
    )
    figure.suptitle(
        "Change of images per seed.  Off the diagonal: orange more mistakes, blue fewer",
        x=0.01,
        ha="left",
        fontsize=8.5,
        color=NEUTRAL,
    )
    for axes, model in zip(figure.subplots(1, columns, squeeze=False)[0], models, strict=True):
        _confusion_change(axes, _change(model), names, 6.5 if columns > 1 else 8)
        axes.set_title(model.name, loc="left", fontweight="bold")
        axes.set_xticks(range(len(names)), names, rotation=90 if is_long else 0, fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_xlabel("predicted")
    figure.axes[0].set_ylabel("actual")
    return figure


def _confusion_change(
    axes: Axes, change: npt.NDArray[np.float64], names: Sequence[str], size: float
) -> None:
    classes = len(names)
    mistakes = np.where(np.eye(classes, dtype=bool), 0, change)
    largest = max(0.1, float(np.abs(mistakes).max()))
    axes.imshow(mistakes, cmap=_MISTAKES, vmin=-largest, vmax=largest)
    axes.spines[["top", "right"]].set_visible(True)
    for diagonal in range(classes):
        axes.axvspan(
            diagonal - 0.5,
            diagonal + 0.5,
            1 - (diagonal + 1) / classes,
            1 - diagonal / classes,
            color=BAND,
            lw=0,
        )
    if classes > 20:
        return  # numbers would not be readable
    for actual in range(classes):
        for predicted in range(classes):
            value = change[actual, predicted]
            if abs(value) < 0.05:
                continue
            is_dark = actual != predicted and abs(value) > 0.6 * largest
            digits = 0 if abs(value) >= 9.95 else 1
            axes.text(
                predicted,
                actual,
                f"{value:+.{digits}f}".replace("-", MINUS),
                ha="center",
                va="center",
                fontsize=size,
                color="white" if is_dark else INK,
            )


# --- images --------------------------------------------------------------------------------------

COLUMNS = 6


def gallery(images: Sequence[Image], names: Sequence[str]) -> Figure:
    """Test images whose majority prediction changed: what they are, were called and are called."""
    rows = -(-len(images) // COLUMNS)
    is_shared = len({image.model for image in images}) == 1
    lines = 3 + _has_long_names(names) + (not is_shared)
    height = 0.35 + rows * (1.15 + 0.167 * lines)
    figure = Figure(figsize=(WIDTH, height))
    model = f" of {images[0].model}" if is_shared else ""
    figure.text(
        0.01,
        1 - 0.2 / height,
        f"Predictions{model} that changed: baseline → candidate, and how many seeds agree",
        fontsize=8.5,
        color=NEUTRAL,
    )
    cell = (height - 0.35) / rows / height
    for position, image in enumerate(images):
        row, column = divmod(position, COLUMNS)
        side = 1.0  # inches
        left = (column + 0.5) / COLUMNS - side / 2 / WIDTH
        top = 1 - 0.35 / height - row * cell
        axes = figure.add_axes((left, top - side / height, side / WIDTH, side / height))
        values = np.frombuffer(image.pixel_bytes(), dtype=np.uint8).reshape(28, 28)
        axes.imshow(values, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right"]].set_visible(True)
        _caption(axes, image, names, is_shared)
    return figure


def _caption(axes: Axes, image: Image, names: Sequence[str], is_shared: bool) -> None:
    before, after = image.baseline_prediction, image.candidate_prediction
    if after == image.label:
        outcome, colour = "right now", BETTER
    elif before == image.label:
        outcome, colour = "wrong now", WORSE
    else:
        outcome, colour = "wrong both", NEUTRAL
    is_long = _has_long_names(names)
    predictions = f"{_short(names[before], 8)} → {_short(names[after], 8)}"
    votes = (
        f"{image.baseline_votes}/{image.baseline_seeds} → "
        f"{image.candidate_votes}/{image.candidate_seeds}"
    )
    truth = f"is {_short(names[image.label], 14)}"
    lines = [
        (predictions, INK, "bold", 7.5 if is_long else 10),
        *(
            [(truth, colour, "normal", 8), (outcome, colour, "normal", 8)]
            if is_long
            else [(f"{truth}, {outcome}", colour, "normal", 8)]
        ),
        (votes, NEUTRAL, "normal", 7.5),
    ]
    if not is_shared:
        lines.append((_short(image.model, 18), NEUTRAL, "normal", 7.5))
    down = -0.05
    for text, ink, weight, size in lines:
        axes.text(
            0.5,
            down,
            text,
            ha="center",
            va="top",
            transform=axes.transAxes,
            color=ink,
            fontweight=weight,
            fontsize=size,
        )
        down -= 0.0185 * size + 0.01


def _has_long_names(names: Sequence[str]) -> bool:
    return max(map(len, names)) > 3


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


# --- pixels --------------------------------------------------------------------------------------


def pixels(figure: Figure) -> Pixels:
    """The figure drawn on white, [height, width, 3]."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DOTS_PER_INCH)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return drawn[:, :, :3].copy()


def dark(light: Pixels) -> Pixels:
    """The same picture for a dark page: lightness turned round, hue kept.

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


def png(picture: Pixels) -> bytes:
    """PNG bytes without any metadata."""
    content = io.BytesIO()
    PillowImage.fromarray(picture).save(content, format="png", compress_level=6)
    return content.getvalue()
