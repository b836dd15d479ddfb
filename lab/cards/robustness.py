"""Whether the accuracy of a model is that of other seeds, of other examples, of changed inputs."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from lab.data.description import Description
from lab.results.predictions import Predictions
from lab.results.robustness import Asked, Bin, Change, Ends, OfClass, Right, Slice
from lab.results.schema import Spread
from lab.shifts.corruptions import Corrupt, corruptions
from lab.verdict import images
from lab.verdict.differences import LEVEL

MOST_ASKED = 10_000  # examples, drawn where there are more
AT_ONCE = 1_000  # images that are changed together; a change takes several times their memory
BINS = 10
FEWEST = 20  # examples of a slice: fewer say nothing
Labels = NDArray[np.intp]  # [N]
Groups = NDArray[np.int64]  # [N]
Answers = NDArray[np.bool_]  # [S, N]: whether a seed is right on an example
Network = Callable[[NDArray[Any]], NDArray[np.float32]]


def right(right_SN: Answers, groups_N: Groups | None) -> Right:
    """How often seeds are right, with both intervals."""
    none = np.zeros_like(right_SN)
    parts = images.components(right_SN, none, groups_N)
    return Right(
        examples=right_SN.shape[1],
        share=float(right_SN.mean()),
        seeds=_within(Spread.of(right_SN.mean(axis=1)).interval()),
        others=_within(images.on_new_images(parts)),
    )


def _within(ends: Ends | None) -> Ends | None:
    """An interval of a share, which ends at 0 and 1."""
    return ends and (max(0.0, ends[0]), min(1.0, ends[1]))


def classes(
    found: Predictions, labels_N: Labels, count: int, groups_N: Groups | None
) -> list[OfClass]:
    """Recall and precision of each class; recall is the accuracy on the class's examples."""
    right_SN = found.predictions == labels_N
    each = []
    for number in range(count):
        is_of_class, called = labels_N == number, found.predictions == number
        groups = None if groups_N is None else groups_N[is_of_class]
        each.append(
            OfClass(
                recall=right(right_SN[:, is_of_class], groups) if is_of_class.any() else None,
                precision=float(right_SN[called].mean()) if called.any() else None,
            )
        )
    return each


def slices(
    right_SN: Answers, inputs: NDArray[Any], described: Description, groups_N: Groups | None
) -> list[Slice]:
    """The quarters with the lowest and the highest value of each statistic of the inputs."""
    found = []
    for name, values in _statistics(inputs, described):
        known = values[~np.isnan(values)]
        if not len(known) or known.min() == known.max():
            continue
        low, high = (float(end) for end in np.quantile(known, [0.25, 0.75]))
        for words, picked in (
            (f"{name} at most {low:.3g}", values <= low),
            (f"{name} at least {high:.3g}", values >= high),
        ):
            if FEWEST <= picked.sum() < len(values):
                groups = None if groups_N is None else groups_N[picked]
                found.append(Slice(name=words, right=right(right_SN[:, picked], groups)))
    return found


def _statistics(
    inputs: NDArray[Any], described: Description
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Values [N] of each statistic, by a name for a table."""
    if described.kind == "row":
        for place in range(inputs.shape[1]):
            name = described.columns[place] if described.columns else f"input {place}"
            yield name, inputs[:, place].astype(np.float64)
    elif described.kind == "text":
        yield "tokens", (inputs != 0).sum(axis=1).astype(np.float64)
    else:
        parts = []
        for start in range(0, len(inputs), AT_ONCE):
            piece = inputs[start : start + AT_ONCE]
            flat = piece.reshape(len(piece), -1).astype(np.float64)
            flat /= 255 if inputs.dtype == np.uint8 else 1
            parts.append((flat.mean(axis=1), flat.std(axis=1)))
        means, deviations = zip(*parts, strict=True)
        yield "brightness", np.concatenate(means)
        yield "contrast", np.concatenate(deviations)


def bins(found: Predictions, labels_N: Labels) -> list[Bin]:
    """The predictions of all seeds by their probability; bins without any are left out."""
    right_SN = found.predictions == labels_N
    place_SN = np.minimum((found.confidence * BINS).astype(np.intp), BINS - 1)
    each = []
    for place in range(BINS):
        picked = place_SN == place
        if picked.any():
            each.append(
                Bin(
                    low=place / BINS,
                    high=(place + 1) / BINS,
                    predictions=int(picked.sum()),
                    probability=float(found.confidence[picked].mean(dtype=np.float64)),
                    right=float(right_SN[picked].mean()),
                )
            )
    return each


def asked(
    network: Network, sha256: str, inputs: NDArray[Any], labels_N: Labels, described: Description
) -> Asked:
    """What the exported file says of the test examples, as they are and changed.

    Of more than 10,000 examples so many are drawn, always the same.
    """
    if len(inputs) > MOST_ASKED:
        drawn = np.sort(np.random.default_rng(0).choice(len(inputs), MOST_ASKED, replace=False))
        inputs, labels_N = inputs[drawn], labels_N[drawn]
    step = AT_ONCE if described.kind.endswith("image") else len(inputs)
    plain_N = _right(network, inputs, labels_N, lambda same, _: same, step)
    changes = []
    for name, corrupt in corruptions(described.kind, described.shape).items():
        right_N = _right(network, inputs, labels_N, corrupt, step)
        change_N = right_N.astype(np.float64) - plain_N
        changes.append(
            Change(
                name=name,
                accuracy=float(right_N.mean()),
                difference=float(change_N.mean()),
                interval=_interval(change_N),
            )
        )
    return Asked(
        sha256=sha256, examples=len(inputs), accuracy=float(plain_N.mean()), changes=changes
    )


def _right(
    network: Network, inputs: NDArray[Any], labels_N: Labels, corrupt: Corrupt, step: int
) -> NDArray[np.bool_]:
    random = np.random.default_rng(0)
    pieces = (np.asarray(inputs[start : start + step]) for start in range(0, len(inputs), step))
    said = [network(corrupt(piece, random)).argmax(axis=1) for piece in pieces]
    is_right: NDArray[np.bool_] = np.concatenate(said) == labels_N
    return is_right


def _interval(change_N: NDArray[np.float64]) -> Ends | None:
    """Of a mean over examples, each beside itself: normal, as there are many."""
    if len(change_N) < FEWEST:
        return None
    error = float(np.std(change_N, ddof=1)) / np.sqrt(len(change_N))
    half = float(ndtri(1 - LEVEL / 2)) * error
    middle = float(change_N.mean())
    return middle - half, middle + half
