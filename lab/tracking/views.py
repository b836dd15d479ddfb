"""What MLflow's UI opens with: a saved view of the runs, and the addresses that lead to it.

MLflow 3 keeps the views that users save as tags of the experiment, and opens one by its key in an
address. Older versions show their own columns instead.
"""

import json
from typing import Any
from urllib.parse import quote

from lab.tracking import words
from lab.tracking.destination import workspace_query

KEY = "models"
TAG = f"mlflow.sharedViewState.{KEY}"
# Without it the UI shows the pages that it has for language models, which are empty here.
WORKFLOW = "workflowType=machine_learning"

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


def runs_page(server: str, experiment: str) -> str:
    """The address of the runs of an experiment, with the columns of the saved view."""
    return f"{server}/#/experiments/{experiment}/runs?viewStateShareKey={KEY}&{WORKFLOW}"


def commit_page(server: str, experiment: str, commit: str) -> str:
    """The address of the runs of one commit."""
    query = quote(f'tags.git_commit = "{commit[:12]}"')
    return _in_workspace(
        f"{server}/#/experiments/{experiment}/runs?{WORKFLOW}&searchFilter={query}"
    )


def run_page(server: str, experiment: str, run: str) -> str:
    """The address of the page of a run."""
    return _in_workspace(f"{server}/#/experiments/{experiment}/runs/{run}?{WORKFLOW}")


def _in_workspace(page: str) -> str:
    return "&".join(filter(None, [page, workspace_query()]))
