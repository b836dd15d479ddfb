"""What MLflow's UI opens with: a saved view of the runs, and the addresses that lead to it.

MLflow 3 keeps the views that users save as tags of the experiment, and opens one by its key in an
address. Older versions show their own columns instead.
"""

import json
from typing import Any

from lab.tracking import words

KEY = "models"
TAG = f"mlflow.sharedViewState.{KEY}"

# Tags that say in words what a reader of the list wants to know -> widths of their columns, pixels.
COLUMNS = {
    words.TEST: 160,
    words.VALIDATION: 95,
    words.COST: 60,
    words.VERDICT: 300,
    "branch": 100,
    "author_note": 220,
    "pull_request": 95,
}
CHARTS = {
    "validation_accuracy": "LINE",
    "test_accuracy": "BAR",
    "validation_loss": "LINE",
    "train_loss": "LINE",
}
SECTION = "models"


def saved_view() -> str:
    """The value of `TAG`: the columns and the charts, as the UI writes them itself."""
    columns = [f"tags.`{name}`" for name in COLUMNS]
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": dict(zip(columns, COLUMNS.values(), strict=True)),
        "compareRunSections": [
            {"uuid": SECTION, "name": "Models", "display": True, "isReordered": True}
        ],
        "compareRunCharts": [_chart(kind, metric) for metric, kind in CHARTS.items()],
        "isAccordionReordered": True,
    }
    return json.dumps(
        {"name": "Models", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    )


def _chart(kind: str, metric: str) -> dict[str, Any]:
    common = {
        "uuid": f"{SECTION}-{metric}",
        "type": kind,
        "metricKey": metric,
        "metricSectionId": SECTION,
        "displayName": metric.replace("_", " "),
        "runsCountToCompare": 20,
        "deleted": False,
        "isGenerated": True,  # so that the UI adds no second chart of the metric
    }
    if kind == "BAR":
        return common
    return {
        **common,
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "selectedXAxisMetricKey": "",
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
        "ignoreOutliers": False,
        "range": {},
    }
