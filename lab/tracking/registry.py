"""MLflow's lists of models: what they show of a logged model, and the chosen one's registration."""

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lab.tracking.destination import RejectedError
from lab.tracking.sent import MODEL, RESULTS_TAG, SentRuns
from lab.tracking.server import Server

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

VERSIONS_TAG = "mlflow.modelVersions"  # of a model; the UI reads it, MLflow 3.17 leaves it out
ALIAS = "chosen"  # of the registered version that the last comparison chose
CHAMPION = "champion"  # of the one in production
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


def register(
    client: MlflowClient, name: str, run: "Run", model_id: str, card: str, results: str
) -> None:
    """Registers a run's model as the newest version of the project's one, with its card.

    `models:/NAME@chosen` then loads it. A model that is registered stays the version it is.
    `results` are those of the model, by their SHA-256; empty where that is unknown.
    """
    source = f"models:/{model_id}"
    known = client.search_model_versions(f"name = '{name}'")
    version = next((each for each in known if each.source == source), None)
    if not version:
        with contextlib.suppress(MlflowException):  # it exists
            client.create_registered_model(name)
        wanted = ("git_commit", "branch", "pull_request")
        tags: dict[str, str] = {key: run.data.tags[key] for key in wanted if key in run.data.tags}
        tags |= {RESULTS_TAG: results} if results else {}
        version = client.create_model_version(
            name, source, run.info.run_id, tags=tags, description=card, model_id=model_id
        )
        of_model = json.dumps([{"name": name, "version": str(version.version)}])
        client.set_logged_model_tags(model_id, {VERSIONS_TAG: of_model})
    client.set_registered_model_alias(name, ALIAS, version.version)
    client.update_registered_model(name, card)


def version_of(client: MlflowClient, name: str, results: str) -> "ModelVersion | None":
    """The registered version of these results, the newest first; None where there is none."""
    versions = client.search_model_versions(f"name = '{name}'")
    for version in sorted(versions, key=lambda one: int(one.version), reverse=True):
        of_run: dict[str, str] = {}
        with contextlib.suppress(MlflowException):  # the run was deleted
            of_run = client.get_run(version.run_id).data.tags if version.run_id else {}
        if results in (version.tags.get(RESULTS_TAG), of_run.get(RESULTS_TAG)):
            return version
    return None


def crown(client: MlflowClient, name: str, version: "ModelVersion | None") -> None:
    """Gives a version the alias of what is in production; without one nothing has it."""
    if version:
        client.set_registered_model_alias(name, CHAMPION, version.version)
        return
    with contextlib.suppress(MlflowException):  # there is no such model, or alias
        client.delete_registered_model_alias(name, CHAMPION)


def mirror(local: MlflowClient, name: str, server: Server, sent: SentRuns) -> str:
    """Lets a server's registry have what is in production, under the same alias.

    Its source is the run's copy there. Nothing happens where that is not sent, or nothing is in
    production.

    Returns:
        What is so now; empty where nothing is to be said.

    Raises:
        ServerError: the server refuses, or has no registry.
    """
    try:
        version = local.get_model_version_by_alias(name, CHAMPION)
    except MlflowException:
        return ""
    if not (run := sent.server_id(version.run_id or "")):
        return ""
    there, ask = server.client, server.ask
    with contextlib.suppress(RejectedError):  # it exists
        ask(there.create_registered_model, name)
    known = ask(there.search_model_versions, f"name = '{name}'")
    found = next((one for one in known if one.run_id == run), None)
    if found is None:
        source = f"{ask(there.get_run, run).info.artifact_uri}/{MODEL}"
        found = ask(there.create_model_version, name, source, run, tags=dict(version.tags))
    ask(there.set_registered_model_alias, name, CHAMPION, found.version)
    return f"models:/{name}@{CHAMPION} is version {found.version}"
