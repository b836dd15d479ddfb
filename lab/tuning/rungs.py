"""A rung as work: what is missing of it in batches, handed out, kept as it comes back."""

import itertools
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from tqdm import tqdm

from lab.base.params import Params
from lab.parallel.work import J, R, Train
from lab.training import networks
from lab.training.outcome import Epoch
from lab.tuning.kept import Found, Kept
from lab.tuning.search import Candidate, Rung
from lab.tuning.work import Batch, Tried, try_batch

# Work as it comes back; None: its process was killed over and over.
Finished = Generator[tuple[J, R | None]]


class HandOut(Protocol):
    """Hands work out, wherever it is done."""

    def __call__(self, entries: Params, todo: Sequence[J], train: Train[J, R]) -> Finished[J, R]:
        """Yields it as it finishes."""


class Progress:
    """Epochs of one seed that are done; a line a rung where no terminal shows a bar."""

    def __init__(self, bar: "tqdm[Any]") -> None:
        self._bar = bar

    def begin(self, text: str, epochs: int) -> None:
        """Says what is next, and how many epochs of one seed that is."""
        self._bar.total = self._bar.n + epochs
        if self._bar.disable:
            print(text, flush=True)
        else:
            self._bar.set_description(text)

    def __call__(self, _model: str, seeds: Sequence[int], _epoch: int, _accuracy: float) -> None:
        """One more epoch of some seeds."""
        self._bar.update(len(seeds))


class Rungs:
    """Trains rungs of one model's candidates."""

    def __init__(
        self, tree: Params, model: str, kept: Kept, hand_out: HandOut, show: Progress
    ) -> None:
        self._tree, self._model, self._kept = tree, model, kept
        self._hand_out, self._show = hand_out, show

    def __call__(self, rung: Rung) -> int:
        """Trains what is missing; how many epochs of a seed that were."""
        by_number = {each.number: each for each in rung.candidates}
        todo, steps = [], 0
        for batch in self._batches(rung):
            if known := self._kept.get(batch):
                _take(by_number, batch, known)
            else:
                todo.append(batch)
                steps += sum(
                    rung.until - by_number[number].reached(batch.seed) for number in batch.numbers
                )
        seeds = f", {len(rung.seeds)} seeds each" if len(rung.seeds) > 1 else ""
        self._show.begin(f"{len(rung.candidates)} candidates to epoch {rung.until}{seeds}", steps)
        if not todo:
            return 0
        with closing(self._hand_out(self._tree, todo, try_batch)) as finished:
            for batch, tried in finished:
                if tried:
                    found = [_found(tried, k, rung.until) for k in range(len(batch.numbers))]
                    self._kept.add(batch, found)
                else:  # killed over and over
                    found = [Found([], math.nan, rung.until) for _ in batch.numbers]
                _take(by_number, batch, found)
        return steps

    def _batches(self, rung: Rung) -> list[Batch]:
        """Those of one architecture and one seed together, as many as a stack has seeds."""
        groups: dict[tuple[str, int], list[Candidate]] = {}
        for each, seed in itertools.product(rung.candidates, rung.seeds):
            if each.reached(seed) >= rung.until:
                continue
            together = repr(networks.architecture(each.model))
            groups.setdefault((together, seed), []).append(each)
        size = self._tree.train.seeds_per_stack
        batches = []
        for (_, seed), group in groups.items():
            if not networks.is_stacked(group[0].model):
                parts = [[each] for each in group]
            else:
                count = math.ceil(len(group) / size)
                parts = [group[k::count] for k in range(count)]
            batches += [
                Batch(
                    self._model,
                    tuple(each.number for each in part),
                    tuple(each.model for each in part),
                    seed,
                    rung.until,
                )
                for part in parts
            ]
        return batches


def _take(by_number: Mapping[int, Candidate], batch: Batch, found: Sequence[Found]) -> None:
    for number, one in zip(batch.numbers, found, strict=True):
        by_number[number].found[batch.seed] = one


def _found(tried: Tried, k: int, until: int) -> Found:
    return Found([_point(epoch) for epoch in tried.of_candidates[k]], tried.scores[k], until)


def _point(epoch: Epoch) -> list[float]:
    columns = epoch.train_loss_S, epoch.validation_loss_S, epoch.validation_accuracy_S
    return [float(column[0]) for column in columns]
