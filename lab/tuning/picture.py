"""The picture of a search: every candidate's score on validation, and who was trained how far."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.base.params import Range
from lab.report import plots
from lab.report.wording import Scale, titled
from lab.results.schema import Score
from lab.tuning.search import TODAY, Candidate
from lab.tuning.space import Space

FILE = Path("report/tuning.png")
MOST_KEYS = 3  # shown, beside the order of the candidates
LOWEST = 25  # per cent of the candidates that may lie outside: of those the score says little


def drawn(candidates: Sequence[Candidate], space: Space, score: Score, on: Sequence[int]) -> bytes:
    """A PNG; the winner stands first among the candidates, and `on` has the seeds it won on."""
    winner = candidates[0]
    today = next(each for each in candidates if each.number == TODAY)
    ranges = [key for key, one in space.searched.items() if isinstance(one, Range)][:MOST_KEYS]
    panels: list[str | None] = [None, *ranges]
    with plots.style():
        rows = (len(panels) + 1) // 2
        figure = Figure(figsize=(plots.WIDTH, 0.6 + 2.3 * rows), layout="constrained")
        grid = figure.subplots(rows, min(2, len(panels)), sharey=True, squeeze=False)
        for axes, key in zip(grid.flat, panels, strict=False):
            _panel(axes, candidates, key, score)
            searched = space.searched.get(key or "")
            if isinstance(searched, Range) and searched.log:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_xlabel("candidate" if key is None else plots.drawable(key, 40))
            axes.axhline(
                Scale.of(score).factor * today.score(list(today.found)),
                color=plots.BASELINE, linewidth=1, label="today's params",
            )  # fmt: skip
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        scale = Scale.of(score)
        _limit(grid.flat[0], candidates, score)
        for axes in grid[:, 0]:
            axes.set_ylabel(titled(f"validation {score.name.replace('_', ' ')}", scale.unit))
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        name = plots.drawable(space.name, plots.LONGEST_LABEL)
        seeds = f"{len(on)} seeds" if len(on) > 1 else "one seed"
        figure.suptitle(
            f"{name}: {len(candidates) - 1} candidates; number {winner.number} won, on {seeds}",
            fontsize=11,
        )
        return plots.png(figure)


def _panel(axes: Axes, candidates: Sequence[Candidate], key: str | None, score: Score) -> None:
    """Points by how far a candidate came; those that diverged lie on the lower edge."""
    last = max(each.epochs for each in candidates)
    groups = {
        "stopped early": [each for each in candidates if each.epochs < last],
        "one seed": [each for each in candidates if each.epochs == last and len(each.found) == 1],
        "more seeds": [each for each in candidates if len(each.found) > 1],
        "winner": [candidates[0]],
    }
    looks = (
        {"color": plots.NEUTRAL, "s": 10, "marker": "x", "linewidths": 1},
        {"edgecolors": plots.CANDIDATE, "s": 22, "facecolors": "none"},
        {"color": plots.CANDIDATE, "s": 34},
        {"edgecolors": plots.WORSE, "s": 130, "facecolors": "none", "linewidths": 1.6},
    )
    factor = Scale.of(score).factor
    for (label, group), look in zip(groups.items(), looks, strict=True):
        known = [each for each in group if not each.has_diverged and each.number != TODAY]
        x = [each.number if key is None else each.values[key] for each in known]
        y = [factor * each.score(list(each.found)) for each in known]
        axes.scatter(x, y, label=label, **look)  # type: ignore[arg-type]
    lost = [each for each in candidates if each.has_diverged and each.number != TODAY]
    if lost:
        x = [each.number if key is None else each.values[key] for each in lost]
        axes.scatter(
            x, [0.02] * len(x), label="diverged", color=plots.WORSE, s=18, marker="v",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip


def _limit(axes: Axes, candidates: Sequence[Candidate], score: Score) -> None:
    """Shows where candidates are close to each other; the worst lie outside."""
    factor = Scale.of(score).factor
    values = [factor * each.score(list(each.found)) for each in candidates if not each.has_diverged]
    if len(values) < 2:
        return
    between = (LOWEST, 100) if score.higher_is_better else (0, 100 - LOWEST)
    ends = [float(np.percentile(values, end)) for end in between]
    spare = 0.1 * (ends[1] - ends[0]) or 0.5
    axes.set_ylim(ends[0] - spare, ends[1] + spare)
