"""MLflow's client for the configured server."""

import configparser
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import requests
from mlflow import MlflowClient, environment_variables
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds

from lab.base.errors import LabError, shortened
from lab.tracking import destination, views
from lab.tracking.destination import EXPERIMENT, DeniedError, RejectedError, host_of
from lab.tracking.failures import meaning

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",  # a UI without pages for language models
    views.TAG: views.saved_view(),
}
FIXED = {
    # What is sent again without knowing whether the first arrived is doubled.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_POOL_MAXSIZE": "32"}
NUMBERS = (
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
    "MLFLOW_HTTP_POOL_MAXSIZE",
    "MLFLOW_HTTP_POOL_CONNECTIONS",
)
DATASET_TRIES, DATASET_PAUSE = 3, 0.5  # to say what a run was trained on; seconds between tries
P = ParamSpec("P")
Answer = TypeVar("Answer")


class Server:
    """A server and MLflow's client for it; `url` holds no credentials and may be shown."""

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        """Logs in through the environment of this process, where MLflow's client looks.

        Args:
            url: the server's address.
            environment: the variables that the user set.

        Raises:
            LabError: a variable breaks a rule, or DagsHub refuses what it says.
            UnreachableError: DagsHub is out of reach.
        """
        os.environ.update(destination.login(environment) | FIXED)
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        # It repeats what servers say, and some repeat the login. Failures are reported by `ask`.
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        self.url = url
        self.client = MlflowClient(tracking_uri=url)
        _check_variables(url)
        self._experiment = ""
        self._datasets: set[str] = set()
        self._new_dataset = threading.Lock()

    def ask(self, call: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Calls a function that sends requests.

        Raises:
            ServerError: what became of it instead.
        """
        try:
            return call(*args, **kwargs)
        except (MlflowException, requests.RequestException, ImportError) as error:
            raise meaning(error, host_of(self.url)) from None

    def experiment(self) -> str:
        """Id of the experiment that runs are sent to, created if need be.

        Raises:
            ServerError: it cannot be asked for, or is in the bin.
        """
        if not self._experiment:
            found = self._find_experiment()
            if found.lifecycle_stage != LifecycleStage.ACTIVE:
                raise DeniedError(
                    f"{host_of(self.url)}: the experiment {found.name} is in the bin; restore it "
                    f"(MLFLOW_TRACKING_URI={self.url} mlflow experiments restore "
                    f"--experiment-id {found.experiment_id}), or set MLFLOW_EXPERIMENT_NAME"
                )
            self._experiment = str(found.experiment_id)
        return self._experiment

    def _find_experiment(self) -> Experiment:
        """The one that MLflow's variables name, or this project's."""
        if given := os.environ.get("MLFLOW_EXPERIMENT_ID", "").strip():
            try:
                return self.ask(self.client.get_experiment, given)
            except RejectedError as error:
                raise DeniedError(f"MLFLOW_EXPERIMENT_ID: {error}") from None
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or EXPERIMENT
        try:
            return self.ask(experiment, self.client, name)
        except RejectedError:  # somebody else created it meanwhile
            return self.ask(experiment, self.client, name)

    def log_datasets(self, run_id: str, datasets: "list[DatasetInput]") -> None:
        """Says what a run was trained on."""
        known = repr([dataset.to_dictionary() for dataset in datasets])
        is_new = known not in self._datasets
        with self._new_dataset if is_new else contextlib.nullcontext():  # so that one try will do
            self.ask(log_datasets, self.client, run_id, datasets)
            self._datasets.add(known)


def _check_variables(url: str) -> None:
    """What MLflow's client would find wrong at each request.

    Raises:
        LabError: a variable or the file with the login breaks a rule; nothing of the latter shown.
    """
    try:
        get_default_host_creds(url)  # type: ignore[no-untyped-call]
        for name in NUMBERS:
            getattr(environment_variables, name).get()
    except configparser.Error:
        raise LabError(
            "~/.mlflow/credentials: must be an INI file with a section [mlflow], each % of it "
            "written %%; correct it"
        ) from None
    except (MlflowException, ValueError) as error:
        raise LabError(shortened(str(error), 300)) from None


def experiment(client: MlflowClient, name: str, artifacts: str | None = None) -> Experiment:
    """An experiment of a store, created if need be."""
    if found := client.get_experiment_by_name(name):
        of_ours = EXPERIMENT_TAGS.keys() if name == EXPERIMENT else set()
        for tag in of_ours - found.tags.keys():  # of an older version
            with contextlib.suppress(MlflowException):  # a user who may write runs may not do that
                client.set_experiment_tag(found.experiment_id, tag, EXPERIMENT_TAGS[tag])
        return found
    return client.get_experiment(client.create_experiment(name, artifacts, EXPERIMENT_TAGS))


def experiment_id(client: MlflowClient, artifacts: str | None = None) -> str:
    """Id of this project's experiment in the local store, taken out of the bin if it is there."""
    found = experiment(client, EXPERIMENT, artifacts)
    if found.lifecycle_stage != LifecycleStage.ACTIVE:
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def log_datasets(client: MlflowClient, run_id: str, datasets: "list[DatasetInput]") -> None:
    """Says what a run was trained on.

    Of two processes at once that bring a store the same new data set, or a run the same one, MLflow
    3.17 refuses one (a unique constraint fails); the next try finds it there. The other may also be
    a request that a killed sender left under way.
    """
    for left in reversed(range(DATASET_TRIES)):
        try:
            return client.log_inputs(run_id, datasets)
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST" or not left:
                raise
            time.sleep(DATASET_PAUSE)
    return None


def pages(client: MlflowClient, experiment: str, query: str = "") -> "Iterator[Run]":
    """Runs that fit a query, newest first, a page of them in memory at a time."""
    token = None
    while True:
        page = client.search_runs([experiment], query, max_results=500, page_token=token)
        yield from page
        if not (token := page.token):
            return
