"""One pass over records: windows, looks, alarms; it stops and goes on at the end of any window.

All that is known after a window is a `State`, whose size does not depend on how many records there
were. The same records give the same state, however often the pass was stopped on the way.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lab.base.params import MonitorParams
from lab.monitoring.blocks import Block, block_of
from lab.monitoring.causes import Causes
from lab.monitoring.looks import LENGTHS, accuracy_look, alpha_of, exact_interval, look
from lab.monitoring.windows import Rest, Window, windows
from lab.results.monitored import Alarm, Estimate, Feedback, Look
from lab.serving.records import START, Place
from lab.shifts.reference import Reference
from lab.shifts.statistics import Inputs, Values

MOST_KNOWN = 2**17  # answers that feedback may still come to
MOST_ALARMS = 100
MOST_SIGNALS = 20  # that an alarm keeps
MOST_POINTS = 1_000  # windows that the picture over time shows; then every second one goes
SHOWN = 12  # inputs beside the reference's

Point = tuple[int, int, float]  # records so far, when, the largest distance of a statistic


@dataclass
class Series:
    """Blocks of one length: what fills the next, and the newest that is full."""

    filling: Block | None = None
    parts: int = 0
    since_ms: int | None = None  # when the look before ended
    block: Block | None = None
    newest: Look | None = None
    is_explained: bool = False  # what fills has part in an alarm that is over


@dataclass
class Labels:
    """Feedback in blocks of one length."""

    right: int = 0
    labels: int = 0
    start_ms: int | None = None
    since_ms: int | None = None
    newest: Look | None = None


@dataclass
class State:
    """Where a pass stands.

    Attributes:
        place: of the next record.
        known: class of an answer by a hash of its id; the oldest go first.
        points: for the picture over time, each `stride`-th window.
        shown: inputs of the newest window while something alarms, the most telling first.
        shown_predicted: their classes; -1 is none of the reference's.
    """

    place: Place = START
    records: int = 0
    windows: int = 0
    other_models: int = 0
    other_shapes: int = 0
    start_ms: int | None = None
    end_ms: int = 0
    series: list[Series] = field(default_factory=lambda: [Series() for _ in LENGTHS])
    labels: list[Labels] = field(default_factory=lambda: [Labels() for _ in LENGTHS])
    known: dict[int, int] = field(default_factory=dict)
    judged: int = 0
    right: int = 0
    unknown: int = 0
    alarms: list[Alarm] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    stride: int = 1
    shown: Inputs | None = None
    shown_predicted: list[int] = field(default_factory=list)

    @property
    def looks(self) -> list[Look]:
        """The newest of each length, of records and then of feedback."""
        newest = [one.newest for one in self.series] + [one.newest for one in self.labels]
        return [one for one in newest if one is not None]

    @property
    def alarm(self) -> Alarm | None:
        """The one that is on."""
        return self.alarms[-1] if self.alarms and self.alarms[-1].end_ms is None else None

    @property
    def telling(self) -> Block | None:
        """The newest block whose inputs or answers alarm, by the largest distance."""
        found = [
            (one.newest.on[0].distance, place)
            for place, one in enumerate(self.series)
            if one.newest is not None and one.newest.on
        ]
        return self.series[max(found)[1]].block if found else None

    @property
    def feedback(self) -> Feedback:
        """What labels say, all together."""
        low, high = exact_interval(self.right, self.judged) if self.judged else (None, None)
        return Feedback(
            labels=self.judged, right=self.right, unknown=self.unknown, low=low, high=high
        )

    @property
    def estimate(self) -> Estimate | None:
        """Accuracy by confidence, of the longest block there is; none while something alarms."""
        blocks = [one.block for one in self.series if one.block is not None and one.block.answers]
        if self.alarm is not None or not blocks:
            return None
        longest = blocks[-1]
        return Estimate(accuracy=longest.confident / longest.answers, answers=longest.answers)


class Watch:
    """Brings a state up to date.

    Attributes:
        rest: what is no window yet, after `follow`.
    """

    def __init__(self, reference: Reference, params: MonitorParams, state: State) -> None:
        self.reference, self.params, self.state = reference, params, state
        self.rest = Rest(0, 0, "")
        self._causes = Causes(reference)

    def follow(self, folder: Path) -> Iterator[State]:
        """Takes the records of a folder window by window, and yields after each.

        Raises:
            DataError: the folder is none, or a file in it is damaged.
        """
        for one in windows(folder, self.state.place, self.params.window, self.reference):
            if isinstance(one, Rest):
                self.rest = one
                return
            state = self.state
            state.place = one.after
            state.other_models += one.others
            state.other_shapes += one.records - len(one.inputs)
            self._remember(one)
            self._judge(one.feedback, one.end_ms)
            self.take(block_of(one, self.reference))
            self._show(one)
            yield state

    def take(self, block: Block) -> None:
        """Looks at one more block of a window's length, and at the longer ones that it ends."""
        state = self.state
        state.windows += 1
        state.records += block.records
        state.start_ms = block.start_ms if state.start_ms is None else state.start_ms
        state.end_ms = max(state.end_ms, block.end_ms)
        for length, series in zip(LENGTHS, state.series, strict=True):
            series.filling = block if series.filling is None else series.filling + block
            series.parts += 1
            if series.parts == length:
                self._look(series, series.filling)
        newest = state.series[0].newest
        if newest is not None and state.windows % state.stride == 0:
            inputs = [one.distance for one in newest.signals if one.kind == "input"]
            state.points.append((state.records, state.end_ms, max(inputs, default=0.0)))
            if len(state.points) > MOST_POINTS:
                state.points, state.stride = state.points[1::2], 2 * state.stride
        self._alarm()

    def _look(self, series: Series, block: Block) -> None:
        state, params = self.state, self.params
        since = block.start_ms if series.since_ms is None else series.since_ms
        alpha = alpha_of(params.false_alarms, since, state.end_ms, block.records)
        alpha = 0.0 if series.is_explained else alpha
        series.newest = look(block, self.reference, alpha, params.least)
        series.block, series.filling, series.parts = block, None, 0
        series.since_ms, series.is_explained = state.end_ms, False

    def _remember(self, window: Window) -> None:
        known = self.state.known
        for identity, predicted in zip(window.ids, window.predicted.tolist(), strict=True):
            if predicted >= 0:
                known[_hash(identity)] = predicted
        for key in [*itertools.islice(known, max(0, len(known) - MOST_KNOWN))]:
            del known[key]

    def _judge(self, feedback: Sequence[tuple[str, str]], now_ms: int) -> None:
        """Takes labels of answers that are known, the first of each."""
        state, names = self.state, self.reference.about["class_names"]
        for identity, label in feedback:
            predicted = state.known.pop(_hash(identity), None)
            if predicted is None:
                state.unknown += 1
            else:
                self.judge(names[predicted] == label, now_ms)

    def judge(self, is_right: bool, now_ms: int) -> None:
        """Counts an answer that was labelled, and looks at the blocks of labels that it ends."""
        state = self.state
        state.judged += 1
        state.right += is_right
        for length, one in zip(LENGTHS, state.labels, strict=True):
            one.labels += 1
            one.right += is_right
            one.start_ms = now_ms if one.start_ms is None else one.start_ms
            if one.labels == length * self.params.feedback:
                self._look_at_labels(one, now_ms)

    def _look_at_labels(self, one: Labels, now_ms: int) -> None:
        start = now_ms if one.start_ms is None else one.start_ms
        since = start if one.since_ms is None else one.since_ms
        alpha = alpha_of(self.params.false_alarms, since, now_ms, one.labels)
        counts = one.right, one.labels, (start, now_ms)
        one.newest = accuracy_look(*counts, self.reference, alpha, self.params.least)
        one.right, one.labels, one.start_ms, one.since_ms = 0, 0, None, now_ms

    def _alarm(self) -> None:
        """Begins an alarm, goes on with it, or ends it: when the newest of all blocks are quiet."""
        state = self.state
        looks = [one for one in state.looks if one.on]
        before = state.alarm
        if not looks:
            if before is not None:
                state.alarms[-1] = before.model_copy(update={"end_ms": state.end_ms})
                for series in state.series:
                    series.is_explained = series.filling is not None
            return
        signals = dict(before.signals) if before else {}
        for one in (signal for each in looks for signal in each.on):
            signals[one.name] = max(one.distance, signals.get(one.name, 0.0))
        signals = dict(sorted(signals.items(), key=lambda one: -one[1])[:MOST_SIGNALS])
        first = min(looks, key=lambda one: (one.start_ms, one.records))
        block = state.telling
        named = self._causes.named(block) if block else None
        alarm = Alarm(
            start_ms=before.start_ms if before else first.start_ms,
            end_ms=None,
            seen_ms=state.end_ms,
            length=before.length if before else first.records,
            signals=signals,
            cause=named or (before.cause if before else None),
        )
        state.alarms = [*(state.alarms[:-1] if before else state.alarms), alarm][-MOST_ALARMS:]

    def _show(self, window: Window) -> None:
        """Keeps inputs that lie where more do than usually."""
        state, block = self.state, self.state.telling
        if block is None or not len(window.inputs):
            if state.alarm is None:
                state.shown, state.shown_predicted = None, []
            return
        score_N = _scores(window, block, self.reference, state)
        rows = np.sort(np.argsort(-score_N, kind="stable")[:SHOWN])
        state.shown = window.inputs[rows].copy()
        state.shown_predicted = window.predicted[window.rows[rows]].tolist()


def _scores(window: Window, block: Block, reference: Reference, state: State) -> Values:
    """How much likelier each input [N] is in the block than in the reference, by what alarms."""
    on = {one.name for each in state.looks for one in each.on if one.kind == "input"}
    bins_SN = reference.bins(window.inputs)
    total = np.zeros(len(window.inputs))
    for place, name in enumerate(reference.names):
        if name in on:
            now, usual = block.counts_SB[place] + 1.0, reference.counts_SB[place] + 1.0
            ratio = np.log(now / now.sum()) - np.log(usual / usual.sum())
            total += ratio[bins_SN[place]]
    if not on and block.answers:  # classes alone
        now, usual = block.predicted_C + 1.0, reference.predicted_C + 1.0
        ratio = np.log(now / now.sum()) - np.log(usual / usual.sum())
        classes = window.predicted[window.rows]
        total += np.where(classes >= 0, ratio[classes], 0.0)
    return total


def _hash(identity: str) -> int:
    digest = hashlib.blake2b(identity.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
