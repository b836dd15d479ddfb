"""The monitor as one MLflow run, which each look at the records of a service goes on with."""

from pathlib import Path

from lab.base.files import sha256
from lab.base.machine import environment_tags
from lab.base.params import Params
from lab.monitoring.findings import on_now
from lab.monitoring.watch import Watch
from lab.results.monitored import Monitored
from lab.tracking import words
from lab.tracking.recording import RunSpec


def run(result: Monitored, tree: Params, watch: Watch, records: Path) -> RunSpec:
    """The run of a folder of records and a reference."""
    of = f"{watch.reference.sha256} {records.resolve()}"
    return RunSpec(
        name=f"monitor: {result.model}",
        params=tree.monitor.model_dump(exclude={"service"}),  # an address is nobody's business
        tags={"stage": "monitor", words.VERDICT: result.headline, **environment_tags()},
        note=f"**{result.headline}**\n\n`report.html` is among the artifacts.",
        fingerprint=sha256(f"monitor {of}".encode()),
        is_again=True,
    )


def metrics(result: Monitored) -> dict[str, float]:
    """Numbers over time; the step is the number of windows."""
    told = {"alarm": float(result.is_alarm), "records": float(result.records)}
    for one in (signal for look in result.looks[:1] for signal in look.signals):
        if one.kind == "input":
            told[f"distance/{one.name}"] = one.distance
    told["alarming_signals"] = float(len(on_now(result.looks)))
    if result.feedback.labels:
        told["feedback_accuracy"] = result.feedback.right / result.feedback.labels
    for budget in result.service.budgets if result.service else []:
        told[f"service/{budget.kind}"] = budget.share
    if result.estimate is not None:
        told["estimated_accuracy"] = result.estimate.accuracy
    return told
