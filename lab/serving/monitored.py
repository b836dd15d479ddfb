"""What monitor.py left in the folder of records, as gauges of /metrics."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily

from lab.base.errors import DataError
from lab.base.records import read_record
from lab.results.monitored import MOST_BYTES, NAME, REMAKE, Monitored

MOST_STATISTICS = 50  # that are told; of a table the farthest


class Found:
    """The file, read again when it changes; a damaged one is left alone, with a word."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._seen: tuple[int, int] | None = None
        self._result: Monitored | None = None

    def families(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; none where the monitor never ran."""
        try:
            found = self._path.stat()
        except OSError:
            return
        if self._seen != (stamp := (found.st_mtime_ns, found.st_size)):
            self._seen, self._result = stamp, self._read()
        if self._result is not None:
            yield from _families(self._result, found.st_mtime)

    def _read(self) -> Monitored | None:
        try:
            return read_record(self._path, Monitored, MOST_BYTES, REMAKE)
        except (DataError, OSError) as error:
            print(f"{error}; /metrics does without", flush=True)
            return None


def _families(result: Monitored, written: float) -> Iterator[GaugeMetricFamily]:
    on = [one for look in result.looks for one in look.on]
    for name, text, value in (
        ("monitor_alarm", "Whether inputs or answers do", result.now is not None),
        ("monitor_alarming_signals", "How many signals do", len({(x.kind, x.name) for x in on})),
        ("monitor_accuracy_alarm", "Whether accuracy does", any(x.kind == "accuracy" for x in on)),
        ("monitor_records", "Answers that were looked at", result.records),
        ("monitor_written_timestamp_seconds", "When the monitor ran last", written),
    ):
        yield GaugeMetricFamily(name, text, float(value))
    if result.service is not None:
        is_on = result.service.since_ms is not None
        yield GaugeMetricFamily("monitor_service_alarm", "Whether a target does", float(is_on))
    if result.feedback.labels:
        right = result.feedback.right / result.feedback.labels
        yield GaugeMetricFamily(
            "monitor_feedback_accuracy", "Right, of all that is labelled", right
        )
    distances = [one for look in result.looks[:1] for one in look.signals if one.kind == "input"]
    distances = sorted(distances, key=lambda one: -one.distance)[:MOST_STATISTICS]
    family = GaugeMetricFamily(
        "monitor_input_distance", "From the reference, of the newest window", labels=["statistic"]
    )
    for one in distances:
        family.add_metric([one.name], one.distance)
    yield family
