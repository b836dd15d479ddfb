"""MLflow's lists of models: what they show of a logged model, and the chosen one's registration."""

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

if TYPE_CHECKING:
    from mlflow.entities import Run

VERSIONS_TAG = "mlflow.modelVersions"  # of a model; the UI reads it, MLflow 3.17 leaves it out
ALIAS = "chosen"  # of the registered version that the last comparison chose
# Tags of a run that its model shows, too.
SHOWN = (
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
    "mlflow.source.git.branch",
    "git_commit",
    "branch",
    "pull_request",
)


def model_of(run: "Run") -> str:
    """The id of the model that a run logged; empty without one."""
    outputs = run.outputs.model_outputs if run.outputs else ()
    return str(outputs[0].model_id) if outputs else ""


def describe(client: MlflowClient, run: "Run", model_id: str) -> None:
    """Says in the list of models where a run's model comes from."""
    tags = {name: run.data.tags[name] for name in SHOWN if name in run.data.tags}
    client.set_logged_model_tags(model_id, tags)


def commit(run: "Run") -> dict[str, str]:
    """The commit as a param, for which the list of models has a column."""
    return {key: run.data.tags[key] for key in ("git_commit",) if key in run.data.tags}


def of_dataset(run: "Run", model_id: str) -> Mapping[str, str]:
    """What makes a metric of a run one of its model as well: more arguments of `Metric`."""
    shared = {"model_id": model_id, "run_id": run.info.run_id}
    if not (run.inputs and run.inputs.dataset_inputs):
        return shared
    dataset = run.inputs.dataset_inputs[0].dataset
    return {**shared, "dataset_name": dataset.name, "dataset_digest": dataset.digest}


def register(client: MlflowClient, name: str, run: "Run", model_id: str, card: str) -> None:
    """Registers a run's model as the newest version of the project's one, with its card.

    `models:/NAME@chosen` then loads it. A model that is registered stays the version it is.
    """
    source = f"models:/{model_id}"
    known = client.search_model_versions(f"name = '{name}'")
    version = next((each for each in known if each.source == source), None)
    if not version:
        with contextlib.suppress(MlflowException):  # it exists
            client.create_registered_model(name)
        wanted = ("git_commit", "branch", "pull_request")
        tags: dict[str, str] = {key: run.data.tags[key] for key in wanted if key in run.data.tags}
        version = client.create_model_version(
            name, source, run.info.run_id, tags=tags, description=card, model_id=model_id
        )
        of_model = json.dumps([{"name": name, "version": str(version.version)}])
        client.set_logged_model_tags(model_id, {VERSIONS_TAG: of_model})
    client.set_registered_model_alias(name, ALIAS, version.version)
    client.update_registered_model(name, card)
