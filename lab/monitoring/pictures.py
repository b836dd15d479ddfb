"""The monitor's pictures; alone here, as matplotlib takes longer to import than to look."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from lab.base.params import MonitorParams
from lab.evidence.inputs import as_bytes
from lab.monitoring.blocks import Block
from lab.monitoring.budgets import Point, missed
from lab.monitoring.watch import State
from lab.report import plots
from lab.results.monitored import Signal
from lab.shifts.reference import Reference
from lab.shifts.statistics import Inputs

MOST_DISTRIBUTIONS = 3
MOST_PACES = 300
PAIRS = 8  # of examples
LONGEST_NAME = 14
LEFT, SIDE, GAP, CAPTION = 98, 110, 8, 26  # pixels; whole ones, so that a dark page has no edges


def both(figure: Figure) -> tuple[bytes, bytes]:
    """The light and the dark variant."""
    light = plots.pixels(figure)
    dark = plots.dark(light[:, :, :3], plots.photographs(figure))
    return plots.encoded(light), plots.encoded(dark)


def over_time(state: State, least: float) -> Figure:
    """The largest distance of a statistic in each window; alarms are shaded."""
    with plots.style():
        figure = Figure(figsize=(plots.WIDTH, 2.4), layout="constrained")
        axes = figure.add_subplot()
        times = [np.datetime64(time, "ms") for _, time, _ in state.points]
        axes.plot(times, [far for *_, far in state.points], color=plots.CANDIDATE, lw=1)
        axes.axhline(least, color=plots.NEUTRAL, lw=0.8, ls="--")
        for alarm in state.alarms:
            end = state.end_ms if alarm.end_ms is None else alarm.end_ms
            ends: Any = [np.datetime64(time, "ms") for time in (alarm.start_ms, end)]
            axes.axvspan(ends[0], ends[1], color=plots.WORSE, alpha=0.15, lw=0)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("largest distance")
        _by_date(axes)
    return figure


def paces(params: MonitorParams, points: Sequence[Point]) -> Figure:
    """How fast each budget was spent between the points; at most some hundred of these."""
    shown = [*points[:: -(-len(points) // MOST_PACES)]]
    pairs = [*itertools.pairwise(shown if shown[-1] == points[-1] else [*shown, points[-1]])]
    with plots.style():
        figure = Figure(figsize=(plots.WIDTH, 2.2), layout="constrained")
        axes = figure.add_subplot()
        times = [np.datetime64(end.time_ms, "ms") for _, end in pairs]
        failed, slow = zip(*(missed(*pair, params) for pair in pairs), strict=True)
        for spent, colour, label in (
            (failed, plots.WORSE, "failed"),
            (slow, plots.CANDIDATE, f"longer than {params.seconds:g} s"),
        ):
            axes.plot(times, [one.pace for one in spent], color=colour, lw=1, label=label)
        axes.axhline(1, color=plots.NEUTRAL, lw=0.8, ls="--")
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("pace")
        axes.legend(frameon=False, fontsize=8)
        _by_date(axes)
    return figure


def _by_date(axes: Axes) -> None:
    axes.xaxis_date()
    locator = axes.xaxis.get_major_locator()
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def distributions(on: Sequence[Signal], block: Block, reference: Reference) -> Figure:
    """How the farthest statistics are distributed, in the reference and now."""
    shown = [one for one in on if one.kind == "input"][:MOST_DISTRIBUTIONS]
    with plots.style():
        figure = Figure(figsize=(plots.WIDTH, 2.3), layout="constrained")
        for place, one in enumerate(shown):
            axes = figure.add_subplot(1, len(shown), place + 1)
            row = reference.names.index(one.name)
            edges = reference.edges_SB[row]
            known = np.isfinite(edges)
            for counts, colour, label in (
                (reference.counts_SB[row], plots.BASELINE, "reference"),
                (block.counts_SB[row], plots.CANDIDATE, "now"),
            ):
                shares = np.cumsum(counts)[:-1][known] / counts.sum()
                axes.plot(edges[known], shares, color=colour, lw=1.4, label=label)
            axes.set(ylim=(0, 1), title=plots.drawable(one.name, 24))
            if place == 0:
                axes.set_ylabel("share of inputs at most")
                axes.legend(frameon=False, fontsize=8)
    return figure


def side_by_side(state: State, reference: Reference) -> Figure:
    """Held-out images above, images of now below, of the same predicted classes."""
    shown = state.shown
    now: Inputs = shown if shown is not None else reference.inputs[:0]
    now, predicted = now[:PAIRS], state.shown_predicted[:PAIRS]
    rows = [_alike(reference, label, predicted[:place]) for place, label in enumerate(predicted)]
    names = reference.about["class_names"]
    tall = 2 * (SIDE + GAP) + CAPTION
    wide = round(plots.WIDTH * plots.DOTS_PER_INCH)
    with plots.style():
        figure = Figure(figsize=(plots.WIDTH, tall / plots.DOTS_PER_INCH))
        for line, (images, heading) in enumerate(
            ((reference.inputs[rows], "held out"), (now, "now"))
        ):
            bottom = CAPTION + (1 - line) * (SIDE + GAP)
            figure.text(0.005, (bottom + SIDE) / tall, heading, va="top", fontsize=9)
            for column, pixels in enumerate(_pixels(images)):
                left = LEFT + column * (SIDE + GAP)
                axes = figure.add_axes((left / wide, bottom / tall, SIDE / wide, SIDE / tall))
                axes.set_axis_off()
                axes.set_gid(plots.AS_IT_IS)
                axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
                if line:
                    label = predicted[column]
                    said = plots.drawable(names[label] if label >= 0 else "?", LONGEST_NAME)
                    at = (left + SIDE / 2) / wide, CAPTION / 2 / tall
                    figure.text(*at, said, ha="center", va="center", fontsize=8)
    return figure


def _alike(reference: Reference, label: int, before: Sequence[int]) -> int:
    """A row of the reference's examples that is answered the same, another one each time."""
    rows = np.flatnonzero(reference.predicted == label)
    return int(rows[list(before).count(label) % len(rows)]) if len(rows) else 0


def _pixels(images: Inputs) -> Any:
    found = as_bytes(images, None)
    return np.moveaxis(found, 1, -1) if found.ndim == 4 else found
