"""What /metrics tells: counts in plain numbers, which become Prometheus's text only when asked."""

import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from lab.serving.monitored import Found

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
EXAMPLES = tuple(4**power for power in range(7))
TENTHS = tuple(tenth / 10 for tenth in range(1, 11))


class Histogram:
    """How often values were at most so large."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: NDArray[np.float32]) -> None:
        """Counts many."""
        places = np.searchsorted(self.bounds, values)
        for place, count in enumerate(np.bincount(places, minlength=len(self.counts)).tolist()):
            self.counts[place] += count
        self.total += float(values.sum())

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """As Prometheus has it: counts of what is at most each bound."""
        sums = np.cumsum(self.counts).tolist()
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        return HistogramMetricFamily(name, text, list(zip(names, sums, strict=True)), self.total)


class Metrics(Collector):
    """The counts of one service; its process's memory, time and files come beside them.

    The event loop alone writes them, so they need no lock.
    """

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter({200: 0, 413: 0, 422: 0, 500: 0, 503: 0})
        self.seconds = Histogram(SECONDS)
        self.request_examples = Histogram(EXAMPLES)
        self.batch_examples = Histogram(EXAMPLES)
        self.confidence = Histogram(TENTHS)
        self.predictions: Counter[str] = Counter()
        self.unlike_training = 0
        self.feedback = 0
        self.model = ("", "")  # name, SHA-256
        self.waiting = 0
        self.records_dropped = 0
        self.monitored: Found | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def predicted(self, names: Sequence[str], probabilities_NC: NDArray[np.float32]) -> None:
        """Counts what a request was answered."""
        count = len(probabilities_NC)
        self.request_examples.observe(count)
        labels_N, highest_N = probabilities_NC.argmax(axis=1), probabilities_NC.max(axis=1)
        if count == 1:
            self.predictions[names[int(labels_N[0])]] += 1
            self.confidence.observe(float(highest_N[0]))
            return
        self.confidence.observe_all(highest_N)
        for label, of_it in enumerate(np.bincount(labels_N).tolist()):
            if of_it:
                self.predictions[names[label]] += of_it

    def text(self) -> bytes:
        """In Prometheus's format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Any]:
        """What the registry asks for."""
        yield _counter("serve_requests", "Requests for predictions", self.requests, "status")
        yield self.seconds.family("serve_request_seconds", "From a request's head to its answer")
        yield self.request_examples.family("serve_request_examples", "Examples a request")
        yield self.batch_examples.family("serve_batch_examples", "Examples run together")
        yield _counter("serve_predictions", "Predictions by class", self.predictions, "class")
        yield self.confidence.family("serve_confidence", "Highest probability of an example")
        yield GaugeMetricFamily("serve_waiting_examples", "Examples that wait", self.waiting)
        model = GaugeMetricFamily("serve_model_info", "What answers", labels=["model", "sha256"])
        model.add_metric(self.model, 1)
        yield model
        for name, text, value in (
            ("serve_records_dropped", "Records that could not be kept", self.records_dropped),
            ("serve_feedback", "Answers that somebody judged", self.feedback),
            ("serve_unlike_training", "Examples unlike training's", self.unlike_training),
        ):
            yield CounterMetricFamily(name, text, value)
        if self.monitored is not None:
            yield from self.monitored.families()


def _counter(name: str, text: str, counts: Counter[Any], label: str) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([str(value)], count)
    return family
