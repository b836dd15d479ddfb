"""`models/export/reference.npz`: what held-out inputs, and the model's answers to them, are like.

Of each statistic it has edges between bins that hold about as many inputs each, and how many there
were. That is enough for a distance between distributions, up to 1/128, and far smaller than the
inputs. numpy alone reads it.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import DataError, shortened
from lab.base.files import read_bytes, sha256
from lab.data.scaling import rows_at_once
from lab.shifts.statistics import Inputs, Values, padding_of, statistics

FILE = Path("models/export/reference.npz")
REMAKE = "run `dvc repro export`"
VERSION = 1
MOST_EXAMPLES = 10_000
BINS = 128
MOST_COUNTS = 2**20  # of all bins, class by class; beyond it nothing is kept by class
SHOWN, SHOWN_A_CLASS = 500, 20  # examples that changes are tried on; of each class at least
SHOWN_BYTES = 2**23  # of all
MOST_BYTES = 2**28

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Reference:
    """What the monitor holds the service's records against.

    Attributes:
        about: `kind`, `shape`, `dtype`, `columns` and `class_names` of the data; `pieces`, the
            tokens of texts, where a tokeniser is known; `padding`;
            `statistics`, their names; `ranges` of training by `lab.serving.reference`; `models`,
            the SHA-256 of each ONNX file; `model`, a name; `confidence`: the highest probability
            that as many answers exceed as are right.
        edges_SB: between bins; infinite where there are fewer.
        counts_SB: inputs in each bin.
        by_class_CSB: the same by predicted class; of no class where there are too many.
        predicted_C: answers of each class.
        right: answers that are.
        unlike: inputs beyond the ranges of training.
        inputs: examples, stored as the data are, with their labels and answers.
        sha256: of the file.
    """

    about: Mapping[str, Any]
    edges_SB: Values
    counts_SB: Counts
    by_class_CSB: Counts
    predicted_C: Counts
    right: int
    unlike: int
    inputs: Inputs
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    sha256: str = ""

    @property
    def examples(self) -> int:
        """On how many it stands."""
        return int(self.predicted_C.sum())

    @property
    def names(self) -> list[str]:
        """Of the statistics."""
        return list(self.about["statistics"])

    def values(self, inputs: Inputs) -> list[Values]:
        """The statistics of inputs, in the order of their names."""
        about = self.about
        found = statistics(about["kind"], inputs, about["columns"], about["padding"])
        return [found[name] for name in about["statistics"]]

    def bins(self, inputs: Inputs) -> NDArray[np.intp]:
        """In which bin [S, N] each statistic of inputs lies; what is missing lies in the last."""
        found = np.empty((len(self.edges_SB), len(inputs)), np.intp)
        step = rows_at_once(inputs)  # of images statistics take several times their memory
        for start in range(0, len(inputs), step):
            piece = slice(start, start + step)
            for place, of_it in enumerate(self.values(inputs[piece])):
                found[place, piece] = np.searchsorted(self.edges_SB[place], of_it, side="right")
        return found


def counted(bins_SN: NDArray[np.intp]) -> Counts:
    """How many lie in each bin [S, B].

    >>> counted(np.array([[0, 2, 2]]))[0, :4].tolist()
    [1, 0, 2, 0]
    """
    statistics = len(bins_SN)
    offset = BINS * np.arange(statistics)[:, None]
    flat = np.bincount((bins_SN + offset).ravel(), minlength=BINS * statistics)
    return flat.reshape(statistics, BINS)


def made(
    about: Mapping[str, Any],
    inputs: Inputs,
    labels: NDArray[Any],
    probabilities_NC: NDArray[np.float32],
    is_unlike: NDArray[np.bool_],
) -> Reference:
    """The reference of held-out examples.

    Args:
        about: as `Reference` has it, but for what is found here.
        inputs: [N, ...]; of more than 10,000 examples, so many are drawn.
        labels: what they are.
        probabilities_NC: what the model says they are.
        is_unlike: which lie beyond the ranges of training.
    """
    rows = _drawn(len(labels))
    columns = list(about["columns"])
    if about["kind"] == "row" and not columns:
        columns = [f"input {place}" for place in range(1, inputs.shape[1] + 1)]
    padding = padding_of(np.asarray(inputs[rows])) if about["kind"] == "text" else 0
    step = rows_at_once(inputs)
    parts = [
        statistics(about["kind"], np.asarray(inputs[rows[k : k + step]]), columns, padding)
        for k in range(0, len(rows), step)
    ]
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    edges_SB = np.array([_edges(of_it) for of_it in values.values()])
    bins_SN = np.array([
        np.searchsorted(edges, of_it, side="right")
        for edges, of_it in zip(edges_SB, values.values(), strict=True)
    ])  # fmt: skip
    predicted, classes = probabilities_NC[rows].argmax(axis=1), probabilities_NC.shape[1]
    is_kept_by_class = classes * edges_SB.shape[0] * BINS <= MOST_COUNTS
    by_class = [counted(bins_SN[:, predicted == k]) for k in range(classes * is_kept_by_class)]
    is_right = predicted == labels[rows]
    shown = _shown(np.asarray(labels[rows]), inputs)
    return Reference(
        about={
            **about, "columns": columns, "padding": padding, "statistics": [*values],
            "confidence": _confidence(probabilities_NC[rows].max(axis=1), int(is_right.sum())),
        },
        edges_SB=edges_SB,
        counts_SB=counted(bins_SN),
        by_class_CSB=np.array(by_class, np.int64).reshape(-1, len(edges_SB), BINS),
        predicted_C=np.bincount(predicted, minlength=classes),
        right=int(is_right.sum()),
        unlike=int(is_unlike[rows].sum()),
        inputs=np.asarray(inputs[rows[shown]]),
        labels=labels[rows[shown]].astype(np.int64),
        predicted=predicted[shown].astype(np.int64),
    )  # fmt: skip


def _drawn(count: int) -> NDArray[np.intp]:
    if count <= MOST_EXAMPLES:
        return np.arange(count)
    drawn = np.random.default_rng(0).choice(count, MOST_EXAMPLES, replace=False, shuffle=False)
    return np.sort(drawn).astype(np.intp)


def _edges(values: Values) -> Values:
    """At most B - 1 numbers that part the known values into as many portions; infinite the rest."""
    known, edges = np.sort(values[np.isfinite(values)]), np.full(BINS - 1, np.inf)
    if len(known):
        found = np.unique(known[np.arange(1, BINS) * len(known) // BINS])
        edges[: len(found)] = found
    return edges


def _confidence(highest_N: NDArray[np.float32], right: int) -> float:
    """Garg et al. 2022, "Leveraging Unlabeled Data to Predict Out-of-Distribution Performance"."""
    ordered = np.sort(highest_N)[::-1]
    return float(ordered[min(right, len(ordered) - 1)])


def _shown(labels: NDArray[Any], inputs: Inputs) -> NDArray[np.intp]:
    """Rows of examples of each class, as many as have room."""
    size = max(1, int(np.prod(inputs.shape[1:])) * inputs.dtype.itemsize)
    classes = np.unique(labels)
    wanted = max(SHOWN_A_CLASS, SHOWN // len(classes))
    each = int(min(wanted, max(1, SHOWN_BYTES // size // len(classes))))
    most = max(1, SHOWN_BYTES // size)
    return np.sort(np.concatenate([np.flatnonzero(labels == k)[:each] for k in classes])[:most])


def packed(reference: Reference) -> bytes:
    """The file; equal references give equal bytes."""
    about = json.dumps({"version": VERSION, **reference.about}, sort_keys=True).encode()
    arrays = {
        "about": np.frombuffer(about, np.uint8),
        "edges": reference.edges_SB,
        "counts": reference.counts_SB.astype(np.int32),
        "by_class": reference.by_class_CSB.astype(np.int32),
        "predicted_counts": reference.predicted_C,
        "right_and_unlike": np.array([reference.right, reference.unlike]),
        "inputs": reference.inputs,
        "labels": reference.labels,
        "predicted": reference.predicted,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # as numpy.savez does, and with no time in it
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
    return file.getvalue()


def read(path: Path = FILE) -> Reference:
    """Reads the file.

    Raises:
        DataError: it is missing, damaged, or of another version.
    """
    try:
        content = read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {REMAKE}") from None
    try:
        return _unpacked(content)
    except MemoryError:
        raise
    except Exception as error:  # whatever numpy and zipfile raise at what is no such file
        reason = shortened(str(error) or type(error).__name__)
        raise DataError(
            f"{path}: must be what stage export writes; got another file ({reason}); {REMAKE}"
        ) from None


def _unpacked(content: bytes) -> Reference:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    about = json.loads(bytes(found["about"]))
    if about.pop("version") != VERSION:
        raise ValueError("another version")
    names: Sequence[str] = about["statistics"]
    right, unlike = map(int, found["right_and_unlike"])
    reference = Reference(
        about=about,
        edges_SB=found["edges"],
        counts_SB=found["counts"].astype(np.int64),
        by_class_CSB=found["by_class"].astype(np.int64),
        predicted_C=found["predicted_counts"],
        right=right,
        unlike=unlike,
        inputs=found["inputs"],
        labels=found["labels"],
        predicted=found["predicted"],
        sha256=sha256(content),
    )
    shapes = reference.edges_SB.shape, reference.counts_SB.shape, reference.predicted_C.shape
    wanted = (len(names), BINS - 1), (len(names), BINS), (len(about["class_names"]),)
    if shapes != wanted or list(reference.inputs.shape[1:]) != about["shape"]:
        raise ValueError("arrays of other shapes")
    return reference
