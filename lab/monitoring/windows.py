"""Records of a service as windows: so many answers each, in their order, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lab.serving.records import Place, read_from
from lab.shifts.reference import Reference


@dataclass(frozen=True)
class Window:
    """Some answers of the reference's models that follow each other, and what came in between.

    Attributes:
        after: the place of the next record.
        start_ms: of the first answer, since 1970.
        end_ms: of the last one.
        ids: of the answers [R].
        predicted: their classes [R]; -1 is none of the reference's.
        probability: of these [R].
        inputs: [N, ...] as the reference has them; others are left out.
        rows: [N] to which answer each input belongs.
        others: answers of other models.
        feedback: pairs of an answer's id and a label.
    """

    after: Place
    start_ms: int
    end_ms: int
    ids: list[str]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float32]
    inputs: NDArray[Any]
    rows: NDArray[np.intp]
    others: int
    feedback: list[tuple[str, str]]

    @property
    def records(self) -> int:
        """How many answers."""
        return len(self.ids)


@dataclass(frozen=True)
class Rest:
    """What is not yet a window: answers that wait, and those of other models; one such model."""

    waiting: int
    others: int
    other: str


def windows(folder: Path, start: Place, size: int, reference: Reference) -> Iterator[Window | Rest]:
    """The complete windows from a place on, then the rest.

    Raises:
        DataError: the folder is none, or a file in it is damaged.
    """
    known = pa.array([sha256[:12] for sha256 in reference.about["models"].values()])
    parts: list[pa.RecordBatch] = []
    have, others, other = 0, 0, ""
    for (number, first), batch in read_from(folder, start):
        models = batch.column("model")
        is_ours_N = pc.is_in(models, value_set=known).to_numpy(zero_copy_only=False)
        is_kept_N = is_ours_N | models.is_null().to_numpy(zero_copy_only=False)
        if not is_kept_N.all():
            other = models.filter(pa.array(~is_kept_N))[0].as_py()
        row = 0
        while row < batch.num_rows:
            sums = np.cumsum(is_ours_N[row:])
            end = min(row + int(np.searchsorted(sums, size - have)) + 1, batch.num_rows)
            is_kept = is_kept_N[row:end]
            parts.append(batch.slice(row, end - row).filter(pa.array(is_kept)))
            have += int(is_ours_N[row:end].sum())
            others += int((~is_kept).sum())
            row = end
            if have == size:
                table = pa.Table.from_batches(parts)
                yield _window(table, (number, first + end), others, reference)
                parts, have, others = [], 0, 0
    yield Rest(have, others, other)


def _window(table: pa.Table, after: Place, others: int, reference: Reference) -> Window:
    about, is_feedback = reference.about, pc.is_null(table.column("model"))
    feedback = table.filter(is_feedback)
    answers = table.filter(pc.invert(is_feedback)).combine_chunks()
    times = answers.column("time_ms").to_numpy()
    classes = pc.index_in(answers.column("predicted"), value_set=pa.array(about["class_names"]))
    inputs, rows = _inputs(answers, about["shape"], np.dtype(about["dtype"]))
    return Window(
        after=after,
        start_ms=int(times.min()),
        end_ms=int(times.max()),
        ids=answers.column("id").to_pylist(),
        predicted=pc.fill_null(classes, -1).to_numpy().astype(np.int64),
        probability=answers.column("probability").to_numpy(),
        inputs=inputs,
        rows=rows,
        others=others,
        feedback=list(
            zip(
                feedback.column("id").to_pylist(), feedback.column("label").to_pylist(),
                strict=True,
            )
        ),
    )  # fmt: skip


def _inputs(
    answers: pa.Table, shape: list[int], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Those of the reference's shape and type, [N, ...], and the rows where they stand."""
    size = int(np.prod(shape)) * dtype.itemsize
    given, shapes = answers.column("input").combine_chunks(), answers.column("shape")
    shapes = shapes.combine_chunks()
    is_fit = pc.and_(
        pc.equal(pc.binary_length(given), size),
        pc.equal(answers.column("dtype").combine_chunks(), dtype.name),
    )
    is_fit = pc.and_(is_fit, pc.equal(pc.list_value_length(shapes), len(shape)))
    rows = np.flatnonzero(pc.fill_null(is_fit, fill_value=False).to_numpy(zero_copy_only=False))
    sizes = shapes.take(pa.array(rows)).flatten().to_numpy().reshape(-1, len(shape))
    rows = rows[(sizes == np.array(shape)).all(axis=1)]
    if not len(rows):
        return np.empty((0, *shape), dtype), rows
    kept = given if len(rows) == len(given) else given.take(pa.array(rows))
    _, offsets, content = kept.buffers()
    first = int(np.frombuffer(offsets, np.int32)[kept.offset])
    values = np.frombuffer(content, np.uint8)[first : first + len(kept) * size]
    return values.view(dtype).reshape(len(kept), *shape), rows
