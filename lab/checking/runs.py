"""The checks as MLflow runs: what was found in the note, the pages among the artifacts."""

from lab.base.files import sha256
from lab.base.machine import environment_tags
from lab.base.params import Params
from lab.checking.pages import labels_verdict, verdict
from lab.data.description import Description
from lab.results.checks import CheckResults, LabelResults
from lab.tracking import words
from lab.tracking.recording import Dataset, RunSpec
from lab.tracking.training_runs import pull_request_line


def check_run(tree: Params, found: CheckResults, data: Description) -> RunSpec:
    """The run of stage `check`."""
    return _run("check", verdict(found), tree.check.rules.model_dump(), found, data)


def labels_run(tree: Params, found: LabelResults, data: Description) -> RunSpec:
    """The run of stage `labels`."""
    asked = tree.check.labels
    settings = asked.model.settings() | asked.model_dump(exclude={"model"}) if asked else {}
    return _run("labels", labels_verdict(found), settings, found, data)


def _run(
    stage: str,
    said: str,
    settings: dict[str, object],
    found: CheckResults | LabelResults,
    data: Description,
) -> RunSpec:
    tags = environment_tags()
    return RunSpec(
        name=f"{stage}: {data.name}",
        params=settings,
        tags={"stage": stage, words.VERDICT: said, **tags},
        note=f"**{said}**{pull_request_line(tags)}\n\n`{stage}.html` is among the artifacts.",
        dataset=Dataset(name=data.name, digest=data.train.sha256, context="training"),
        fingerprint=sha256(f"{stage} {found.model_dump_json()} {data.train.sha256}".encode()),
        is_again=True,  # the same data checked again are the same check
    )
