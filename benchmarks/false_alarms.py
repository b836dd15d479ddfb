"""How often other methods find what is not there: `python -m benchmarks.false_alarms`.

Both sides are seeds of one model, drawn anew for every trial from the pool of benchmarks/pools.py,
so whatever is found is false. Prints the table of docs/statistics.md.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from benchmarks import entry, pools
from lab.verdict.differences import paired, welch

MODEL = "relu_128"
TRIALS = 4_000
RESAMPLES = 1_000
MARGIN = 0.001
SEEDS = (3, 5, 10)
RESAMPLING = np.random.default_rng(1)

Values = npt.NDArray[np.float64]
Test = Callable[[Values, Values], bool]  # candidate, baseline -> whether it calls a difference


def main() -> None:
    """Draws, tests, prints."""
    accuracy = np.array(pools.scores()[MODEL]["accuracy"])
    right_SN = pools.correct()[MODEL]
    print(f"{MODEL}: {len(accuracy)} seeds, sd {100 * accuracy.std(ddof=1):.3f} pp")
    print("| method | false alarms |\n|---|---|")
    print(f"| McNemar's test on one seed a side | {mcnemar(right_SN):.1%} |")
    for name, test in METHODS.items():
        rates = [f"{rate:.1%} with {seeds}" for seeds, rate in of_seeds(accuracy, test)]
        print(f"| {name} | {', '.join(rates)} seeds |")


def of_seeds(accuracy: Values, test: Test) -> Iterator[tuple[int, float]]:
    """How often a test calls two draws of so many seeds different."""
    for seeds in SEEDS:
        random = np.random.default_rng(seeds)
        draws = (random.permutation(accuracy)[: 2 * seeds] for _ in range(TRIALS))
        called = [test(drawn[:seeds], drawn[seeds:]) for drawn in draws]
        yield seeds, float(np.mean(called))


def mcnemar(right_SN: npt.NDArray[np.bool_]) -> float:
    """How often the exact test calls two seeds different."""
    random, called = np.random.default_rng(0), []
    for _ in range(TRIALS):
        new, old = right_SN[random.permutation(len(right_SN))[:2]]
        fewer, more = sorted([int((new & ~old).sum()), int((old & ~new).sum())])
        called.append(2 * binom.cdf(fewer, fewer + more, 0.5) < 0.05)
    return float(np.mean(called))


def bootstrap(candidate: Values, baseline: Values) -> bool:
    """Whether the percentile interval of the mean difference excludes zero."""
    difference = candidate - baseline
    drawn = RESAMPLING.integers(0, len(difference), (RESAMPLES, len(difference)))
    low, high = np.quantile(difference[drawn].mean(axis=1), [0.025, 0.975])
    return bool(low > 0 or high < 0)


METHODS: dict[str, Test] = {
    "percentile bootstrap over seeds": bootstrap,
    "more than 0.1 pp apart": lambda new, old: abs(new.mean() - old.mean()) > MARGIN,
    "paired *t*": lambda new, old: (paired(new, old).p_value or 0) < 0.05,
    "Welch's *t*": lambda new, old: (welch(new, old).p_value or 0) < 0.05,
}


if __name__ == "__main__":
    entry.run(main)
