"""A second interval beside that over seeds: what other images of the same kind would have shown.

The interval over seeds is about these test examples. Here the examples are a sample as well as the
seeds, crossed with them: every seed is tested on every example. The components of variance come
from the mean squares of the two-way layout without replication (Gallas 2006; Owen 2007, who shows
that a bootstrap of both ways at once counts their interaction several times).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from lab.verdict.differences import FEWEST_SEEDS, LEVEL, Floats

Right = npt.NDArray[Any]  # [K, N]: whether seed k is right on example i
Groups = npt.NDArray[np.int64]  # [N]: a number for the group of example i


@dataclass(frozen=True)
class Components:
    """Mean squares of d[k, i], candidate right minus baseline right, and what they are made of.

    `examples` counts the clusters where examples come in groups, as the images of one patient do.
    """

    seeds: int
    examples: int
    estimate: float
    ms_seeds: float
    ms_examples: float
    ms_residual: float


def components(
    candidate_KN: Right, baseline_KN: Right, groups_N: Groups | None = None
) -> Components:
    """The mean squares of two sides that are right or wrong, of the same seeds in the same order.

    Args:
        candidate_KN: whether each seed is right on each example.
        baseline_KN: the same of the baseline.
        groups_N: the group of each example, where they have one: the sample is one of groups then.
    """
    difference_KN = candidate_KN.astype(np.float64) - baseline_KN
    estimate = float(difference_KN.mean())
    if groups_N is not None:
        difference_KN = _by_group(difference_KN, estimate, groups_N)
    seeds, examples = difference_KN.shape
    of_seed_K = difference_KN.mean(axis=1) - estimate
    of_example_N = difference_KN.mean(axis=0) - estimate
    residual_KN = difference_KN - estimate - of_seed_K[:, None] - of_example_N
    return Components(
        seeds=seeds,
        examples=examples,
        estimate=estimate,
        ms_seeds=examples * _squares(of_seed_K) / max(1, seeds - 1),
        ms_examples=seeds * _squares(of_example_N) / max(1, examples - 1),
        ms_residual=_squares(residual_KN) / max(1, (seeds - 1) * (examples - 1)),
    )


def _squares(values: Floats) -> float:
    """Their sum; by BLAS, `values @ values`, its last digits would be those of a processor."""
    return float((values**2).sum())


def _by_group(difference_KN: Floats, estimate: float, groups_N: npt.NDArray[Any]) -> Floats:
    """The mean of each group, weighted by its size around the mean of all [K, G].

    Their plain mean is that of the examples: a ratio of sums over groups, linearised.
    """
    _, group_N, sizes_G = np.unique(groups_N, return_inverse=True, return_counts=True)
    sums_KG = np.array([np.bincount(group_N, weights=row_N) for row_N in difference_KN])
    around_KG: Floats = (sums_KG - sizes_G * estimate) * (len(sizes_G) / len(groups_N))
    return estimate + around_KG


def on_new_images(found: Components, level: float = LEVEL) -> tuple[float, float] | None:
    """The interval of the difference for other seeds and other examples; None below three seeds.

    Degrees of freedom by Satterthwaite. Where examples differ no more than chance makes them, it
    is the interval over seeds.
    """
    if found.seeds < FEWEST_SEEDS or found.examples < FEWEST_SEEDS:
        return None
    parts = [(found.ms_seeds, found.seeds - 1)]
    if found.ms_examples > found.ms_residual:
        parts += [
            (found.ms_examples, found.examples - 1),
            (-found.ms_residual, (found.seeds - 1) * (found.examples - 1)),
        ]
    total = sum(part for part, _ in parts)
    if total <= 0:
        return found.estimate, found.estimate
    shares = [(part / total, degrees) for part, degrees in parts]
    degrees = max(1.0, 1 / sum(share * share / degrees for share, degrees in shares))
    error = float(np.sqrt(total / (found.seeds * found.examples)))
    half = float(stdtrit(degrees, 1 - level / 2)) * error
    return found.estimate - half, found.estimate + half
