"""MLflow's client for the configured server, and what its failures mean."""

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from lab.base.errors import shortened
from lab.tracking import destination
from lab.tracking.destination import (
    EXPERIMENT,
    DeniedError,
    RejectedError,
    ServerError,
    UnreachableError,
    host_of,
)

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # UI without GenAI pages
FIXED = {
    # What is sent again without knowing whether the first arrived is doubled.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_POOL_MAXSIZE": "32"}
DATASET_TRIES, DATASET_PAUSE = 3, 0.5  # to say what a run was trained on; seconds between tries
_STATUS = re.compile(r"error code (\d{3}) !=|too many (\d{3}) error responses")
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
        except (MlflowException, requests.RequestException) as error:
            raise meaning(error, host_of(self.url)) from None

    def experiment(self) -> str:
        """Id of this project's experiment, created if need be."""
        if not self._experiment:
            try:
                self._experiment = self.ask(experiment_id, self.client)
            except RejectedError:  # somebody else created it meanwhile
                self._experiment = self.ask(experiment_id, self.client)
        return self._experiment

    def log_datasets(self, run_id: str, datasets: "list[DatasetInput]") -> None:
        """Says what a run was trained on."""
        known = repr([dataset.to_dictionary() for dataset in datasets])
        is_new = known not in self._datasets
        with self._new_dataset if is_new else contextlib.nullcontext():  # so that one try will do
            self.ask(log_datasets, self.client, run_id, datasets)
            self._datasets.add(known)


def experiment_id(client: MlflowClient, artifacts: str | None = None) -> str:
    """Id of this project's experiment in a store, created if need be."""
    if found := client.get_experiment_by_name(EXPERIMENT):
        return str(found.experiment_id)
    return str(client.create_experiment(EXPERIMENT, artifacts, EXPERIMENT_TAGS))


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


def meaning(error: MlflowException | requests.RequestException, host: str) -> ServerError:
    """What a failure of MLflow's client says about the server."""
    status, is_mlflow = _status(error)
    if status in (401, 403):
        return DeniedError(
            f"{host} answers {status}: check MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD (or the token) and this user's rights"
        )
    if status is None or status in (408, 429) or status >= 500:
        return UnreachableError(f"{host} {_trouble(error, status)}")
    if is_mlflow or status == 413:  # too large for a proxy in between
        return RejectedError(f"{host} answers {status}: {_shown(error)}")
    return DeniedError(
        f"{host} answers {status} where an MLflow server should be: check MLFLOW_TRACKING_URI"
    )


def _status(error: Exception) -> tuple[int | None, bool]:
    """The status of the answer, if there was one, and whether MLflow's server gave it."""
    match error:
        case RestException():
            given = error.json.get("error_code")
            if error.error_code == "INTERNAL_ERROR" != given:  # MLflow's word for any it knows not
                return None, False
            return int(error.get_http_status_code()), True  # type: ignore[no-untyped-call]
        case requests.HTTPError() if error.response is not None:  # of an upload
            return error.response.status_code, "error_code" in error.response.text
    found = _STATUS.search(str(error))
    return (int(found[1] or found[2]) if found else None), False


def _trouble(error: Exception, status: int | None) -> str:
    if status:
        return f"answers {status}"
    cause = error.__context__ or error
    match cause:
        case requests.exceptions.SSLError():
            return "has a certificate that is not accepted (MLFLOW_TRACKING_SERVER_CERT_PATH)"
        case requests.ConnectTimeout():
            return "cannot be reached in time"
        case requests.ReadTimeout():
            seconds = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT")
            return f"does not answer within {seconds} s"
        case requests.ConnectionError() if "NewConnectionError" in repr(cause):
            return "cannot be reached"
        case requests.RequestException():
            return "breaks the connection off"
        case RestException():
            return "answers with an error that is not MLflow's: check MLFLOW_TRACKING_URI and login"
        case MlflowException():
            return "answers with something else than JSON"
    return f"cannot be asked ({type(cause).__name__})"


def _shown(error: Exception) -> str:
    """The server's message without the login that some servers repeat in it."""
    text = re.sub(r"(Basic|Bearer) \S+", "***", str(error))
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    return shortened(text, 150)
