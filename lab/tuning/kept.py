"""What a search has found so far, on disk: killed, or given more, it trains nothing twice.

A line for each batch, in `.checkpoints/`: losing the file
costs time and nothing else. The key of a line is a hash of everything that determines the numbers.
"""

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lab.base.files import sha256
from lab.base.params import Params
from lab.data.description import Description
from lab.results import scores
from lab.results.schema import BUILT_IN
from lab.training import checkpoints
from lab.tuning.work import Batch, with_entry

Curve = list[list[float]]  # an epoch each: loss in training, loss and accuracy on validation


class Found(NamedTuple):
    """What one candidate came to on one seed: its curve, and its score, NaN if it diverged.

    With `patience` the curve may end before the epoch that it was to be trained to.
    """

    curve: Curve
    score: float
    until: int


class Kept:
    """The results of one model's searches.

    Kept by batch: beside others a candidate would come to the same only to rounding.
    """

    def __init__(self, tree: Params, model: str, data: Description, machine: Sequence[str]) -> None:
        """Takes the device and the precision, too, on which numbers depend."""
        self._tree, self._model, self._data = tree, model, data
        judged = tree.compare.metric
        is_own = judged not in {score.name for score in BUILT_IN}
        own = [source.sha256 for source in scores.own_sources()] if is_own else []
        self._causes = [*machine, judged, *own]
        self._path = checkpoints.FOLDER / ".tuning" / f"{model}.jsonl"
        self._found = _read(self._path)
        self._can_be_written = True

    def get(self, batch: Batch) -> list[Found] | None:
        """What is known of its candidates, in their order."""
        return self._found.get(self._key(batch))

    def add(self, batch: Batch, found: Sequence[Found]) -> None:
        """Adds a line; without a disk to write on, the search goes on."""
        key = self._key(batch)
        self._found[key] = list(found)
        if not self._can_be_written:
            return
        line = json.dumps([key, found])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(f"\n{line}\n".encode())  # apart from half a line of a full disk
        except OSError as error:
            self._can_be_written = False
            print(
                f"{self._path}: {error.strerror}; the search goes on, and if killed starts over",
                file=sys.stderr,
            )

    def _key(self, batch: Batch) -> str:
        known = [
            checkpoints.fingerprint(
                with_entry(self._tree, self._model, each), self._model, self._data
            )
            for each in batch.candidates
        ]
        return sha256(f"{known} {self._causes} {batch.seed} {batch.until}".encode())


def _read(path: Path) -> dict[str, list[Found]]:
    """All whole lines; others are what a kill or a full disk left."""
    found: dict[str, list[Found]] = {}
    with contextlib.suppress(OSError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, TypeError):
                key, of_batch = json.loads(line)
                found[str(key)] = [
                    Found([[*map(float, epoch)] for epoch in curve], float(score), int(until))
                    for curve, score, until in of_batch
                ]
    return found
