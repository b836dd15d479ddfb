"""What every contender of `benchmarks.drift_tools` is given, and what it says.

`of_TOOL.py FILE.npz` reads traffic as tables of statistics of images and the predicted class, makes
the tool's detector of each reference, shows it window after window, and prints JSON: of every rule
which looks alarmed, and the processor time of a look, which other work on the machine changes less
than the time of a clock. Making a detector and a table does not count.
"""

import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

CLASS = "predicted"
GROUPS = "day", "window", "changed_500", "changed_2000"

Look = Callable[[pd.DataFrame], dict[str, bool]]
Detector = Callable[[pd.DataFrame, int], Look]  # of a reference, and how many answers a look has


def run(
    product: str, detectors: Mapping[str, Detector], most: Mapping[str, int] | None = None
) -> None:
    """Shows all windows to all detectors of a product.

    Args:
        product: as its package is called.
        detectors: by name.
        most: looks for each reference, of detectors that would take too long for all.
    """
    given = np.load(sys.argv[1])
    found: dict[str, dict[str, dict[str, object]]] = {}
    for name, detector in detectors.items():
        found[name] = {}
        for group in GROUPS:
            limit = (most or {}).get(name)
            said, seconds = shown(given, detector, given[group][:, :limit])
            found[name][group] = {"seconds": statistics.median(seconds), "alarms": said}
    print(json.dumps({"version": importlib.metadata.version(product), "found": found}))


def shown(
    given: Mapping[str, np.ndarray], detector: Detector, rows_RKN: np.ndarray
) -> tuple[dict[str, list[list[bool]]], list[float]]:
    """Of each rule what it said [R][K], and the seconds of the processor."""
    said: dict[str, list[list[bool]]] = {}
    seconds = []
    for reference, rows_KN in zip(given["reference"], rows_RKN, strict=True):
        look = detector(table(given, reference), rows_KN.shape[1])
        answers = []
        for rows in rows_KN:
            window = table(given, rows)
            start = time.process_time()
            answers.append(look(window))
            seconds.append(time.process_time() - start)
        for rule in answers[0]:
            said.setdefault(rule, []).append([bool(one[rule]) for one in answers])
    return said, seconds


def table(given: Mapping[str, np.ndarray], rows: np.ndarray) -> pd.DataFrame:
    """The columns of statistics, and the class as a category."""
    found = pd.DataFrame(given["values"][rows], columns=given["names"].tolist())
    classes = [str(one) for one in range(int(given["predicted"].max()) + 1)]
    found[CLASS] = pd.Categorical.from_codes(given["predicted"][rows], classes)
    return found
