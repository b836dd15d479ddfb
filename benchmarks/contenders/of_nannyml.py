"""NannyML's drift by its defaults, of each column and of all together: nannyml.readthedocs.io.

What exceeds the mean of the reference's chunks by three standard deviations alerts. A day of as
many rows as the reference has is cut as by default, into ten chunks; for smaller windows a chunk
has 500 rows, for its documentation wants six chunks of the reference at least.
"""

import warnings

import nannyml
import pandas as pd
from looks import Look, run

CHUNK = 500


def each_column(reference: pd.DataFrame, size: int) -> Look:
    """Univariate: Jensen-Shannon distances."""
    return _look(nannyml.UnivariateDriftCalculator, reference, size)


def together(reference: pd.DataFrame, size: int) -> Look:
    """Multivariate: the error of a reconstruction by principal components."""
    return _look(nannyml.DataReconstructionDriftCalculator, reference, size)


def _look(calculator: type, reference: pd.DataFrame, size: int) -> Look:
    chunks = {} if size == len(reference) else {"chunk_size": CHUNK}
    fitted = calculator(column_names=list(reference.columns), **chunks).fit(reference)

    def look(window: pd.DataFrame) -> dict[str, bool]:
        found = fitted.calculate(window).filter(period="analysis").to_df()
        alerts = found.loc[:, [name for name in found.columns if name[-1] == "alert"]]
        return {"any": bool(alerts.to_numpy().any())}

    return look


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "The resulting number of chunks is too low")  # of a window
    run("nannyml", {"each column": each_column, "together": together})
