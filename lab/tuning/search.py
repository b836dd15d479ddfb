"""A search by successive halving: who is tried, for how long, on how many seeds, and who wins.

Rounds first: new candidates train on one seed, the better third of them to the end. Then finals:
the best of all rounds, and today's params, train on more seeds, and fewer of them on still more. A
candidate follows its learning rate's schedule of all epochs from the start, so whoever is kept goes
on where it was, and those that are compared have trained as long.

Source: Jamieson and Talwalkar 2016 (arXiv 1502.07943), of which this is one bracket repeated.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lab.base.params import ModelParams
from lab.tuning.kept import Found
from lab.tuning.space import Proposer, Space

ROUND = 16  # candidates of a round; fewer where the budget is not enough for them
SMALLEST_ROUND = 4
KEPT = 3  # one in so many goes on to the last epoch
# Part of the epochs after which that is decided. On MNIST (48 random candidates, 5 epochs) the
# ranks on one seed correlate with those at the end on three others by 0.67 after one epoch, 0.86
# after two and 0.87 after three; after one, the best candidate was the 25th.
EARLY = 0.4
FINALS_SHARE = 0.5  # of the budget
SEMIFINAL = 3  # seeds; a third of the finals' candidates get more
FEWEST_TRAININGS = 12
SAFETY = 0.9  # of the time that is left: the machine may be slower then

TODAY = 0  # the number of today's params among the candidates


@dataclass
class Candidate:
    """Values of the searched keys, and what they came to by seed and epoch."""

    number: int
    values: Mapping[str, Any]
    model: ModelParams
    round: int
    found: dict[int, Found] = field(default_factory=dict)  # by seed, at the last epoch reached

    @property
    def epochs(self) -> int:
        """How far it was trained."""
        return max((each.until for each in self.found.values()), default=0)

    def reached(self, seed: int) -> int:
        """The last epoch on a seed."""
        return self.found[seed].until if seed in self.found else 0

    def score(self, seeds: Sequence[int]) -> float:
        """The mean on validation over some of its seeds; NaN if it diverged on one."""
        values = [self.found[seed].score if seed in self.found else math.nan for seed in seeds]
        return float(np.mean(values))

    @property
    def has_diverged(self) -> bool:
        """Whether a loss was not finite, or its process was killed over and over."""
        return not all(math.isfinite(each.score) for each in self.found.values())


@dataclass(frozen=True)
class Rung:
    """Candidates that are to be trained on the same seeds up to the same epoch, and compared."""

    candidates: Sequence[Candidate]
    seeds: Sequence[int]
    until: int


# Trains what is missing of a rung, and adds it; how many epochs of a seed that took, from nothing.
TrainRung = Callable[[Rung], int]


class Budget:
    """What a search may spend: epochs of one seed, or the seconds in which it does these.

    Args:
        trainings: how often all epochs of a seed may be trained, or
        seconds: of the whole search, fair trial left out.
        epochs: of a training.
        clock: seconds that pass.
    """

    def __init__(
        self,
        *,
        trainings: int | None = None,
        seconds: float | None = None,
        epochs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps = None if trainings is None else trainings * epochs
        self._deadline = None if seconds is None else clock() + seconds
        self.clock = clock
        self.spent = 0
        self._trained, self._took = 0, 0.0

    def spend(self, planned: int, trained: int, took: float) -> None:
        """Notes a rung: what it stood for, what of it was trained now, and in how many seconds."""
        self.spent += planned
        self._trained += trained
        self._took += took

    @property
    def left(self) -> float:
        """Epochs of a seed; as many as the rate so far gives until the end of the time."""
        if self._steps is not None:
            return self._steps - self.spent
        assert self._deadline is not None  # noqa: S101
        seconds = SAFETY * max(0.0, self._deadline - self.clock())
        # What was known before took no time, and says nothing of the rate.
        return seconds * self._trained / self._took if self._trained else math.inf


def search(
    space: Space,
    proposer: Proposer,
    seeds: Sequence[int],
    epochs: int,
    budget: Budget,
    train: TrainRung,
    *,
    higher_is_better: bool,
) -> tuple[list[Candidate], list[int]]:
    """All candidates, the winner first, and the seeds that it won on.

    Args:
        space: what is searched.
        proposer: gives candidates.
        seeds: those of the search; no other may be trained on.
        epochs: of a training.
        budget: what may be spent.
        train: does the work.
        higher_is_better: of the score.
    """
    today = Candidate(TODAY, space.today, space.candidate({}), 0)
    tried: list[Candidate] = []
    sort = _Sort(higher_is_better)

    def go(rung: Rung) -> None:
        planned = sum(
            rung.until - each.reached(seed) for each in rung.candidates for seed in rung.seeds
        )
        started = budget.clock()
        trained = train(rung)
        budget.spend(planned, trained, budget.clock() - started)

    number, early = 1, max(1, round(EARLY * epochs))
    of_each = early + (epochs - early) / KEPT
    # Nobody knows yet how many a budget in seconds is enough for.
    size = ROUND // 2 if math.isinf(budget.left) else _room(budget, of_each)
    while True:
        new = [_asked(space, proposer, number) for _ in range(size)]
        tried += new
        go(Rung(new, seeds[:1], early))
        most = int(FINALS_SHARE * budget.left / max(1, epochs - early))  # of a slow machine
        better = sort(new, seeds[:1])[: max(1, min(math.ceil(size / KEPT), most))]
        go(Rung(better, seeds[:1], epochs))
        for each in new:
            proposer.tell(each.number, each.score(seeds[:1]))
        number += 1
        size = _room(budget, of_each)
        if size < SMALLEST_ROUND:
            break

    finished = [each for each in tried if each.epochs == epochs]
    best, on = sort(finished, seeds[:1]), seeds[:1]
    go(Rung([today], on, epochs))
    for share, count in _finals(budget.left, len(best), epochs, len(seeds)):
        best, on = best[:share], seeds[:count]
        go(Rung([today, *best], on, epochs))
        best = sort(best, on)
    first = sort([today, *best], on)[0]
    return [first, *(each for each in [today, *tried] if each is not first)], list(on)


def _room(budget: Budget, of_each: float) -> int:
    """How many candidates a round may have, each of a cost."""
    left = budget.left - FINALS_SHARE * (budget.spent + budget.left)
    return int(min(ROUND, left / of_each))


def _asked(space: Space, proposer: Proposer, number: int) -> Candidate:
    asked, values = proposer.ask()
    return Candidate(asked, values, space.candidate(values), number)


def _finals(left: float, candidates: int, epochs: int, most: int) -> Iterator[tuple[int, int]]:
    """How many candidates beside today's params train on how many seeds in all.

    >>> list(_finals(120, 18, 5, 10)), list(_finals(40, 18, 5, 10)), list(_finals(9, 18, 5, 10))
    ([(5, 3), (2, 7)], [(3, 3)], [])
    """
    more = SEMIFINAL - 1
    first = min(candidates, int(left / 2 / epochs / more) - 1)
    if first < 2:
        first = min(candidates, int(left / epochs / more) - 1)
    if first < 1:
        return
    yield first, SEMIFINAL
    left -= (first + 1) * more * epochs
    second = max(1, math.ceil(first / KEPT))
    seeds = min(most, SEMIFINAL + int(left / epochs / (second + 1)))
    if seeds > SEMIFINAL:
        yield second, seeds


class _Sort:
    """Candidates by their mean score, the best first; those that diverged come last."""

    def __init__(self, higher_is_better: bool) -> None:
        self._sign = -1 if higher_is_better else 1

    def __call__(self, candidates: Iterable[Candidate], seeds: Sequence[int]) -> list[Candidate]:
        def key(one: Candidate) -> tuple[bool, float, int]:
            score = one.score(seeds)
            return math.isnan(score), 0.0 if math.isnan(score) else self._sign * score, one.number

        return sorted(candidates, key=key)
