"""`monitor/monitor.json`: what monitor.py found in the records of a service.

A copy lies in the folder of records, for the service's /metrics. It is no result of a commit, so it
is not in `metrics/`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lab.base.records import Record

NAME = "monitor.json"
FOLDER = Path("monitor")
MOST_BYTES = 2**21
REMAKE = "run `python monitor.py` again"
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Kind = Literal["input", "class", "unlike", "accuracy"]
Target = Literal["errors", "slow"]


class Signal(Record):
    """One thing that is compared: how far it is from the reference, and whether that alarms.

    Attributes:
        kind: a statistic of inputs, a predicted class, inputs beyond training, or accuracy.
        name: which one.
        distance: the largest difference between two shares: of a statistic the Kolmogorov-Smirnov
            distance, else the share now less the usual one, up or down.
        p: of so large a distance where nothing has changed, after Holm's correction.
        usual: the share in the reference; of a statistic its median.
        now: the same in the records.
        is_on: whether it alarms.
    """

    kind: Kind
    name: str
    distance: Share
    p: Share
    usual: float | None
    now: float | None
    is_on: bool


class Look(Record):
    """What the newest complete block of records of a length says."""

    records: Count
    start_ms: int
    end_ms: int
    alpha: Share
    signals: list[Signal]

    @property
    def on(self) -> list[Signal]:
        """What alarms, the farthest first."""
        return sorted((one for one in self.signals if one.is_on), key=lambda one: -one.distance)


class Alarm(Record):
    """A time in which something alarmed; `end_ms` is None while it does.

    Attributes:
        start_ms: of the first block that showed it: it began there or, if that is long, within.
        length: records of that block.
        signals: the largest distance of each, by name.
        cause: the change that fits best, and of what share of the inputs; None where none does.
    """

    start_ms: int
    end_ms: int | None
    seen_ms: int
    length: Count
    signals: dict[str, Share]
    cause: str | None


class Feedback(Record):
    """Labels that somebody gave to answers; `right` of them were right."""

    labels: Count
    right: Count
    unknown: Count
    low: Share | None
    high: Share | None


class Estimate(Record):
    """Accuracy without labels, by how many answers are confident; only while inputs are quiet."""

    accuracy: Share
    answers: Count


class Budget(Record):
    """What was missed of a target since a time.

    Attributes:
        kind: requests that failed, or that took too long.
        start_ms: since when.
        requests: all of them; of failures those that were no mistake of the client.
        missed: how many of them failed, or took too long.
        allowed: the share that may, by the target.
    """

    kind: Target
    start_ms: int
    requests: Count
    missed: Count
    allowed: Share

    @property
    def share(self) -> float:
        """Of the requests, what was missed."""
        return self.missed / self.requests if self.requests else 0.0

    @property
    def pace(self) -> float:
        """How fast the budget is spent; at 1 it lasts for a month."""
        return self.share / self.allowed


class Burn(Budget):
    """The same over the newest hours, and whether that alarms.

    Attributes:
        hours: over how many; there may be fewer so far, or more where nobody looked.
        least: the pace that alarms.
        recent: the pace in the last twelfth of the time.
        p: of so many misses where the target is just kept.
    """

    hours: Count
    least: float
    recent: float
    p: Share
    is_on: bool


class Service(Record):
    """What the service's /metrics say of its targets; not where it is, which is nobody's business.

    Attributes:
        asked_ms: when.
        problem: why there was no answer; None where there was one.
        since_ms: of the alarm that is on, when it was first seen.
        seconds: an answer that takes longer is slow.
        restarts: other processes since; what one counted just before its end is not known.
        budgets: of each target, of thirty days or since it was first asked.
        burns: of each target over each time.
    """

    asked_ms: int
    problem: str | None
    since_ms: int | None
    seconds: float
    restarts: Count
    budgets: list[Budget]
    burns: list[Burn]

    @property
    def on(self) -> list[Burn]:
        """What alarms, the fastest first."""
        return sorted((one for one in self.burns if one.is_on), key=lambda one: -one.pace)


class Monitored(Record):
    """The whole file."""

    schema_version: Literal[1]
    headline: str
    is_alarm: bool
    model: str
    usual_accuracy: Share
    records: Count
    windows: Count
    waiting: Count
    other_models: Count
    other_shapes: Count
    start_ms: int | None
    end_ms: int | None
    window: Count
    false_alarms: float
    least: Share
    looks: list[Look]
    alarms: list[Alarm]
    feedback: Feedback
    estimate: Estimate | None
    service: Service | None = None  # where none is asked, and of older files

    @property
    def now(self) -> Alarm | None:
        """The alarm that is on."""
        return next((one for one in self.alarms if one.end_ms is None), None)
