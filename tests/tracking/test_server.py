import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND, PERMISSION_DENIED

from lab.tracking.destination import DeniedError, RejectedError, UnreachableError
from lab.tracking.server import meaning


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
        (of_client(403, PERMISSION_DENIED), DeniedError, "h answers 403: check MLFLOW_TRACKING_US"),
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
            "h answers 403",
        ),
        (
            RestException({"error_code": "INTERNAL_ERROR", "message": "no"}),
            UnreachableError,
            "h answers 500",
        ),
        (RestException({"message": "Forbidden"}), UnreachableError, "an error that is not MLflow"),
        (of_upload(401), DeniedError, "h answers 401: check MLFLOW_TRACKING_USERNAME"),
        (of_upload(413), RejectedError, "h answers 413"),
        (of_upload(404), DeniedError, "h answers 404 where an MLflow server should be"),
        (of_upload(400, '{"error_code": "BAD_REQUEST"}'), RejectedError, "h answers 400"),
    ],
)
def test_a_failure_of_the_client_is_told_apart(
    error: MlflowException | requests.HTTPError, kind: type[Exception], text: str
) -> None:
    found = meaning(error, "h")
    assert type(found) is kind
    assert text in str(found)


def test_no_login_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hush")
    message = "not for Basic dXNlcjpodXNo, which is hush"
    error = RestException({"error_code": "BAD_REQUEST", "message": message})
    assert str(meaning(error, "h")) == "h answers 400: BAD_REQUEST: not for *** which is ***"
