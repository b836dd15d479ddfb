"""A verdict that may be looked at several times, as seeds are added, and errs once in twenty.

The boundary is constant: the same p at every look (Pocock 1977). What is constant is put as an
adjustment of p, so that all else compares with 0.05 whether there are looks or not. Looks need not
be equally far apart. p comes from t with few degrees of freedom, the integration is of normal sums
(Jennison and Turnbull 2000, section 4.4); see `T_TAKES`.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from lab.verdict.differences import FEWEST_SEEDS, Floats

FACTORS = (1, 2, 4)  # how many times the first seeds a look has
# Seeds less at each look: t of few seeds and t of more agree less than sums do. Without it 5 % are
# 5.5, 5.1 and 5.1 % for 3, 10 and 20 seeds at the first of three looks; with it 5.0 % for each
# (1.2 million simulated trials each; tests/verdict/test_looks.py repeats some).
T_TAKES = 2
NODES, WEIGHTS = np.polynomial.legendre.leggauss(96)


def planned(seeds: int, budget: int) -> tuple[int, ...]:
    """How many seeds a side each look has: `seeds`, and twice and four times as many.

    Args:
        seeds: of the first look, which is always there.
        budget: the most seeds a side; 0 for one look.

    >>> planned(10, 40), planned(10, 39), planned(10, 0)
    ((10, 20, 40), (10, 20), (10,))
    """
    return tuple(seeds * factor for factor in FACTORS if factor == 1 or seeds * factor <= budget)


def over_looks(p: float, looks: Sequence[int]) -> float:
    """The chance under no difference to come to this p or a smaller one at any of the looks.

    Args:
        p: two-sided, of one look.
        looks: the planned numbers of seeds, rising.

    >>> round(over_looks(0.0203, [10, 20, 40]), 3), over_looks(0.0203, [10])
    (0.05, 0.0203)
    """
    return _over(p, _information(looks))


def at_look(p: float, looks: Sequence[int]) -> float:
    """The p of one look that comes to this p over all of them: the inverse of `over_looks`."""
    return _at(p, _information(looks))


def _information(looks: Sequence[int]) -> tuple[int, ...]:
    """Of the looks that have a test at all."""
    return tuple(seeds - T_TAKES for seeds in looks if seeds >= FEWEST_SEEDS)


@functools.lru_cache(maxsize=1_000)
def _over(p: float, looks: tuple[int, ...]) -> float:
    """Recursive integration over the paths that stay inside. Source: Armitage et al. 1969."""
    if len(looks) <= 1 or p >= 1:
        return p
    if p < 1e-300:  # beyond what the boundary can be computed for
        return len(looks) * p
    boundary = float(-ndtri(p / 2))
    half = boundary * math.sqrt(looks[0])  # of the sum of that many standard normal steps
    inside, weights = half * NODES, half * WEIGHTS
    mass = weights * _normal(inside, math.sqrt(looks[0]))  # of the paths at each node
    crossed = p
    for before, now in itertools.pairwise(looks):
        step, half = math.sqrt(now - before), boundary * math.sqrt(now)
        leaving = ndtr((inside - half) / step) + ndtr((-inside - half) / step)
        crossed += float(mass @ leaving)
        nodes, weights = half * NODES, half * WEIGHTS
        mass = weights * (_normal(nodes[:, None] - inside, step) @ mass)
        inside = nodes
    return min(1.0, crossed, len(looks) * p)  # Bonferroni's, where rounding passes it


@functools.lru_cache(maxsize=1_000)
def _at(p: float, looks: tuple[int, ...]) -> float:
    low, high = p / max(1, len(looks)), p  # Bonferroni's, and that of a single look
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _over(middle, looks) < p else (low, middle)
    return high


def _normal(x: Floats, deviation: float) -> Floats:
    density: Floats = np.exp(-((x / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    return density
