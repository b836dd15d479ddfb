"""frouros' tests of batches, a detector for each column as its documentation has it.

It has no default of the significance level, and no rule for several columns: its README has 0.001,
its examples 0.01.
"""

import numpy as np
import pandas as pd
from frouros.detectors.data_drift import ChiSquareTest, KSTest
from looks import CLASS, Look, run

LEVELS = 0.001, 0.01


def detector(reference: pd.DataFrame, _size: int) -> Look:
    """Kolmogorov-Smirnov for numbers, chi-squared for the class."""
    tests = {name: ChiSquareTest() if name == CLASS else KSTest() for name in reference.columns}
    for name, test in tests.items():
        test.fit(X=_array(reference[name]))

    def look(window: pd.DataFrame) -> dict[str, bool]:
        least = min(test.compare(X=_array(window[name]))[0].p_value for name, test in tests.items())
        return {f"any column at {level}": least <= level for level in LEVELS}

    return look


def _array(column: pd.Series) -> np.ndarray:
    return np.asarray(column.cat.codes if column.name == CLASS else column)


if __name__ == "__main__":
    run("frouros", {"tests": detector})
