"""What a failure of MLflow's client says about the server, in one line that holds no secret."""

import os
import re

import requests
from mlflow.exceptions import MlflowException, RestException

from lab.base.errors import shortened
from lab.tracking.destination import DeniedError, RejectedError, ServerError, UnreachableError

_STATUS = re.compile(r"error code (\d{3}) !=|too many (\d{3}) error responses")
_CERTIFICATES = (  # whose file a client cannot do without, if they are set
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
_TLS = {  # words of OpenSSL: what they say of the variables
    "CERTIFICATE_VERIFY_FAILED": "has a certificate that is not accepted "
    "(MLFLOW_TRACKING_SERVER_CERT_PATH)",
    "WRONG_VERSION_NUMBER": "speaks no TLS: write http:// in MLFLOW_TRACKING_URI",
    "NO_CERTIFICATE_OR_CRL": "cannot be asked: MLFLOW_TRACKING_SERVER_CERT_PATH is no certificate",
    "PEM lib": "cannot be asked: MLFLOW_TRACKING_CLIENT_CERT_PATH is no certificate with its key",
    "": "breaks TLS off: it may want a certificate (MLFLOW_TRACKING_CLIENT_CERT_PATH)",
}
Failure = MlflowException | requests.RequestException | ImportError


def meaning(error: Failure, host: str) -> ServerError:
    """What a failure says about the server."""
    status, is_mlflow = _status(error)
    if status is None:
        return _without_answer(error, host)
    if status in (408, 429) or status >= 500:
        return UnreachableError(f"{host} answers {status}")
    if status == 401 or status == 403:
        return DeniedError(
            f"{host} answers {status}{_refusal(status, is_mlflow, _text(error), host)}"
        )
    if status == 407:
        return DeniedError(
            f"{host} answers 407: a proxy on the way wants a login "
            "(HTTP_PROXY=http://user:password@proxy, or NO_PROXY to go past it)"
        )
    if status == 413:
        return RejectedError(
            f"{host} answers 413: it, or a proxy on the way, takes nothing so large; "
            "raise its limit (nginx: client_max_body_size)"
        )
    if is_mlflow and "Workspace" in str(error):
        return DeniedError(f"{host} answers {status}: {_shown(error)} (MLFLOW_WORKSPACE)")
    if is_mlflow:
        return RejectedError(f"{host} answers {status}: {_shown(error)}")
    return DeniedError(
        f"{host} answers {status} where an MLflow server should be: check MLFLOW_TRACKING_URI"
    )


def _refusal(status: int, is_mlflow: bool, text: str, host: str) -> str:
    if "Invalid Host header" in text:
        return f", Invalid Host header: start it with --allowed-hosts {host}, as it is called here"
    if status == 401:
        return (
            ": check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "MLFLOW_TRACKING_TOKEN, or ~/.mlflow/credentials"
        )
    if is_mlflow or "Permission denied" in text:  # so says MLflow's app for logins
        return ": this user may not do that; ask who runs it for the right to edit the experiment"
    return ", as MLflow does not: a proxy on the way refuses it (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)"


def _text(error: Failure) -> str:
    """The answer's own words; MLflow's client quotes them, requests does not."""
    if isinstance(error, requests.RequestException) and error.response is not None:
        return error.response.text
    return str(error)


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


def _without_answer(error: Exception, host: str) -> ServerError:
    """What is wrong where there is no answer, or none with a status."""
    chain: list[BaseException] = [error]
    while chain[-1].__context__:
        chain.append(chain[-1].__context__)
    of_request = [each for each in chain if isinstance(each, requests.RequestException)]
    cause = of_request[0] if of_request else chain[min(1, len(chain) - 1)]
    match cause:
        case RestException():
            what = "answers with an error that is not MLflow's: check MLFLOW_TRACKING_URI and login"
        case requests.RequestException():
            what = _of_connection(cause)
        case OSError():  # a file that a variable names
            given = {name: os.environ.get(name) for name in _CERTIFICATES}
            names = [name for name, file in given.items() if file and file in str(cause)]
            return DeniedError(f"{host} cannot be asked: {', '.join(names)}: {_shown(cause)}")
        case MlflowException() if "workspace" in str(cause):
            return DeniedError(f"MLFLOW_WORKSPACE: {host} has no workspaces; unset it")
        case MlflowException() if "JSON" in str(cause):
            what = "answers with something else than JSON"
        case MlflowException() | ImportError():  # what the client finds wrong by itself
            return DeniedError(f"{host} cannot be asked: {_shown(cause)}")
        case _:
            what = f"cannot be asked ({type(cause).__name__})"
    return UnreachableError(f"{host} {what}")


def _of_connection(cause: requests.RequestException) -> str:
    text = repr(cause)
    match cause:
        case requests.JSONDecodeError():
            return "answers with something else than JSON"
        case requests.exceptions.ProxyError():
            return "cannot be reached through the proxy of HTTP_PROXY or HTTPS_PROXY (see NO_PROXY)"
        case _ if "SSLError(" in text:
            return next(what for word, what in _TLS.items() if word in text)
        case requests.ConnectTimeout():
            return "cannot be reached in time"
        case requests.ReadTimeout():
            seconds = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT")
            return f"does not answer within {seconds} s"
        case requests.ConnectionError() if "NewConnectionError" in text:
            return "cannot be reached"
    return "breaks the connection off"


def _shown(error: BaseException) -> str:
    """A message without the login that some servers repeat in it."""
    text = re.sub(r"(Basic|Bearer) \S+", "***", str(error))
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    return shortened(text, 150)
