"""What a stage cost: kept out of `metrics/`, because time is never the same twice.

It is remembered by the results' own bytes as soon as they are made, in one place for all copies of
the project: whichever branch or experiment has these bytes, now or later, finds what they cost.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.base.files import sha256, write_json
from lab.base.home import home

COSTS = Path("report/costs")  # in the project's home


@dataclass(frozen=True)
class Usage:
    """Seconds of wall clock and processor, and the largest memory of a process."""

    started: float  # seconds since 1970
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int


def joined(parts: Sequence[Usage | None]) -> Usage | None:
    """What several workers took together: wall time from the first start to the last end."""
    known = [part for part in parts if part]
    if len(known) < len(parts):
        return None
    started = min(part.started for part in known)
    return Usage(
        started=started,
        wall_seconds=max(part.started + part.wall_seconds for part in known) - started,
        cpu_seconds=sum(part.cpu_seconds for part in known),
        peak_memory_bytes=max(part.peak_memory_bytes for part in known),
    )


class Meter:
    """Measures the `usage` of what happens between entering and leaving, all threads counted."""

    usage: Usage

    def __enter__(self) -> Self:
        self._started = time.time()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.usage = Usage(
            started=self._started,
            wall_seconds=time.perf_counter() - self._wall,
            cpu_seconds=time.process_time() - self._cpu,
            peak_memory_bytes=_peak_memory_bytes(),
        )


def write_cost(usage: Usage | None, image_steps: int, results: Path) -> dict[str, float]:
    """Remembers what a model's training cost.

    Args:
        usage: of the training; None when it went on after an interruption, which nobody measured.
        image_steps: images seen, summed over seeds and epochs.
        results: the model's `metrics/runs/MODEL.json`.
    """
    if not usage:
        return {}
    values = {
        "wall_seconds": usage.wall_seconds,
        "cpu_seconds": usage.cpu_seconds,
        "image_steps_per_second": image_steps / usage.wall_seconds,
        "peak_memory_bytes": usage.peak_memory_bytes,
    }
    digest = sha256(results.read_bytes())
    write_json(cost_file(digest), {**values, "results_sha256": digest})
    return values


def cost_file(digest: str) -> Path:
    """Where is remembered what the results with this SHA-256 cost."""
    return home() / COSTS / f"{digest}.json"


def _peak_memory_bytes() -> int:
    """The process's largest resident size; 0 where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
