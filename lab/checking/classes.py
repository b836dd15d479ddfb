"""Classes that a split lacks, or holds in another share than training does."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from lab.checking.portions import Checked, Portion, called, many, named, sentence
from lab.results.checks import Fault

Floats = NDArray[np.float64]

ALARM = 0.001  # Holm's p, over all that a rule compares: once in a thousand clean data sets
LARGEST_RATIO = 1.25  # between two shares of a class; less harms nobody, however sure it is
MOST_NAMED = 5  # classes


def counts(portion: Portion, classes: int) -> NDArray[Any]:
    """Examples of each class."""
    return np.bincount(portion.labels_of(np.arange(len(portion))), minlength=classes)


def missing_classes(checked: Checked) -> Iterator[Fault]:
    """Classes that a split has no example of."""
    names = checked.description.class_names
    for portion in checked.own:
        if portion.labels is None:
            continue
        absent = [names[k] for k in np.flatnonzero(counts(portion, len(names)) == 0).tolist()]
        if absent:
            what = ", ".join(map(named, absent[:MOST_NAMED]))
            more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
            text = f"{called(portion)} has no example of {many(len(absent), 'class')}: {what}{more}"
            yield Fault(sentence=sentence(text))


def class_balance(checked: Checked) -> Iterator[Fault]:
    """Classes whose share is another one than in training: significant, and large enough."""
    names = checked.description.class_names
    train = counts(checked.train, len(names))
    tests = []
    for portion in checked.judged:
        if portion.labels is None:
            continue
        there = counts(portion, len(names))
        for k in range(len(names)):
            p = fisher(int(train[k]), int(train.sum()), int(there[k]), int(there.sum()))
            shares = train[k] / train.sum(), there[k] / there.sum()
            tests.append((p, portion, names[k], *shares))
    adjusted = holm([p for p, *_ in tests])
    order = np.argsort([-abs(after - before) for *_, before, after in tests], kind="stable")
    for place in order.tolist():
        _, portion, name, before, after = tests[place]
        ratio = max(before, after) / max(min(before, after), 1e-12)
        if adjusted[place] < ALARM and ratio > LARGEST_RATIO:
            text = (
                f"class {named(name)} is {before:.2%} of training and {after:.2%} of "
                f"{called(portion)} (Fisher's exact test, {probability(adjusted[place])})"
            )
            yield Fault(sentence=sentence(text))


def fisher(hits: int, total: int, other_hits: int, other_total: int) -> float:
    """Two-sided p of Fisher's exact test: are two shares the same?

    The probabilities of all tables with these margins that are no likelier than this one. Source:
    Fisher 1935, "The Logic of Inductive Inference"; ties as in R's `fisher.test`.

    >>> round(fisher(8, 10, 1, 6), 4)
    0.035
    """
    all_hits, everything = hits + other_hits, total + other_total
    low, high = max(0, all_hits - other_total), min(all_hits, total)
    x = np.arange(low, high + 1, dtype=np.float64)
    logs = (
        _log_choose(total, x) + _log_choose(other_total, all_hits - x)
        - _log_choose(everything, np.float64(all_hits))
    )  # fmt: skip
    own = logs[hits - low]
    return float(min(1.0, np.exp(logs[logs <= own + 1e-7]).sum()))


def _log_choose(n: int, k: Any) -> Any:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def holm(p_values: list[float]) -> Floats:
    """Holm's adjusted p values, in the order given. Source: Holm 1979.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.array(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    factors = len(p) - np.arange(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def probability(p: float) -> str:
    """A p value in a sentence.

    >>> probability(0.0), probability(0.0004)
    ('p below 1e-06', 'p = 0.0004')
    """
    return "p below 1e-06" if p < 1e-6 else f"p = {p:.1g}"
