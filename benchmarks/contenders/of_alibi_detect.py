"""alibi-detect's `TabularDrift` by its defaults: docs.seldon.ai/alibi-detect/cd/methods/offline.

It is `KSDrift` for numbers and `ChiSquareDrift` for categories in one, at p < 0.05 after
Bonferroni's correction for the columns.
"""

import numpy as np
import pandas as pd
from alibi_detect.cd import TabularDrift
from looks import CLASS, Look, run


def detector(reference: pd.DataFrame, _size: int) -> Look:
    """All columns at once."""
    place = reference.columns.get_loc(CLASS)
    found = TabularDrift(_array(reference), categories_per_feature={place: None})
    return lambda window: {"is_drift": bool(found.predict(_array(window))["data"]["is_drift"])}


def _array(table: pd.DataFrame) -> np.ndarray:
    return table.assign(**{CLASS: table[CLASS].cat.codes}).to_numpy(np.float64)


if __name__ == "__main__":
    run("alibi-detect", {"tabular": detector})
