"""The files of an export: made for every seed, held against what training stored, kept or not."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from lab.base.errors import LabError, shortened
from lab.base.files import sha256
from lab.exporting import graphs
from lab.results.comparison import ModelDifference
from lab.results.exported import Form, Measured, Name
from lab.results.probabilities import TOLERANCE
from lab.results.schema import Score
from lab.results.weights import Weights
from lab.serving.network import Network
from lab.verdict.differences import Sample
from lab.verdict.verdicts import Verdict, findings

MOST_BYTES = 2**31 - 1  # that protobuf writes
ROOT = Path(__file__).resolve().parents[2]
LOAD = "import sys, pathlib, lab.serving.network as n; n.Network(pathlib.Path(sys.argv[1]))"

Probabilities = NDArray[np.float32]
ScoresOf = Callable[[str, Sequence[int], Probabilities], Sequence[float]]


@dataclass(frozen=True)
class Trained:
    """What training stored of all seeds of the chosen model.

    `probabilities_SNC` are those of the test inputs [N, ...], `weights` those of each seed.
    """

    model: str
    seed: int
    seeds: Sequence[int]
    weights: Callable[[int], Weights]
    inputs: NDArray[Any]
    probabilities_SNC: Probabilities


@dataclass(frozen=True)
class Yardstick:
    """By what a form is judged: the score that models were compared by, and its margin.

    `scores` takes a name for errors, seeds, and their probabilities [S, N, C] on the test split.
    """

    metric: Score
    margin: float
    scores: ScoresOf

    def difference(self, name: str, trained: Trained, found: Sequence[float]) -> ModelDifference:
        """Of the exported seeds' scores from those of the trained ones, in pairs."""
        stored = self.scores(trained.model, trained.seeds, trained.probabilities_SNC)
        pair = Sample(trained.seeds, found), Sample(trained.seeds, stored)
        better = self.metric.higher_is_better
        finding = findings([pair], self.margin, higher_is_better=better)[0]
        return ModelDifference.of(name, trained.model, finding)


Kept = tuple[Form, bytes | None]
Metadata = Callable[[Name, Sequence[int], float], Mapping[str, str]]


class FormError(Exception):
    """A form that cannot be made of this network, or does not run; the message says why."""


def forms(
    graph: ModelProto, trained: Trained, yardstick: Yardstick, metadata: Metadata
) -> dict[Name, Kept]:
    """Every form with what was measured of it, and its bytes unless it is another model.

    Args:
        graph: of one seed; the others' weights are put into it.
        trained: what training stored.
        yardstick: what counts as another model.
        metadata: what a file says of itself, by its form, its seeds and its score.
    """

    def of_seeds() -> Iterator[ModelProto]:
        return (graphs.with_weights(graph, trained.weights(seed)) for seed in trained.seeds)

    def small() -> Iterator[ModelProto]:
        with tempfile.TemporaryDirectory() as folder:
            for one in of_seeds():
                yield _of_bytes(one, Path(folder))

    makers: dict[Name, Callable[[], Kept]] = {
        "model": lambda: _seeds("model", of_seeds(), trained, yardstick, metadata),
        "model.int8": lambda: _seeds("model.int8", small(), trained, yardstick, metadata),
        "ensemble": lambda: _ensemble(of_seeds(), trained, yardstick, metadata),
    }
    made = {name: _made(make) for name, make in makers.items()}
    return made | {"model.int8": _if_smaller(made["model.int8"], made["model"])}


def _made(make: Callable[[], Kept]) -> Kept:
    try:
        return make()
    except FormError as error:
        return Form(sha256=None, bytes=None, measured=None, reason=str(error)), None


def _if_smaller(small: Kept, exact: Kept) -> Kept:
    """As of a network of convolutions, which stay as they are, bytes may be for nothing."""
    form, content = small
    size, whole = form.bytes, exact[0].bytes
    if content is None or size is None or whole is None or size < whole:
        return small
    reason = f"no smaller than the exact one: {size:,} bytes, which has {whole:,}"
    return form.model_copy(update={"sha256": None, "reason": reason}), None


def _of_bytes(model: ModelProto, folder: Path) -> ModelProto:
    try:
        return graphs.of_bytes(model, folder)
    except MemoryError:
        raise
    except Exception as error:  # the quantiser raises nearly anything at graphs that it knows not
        raise FormError(f"cannot be quantised ({_said(error)})") from None


def _seeds(
    name: Name,
    of_seeds: Iterator[ModelProto],
    trained: Trained,
    yardstick: Yardstick,
    metadata: Metadata,
) -> Kept:
    """A form that each seed has; the chosen one is kept if they are, together, what was trained."""
    found_SNC, chosen, place = [], None, list(trained.seeds).index(trained.seed)
    said = metadata(name, [trained.seed], 0.0)
    for number, graph in enumerate(of_seeds):
        if number == 0:
            _require_no_crash(graph, said)
        found_SNC.append(_probabilities(graph, trained, said))
        if number == place:
            chosen = graph
    found = np.stack(found_SNC)
    scores = yardstick.scores(f"{trained.model} as {name}", trained.seeds, found)
    difference = yardstick.difference(name, trained, scores)
    assert chosen is not None  # noqa: S101 — the chosen seed is one of them
    content = graphs.written(chosen, metadata(name, [trained.seed], scores[place]))
    measured = Measured(
        largest_difference=_gap(found, trained.probabilities_SNC),
        flips=_flips(found, trained.probabilities_SNC),
        predictions=found.shape[0] * found.shape[1],
        score=float(np.mean(scores)),
        difference=difference,
    )
    reason = None
    if measured.verdict not in (Verdict.EQUIVALENT, Verdict.REAL_WITHIN):
        reason = f"not equivalent to what was trained: {difference.sentence(yardstick.metric.unit)}"
    return _kept(content, measured, reason)


def _ensemble(
    of_seeds: Iterator[ModelProto], trained: Trained, yardstick: Yardstick, metadata: Metadata
) -> Kept:
    """The mean of all seeds; kept if it is that."""
    parts: list[ModelProto] = []
    for graph in of_seeds:
        parts.append(graph)
        if (size := sum(part.ByteSize() for part in parts)) > MOST_BYTES:
            raise FormError(f"too large: {size:,} bytes and more; a file holds {MOST_BYTES:,}")
    merged = graphs.mean_of(parts)
    said = metadata("ensemble", trained.seeds, 0.0)
    _require_no_crash(merged, said)
    found = _probabilities(merged, trained, said)
    mean = trained.probabilities_SNC.mean(axis=0)
    score = yardstick.scores(f"{trained.model} as ensemble", [trained.seed], found[None])[0]
    gap = _gap(found, mean)
    measured = Measured(
        largest_difference=gap,
        flips=_flips(found, mean),
        predictions=len(found),
        score=score,
        difference=None,
    )
    reason = None
    if gap > TOLERANCE:
        reason = f"its probabilities are up to {gap:.2g} from the mean of the seeds"
    content = graphs.written(merged, metadata("ensemble", trained.seeds, score))
    return _kept(content, measured, reason)


def _kept(content: bytes, measured: Measured, reason: str | None) -> Kept:
    checksum = None if reason else sha256(content)
    form = Form(sha256=checksum, bytes=len(content), measured=measured, reason=reason)
    return form, None if reason else content


def _require_no_crash(graph: ModelProto, metadata: Mapping[str, str]) -> None:
    """Loads a graph in a process of its own: onnxruntime 1.28 dies of some, such as bags' loops.

    Raises:
        FormError: that process died.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tried.onnx"
        path.write_bytes(_written(graph, metadata))
        command = [sys.executable, "-c", LOAD, str(path)]
        code = subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode
    if code < 0:  # else the next try says more
        raise FormError(f"does not run (onnxruntime itself crashes on it, with signal {-code})")


def _probabilities(
    graph: ModelProto, trained: Trained, metadata: Mapping[str, str]
) -> Probabilities:
    """What a graph gives for the test inputs.

    Raises:
        FormError: it does not run, or gives what is no probability.
    """
    try:
        found = Network(_written(graph, metadata))(trained.inputs)
    except (MemoryError, FormError):
        raise
    except Exception as error:  # of an operation that onnxruntime lacks
        raise FormError(f"does not run ({_said(error)})") from None
    if found.shape != trained.probabilities_SNC.shape[1:] or not 0 <= found.min() <= found.max():
        raise FormError("does not run: it gives what are no probabilities")
    return found


def _written(graph: ModelProto, metadata: Mapping[str, str]) -> bytes:
    if (size := graph.ByteSize()) > MOST_BYTES:
        raise FormError(f"too large: {size:,} bytes; a file holds {MOST_BYTES:,}")
    return graphs.written(graph, metadata)


def _said(error: Exception) -> str:
    text = (
        str(error).removesuffix("; run `dvc repro export`") if isinstance(error, LabError) else ""
    )
    return shortened(text or f"{type(error).__name__}: {error}", 160)


def _gap(found: Probabilities, trained: Probabilities) -> float:
    return float(np.abs(found - trained).max())


def _flips(found: Probabilities, trained: Probabilities) -> int:
    return int((found.argmax(axis=-1) != trained.argmax(axis=-1)).sum())
