"""Progress of a training: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
from types import TracebackType
from typing import Self

from tqdm import tqdm


class EpochProgress:
    """Counts finished epochs over all seeds; may be called from several threads."""

    def __init__(self, total: int) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._bar = tqdm(total=total, unit="epoch", disable=not self._is_terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def show(
        self, model: str, seeds: tuple[int, ...], number: int, validation_accuracy: float
    ) -> None:
        """Says that some seeds of `model` have done epoch `number`, with their mean accuracy."""
        accuracy = f"validation accuracy {validation_accuracy:.4f}"
        with self._lock:
            if self._is_terminal:
                self._bar.set_description(f"{model}: {accuracy}", refresh=False)
                self._bar.update(len(seeds))
            else:
                listed = ", ".join(map(str, seeds))
                print(f"{model}: epoch {number}, seeds {listed}: {accuracy}", flush=True)
