"""What is left of a difference that was picked because it is large."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from lab.verdict.differences import LEVEL

FEWEST_PAST = 10


def shrunken(
    estimate: float, error: float, past: Sequence[tuple[float, float]]
) -> tuple[float, tuple[float, float]] | None:
    """The mean of a difference and its 95 % interval, given how large differences were here before.

    Empirical Bayes: normal effects, whose mean and variance are those of the past estimates, less
    what their standard errors explain (moments). Source: Efron and Morris 1975.

    Args:
        estimate: the difference.
        error: its standard error.
        past: estimate and standard error of each earlier difference.

    Returns:
        None with fewer than ten in the past, or where these vary no more than their errors.
    """
    if len(past) < FEWEST_PAST:
        return None
    estimates, errors = np.array(past, dtype=np.float64).T
    mean = float(estimates.mean())
    effects = float(estimates.var(ddof=1) - (errors**2).mean())
    if effects <= 0:
        return None
    weight = effects / (effects + error**2)
    centre = mean + weight * (estimate - mean)
    half = float(ndtri(1 - LEVEL / 2)) * math.sqrt(weight) * error
    return centre, (centre - half, centre + half)
