"""`metrics/robustness.json`: what becomes of the accuracy on other seeds, examples and inputs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lab.base.records import Record

ROBUSTNESS = Path("metrics/robustness.json")
MAX_BYTES = 2**24
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Ends = tuple[float, float]


class Right(Record):
    """How often predictions for some test examples are right, over all seeds.

    `seeds` is the interval for other seeds on these examples, `others` that for other seeds and
    other examples of the same kind; None below three seeds, and `others` below three examples.
    """

    examples: Count
    share: Share
    seeds: Ends | None
    others: Ends | None


class OfClass(Record):
    """Recall of a class, and the share of what is called so that is; None where nothing is."""

    recall: Right | None
    precision: Share | None


class Slice(Record):
    """The test examples that one statistic of their inputs picks out."""

    name: str
    right: Right


class Bin(Record):
    """The predictions of all seeds whose probability is from `low` to `high`."""

    low: Share
    high: Share
    predictions: Count
    probability: Share
    right: Share


class Change(Record):
    """Changed inputs: the accuracy on them, and its difference from that on the inputs as they are.

    The interval, of 95 %, is for other examples of the same kind; the seed is the exported one.
    """

    name: str
    accuracy: Share
    difference: float
    interval: Ends | None


class Asked(Record):
    """What the exported file says of some test examples, as they are and changed."""

    sha256: str
    examples: Count
    accuracy: Share
    changes: list[Change]


class Robustness(Record):
    """The whole file; without `exported` there is no file to ask, and `reason` says why."""

    schema_version: Literal[1]
    model: str
    seed: int
    accuracy: Right
    classes: list[OfClass]
    slices: list[Slice]
    bins: list[Bin]
    exported: Asked | None
    reason: str | None
