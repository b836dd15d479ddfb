"""What a stage cost: kept out of `metrics/`, because time is never the same twice."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.files import sha256, write_json

COSTS = Path("report/costs")


class Meter:
    """Measures wall and CPU seconds between entering and leaving, all threads counted."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wall_seconds = time.perf_counter() - self._wall
        self.cpu_seconds = time.process_time() - self._cpu


def write_cost(model: str, meter: Meter, image_steps: int, run_file: Path) -> dict[str, float]:
    """Writes `report/costs/MODEL.json`, tied to the results it belongs to by their SHA-256.

    Args:
        model: its name.
        meter: measured around the training.
        image_steps: images seen, summed over seeds and epochs.
        run_file: the model's `metrics/runs/MODEL.json`.
    """
    cost = {
        "wall_seconds": meter.wall_seconds,
        "cpu_seconds": meter.cpu_seconds,
        "image_steps_per_second": image_steps / meter.wall_seconds,
        "peak_memory_bytes": _peak_memory_bytes(),
    }
    write_json(COSTS / f"{model}.json", {**cost, "results_sha256": sha256(run_file.read_bytes())})
    return cost


def _peak_memory_bytes() -> int:
    """The process's largest resident size; 0 where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
