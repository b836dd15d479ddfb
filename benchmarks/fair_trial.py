"""Is the verdict right? What pull requests do, drawn from pools of real MNIST trainings.

`python -m benchmarks.pools` makes the pools. `python -m benchmarks.fair_trial` draws from them,
judges with the code that judges pull requests, beside the rules before it and beside one run a
side, and writes docs/fair_trial.md, its picture, and every rate in benchmarks/results/.

A pool's mean difference is moved to the effect that is asked for, so that effect is exactly true of
the pool, and seeds are drawn with replacement, so that each is a draw of its own. What spreads, and
how the two sides go together, stays as it was measured.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from tqdm import tqdm

from benchmarks import entry, pools
from lab.base.files import write_bytes, write_json, write_text
from lab.report import plots
from lab.verdict.differences import LEVEL, Floats, Sample, paired
from lab.verdict.images import components, on_new_images
from lab.verdict.looks import planned
from lab.verdict.verdicts import Verdict, findings, holm, is_open

BEFORE = Path("benchmarks/results/fair_trial_before.json")  # accuracies without common streams
RATES = Path("benchmarks/results/fair_trial.json")
PAGE = Path("docs/fair_trial.md")
PICTURE = Path("docs/fair_trial.png")

MARGIN = 0.001
FIRST = 10  # seeds a side of the first look, and all there were before
LOOKS = planned(FIRST, 40)
MOST = LOOKS[-1]
BASE = "relu_128"
OTHER_TASK = "linear_64"  # no change of the base, but another model

TRIALS = 2_000  # reports or pull requests a row
EFFECTS = (0.0, -0.0005, -0.001, -0.002, -0.005, 0.001)
MODELS = (1, 2, 5, 10)
PUSHES = 10
MERGES, REPOSITORIES = 100, 100
STEP = -0.0005  # of each merge
SPLITS = 500  # halves of the images, for each pair of models

CLAIMS = (Verdict.IMPROVED, Verdict.REGRESSED, Verdict.SIZE_UNCLEAR, Verdict.REAL_WITHIN)
WITHIN = (Verdict.EQUIVALENT, Verdict.REAL_WITHIN)
SHOWN = (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.SIZE_UNCLEAR, *WITHIN, Verdict.CANNOT_TELL)

Pair = tuple[Floats, Floats]  # candidate and baseline, a value for every seed there may be
Random = np.random.Generator
Table = list[dict[str, Any]]


def main() -> None:
    """Draws, judges, writes the rates, the page and its picture."""
    random = np.random.default_rng(2026)
    pool, correct = pools.whole()
    changes = Changes(
        {name: np.array(of["accuracy"]) for name, of in pool.items() if name != OTHER_TASK}, True
    )
    earlier = json.loads(BEFORE.read_text(encoding="utf-8"))
    earlier = {name.replace("[128] -> ", ""): np.array(of) for name, of in earlier.items()}
    old = Changes({name: of for name, of in earlier.items() if name != OTHER_TASK}, False)

    ours, ten, one = Way("now", now, changes), Way("before", before, old), Way("arrow", arrow, old)
    locally = Way("now, locally", now, changes)
    lucky = [
        Way(
            f"before, baseline's seeds {start} to {start + 9}",
            before,
            old,
            range(start, start + MOST),
        )
        for start in (0, 110)
    ]
    measures: dict[str, Callable[[], Any]] = {
        "reports": lambda: reports([ours, locally, ten, *lucky, one], random),
        "whole": lambda: whole([ours, ten, one], random),
        "later": lambda: later(ours, random),
        "many": lambda: many([ours, locally, ten], random),
        "drift": lambda: drifts(ours, ten, one, random),
        "false stops": lambda: false_stops(ours, ten, one, random),
        "images": lambda: images(correct, random),
        "correlations": lambda: correlations(pool, old),
    }
    rates = {name: measure() for name, measure in tqdm(measures.items())}
    rates["pools"] = {name: _spread(of["accuracy"]) for name, of in pool.items()}
    write_json(RATES, rates)
    show(rates)


def show(rates: dict[str, Any]) -> None:
    """Writes the page and the picture."""
    write_text(PAGE, page(rates))
    write_bytes(PICTURE, plots.png(picture(rates)))


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "seeds": len(values),
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)),
    }


# --- draws ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Changes:
    """Changes of one model, of which any is made; seeds are those of the pool.

    Where both sides of a seed have nothing in common, the baseline's seeds may be fixed.
    """

    accuracy: dict[str, Floats]
    are_paired: bool

    def pair(self, effect: float, random: Random, fixed: Sequence[int] | None = None) -> Pair:
        """One change whose true effect is `effect`."""
        kind = str(random.choice([name for name in self.accuracy if name != BASE]))
        seeds = random.integers(len(self.accuracy[BASE]), size=MOST)
        others = seeds
        if not self.are_paired:
            others = random.permutation(seeds) if fixed is None else np.array(fixed)
        return self.moved(kind, effect)[seeds], self.accuracy[BASE][others]

    def moved(self, kind: str, effect: float) -> Floats:
        """A change's accuracies, by the pool exactly `effect` above the baseline's."""
        found: Floats = self.accuracy[kind] + (effect - self.difference(kind).mean())
        return found

    def difference(self, kind: str) -> Floats:
        """Of every seed."""
        found: Floats = self.accuracy[kind] - self.accuracy[BASE]
        return found


# --- ways to judge --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """A verdict for each model, and how many seeds a side it took."""

    verdicts: list[Verdict]
    seeds: list[int]


Judge = Callable[[Sequence[Pair], int | None], Report]


def now(pairs: Sequence[Pair], push: int | None) -> Report:
    """Fresh seeds, more of them for what is undecided; `push` None is a report made locally."""
    seeds = [FIRST] * len(pairs)
    are_open = [True] * len(pairs)
    for look in LOOKS:
        seeds = [look if more else count for more, count in zip(are_open, seeds, strict=True)]
        samples = [
            (_sample(candidate[:count]), _sample(baseline[:count]))
            for count, (candidate, baseline) in zip(seeds, pairs, strict=True)
        ]
        found = findings(samples, MARGIN, looks=LOOKS, confirmation=push)
        are_open = [is_open(finding, higher_is_better=True) for finding in found]
        if not any(are_open):
            break
    return Report([finding.verdict for finding in found], seeds)


def _sample(values: Floats) -> Sample:
    return Sample(range(len(values)), values.tolist())


def before(pairs: Sequence[Pair], push: int | None) -> Report:
    """The rules of version 1: ten seeds, looked at once, Holm's correction of p alone."""
    found = [paired(candidate[:FIRST], baseline[:FIRST]) for candidate, baseline in pairs]
    verdicts = []
    for one, p in zip(found, holm([one.p_value or 0.0 for one in found]), strict=True):
        low, high = one.interval or (0.0, 0.0)
        if max(-low, high) < MARGIN:
            verdicts.append(Verdict.EQUIVALENT)
        elif p >= LEVEL:
            verdicts.append(Verdict.CANNOT_TELL)
        elif abs(one.estimate) < MARGIN:
            verdicts.append(Verdict.SIZE_UNCLEAR)
        else:
            verdicts.append(Verdict.IMPROVED if one.estimate > 0 else Verdict.REGRESSED)
    return Report(verdicts, [FIRST] * len(pairs))


def arrow(pairs: Sequence[Pair], push: int | None) -> Report:
    """One run a side: any difference is an arrow, as `dvc metrics diff` prints it."""
    signs = [np.sign(round(candidate[0] - baseline[0], 6)) for candidate, baseline in pairs]
    words = {-1: Verdict.REGRESSED, 0: Verdict.EQUIVALENT, 1: Verdict.IMPROVED}
    return Report([words[int(sign)] for sign in signs], [1] * len(pairs))


@dataclass(frozen=True)
class Way:
    """A way to compare, on the trainings that it had."""

    name: str
    judge: Judge
    changes: Changes
    fixed: range | None = None  # the baseline's seeds

    def report(self, effects: Sequence[float], random: Random, push: int | None = 1) -> Report:
        """What it says of a change to some models."""
        pairs = [self.changes.pair(effect, random, self.fixed) for effect in effects]
        return self.judge(pairs, push)


# --- measures -------------------------------------------------------------------------------------


def reports(ways: Sequence[Way], random: Random) -> Table:
    """How often each verdict is given of one changed model, at the first push."""
    rows = []
    for effect in EFFECTS:
        for way in ways:
            push = None if way.name.endswith("locally") else 1
            found = [way.report([effect], random, push) for _ in range(TRIALS)]
            said = [report.verdicts[0] for report in found]
            rows.append(
                {
                    "way": way.name,
                    "effect": effect,
                    "seeds": float(np.mean([report.seeds for report in found])),
                    **{verdict.value: said.count(verdict) / TRIALS for verdict in SHOWN},
                }
            )
    return rows


def whole(ways: Sequence[Way], random: Random) -> Table:
    """What comes of all the pushes of a pull request, each with a change of the same effect.

    The baseline's seeds stay as they are where they are not fresh. Values are of the first push,
    of the first two, and so on.
    """

    def until(way: Way, effect: float, wanted: Callable[[Report], bool]) -> list[float]:
        hits = np.zeros((TRIALS, PUSHES), dtype=bool)
        for trial in range(TRIALS):
            fixed = None if way.changes.are_paired else range(MOST)
            if fixed is not None:
                start = int(random.integers(len(way.changes.accuracy[BASE]) - MOST))
                fixed = range(start, start + MOST)
            of_pull_request = Way(way.name, way.judge, way.changes, fixed)
            for push in range(PUSHES):
                hits[trial, push] = wanted(of_pull_request.report([effect], random, push + 1))
        rates: list[float] = (np.cumsum(hits, axis=1) > 0).mean(axis=0).tolist()
        return rates

    return [
        {
            "way": way.name,
            "claims": until(way, 0.0, lambda report: report.verdicts[0] in CLAIMS),
            "passes": until(way, -0.0015, lambda report: not stopped(report)),
            "within": until(way, -MARGIN, lambda report: report.verdicts[0] in WITHIN),
        }
        for way in ways
    ]


def stopped(report: Report) -> bool:
    """Whether the gate is closed."""
    return Verdict.REGRESSED in report.verdicts


def later(way: Way, random: Random) -> Table:
    """What a later push costs, whose p is multiplied by more."""
    rows = []
    for push in (1, 3, PUSHES):
        for effect in (0.0, -0.0005, -0.0015):
            found = [way.report([effect], random, push) for _ in range(TRIALS)]
            rows.append(
                {
                    "push": push,
                    "effect": effect,
                    "cannot tell": _share(found, (Verdict.CANNOT_TELL,)),
                    "regressed": _share(found, (Verdict.REGRESSED,)),
                    "seeds": float(np.mean([report.seeds for report in found])),
                }
            )
    return rows


def many(ways: Sequence[Way], random: Random) -> Table:
    """Reports that call any of m models equivalent, each of which the margin divides."""
    rows = []
    for way in ways:
        for count in MODELS:
            push = None if way.name.endswith("locally") else 1
            signs = random.choice([-1, 1], size=(TRIALS, count))
            found = [way.report(MARGIN * row, random, push) for row in signs]
            rows.append({"way": way.name, "models": count, "wrong": _share(found, WITHIN)})
    return rows


def _share(found: Sequence[Report], verdicts: Sequence[Verdict]) -> float:
    """Of reports with any of these verdicts."""
    hits = [any(verdict in verdicts for verdict in report.verdicts) for report in found]
    return float(np.mean(hits))


def drift(way: Way, random: Random, *, has_anchor: bool = False) -> Floats:
    """Where main is after each of 100 changes of -0.05 pp, merged where the gate is open [R, M].

    An anchor's ten seeds are compared with the same ten of the candidate, once.
    """
    level_RM = np.zeros((REPOSITORIES, MERGES + 1))
    for level_M in level_RM:
        anchor = Anchor(way.changes, random) if has_anchor else None
        main = way.changes.accuracy[BASE][random.integers(0, 200, MOST)]
        for merge in range(MERGES):
            level = level_M[merge] + STEP
            candidate, baseline = way.changes.pair(STEP, random)
            if not way.changes.are_paired:  # main's results are those of what was merged last
                candidate, baseline = candidate + level_M[merge], main
            is_open = not stopped(way.judge([(candidate, baseline)], 1))
            if is_open and anchor:
                is_open = not stopped(anchor.report(level, random))
            level_M[merge + 1] = level if is_open else level_M[merge]
            main = candidate if is_open else main
    return level_RM


class Anchor:
    """The committed seeds of a repository, on which all are compared with its anchor."""

    def __init__(self, changes: Changes, random: Random) -> None:
        self.changes = changes
        self.seeds = random.integers(len(changes.accuracy[BASE]), size=FIRST)

    def report(self, level: float, random: Random) -> Report:
        """What is said of a candidate that is `level` above the anchor."""
        kind = str(random.choice([name for name in self.changes.accuracy if name != BASE]))
        sides = (self.changes.moved(kind, level), self.changes.accuracy[BASE])
        candidate, anchor = (_sample(values[self.seeds]) for values in sides)
        (found,) = findings([(candidate, anchor)], MARGIN, looks=LOOKS, confirmation=1)
        return Report([found.verdict], [FIRST])


def drifts(ours: Way, ten: Way, one: Way, random: Random) -> Table:
    """Of each way its mean over repositories, and the tenth and ninetieth of a hundred."""
    rows = []
    for name, way, has_anchor in (
        ("now, with an anchor", ours, True),
        ("now, without", ours, False),
        ("before", ten, False),
        ("arrow", one, False),
    ):
        level_RM = drift(way, random, has_anchor=has_anchor)
        tails = np.quantile(level_RM[:, -1], [0.1, 0.9]).tolist()
        rows.append({"way": name, "level": level_RM.mean(axis=0).tolist(), "tails": tails})
    return rows


def false_stops(ours: Way, ten: Way, one: Way, random: Random) -> Table:
    """How often a change without effect is stopped, on a main at some level above the anchor."""

    def rate(way: Way, level: float | None) -> float:
        stops = 0
        for _ in range(TRIALS):
            is_stopped = stopped(way.report([0.0], random))
            if level is not None:
                is_stopped |= stopped(Anchor(way.changes, random).report(level, random))
            stops += is_stopped
        return stops / TRIALS

    without = [(one, None), (ten, None), (ours, None)]
    return [
        {"way": way.name, "level": level, "stopped": rate(way, level)}
        for way, level in [*without, (ours, 0.0), (ours, -0.0005), (ours, -0.001)]
    ]


def images(correct: pools.Correct, random: Random) -> Table:
    """How often an interval holds what other images, and other seeds, show.

    `halves`: of a random half of the images and ten seeds, beside the other half and ten other
    seeds. Their two differences differ with the errors of both, so the half-width is the root of
    the sum of both squares. `read`: whether the one interval holds the other half's difference, as
    it is often read, although that has an error of its own. `samples`: as many images as there are
    and ten seeds, both drawn from the pool with replacement; its difference is exactly known.
    """
    rows = []
    baseline = correct[BASE]
    seeds, count = baseline.shape
    for name, candidate in correct.items():
        if name == BASE:
            continue
        truth = float(candidate.mean() - baseline.mean())
        hits: dict[str, list[bool]] = {}
        widths = []
        for _ in range(SPLITS):
            order, chosen = random.permutation(count), random.permutation(seeds)
            sides = [
                _intervals(candidate, baseline, chosen[:FIRST], order[: count // 2]),
                _intervals(candidate, baseline, chosen[FIRST : 2 * FIRST], order[count // 2 :]),
            ]
            for kind in ("new images", "seeds"):
                (one, half), (other, other_half) = (side[kind] for side in sides)
                gap = abs(one - other)
                hits.setdefault(f"halves, {kind}", []).append(gap <= np.hypot(half, other_half))
                hits.setdefault(f"read, {kind}", []).append(gap <= half)
            found = _intervals(
                candidate,
                baseline,
                random.integers(seeds, size=FIRST),
                random.integers(count, size=(count,)),
            )
            for kind, (one, half) in found.items():
                hits.setdefault(f"samples, {kind}", []).append(abs(one - truth) <= half)
            widths.append(found["new images"][1] / found["seeds"][1])
        rates = {key: float(np.mean(values)) for key, values in hits.items()}
        rows.append({"model": name, "difference": truth, "width": float(np.mean(widths)), **rates})
    return rows


def _intervals(
    candidate: npt.NDArray[np.bool_],
    baseline: npt.NDArray[np.bool_],
    seeds: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.int64],
) -> dict[str, tuple[float, float]]:
    """The difference and half its interval, each way."""
    right, other = (side[seeds][:, chosen] for side in (candidate, baseline))
    of_seeds = paired(right.mean(axis=1), other.mean(axis=1))
    low, high = of_seeds.interval or (0.0, 0.0)
    new = on_new_images(components(right, other)) or (0.0, 0.0)
    return {
        "seeds": (of_seeds.estimate, (high - low) / 2),
        "new images": (of_seeds.estimate, (new[1] - new[0]) / 2),
    }


def correlations(pool: pools.Pool, earlier: Changes) -> Table:
    """What a seed has in common before and after each kind of change, and what that is worth."""
    rows = []
    for kind in pool:
        if kind in (BASE, OTHER_TASK):
            continue
        difference = {
            score: np.array(pool[kind][score]) - np.array(pool[BASE][score])
            for score in ("accuracy", "loss", "soft_accuracy")
        }
        needed = {score: (d.std(ddof=1) / d.mean()) ** 2 for score, d in difference.items()}
        without = earlier.accuracy.get(kind)
        d = difference["accuracy"]
        is_clear = abs(d.mean()) > 5 * d.std(ddof=1) / np.sqrt(len(d))
        rows.append(
            {
                "change": kind,
                "difference": float(d.mean()),
                "sd": float(d.std(ddof=1)),
                "correlation": _correlation(pool[kind]["accuracy"], pool[BASE]["accuracy"]),
                "without": None
                if without is None
                else _correlation(without.tolist(), earlier.accuracy[BASE].tolist()),
                "sd without": None
                if without is None
                else float(earlier.difference(kind).std(ddof=1)),
                "loss": needed["loss"] / needed["accuracy"] if is_clear else None,
                "soft_accuracy": needed["soft_accuracy"] / needed["accuracy"] if is_clear else None,
            }
        )
    return rows


def _correlation(one: list[float], other: list[float]) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _mean(rows: Table, key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


# --- the page -------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; numbers to the right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def share(value: float | None) -> str:
    """Percent, with a digit more where it is small."""
    return "" if value is None else f"{value:.1%}" if value < 0.1 or value > 0.9 else f"{value:.0%}"


def points(value: float | None) -> str:
    """Percentage points."""
    return "" if value is None else f"{100 * value:+.2f} pp".replace("+0.00", "0")


def page(rates: dict[str, Any]) -> str:
    """Rates, what they mean, how they came about."""
    of_reports = table(
        ["true effect", "way", "seeds a side", *SHOWN],
        [
            [
                points(row["effect"]),
                row["way"],
                f"{row['seeds']:.1f}",
                *(share(row[verdict]) for verdict in SHOWN),
            ]
            for row in rates["reports"]
        ],
    )
    of_whole = table(
        ["", "way", *(f"{n} push" + "es" * (n > 1) for n in PUSHES_SHOWN)],
        [
            [text, row["way"], *(share(row[key][n - 1]) for n in PUSHES_SHOWN)]
            for key, text in WHOLE.items()
            for row in rates["whole"]
        ],
    )
    of_later = table(
        ["push", "true effect", "regressed", "cannot tell", "seeds a side"],
        [
            [
                str(row["push"]),
                points(row["effect"]),
                share(row["regressed"]),
                share(row["cannot tell"]),
                f"{row['seeds']:.1f}",
            ]
            for row in rates["later"]
        ],
    )
    ways = list(dict.fromkeys(row["way"] for row in rates["many"]))
    of_many = table(
        ["models that changed", *ways],
        [
            [
                str(count),
                *(share(row["wrong"]) for row in rates["many"] if row["models"] == count),
            ]
            for count in MODELS
        ],
    )
    of_drift = table(
        ["gate", "main after 100 merges", "of ten repositories, eight end between"],
        [
            [row["way"], points(row["level"][-1]), " and ".join(map(points, row["tails"]))]
            for row in rates["drift"]
        ],
    )
    of_stops = table(
        ["gate", "main beside the anchor", "stopped"],
        [
            [
                row["way"],
                "no anchor" if row["level"] is None else points(row["level"]),
                f"{row['stopped']:.2%}",
            ]
            for row in rates["false stops"]
        ],
    )
    kinds = ("new images", "seeds")  # the interval
    held = [f"{what}, {kind}" for what in IMAGE_TRIALS for kind in kinds]
    of_images = table(
        [
            "beside `relu_128`",
            "difference",
            "times as wide",
            *(f"{what}: {kind}" for what in IMAGE_TRIALS.values() for kind in kinds),
        ],
        [
            [
                f"`{row['model']}`",
                points(row["difference"]),
                f"{row['width']:.1f}",
                *(share(row[key]) for key in held),
            ]
            for row in rates["images"]
        ]
        + [["all", "", "", *(share(_mean(rates["images"], key)) for key in held)]],
    )
    of_changes = table(
        [
            "change",
            "true effect",
            "correlation",
            "without common streams",
            "sd of a difference",
            "without",
            "seeds that the loss needs",
            "soft accuracy",
        ],
        [
            [
                f"`{row['change']}`",
                points(row["difference"]),
                f"{row['correlation']:+.2f}",
                "" if row["without"] is None else f"{row['without']:+.2f}",
                f"{100 * row['sd']:.3f} pp",
                "" if row["sd without"] is None else f"{100 * row['sd without']:.3f} pp",
                *("" if row[s] is None else f"x {row[s]:.2f}" for s in ("loss", "soft_accuracy")),
            ]
            for row in rates["correlations"]
        ],
    )
    trained = ", ".join(
        f"{name} {100 * of['mean']:.2f} % ± {100 * of['sd']:.2f} pp"
        for name, of in rates["pools"].items()
        if name in (BASE, OTHER_TASK)
    )
    return PAGE_TEXT.format(
        **{key: value for key, value in locals().items() if isinstance(value, str)},
        trials=f"{TRIALS:,}",
        splits=f"{SPLITS:,}",
        noise=f"{200 * np.sqrt(LEVEL * (1 - LEVEL) / TRIALS):.1f}",
        repositories=REPOSITORIES,
        seeds=min(of["seeds"] for of in rates["pools"].values()),
        looks=", ".join(map(str, LOOKS[:-1])) + f" and {MOST}",
    )


PUSHES_SHOWN = (1, 5, PUSHES)
WHOLE = {
    "claims": "no effect, but some push says improved, regressed, or real",
    "passes": "-0.15 pp, but some push lets it through",
    "within": "-0.10 pp, but some push calls it equivalent",
}
IMAGE_TRIALS = {
    "samples": "another sample of images",
    "halves": "the other half, with its own error",
    "read": "the other half, as if it had none",
}
PAGE_TEXT = """# Is the verdict right?

Measured on real trainings: {seeds} seeds of each variant on MNIST, `params.yaml` as it stands, then
thousands of pull requests drawn from them and judged by the code that judges pull requests: {looks}
fresh seeds a side until a verdict is reached, margin 0.10 pp. Beside it stand the rules of version
1 (`before`: ten seeds a side that stay the same, one look, on trainings without common streams) and
one run a side with an arrow, as `dvc metrics diff` prints it (`arrow`).

![What reports, pull requests and a hundred merges come to](fair_trial.png)

## One report

One changed model, {trials} reports a row, first push. What is made on a laptop (`now, locally`)
looks at the committed seeds and those after them, and nothing is multiplied for later pushes.
`before` is averaged over baselines; where it names seeds, the baseline is those, as it was for each
pull request. Fresh seeds know no such luck.

{of_reports}

## A pull request of ten pushes

Every push makes another change of the same effect; {trials} pull requests a row. `before` keeps the
baseline's seeds over all pushes.

{of_whole}

What a later push costs, because its p is multiplied by n (n + 1):

{of_later}

## Several models

Reports that call some model equivalent (or real, within the margin) while every model is exactly
the margin away from its baseline, up or down:

{of_many}

## A hundred merges

Each of a hundred changes is 0.05 pp worse than main at that time, and is merged where the gate is
open; {repositories} repositories a row. The anchor is where main began, compared on the ten
committed seeds.

{of_drift}

Changes without any effect that are stopped ({trials} a row). On a main that has come down by the
margin the anchor stops every other change, until main is better again or the anchor is moved:

{of_stops}

## Other images

How often the interval holds what other seeds show on other images ({splits} draws a cell, ten seeds
a side, 95 % is nominal):

- *another sample*: the {seeds} seeds and 10,000 images are taken for all there are, so that the
  true difference is known; ten seeds and 10,000 images are drawn from them with replacement.
- *the other half*: a random half of the images and ten seeds, beside the other half and ten other
  seeds. The other half is a sample too: the two differences may differ by the root of the sum of
  the squares of both half-widths (of t with few degrees of freedom, so a little too wide).
- *as if it had none*: whether the interval of the one half holds the difference of the other. An
  interval for the true difference need not: with errors of equal size 83 % is right.

{of_images}

## What a seed has in common

Order, dropout and the start of each unit are streams of their own, so a seed brings the same luck
to both sides where the change lets it. Without common streams stands what the pools of version 1
had; changes of
neither width nor dropout drew the same numbers even then. The last columns say how many
seeds other scores of the same trainings need for equal power, of those that accuracy needs (where
the effect on accuracy is clear).

{of_changes}

## How it was drawn

The mean difference of a pool is moved to the effect that is asked for, which is then exactly true
of the pool; its spread and correlation stay as measured. Each trial takes any of the kinds of
changes above (of widths only, for `before` and `arrow`) and draws seeds with replacement. Models of
a report are drawn apart from each other. Rates of {trials} trials are within {noise} pp at 5 % (two
standard errors).

Test accuracy over seeds (mean ± standard deviation): {trained}.

`python -m benchmarks.pools` trains the pools, `python -m benchmarks.fair_trial` writes this page
and every rate of it ([`fair_trial.json`](../benchmarks/results/fair_trial.json)). Raw values, in
`benchmarks/results/`: every seed's scores (`fair_trial_pools.json`), the images that each seed got
right (`fair_trial_pools.npz`), and the accuracies of version 1 (`fair_trial_before.json`).
"""


COLOURS = {
    Verdict.REGRESSED: (plots.WORSE, "says worse"),
    Verdict.SIZE_UNCLEAR: ("#f0b27a", "real, size unclear"),
    Verdict.CANNOT_TELL: (plots.BAND, "cannot tell"),
    Verdict.REAL_WITHIN: ("#9fd3c0", "real, within the margin"),
    Verdict.EQUIVALENT: ("#4fa98a", "equivalent"),
    Verdict.IMPROVED: (plots.BETTER, "says better"),
}
WAYS = {"now": "this repository", "before": "ten seeds, one look", "arrow": "one run, an arrow"}
LINES = {"now": plots.CANDIDATE, "before": plots.BASELINE, "arrow": plots.NEUTRAL}


def picture(rates: dict[str, Any]) -> Figure:
    """What one report says, what ten pushes come to, where a hundred merges end."""
    with plots.style():
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
        _reports(left, rates["reports"])
        _pushes(middle, rates["whole"])
        _merges(right, rates["drift"])
        handles, labels = left.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        figure.legend(
            named.values(), named.keys(), loc="outside lower left", ncols=6, frameon=False
        )
    return figure


def _reports(axes: Axes, rows: Table) -> None:
    """A bar for each way at each effect, divided by verdicts."""
    places, names = [], []
    for group, effect in enumerate(EFFECTS[:4]):
        for index, way in enumerate(WAYS):
            (row,) = (row for row in rows if row["way"] == way and row["effect"] == effect)
            place, left = group * (len(WAYS) + 1) + index, 0.0
            places.append(place)
            names.append(f"{WAYS[way]}, {points(effect)}" if index == 0 else WAYS[way])
            for verdict, (colour, label) in COLOURS.items():
                axes.barh(place, row[verdict], left=left, color=colour, label=label, height=0.85)
                if row[verdict] >= 0.1:
                    axes.text(
                        left + row[verdict] / 2,
                        place,
                        f"{row[verdict]:.0%}",
                        ha="center",
                        va="center",
                        fontsize=7,
                    )
                left += row[verdict]
    axes.set_yticks(places, names, fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    axes.set_title("One report, by true effect")


def _pushes(axes: Axes, rows: Table) -> None:
    """False claims over the pushes of a pull request."""
    for row in rows:
        way = row["way"]
        axes.plot(range(1, PUSHES + 1), row["claims"], color=LINES[way], label=WAYS[way])
        height = max(row["claims"][-1], LEVEL) + 0.015
        axes.text(PUSHES, height, WAYS[way], color=LINES[way], ha="right", fontsize=8)
    axes.axhline(LEVEL, color=plots.INK, linewidth=0.8, linestyle=":")
    axes.text(PUSHES + 0.3, LEVEL, "5 %", va="center", fontsize=8)
    axes.set_xticks([1, 5, PUSHES])
    axes.set_ylim(0, 1.08)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("pushes")
    axes.set_title("No effect, yet one is claimed")


def _merges(axes: Axes, rows: Table) -> None:
    """Where main is after each merge."""
    for row in rows:
        way = row["way"].split(",")[0]
        level = 100 * np.array(row["level"])
        axes.plot(level, color=LINES[way], linestyle="-" if "with an" in row["way"] else "--")
        label, below = WAYS[way], 12
        if row["way"].endswith("anchor"):
            label, below = f"{label}, with an anchor", -4
        elif row["way"].endswith("without"):
            label = f"{label}, without"
        axes.annotate(
            label,
            (len(level) - 1, level[-1]),
            (0, -below) if level[-1] > -1 else (-8, 0),
            textcoords="offset points",
            color=LINES[way],
            ha="right",
            fontsize=8,
        )
    axes.set_xlabel("changes that ask to be merged")
    axes.set_ylabel("main's accuracy, pp")
    axes.margins(y=0.08)
    axes.set_title("Each change 0.05 pp worse")


if __name__ == "__main__":
    entry.run(main)
