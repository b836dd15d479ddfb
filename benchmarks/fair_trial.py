"""Is the verdict right? Real MNIST trainings, compared with themselves and with true changes.

`python -m benchmarks.fair_trial` trains a pool of seeds once per variant (kept in
benchmarks/results/, training goes on where it was stopped), draws comparisons from it, and writes
docs/fair_trial.md and its picture. What stands in the pool is real; only the drawing is repeated.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from tqdm import tqdm

from lab.base import params
from lab.base.files import write_bytes, write_json, write_text
from lab.base.params import ModelParams, Params
from lab.base.script import run_script
from lab.data.prepared import Prepared, load_prepared
from lab.report import plots
from lab.verdict.differences import Sample
from lab.verdict.verdicts import Verdict, findings

POOL = Path("benchmarks/results/fair_trial.json")
PAGE = Path("docs/fair_trial.md")
PICTURE = Path("docs/fair_trial.png")

SEEDS = 200  # per variant
CHUNK = 20  # seeds trained between two saves
TRIALS = 2_000  # comparisons per row
PER_SIDE = 10  # seeds a side in each
MARGIN = 0.001

CLAIMS = (Verdict.IMPROVED, Verdict.REGRESSED, Verdict.REAL_BUT_SMALL)

Floats = npt.NDArray[np.float64]

# The baseline is the default model; each change makes it worse by an amount the pool tells.
MODELS = ("relu_128", "linear_64")
CHANGES: dict[str, dict[str, object]] = {
    "hidden: [128] -> [112]": {"hidden": [112]},
    "hidden: [128] -> [96]": {"hidden": [96]},
    "hidden: [128] -> [64]": {"hidden": [64]},
}


@dataclass(frozen=True)
class Said:
    """How often (of all trials) each way of comparing spoke of a change for the worse or better.

    `verdicts` counts this repository's, `claims` its reports that claim any difference at all
    (improved, regressed or real but small). `arrow` is what one run a side shows as down and up,
    which is what `dvc metrics diff` prints; `threshold` the same with 0.1 pp as the smallest
    change shown.
    """

    verdicts: dict[Verdict, float]
    claims: float
    arrow: tuple[float, float]
    threshold: tuple[float, float]


def main() -> None:
    """Trains what is missing, compares, writes the page."""
    pool = train_pool(params.load())
    random = np.random.default_rng(2026)
    rows = {"no change": compared(pool, same_code, random)}
    truths = {"no change": 0.0}
    for change in CHANGES:
        truths[change] = float(np.mean(pool[change]) - np.mean(pool["relu_128"]))
        rows[change] = compared(pool, changed(change), random)
    write_text(PAGE, page(pool, truths, rows))
    write_bytes(PICTURE, plots.png(picture(truths, rows)))
    print(PAGE.read_text())


def train_pool(tree: Params) -> dict[str, list[float]]:
    """Test accuracy of SEEDS seeds of every variant, from the file or trained now."""
    from lab.training.device import choose_device, choose_precision

    pool: dict[str, list[float]] = json.loads(POOL.read_text()) if POOL.exists() else {}
    variants: dict[str, ModelParams] = {name: tree.models[name] for name in MODELS}
    for change, update in CHANGES.items():
        variants[change] = tree.models["relu_128"].model_copy(update=update)
    data = load_prepared()
    precision = choose_precision(tree.train.precision, choose_device(), print)
    missing = sum(SEEDS - len(pool.get(name, ())) for name in variants)
    with tqdm(total=missing, unit="seed", disable=not missing) as bar:
        for name, model in variants.items():
            while len(done := pool.setdefault(name, [])) < SEEDS:
                seeds = list(range(len(done), min(SEEDS, len(done) + CHUNK)))
                done += accuracies(tree, name, model, seeds, data, precision)
                write_json(POOL, pool)
                bar.update(len(seeds))
    return pool


def accuracies(
    tree: Params,
    name: str,
    model: ModelParams,
    seeds: list[int],
    data: Prepared,
    precision: str,
) -> list[float]:
    """Test accuracy of each seed of a model, trained now on all cores."""
    from lab.training.device import choose_device
    from lab.training.loop import train_model
    from lab.training.stacks import cores

    train = tree.train.model_copy(update={"seeds": seeds})
    trained = train_model(
        name,
        model,
        train,
        data,
        lambda _: None,
        device=choose_device(),
        precision=precision,
        workers=cores(),
    )
    found: list[float] = trained.test.accuracy_S.tolist()
    return found


Pair = tuple[Sample, Sample]
Draw = Callable[[dict[str, list[float]], np.random.Generator], list[Pair]]


def same_code(pool: dict[str, list[float]], random: np.random.Generator) -> list[Pair]:
    """Both default models against themselves, on disjoint lists of seeds."""
    pairs = []
    for model in MODELS:
        seeds = random.permutation(SEEDS)[: 2 * PER_SIDE]
        pairs.append((side(pool[model], seeds[:PER_SIDE]), side(pool[model], seeds[PER_SIDE:])))
    return pairs


def changed(change: str) -> Draw:
    """A changed model against the default one, on the same seeds, as a pull request would be."""

    def draw(pool: dict[str, list[float]], random: np.random.Generator) -> list[Pair]:
        seeds = random.permutation(SEEDS)[:PER_SIDE]
        return [(side(pool[change], seeds), side(pool["relu_128"], seeds))]

    return draw


def side(accuracies: list[float], seeds: npt.NDArray[np.int64]) -> Sample:
    """The accuracies of some seeds."""
    return Sample(seeds.tolist(), [accuracies[seed] for seed in seeds])


def compared(pool: dict[str, list[float]], draw: Draw, random: np.random.Generator) -> Said:
    """What each way of comparing says in TRIALS drawn comparisons."""
    verdicts: list[Verdict] = []
    singles: list[float] = []
    claims = 0
    for _ in range(TRIALS):
        pairs = draw(pool, random)
        found = [finding.verdict for finding in findings(pairs, MARGIN)]
        verdicts += found
        claims += any(verdict in CLAIMS for verdict in found)
        singles += [candidate.values[0] - baseline.values[0] for candidate, baseline in pairs]
    single = np.array(singles)
    return Said(
        verdicts={verdict: verdicts.count(verdict) / len(verdicts) for verdict in Verdict},
        claims=claims / TRIALS,
        arrow=(float(np.mean(single < 0)), float(np.mean(single > 0))),
        threshold=(float(np.mean(single <= -MARGIN)), float(np.mean(single >= MARGIN))),
    )


def page(pool: dict[str, list[float]], truths: dict[str, float], rows: dict[str, Said]) -> str:
    """The Markdown page: rates, what they mean, how they came about."""
    shown = [*CLAIMS, Verdict.EQUIVALENT, Verdict.CANNOT_TELL]
    header = [
        "change made",
        "true effect",
        *shown,
        "one run: down / up",
        "one run, 0.1 pp apart: down / up",
    ]
    lines = [header, ["---", *["--:"] * (len(header) - 1)]]
    for name, said in rows.items():
        lines.append(
            [
                f"`{name}`" if name in CHANGES else name,
                f"{100 * truths[name]:+.2f} pp",
                *(f"{said.verdicts[verdict]:.1%}" for verdict in shown),
                f"{said.arrow[0]:.0%} / {said.arrow[1]:.0%}",
                f"{said.threshold[0]:.0%} / {said.threshold[1]:.0%}",
            ]
        )
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    spreads = ", ".join(
        f"{name} {100 * np.mean(pool[name]):.2f} % ± {100 * np.std(pool[name], ddof=1):.2f} pp"
        for name in MODELS
    )
    return f"""# Is the verdict right?

Measured on real trainings: {SEEDS} seeds of each variant on MNIST, `params.yaml` as it stands, then
{TRIALS:,} comparisons a row drawn from them, {PER_SIDE} seeds a side, margin 0.10 pp. "No change"
compares both default models with themselves on disjoint seeds (two models a report, with Holm's
correction); the other rows compare a changed `relu_128` with the default one on the same seeds.
"True effect" is the difference over all {SEEDS} seeds.

{table}

![What each way of comparing says](fair_trial.png)

Of the reports on unchanged code, {rows["no change"].claims:.1%} claim some difference for one of
the two models; 5 % is nominal.

The last two columns show what the usual report says of the same trainings: one run a side, any
difference an arrow (as `dvc metrics diff` prints it), or only differences of 0.1 pp and more.

Test accuracy over seeds (mean ± standard deviation): {spreads}.

`python -m benchmarks.fair_trial` writes this page; the accuracies of every seed are in
[`benchmarks/results/fair_trial.json`](../benchmarks/results/fair_trial.json).
"""


def picture(truths: dict[str, float], rows: dict[str, Said]) -> Figure:
    """One bar a row and way of comparing: said worse, said nothing, said better."""
    figure = Figure(figsize=(8, 0.9 + 0.9 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = (
        "this repository: 10 seeds a side, a verdict",
        "the usual report: 1 run a side, an arrow",
    )
    names = [f"{name}\n({100 * truths[name]:+.2f} pp)" for name in rows]
    for axes, title, index in zip(panels, titles, range(2), strict=True):
        for row, said in enumerate(rows.values()):
            worse, better = (
                (said.verdicts[Verdict.REGRESSED], said.verdicts[Verdict.IMPROVED])
                if index == 0
                else said.arrow
            )
            small = said.verdicts[Verdict.REAL_BUT_SMALL] if index == 0 else 0.0
            left = 0.0
            for share, colour in (
                (worse, "#d55e00"),
                (small, "#f0b27a"),
                (1 - worse - small - better, "#d9d9d9"),
                (better, "#0072b2"),
            ):
                axes.barh(row, share, left=left, color=colour, height=0.6)
                if share >= 0.09:
                    axes.text(left + share / 2, row, f"{share:.0%}", ha="center", va="center")
                left += share
        axes.set_title(title, fontsize=10)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False)
    panels[0].set_yticks(range(len(rows)), names)
    panels[0].invert_yaxis()
    figure.legend(
        handles=[
            Rectangle((0, 0), 1, 1, color=colour, label=label)
            for label, colour in (
                ("says worse", "#d55e00"),
                ("says worse or better, but too small to matter", "#f0b27a"),
                ("says no difference, or cannot tell", "#d9d9d9"),
                ("says better", "#0072b2"),
            )
        ],
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=9,
    )
    return figure


if __name__ == "__main__":
    run_script(main)
