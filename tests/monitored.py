"""Records as a service leaves them, and a reference that they are held against; all made up."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lab.serving.records import schema
from lab.serving.reference import are_unlike, ranges
from lab.shifts.reference import Reference, made, packed, read

SIDE = 12
SHA256 = "5a" * 32
START_MS = 1_790_000_000_000
MINUTE_MS = 60_000
NAMES = ["left", "right"]
ABOUT = {
    "kind": "grey image", "shape": [SIDE, SIDE], "dtype": "uint8", "columns": [],
    "class_names": NAMES, "scaling": None, "model": "made", "models": {"model": SHA256},
}  # fmt: skip


def blobs(count: int, seed: int) -> np.ndarray:
    """Grey images of a spot that is wide rather than tall, somewhere about the middle."""
    random = np.random.default_rng(seed)
    x, y = random.normal(5.5, 1.2, (2, count, 1, 1))
    wide, tall = random.uniform(1.6, 2.4, (count, 1, 1)), random.uniform(0.7, 1.1, (count, 1, 1))
    down, right = np.mgrid[:SIDE, :SIDE]
    spots = np.exp(-(((right - x) / wide) ** 2 + ((down - y) / tall) ** 2) / 2)
    bright = random.uniform(120, 220, (count, 1, 1))
    return np.rint(bright * spots).astype(np.uint8)


def probabilities(inputs: np.ndarray) -> np.ndarray:
    """Whether most of it is to the left or to the right, by a made-up model."""
    values = inputs.astype(np.float64)
    place = (values.sum(axis=1) @ np.arange(inputs.shape[-1])) / np.maximum(
        values.sum(axis=(1, 2)), 1
    )
    right = 1 / (1 + np.exp(-3 * (place - 5.5)))
    return np.stack([1 - right, right], axis=1).astype(np.float32)


def labels(inputs: np.ndarray, seed: int = 0) -> np.ndarray:
    """What they are: what the model says, but for one in twenty."""
    is_wrong = np.random.default_rng(seed).random(len(inputs)) < 0.05
    return probabilities(inputs).argmax(axis=1) ^ is_wrong


def reference(folder: Path, count: int = 3_000) -> Reference:
    """Of blobs, written and read."""
    inputs = blobs(count, 1)
    seen = ranges(blobs(5_000, 2), "grey image", [])
    beyond = are_unlike(seen, inputs, "grey image", [])
    found = made({**ABOUT, "ranges": seen}, inputs, labels(inputs), probabilities(inputs), beyond)
    path = folder / "reference.npz"
    path.write_bytes(packed(found))
    return read(path)


def record(
    folder: Path,
    number: int,
    inputs: np.ndarray,
    first: int = 0,
    *,
    every_ms: int = MINUTE_MS,
    sha256: str = SHA256,
    judged: dict[int, str] | None = None,
) -> None:
    """A Parquet file: answers from `first` on, each followed by the label that somebody gave it."""
    rows: list[dict] = []
    for place, (one, found) in enumerate(zip(inputs, probabilities(inputs), strict=True), first):
        time = START_MS + place * every_ms
        rows.append({
            "time_ms": time, "id": f"{place:016x}", "model": sha256[:12],
            "predicted": NAMES[found.argmax()], "probability": float(found.max()),
            "dtype": one.dtype.name, "shape": list(one.shape), "input": one.tobytes(),
            "probabilities": found.tobytes(),
        })  # fmt: skip
        if judged and place in judged:
            rows.append({"time_ms": time, "id": f"{place:016x}", "label": judged[place]})
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, schema())
    parquet.write_table(table, folder / f"{number:08}.parquet", compression="zstd")
