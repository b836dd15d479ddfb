"""Evidently's `DataDriftPreset` by its defaults: docs.evidentlyai.com/metrics/preset_data_drift.

A reference of more than 1,000 rows is compared by Wasserstein and Jensen-Shannon distances of 0.1.
The data set has drifted where half of the columns have. The preset draws a picture of each column,
most of its time; `DriftedColumnsCount`, the part of it that decides, sees all windows, and
`benchmarks.drift_tools` checks that both say the same.
"""

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import DriftedColumnsCount
from evidently.presets import DataDriftPreset
from looks import CLASS, Look, run

SHARE = 0.5  # the default of both


def whole(reference: pd.DataFrame, _size: int) -> Look:
    """The report as its documentation begins."""
    return _look(Report([DataDriftPreset()]), reference)


def count(reference: pd.DataFrame, _size: int) -> Look:
    """The count of columns alone."""
    return _look(Report([DriftedColumnsCount()]), reference)


def _look(report: Report, reference: pd.DataFrame) -> Look:
    numbers = [name for name in reference.columns if name != CLASS]
    columns = DataDefinition(numerical_columns=numbers, categorical_columns=[CLASS])
    usual = Dataset.from_pandas(reference, data_definition=columns)

    def look(window: pd.DataFrame) -> dict[str, bool]:
        now = Dataset.from_pandas(window, data_definition=columns)
        metrics = report.run(now, usual).dict()["metrics"]
        drifted = next(
            one["value"] for one in metrics if one["metric_name"].startswith("DriftedColumnsCount")
        )
        return {
            "half of the columns": drifted["share"] >= SHARE,
            "any column": drifted["count"] > 0,
        }

    return look


if __name__ == "__main__":
    run("evidently", {"count": count, "whole": whole}, most={"whole": 1})
