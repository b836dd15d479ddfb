import os

import pytest
import requests
from mlflow.entities import Dataset, DatasetInput
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND, PERMISSION_DENIED

from lab.tracking import server
from lab.tracking.destination import DeniedError, RejectedError, UnreachableError
from lab.tracking.failures import meaning
from lab.tracking.server import Server


def of_client(status: int, code: int) -> MlflowException:
    """What MLflow's client raises at an answer that is no JSON."""
    text = f"API request to endpoint /api failed with error code {status} != 200. Response body: ''"
    return MlflowException(text, error_code=code)


def of_upload(status: int, body: str = "<html>") -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response._content = status, body.encode()
    return requests.HTTPError("no", response=response)


def too_many(status: int) -> MlflowException:
    return MlflowException(f"API request failed with too many {status} error responses'")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (of_client(403, PERMISSION_DENIED), DeniedError, "h answers 403, as MLflow does not: a pr"),
        (of_upload(403, "Invalid Host header"), DeniedError, "start it with --allowed-hosts h"),
        (of_upload(403, "Permission denied"), DeniedError, "h answers 403: this user may not"),
        (of_client(407, 1), DeniedError, "h answers 407: a proxy on the way wants a login"),
        (of_client(404, ENDPOINT_NOT_FOUND), DeniedError, "h answers 404 where an MLflow server"),
        (of_client(405, 1), DeniedError, "h answers 405 where an MLflow server should be"),
        (too_many(503), UnreachableError, "h answers 503"),
        (too_many(429), UnreachableError, "h answers 429"),
        (
            RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No run"}),
            RejectedError,
            "h answers 404: RESOURCE_DOES_NOT_EXIST: No run",
        ),
        (
            RestException({"error_code": "PERMISSION_DENIED", "message": "no"}),
            DeniedError,
            "h answers 403: this user may not do that",
        ),
        (
            RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Workspace 'b'"}),
            DeniedError,
            "Workspace 'b' (MLFLOW_WORKSPACE)",
        ),
        (ImportError("No module named 'a_plugin'"), DeniedError, "cannot be asked: No module"),
        (
            RestException({"error_code": "INTERNAL_ERROR", "message": "no"}),
            UnreachableError,
            "h answers 500",
        ),
        (RestException({"message": "Forbidden"}), UnreachableError, "an error that is not MLflow"),
        (of_upload(401), DeniedError, "h answers 401: check MLFLOW_TRACKING_USERNAME"),
        (of_upload(413), RejectedError, "h answers 413: it, or a proxy on the way, takes nothing"),
        (of_upload(404), DeniedError, "h answers 404 where an MLflow server should be"),
        (of_upload(400, '{"error_code": "BAD_REQUEST"}'), RejectedError, "h answers 400"),
    ],
)
def test_a_failure_of_the_client_is_told_apart(
    error: MlflowException | requests.HTTPError | ImportError, kind: type[Exception], text: str
) -> None:
    found = meaning(error, "h")
    assert type(found) is kind
    assert text in str(found)


def test_no_login_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hush")
    message = "not for Basic dXNlcjpodXNo, which is hush"
    error = RestException({"error_code": "BAD_REQUEST", "message": message})
    assert str(meaning(error, "h")) == "h answers 400: BAD_REQUEST: not for *** which is ***"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that nobody asks, and no pause between tries."""
    monkeypatch.setattr(server, "DATASET_PAUSE", 0.0)
    monkeypatch.setattr("os.environ", {**os.environ})
    url = "http://127.0.0.1:9"
    return Server(url, {"MLFLOW_TRACKING_URI": url})


class Refusing:
    """In place of `log_inputs`: refuses so often, as MLflow does when another request was first."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.calls = 0

    def __call__(self, run_id: str, datasets: list[DatasetInput]) -> None:
        self.calls += 1
        if self.calls <= self.times:
            raise RestException({"error_code": "BAD_REQUEST", "message": "UNIQUE constraint"})


@pytest.mark.parametrize("is_known", [False, True])
def test_a_data_set_that_another_request_brings_meanwhile_is_there(
    there: Server, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    datasets = [DatasetInput(Dataset("MNIST", "a", "local", "{}"), [])]
    if is_known:
        monkeypatch.setattr(there.client, "log_inputs", Refusing(0))
        there.log_datasets("another run", datasets)
    refusing = Refusing(1)
    monkeypatch.setattr(there.client, "log_inputs", refusing)
    there.log_datasets("run", datasets)
    assert refusing.calls == 2


def test_a_data_set_that_is_refused_for_good_is_reported(
    there: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(there.client, "log_inputs", Refusing(99))
    with pytest.raises(RejectedError, match="UNIQUE constraint"):
        there.log_datasets("run", [DatasetInput(Dataset("MNIST", "a", "local", "{}"), [])])
