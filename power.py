"""How many seeds show an effect: a table and report/power.png, from this repository's own spreads.

`--effect 0.002` asks of one more effect, in the unit of the judged score (a fraction of a score in
percent). The seeds of the two sides are taken to have nothing in common, which asks most of them.
"""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lab.base import params
from lab.base.errors import DataError, LabError
from lab.base.files import read_bytes, write_bytes
from lab.report import plots
from lab.report.wording import Scale
from lab.results import scores
from lab.results.schema import Score
from lab.verdict.differences import FEWEST_SEEDS, LEVEL, detectable, seeds_needed
from lab.verdict.looks import at_look, planned

PICTURE = Path("report/power.png")
FACTORS = (0.5, 1.0, 2.0, 5.0)  # of the margin: effects that are asked of without `--effect`
MOST_SEEDS = 1_000  # more is no answer
STYLES = ("-", "--", ":", "-.")


def main() -> None:
    """Prints the table, draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--effect", type=float, metavar="X", help="an effect to ask of")
    effect = parser.parse_args().effect
    if effect is not None and not 0 < effect <= params.MAX_MARGIN:
        raise LabError(f"--effect: must be above 0; got {effect:g}; give the size of a difference")
    tree = params.load()
    score, spreads = measured(tree.compare)
    looks = planned(len(tree.train.seeds), tree.compare.budget)
    level = at_look(LEVEL, looks)
    effects = sorted({factor * tree.compare.margin for factor in FACTORS} | {effect} - {None})
    for line in table(spreads, effects, looks, score, level):
        print(line)
    figure = picture(spreads, tree.compare.margin, looks, score, level)
    write_bytes(PICTURE, plots.png(figure))
    print(f"\nthe picture: {PICTURE}")


def measured(compare: params.CompareParams) -> tuple[Score, dict[str, float]]:
    """The judged score, and of each model the standard deviation of a difference by seed.

    Two trainings that have nothing in common differ by √2 times as much as one varies.

    Raises:
        DataError: `metrics/scores.json` is missing or damaged, or has fewer than three seeds.
    """
    try:
        content = read_bytes(scores.SCORES, scores.MAX_SCORES_BYTES)
    except FileNotFoundError:
        raise DataError(f"{scores.SCORES}: no such file; run `make repro`") from None
    found = scores.parse(content, str(scores.SCORES))
    if len(found.seeds) < FEWEST_SEEDS:
        raise DataError(
            f"{scores.SCORES}: a spread needs at least {FEWEST_SEEDS} seeds; got "
            f"{len(found.seeds)}; add some to train.seeds, then run `make repro`"
        )
    score = scores.judged(compare, found.scores)
    return score, {
        name: math.sqrt(2) * float(np.std(of_model[score.name].per_seed, ddof=1))
        for name, of_model in found.test.items()
    }


def table(
    spreads: Mapping[str, float],
    effects: Sequence[float],
    looks: Sequence[int],
    score: Score,
    level: float,
) -> list[str]:
    """Seeds a side for each effect, and what the planned seeds show, in Markdown."""
    scale = Scale.of(score)
    header = ["a true difference of", *spreads]
    rows = [
        [
            scale.with_unit(scale.effect(effect)),
            *(_seeds(one, effect, level) for one in spreads.values()),
        ]
        for effect in effects
    ]
    shown = [
        [
            f"{seeds} seeds show",
            *(
                scale.with_unit(scale.effect(detectable(one, seeds, level)))
                for one in spreads.values()
            ),
        ]
        for seeds in looks
        if seeds >= FEWEST_SEEDS
    ]
    lines = [header, ["---", *["--:"] * len(spreads)], *rows, *shown]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _seeds(deviation: float, effect: float, level: float) -> str:
    needed = seeds_needed(deviation, effect, level)
    return f"{needed} seeds" if needed <= MOST_SEEDS else f"over {MOST_SEEDS:,}"


def picture(
    spreads: Mapping[str, float],
    margin: float,
    looks: Sequence[int],
    score: Score,
    level: float,
) -> Figure:
    """The smallest true difference that is found four times out of five, over the seeds a side."""
    scale = Scale.of(score)
    seeds = np.arange(FEWEST_SEEDS, max(100, *looks) + 1)
    with plots.style():
        figure = Figure(figsize=(plots.WIDTH, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for number, (name, deviation) in enumerate(spreads.items()):
            found = [scale.factor * detectable(deviation, int(count), level) for count in seeds]
            style = STYLES[
                number % len(STYLES)
            ]  # models may vary alike, and lines cover each other
            label = plots.drawable(name, plots.LONGEST_LABEL)
            axes.plot(seeds, found, linestyle=style, linewidth=2, label=label)
        axes.axhline(scale.factor * margin, color=plots.NEUTRAL, linewidth=1, label="margin")
        for look in looks:
            axes.axvline(look, color=plots.BAND, zorder=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = sorted({3, 5, 100, *looks})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        steps = [scale.factor * factor * margin for factor in FACTORS]
        axes.set_yticks(steps, [f"{step:.3g}" for step in steps])
        axes.set_yticks([], minor=True)
        axes.set_xlabel("seeds a side")
        axes.set_ylabel(f"difference of {score.name.replace('_', ' ')}, {scale.step}")
        axes.set_title("What is found four times out of five", loc="left")
        axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    run_script(main)
