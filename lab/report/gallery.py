"""Test images whose majority prediction changed: what they are, were called and are called."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.evidence.schema import Image
from lab.report.plots import BETTER, INK, NEUTRAL, WIDTH, WORSE

COLUMNS = 6
SIDE = 1.0  # inches
HEAD = 0.35  # inches above the first row


def gallery(images: Sequence[Image], names: Sequence[str]) -> Figure:
    """The images in rows, each with its caption."""
    rows = -(-len(images) // COLUMNS)
    is_shared = len({image.model for image in images}) == 1
    lines = 3 + has_long_names(names) + (not is_shared)
    height = HEAD + rows * (1.15 + 0.167 * lines)
    figure = Figure(figsize=(WIDTH, height))
    model = f" of {images[0].model}" if is_shared else ""
    title = f"Predictions{model} that changed: baseline → candidate, and how many seeds agree"
    figure.text(0.01, 1 - 0.2 / height, title, fontsize=8.5, color=NEUTRAL)
    for position, image in enumerate(images):
        row, column = divmod(position, COLUMNS)
        left = (column + 0.5) / COLUMNS - SIDE / 2 / WIDTH
        top = 1 - (HEAD + row * (height - HEAD) / rows) / height
        axes = figure.add_axes((left, top - SIDE / height, SIDE / WIDTH, SIDE / height))
        values = np.frombuffer(image.pixel_bytes(), dtype=np.uint8).reshape(28, 28)
        axes.imshow(values, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right"]].set_visible(True)
        _caption(axes, image, names, is_shared)
    return figure


def _caption(axes: Axes, image: Image, names: Sequence[str], is_shared: bool) -> None:
    down = -0.05
    for text, colour, weight, size in _caption_lines(image, names, is_shared):
        font = {"color": colour, "fontweight": weight, "fontsize": size}
        axes.text(0.5, down, text, font, ha="center", va="top", transform=axes.transAxes)
        down -= 0.0185 * size + 0.01


def _caption_lines(
    image: Image, names: Sequence[str], is_shared: bool
) -> list[tuple[str, str, str, float]]:
    """Text, colour, weight and size of each line."""
    before, after = names[image.baseline_prediction], names[image.candidate_prediction]
    is_long = has_long_names(names)
    outcome, colour = _outcome(image)
    truth = f"is {_short(names[image.label], 14)}"
    old_votes = f"{image.baseline_votes}/{image.baseline_seeds}"
    new_votes = f"{image.candidate_votes}/{image.candidate_seeds}"
    predictions = f"{_short(before, 8)} → {_short(after, 8)}"
    lines = [
        (predictions, INK, "bold", 7.5 if is_long else 10.0),
        *((text, colour, "normal", 8.0) for text in
          ([truth, outcome] if is_long else [f"{truth}, {outcome}"])),
        (f"{old_votes} → {new_votes}", NEUTRAL, "normal", 7.5),
    ]  # fmt: skip
    return lines if is_shared else [*lines, (_short(image.model, 18), NEUTRAL, "normal", 7.5)]


def _outcome(image: Image) -> tuple[str, str]:
    if image.candidate_prediction == image.label:
        return "fixed", BETTER
    if image.baseline_prediction == image.label:
        return "broken", WORSE
    return "still wrong", NEUTRAL


def has_long_names(names: Sequence[str]) -> bool:
    """Whether names of classes need more room than a digit."""
    return max(map(len, names)) > 3


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
