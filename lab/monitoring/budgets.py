"""Targets of the service, and how fast it spends what they leave.

Of 99.9 % of requests answered, one in a thousand may fail: that is a month's budget. Its pace is
the share that fails by the share that may. It alarms when a part of the budget is gone within
hours, still is being spent, and is surely no chance. Source of the times and the paces: Beyer et
al. 2018, The Site Reliability Workbook, chapter 5.
"""

import itertools
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator
from scipy.special import bdtrc

from lab.base.files import read_bytes, write_json
from lab.base.params import MonitorParams
from lab.base.records import Record
from lab.base.serve_params import OFF
from lab.monitoring.counters import Counters, SilentError, counters
from lab.monitoring.looks import MONTH_MS, alpha_of
from lab.results.monitored import Budget, Burn, Service, Target

STATE = "service.json"  # apart from what is known of records, for it outlives a model
MOST_BYTES = 2**22
HOUR_MS = 3_600_000
PACES = {1: 14.4, 6: 6.0, 72: 1.0}  # by hours; 2, 5 and 10 % of the budget are gone then
RECENT = 12  # the last twelfth of these hours has to keep the pace, so that an alarm soon ends
ENOUGH = 0.9  # of a time is taken for it, for nobody asks to the second
FINEST_MS = 300_000  # between points that are kept
NEARLY_ALL = 0.9  # of the requests
MOST_PROCESSES = 16
LATEST_MS = 10**14  # since 1970, in the year 5138
Time = Annotated[int, Field(ge=0, le=LATEST_MS)]


class Point(NamedTuple):
    """What was counted until a time, since the first time that anybody asked."""

    time_ms: int
    requests: int = 0
    failed: int = 0
    answers: int = 0
    slow: int = 0


class Spending(Record):
    """`monitor/service.json`: what a service counted in thirty days.

    Attributes:
        address: of the service.
        seconds: an answer that takes longer is slow.
        last: what each process said last, for two may take turns behind an address.
        seen_ms: when.
        points: the oldest may be older than the thirty days.
        processes: that were seen.
        since_ms: of the alarm that is on.
        on: which targets alarm, over how many hours.
    """

    schema_version: Literal[1] = 1
    address: str
    seconds: float
    last: list[Counters] = Field(default_factory=list)
    seen_ms: Time | None = None
    points: list[Point] = Field(default_factory=list)
    processes: int = 0
    since_ms: Time | None = None
    on: list[tuple[Target, int]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _counts_up(self) -> "Spending":
        for first, second in itertools.pairwise([Point(0), *self.points]):
            if second.time_ms > LATEST_MS or not _is_more(second[1:], first[1:]):
                raise ValueError("points must count up")
            if second.time_ms < first.time_ms:
                raise ValueError("points must be in the order of their times")
        return self

    def then(self, now: Counters, time_ms: int) -> "Spending":
        """With what was counted since; all of it, where the process was not seen before."""
        known = {one.process: one for one in self.last}
        before = known.pop(now.process, None)
        is_new = before is None or not _is_more(now[1:], before[1:])
        counted = (0, 0, 0, 0) if is_new or before is None else before[1:]
        points = self.points or [Point(min(time_ms, round(now.process * 1_000) or time_ms))]
        total = [a + b - c for a, b, c in zip(points[-1][1:], now[1:], counted, strict=True)]
        # What is later was written by a clock that went ahead.
        kept = [one for one in points if one.time_ms <= time_ms]
        kept = kept or [points[0]._replace(time_ms=time_ms)]
        if len(kept) > 1 and kept[-1].time_ms - kept[-2].time_ms < FINEST_MS:
            kept.pop()
        kept.append(Point(time_ms, *total))
        return self.model_copy(
            update={
                "last": [*known.values(), now][-MOST_PROCESSES:],
                "seen_ms": time_ms,
                "points": kept[max(0, _at(kept, time_ms - MONTH_MS)) :],
                "processes": self.processes + is_new,
            }
        )


def _is_more(now: Sequence[int], before: Sequence[int]) -> bool:
    """Whether requests, failed ones, answers and slow ones are those of before and some more."""
    requests, failed, answers, slow = (a - b for a, b in zip(now, before, strict=True))
    return 0 <= failed <= requests and 0 <= slow <= answers


def asked(params: MonitorParams, folder: Path) -> tuple[Service | None, list[Point]]:
    """How the service does, kept in a folder for the next time; None: nobody is to be asked.

    Raises:
        ParamsError: it is no service, or lets nobody in.
    """
    if params.service == OFF:
        return None, []
    now_ms, problem = time.time_ns() // 1_000_000, None
    path = folder / STATE
    before = _read(path, Spending(address=params.service, seconds=params.seconds))
    after = before
    try:
        after = before.then(counters(params.service, params.seconds), now_ms)
    except SilentError as error:
        problem = str(error)
    points = after.points
    found = [] if problem else [*burns(points, params, before.seen_ms, before.on)]
    on = before.on if problem else [(one.kind, one.hours) for one in found if one.is_on]
    is_alarm = problem is not None or bool(on)
    since_ms = min(before.since_ms or now_ms, now_ms) if is_alarm else None
    if points or before.since_ms or not path.exists():  # a slip in the address overwrites nothing
        write_json(path, after.model_copy(update={"since_ms": since_ms, "on": on}).model_dump())
    service = Service(
        asked_ms=now_ms,
        problem=problem,
        since_ms=since_ms,
        seconds=params.seconds,
        restarts=max(0, after.processes - 1),
        budgets=missed(points[0], points[-1], params) if points else [],
        burns=found,
    )
    return service, points


def _read(path: Path, empty: Spending) -> Spending:
    """The state of a service; an empty one where there is none, or it is damaged."""
    try:
        found = Spending.model_validate_json(read_bytes(path, MOST_BYTES))
    except FileNotFoundError:
        return empty
    except ValidationError:
        found = None
    if found and (found.address, found.seconds) == (empty.address, empty.seconds):
        return found
    print(f"{path}: damaged, or of another address or seconds; begun anew at an answer", flush=True)
    return empty


def _at(points: list[Point], time_ms: int) -> int:
    """The last point until a time; -1: all are later."""
    return bisect_right(points, time_ms, key=lambda one: one.time_ms) - 1


def _before(points: list[Point], length_ms: float) -> Point:
    """The last point that is so long before the newest, else the first of all."""
    return points[max(0, _at(points, round(points[-1].time_ms - ENOUGH * length_ms)))]


def missed(first: Point, last: Point, params: MonitorParams) -> list[Budget]:
    """Of each target what was missed between two points."""
    start_ms = first.time_ms
    _, requests, failed, answers, slow = (b - a for a, b in zip(first, last, strict=True))
    may_fail, may_be_slow = 1 - params.answered, 1 - params.in_time
    return [
        Budget(
            kind="errors", start_ms=start_ms, requests=requests, missed=failed, allowed=may_fail
        ),
        Budget(kind="slow", start_ms=start_ms, requests=answers, missed=slow, allowed=may_be_slow),
    ]


def burns(
    points: list[Point],
    params: MonitorParams,
    seen_ms: int | None,
    on: Sequence[tuple[Target, int]] = (),
) -> Iterator[Burn]:
    """Of each target how fast its budget is spent, over each time, and whether that alarms.

    Args:
        points: two or more.
        params: the targets, and how many false alarms may be.
        seen_ms: when the look before was.
        on: what alarmed then; chance is excluded once.
    """
    last = points[-1]
    before_ms = points[0].time_ms if seen_ms is None else seen_ms
    for hours, pace in PACES.items():
        first = _before(points, hours * HOUR_MS)
        recent = missed(_before(points, hours * HOUR_MS / RECENT), last, params)
        # Where less time has passed, more has to be missed for the same part of the budget.
        part = min(1.0, max(1, last.time_ms - first.time_ms) / (hours * HOUR_MS))
        for one, newest in zip(missed(first, last, params), recent, strict=True):
            asked = params.false_alarms / len(recent)  # both targets share it
            alpha = alpha_of(asked, before_ms, last.time_ms, one.requests)
            p = float(bdtrc(one.missed - 1, one.requests, one.allowed)) if one.missed else 1.0
            most = NEARLY_ALL / one.allowed  # a low target leaves no room for a higher pace
            is_fast = one.pace >= min(pace / part, most) and newest.pace >= min(pace, most)
            yield Burn(
                **one.model_dump(), hours=hours, least=min(pace / part, most), recent=newest.pace,
                p=p, is_on=is_fast and (p < alpha or (one.kind, hours) in on),
            )  # fmt: skip
