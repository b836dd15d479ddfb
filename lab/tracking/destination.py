"""Where runs go: the local store that always records, and the server that mirrors it, if any.

Logging in, certificates, proxies, workspaces and timeouts are MLflow's own business: its client
reads the variables that its documents name. What is set here is what MLflow has no variable for.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from lab.base.errors import LabError, shortened
from lab.base.home import home
from lab.base.remote import dagshub_host, dagshub_repository, dagshub_token

EXPERIMENT = "fair-trial"  # the name under which MLflow lists the runs
# Runs are always written there, whatever variables say: a server is a mirror. MLflow's own default
# since 3.13, in the working directory.
LOCAL_STORE = "sqlite:///mlflow.db"
DAGSHUB_SECONDS = 5.0  # for an answer of its API


class ServerError(Exception):
    """One request failed; the message names the server and holds no secret."""


class UnreachableError(ServerError):
    """The server is out of reach or out of order: the same may succeed later.

    Whether the request took effect is unknown.
    """


class DeniedError(ServerError):
    """The server refuses this user, or is no MLflow server; nothing else will succeed either."""


class RejectedError(ServerError):
    """The server understood and does not want this; other requests may succeed."""


# What MLflow takes from a user's shell for its own runs, and would join to ours.
NOT_OURS = ("MLFLOW_ACTIVE_MODEL_ID", "_MLFLOW_ACTIVE_MODEL_ID", "MLFLOW_RUN_ID")


def quiet_mlflow() -> dict[str, str]:
    """Variables that keep MLflow from the network, the terminal, and what is not recorded here."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_CONFIGURE_LOGGING": "false",
        # What is written is there when it is said to be; a run's metrics are those of its script.
        "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_ENABLE_WORKSPACES": "false",  # a server's; it would split the local store
    }


def is_server(uri: str) -> bool:
    """Whether an MLflow tracking URI names a server rather than a file or a database."""
    return uri.lower().startswith(("http://", "https://"))


def host_of(url: str) -> str:
    """Short name of a server.

    >>> host_of("http://127.0.0.1:5000/mlflow")
    '127.0.0.1:5000'
    """
    return urlsplit(url).netloc


def server_url(environment: Mapping[str, str] = os.environ) -> str:
    """The configured server's address without credentials; empty when there is none.

    Opens no connection.

    Raises:
        LabError: a variable breaks a rule; the message names it and holds no secret.
    """
    if uri := _tracking_uri(environment):
        parts = _parts(uri)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        return bare.geturl().rstrip("/")
    given = environment.get("DAGSHUB_REPO", "")
    if not given.strip():
        return ""
    repo = dagshub_repository(given, environment)
    if not dagshub_token(environment):
        raise LabError(
            "DAGSHUB_USER_TOKEN: needed to mirror runs to DAGSHUB_REPO, but not set; "
            "make one at DagsHub (Settings, Tokens) and set it"
        )
    return f"{dagshub_host(environment)}/{repo}.mlflow"


def login(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables of MLflow's client that say who logs in, beyond those that are set already.

    For DagsHub, asks whose token it is and whether it may see the repository.

    Raises:
        LabError: a variable breaks a rule, or DagsHub refuses what it says.
        UnreachableError: DagsHub is out of reach.
    """
    uri = _tracking_uri(environment)
    if not uri:
        return _login_at_dagshub(environment)
    parts = _parts(uri)
    given = {
        "MLFLOW_TRACKING_USERNAME": unquote(parts.username or ""),
        "MLFLOW_TRACKING_PASSWORD": unquote(parts.password or ""),
    }
    return {name: value for name, value in given.items() if value}


def _tracking_uri(environment: Mapping[str, str]) -> str:
    """What `MLFLOW_TRACKING_URI` names beside the local store; empty for nothing.

    MLflow's client sets the variable to the store that it uses.
    """
    uri = environment.get("MLFLOW_TRACKING_URI", "").strip().strip("\"'").strip()
    if not uri.startswith("sqlite:///"):
        return uri
    own = [folder.resolve() / "mlflow.db" for folder in (Path(), home())]
    return "" if Path(unquote(uri.removeprefix("sqlite:///"))).resolve() in own else uri


def _parts(uri: str) -> SplitResult:
    """A server's address, taken apart.

    Raises:
        LabError: it is none; what is shown of it holds no login.
    """
    with contextlib.suppress(ValueError):
        parts = urlsplit(uri)
        has_host = parts.hostname and parts.port != 0  # reading it raises when it is no port
        rest = parts.path + parts.query + parts.fragment
        if is_server(uri) and has_host and "@" not in rest and not re.search(r"\s", uri):
            return parts
    # A login may hold any character, so where there may be one, only what comes before is shown.
    shown = re.sub(r"^(\w+://)?.*[@?].*", r"\1...", uri, flags=re.DOTALL)
    raise LabError(
        "MLFLOW_TRACKING_URI: must be a server's address, http://host:port or https://host; "
        f"got {shortened(repr(shown), 60)}; {_advice(uri)}"
    )


def _advice(uri: str) -> str:
    if re.fullmatch(r"(localhost|[\w.-]+:\d+|\[[\da-fA-F:]+\]:\d+)(/[^@?]*)?", uri, re.ASCII):
        return f"did you mean http://{uri}?"
    if is_server(uri) and "@" in uri:
        return "/, ?, # and @ in a password are written %2F, %3F, %23 and %40"
    if is_server(uri) and uri.count(":") > 2:
        return "an address of IPv6 stands in brackets: http://[::1]:5000"
    return "correct or unset it (runs are always recorded in mlflow.db)"


def _login_at_dagshub(environment: Mapping[str, str]) -> dict[str, str]:
    """Asks DagsHub's API whose token it is, and whether it may see the repository.

    A name and a token is what `dagshub.init` of dagshub 0.7.3 gives to MLflow's client.
    """
    import requests

    token = dagshub_token(environment)
    repo = dagshub_repository(environment["DAGSHUB_REPO"], environment)
    host = dagshub_host(environment)
    name = host_of(host)

    def bearer(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"  # not what ~/.netrc may hold
        return request

    try:
        user, repository = (
            requests.get(f"{host}/api/v1/{path}", auth=bearer, timeout=DAGSHUB_SECONDS)
            for path in ("user", f"repos/{repo}")
        )
        _check_dagshub(user.status_code, repository.status_code, name, repo)
        login = {"USERNAME": str(user.json()["username"]), "PASSWORD": token}
    except (requests.JSONDecodeError, LookupError, TypeError):
        raise UnreachableError(f"{name} answers with something else than JSON") from None
    except requests.RequestException as error:
        raise UnreachableError(f"{name} is out of reach ({type(error).__name__})") from None
    return {f"MLFLOW_TRACKING_{part}": value for part, value in login.items()}


def _check_dagshub(of_user: int, of_repo: int, host: str, repo: str) -> None:
    if refused := {of_user, of_repo} & {401, 403}:
        raise LabError(
            f"DAGSHUB_USER_TOKEN: {host} does not accept the token (status {min(refused)}); "
            "make one at DagsHub (Settings, Tokens) and set it"
        )
    if of_repo == 404:
        raise LabError(
            f"DAGSHUB_REPO: {host} has no repository {repo} that the token may see; "
            "create it or correct the name"
        )
    for status in (of_user, of_repo):
        if status != 200:
            raise UnreachableError(f"{host} answers with status {status}")
