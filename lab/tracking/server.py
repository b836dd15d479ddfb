"""An MLflow server's REST API, and which server is meant.

Spoken directly rather than through MLflow's client: a client request can wait for minutes and
repeats itself after a failure without knowing whether the first one arrived. Here every request
is bounded in time and size and sent once; the caller decides what a failure means. The calls used
exist in MLflow 2.7 and in every version since.

Source: https://mlflow.org/docs/latest/api_reference/rest-api.html, read 2026-11.
"""

import contextlib
import dataclasses
import importlib
import json
import math
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter

from lab.base.errors import LabError
from lab.tracking.recording import EXPERIMENT_TAGS, is_server

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0
MAX_ANSWER_BYTES = 32_000_000  # 1,000 runs with their tags and params take about 5 MB
PAGE = 1_000  # runs a search returns at once
MIN_REQUESTS, MAX_REQUESTS = 2, 32  # under way at once: few to a near server, many to a far one
TOKEN_VARIABLES = ("DAGSHUB_USER_TOKEN", "DAGSHUB_ACCESS_TOKEN", "MLFLOW_TRACKING_PASSWORD")
DAGSHUB_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


class ServerError(Exception):
    """One request failed; the message names the server and holds no secret."""


class UnreachableError(ServerError):
    """The server is out of reach or out of order: the same may succeed later.

    Whether the request took effect is unknown.
    """

    def __init__(self, message: str, retry_after: float = 0.0):
        super().__init__(message)
        self.retry_after = retry_after


class DeniedError(ServerError):
    """The server refuses this user, or is no MLflow server; nothing else will succeed either."""


class RejectedError(ServerError):
    """The server understood and does not want this; other requests may succeed."""


@dataclasses.dataclass(frozen=True)
class Destination:
    """A server and how to log in; `url` holds no credentials and may be shown."""

    url: str
    user: str = dataclasses.field(default="", repr=False)
    password: str = dataclasses.field(default="", repr=False)
    token: str = dataclasses.field(default="", repr=False)

    @property
    def host(self) -> str:
        """Short name for messages."""
        return host_of(self.url)


def host_of(url: str) -> str:
    """Short name of a server.

    >>> host_of("http://127.0.0.1:5000/mlflow")
    '127.0.0.1:5000'
    """
    return urlsplit(url).netloc


def address(environment: Mapping[str, str] = os.environ) -> str:
    """Where runs are to be mirrored, without credentials; empty when no server is configured.

    Opens no connection.

    Raises:
        LabError: a variable breaks a rule; the message names it and holds no secret.
    """
    uri = environment.get("MLFLOW_TRACKING_URI", "").strip()
    repo = environment.get("DAGSHUB_REPO", "").strip()
    if is_server(uri):
        parts = _parts(uri)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        return bare.geturl().rstrip("/")
    if not repo:
        return ""
    if not DAGSHUB_REPO.fullmatch(repo):
        raise LabError(f"DAGSHUB_REPO: must be owner/name; got {repo[:60]!r}; correct it")
    if not _dagshub_token(environment):
        raise LabError(
            "DAGSHUB_USER_TOKEN: needed to mirror runs to DAGSHUB_REPO, but not set; "
            "make one at DagsHub (Settings, Tokens) and set it"
        )
    host = environment.get("DAGSHUB_CLIENT_HOST", "https://dagshub.com").rstrip("/")
    return f"{host}/{repo}.mlflow"


def destination(environment: Mapping[str, str] = os.environ) -> Destination:
    """The configured server; asks DagsHub where its server is and whose token it is.

    Raises:
        LabError: a variable breaks a rule, or DagsHub refuses what it says.
        UnreachableError: DagsHub is out of reach.
    """
    url = address(environment)
    uri = environment.get("MLFLOW_TRACKING_URI", "").strip()
    if not is_server(uri):
        return _dagshub(environment)
    parts = _parts(uri)
    return Destination(
        url,
        unquote(parts.username or "") or environment.get("MLFLOW_TRACKING_USERNAME", ""),
        unquote(parts.password or "") or environment.get("MLFLOW_TRACKING_PASSWORD", ""),
        environment.get("MLFLOW_TRACKING_TOKEN", ""),
    )


def _parts(uri: str) -> SplitResult:
    """The parts of a server's address.

    Raises:
        LabError: it is none.
    """
    with contextlib.suppress(ValueError):
        parts = urlsplit(uri)
        if parts.hostname and parts.port != 0:  # reading the port raises when it is no number
            return parts
    raise LabError("MLFLOW_TRACKING_URI: not an address like http://host:port; correct it")


def _dagshub_token(environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in TOKEN_VARIABLES if environment.get(name)), "")


def _dagshub(environment: Mapping[str, str]) -> Destination:
    """Asks through the `dagshub` package, which would open a browser or create a repository.

    So the token and the repository are looked at first, and the browser is taken away.
    """
    import httpx

    token, repo = _dagshub_token(environment), environment["DAGSHUB_REPO"].strip()
    dagshub, helpers, auth = _dagshub_package(environment, token)
    host = dagshub.common.config.host
    try:
        for path in ("user", f"repos/{repo}"):
            url = f"{host}/api/v1/{path}"
            answer = helpers.http_request("GET", url, auth=auth.HTTPBearerAuth(token))
            _check_dagshub(answer.status_code, host_of(host), repo)
        owner, name = repo.split("/")
        dagshub.init(repo_owner=owner, repo_name=name, mlflow=True)
        names = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
        uri, user, password = [os.environ.pop(name) for name in names]
    except httpx.HTTPError as error:
        reason = type(error).__name__
        raise UnreachableError(f"{host_of(host)} is out of reach ({reason})") from None
    except (RuntimeError, ValueError, LookupError, AssertionError) as error:
        reason = type(error).__name__
        raise UnreachableError(f"{host_of(host)} answers strangely ({reason})") from None
    return Destination(uri.rstrip("/"), user, password)


def _dagshub_package(environment: Mapping[str, str], token: str) -> tuple[Any, Any, Any]:
    """The package, its requests and its logins, with one token and neither browser nor chatter."""
    os.environ.update(DAGSHUB_USER_TOKEN=token, DAGSHUB_QUIET="1", DAGSHUB_DISABLE_ANALYTICS="1")
    package: Any = importlib.import_module("dagshub")
    oauth: Any = importlib.import_module("dagshub.auth.oauth")
    config: Any = importlib.import_module("dagshub.common.config")
    config.set_host(environment.get("DAGSHUB_CLIENT_HOST", config.DEFAULT_HOST))
    config.token, config.quiet, config.http_timeout = token, True, CONNECT_SECONDS
    oauth.oauth_flow = _no_browser
    helpers = importlib.import_module("dagshub.common.helpers")
    return package, helpers, importlib.import_module("dagshub.auth.token_auth")


def _check_dagshub(status: int, host: str, repo: str) -> None:
    if status in (401, 403):
        raise LabError(
            f"DAGSHUB_USER_TOKEN: {host} does not accept the token (status {status}); "
            "make one at DagsHub (Settings, Tokens) and set it"
        )
    if status == 404:
        raise LabError(
            f"DAGSHUB_REPO: {host} has no repository {repo} that the token may see; "
            "create it or correct the name"
        )
    if status != 200:
        raise UnreachableError(f"{host} answers with status {status}")


def _no_browser(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no browser")


class Server:
    """Calls of the tracking API, as plain values; safe to use from several threads."""

    def __init__(self, where: Destination):
        self.where = where
        self.requests = 0
        self._pace = Pace()
        self._experiments: dict[str, str] = {}
        self._datasets: set[str] = set()
        self._dataset_lock = threading.Lock()
        self._secrets = [text for text in (where.password, where.token) if text]
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(pool_maxsize=MAX_REQUESTS))
        self._session.mount("https://", HTTPAdapter(pool_maxsize=MAX_REQUESTS))
        self._session.auth = _Login(where)
        if certificate := os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
            self._session.verify = certificate
        if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
            self._session.verify = False

    def experiment(self, name: str) -> str:
        """Id of the experiment with that name, created if need be."""
        if name not in self._experiments:
            self._experiments[name] = self._find_experiment(name)
        return self._experiments[name]

    def _find_experiment(self, name: str) -> str:
        for _ in range(2):  # somebody else may create it between the two calls
            with contextlib.suppress(RejectedError):
                found = self._get("experiments/get-by-name", {"experiment_name": name})
                return str(found["experiment"]["experiment_id"])
            with contextlib.suppress(RejectedError):
                body = {"name": name, "tags": _pairs(EXPERIMENT_TAGS)}
                return str(self._post("experiments/create", body)["experiment_id"])
        raise RejectedError(f"{self.where.host} neither has nor creates the experiment {name!r}")

    def runs_tagged(self, experiment: str, tag: str, value: str) -> Iterator[dict[str, Any]]:
        """Every run of an experiment that carries a tag with that value."""
        body = {
            "experiment_ids": [experiment],
            "filter": f"tags.{tag} = '{value}'",
            "max_results": PAGE,
        }
        while True:
            page = self._post("runs/search", body)
            yield from page.get("runs", [])
            if not page.get("next_page_token"):
                return
            body["page_token"] = page["next_page_token"]

    def create_run(
        self, experiment: str, name: str, start_ms: int, tags: Mapping[str, str]
    ) -> dict[str, Any]:
        """The new run's `info`: `run_id`, `artifact_uri` and more."""
        created = self._post(
            "runs/create",
            {
                "experiment_id": experiment,
                "run_name": name,
                "start_time": start_ms,
                "tags": _pairs(tags),
            },
        )
        info: dict[str, Any] = created["run"]["info"]
        return info

    def log_batch(
        self,
        run_id: str,
        metrics: list[dict[str, Any]],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Adds metrics, params and tags, 1,000 in all and 100 params and tags at most."""
        points = [{**point, "value": _json_number(point["value"])} for point in metrics]
        body = {"run_id": run_id, "metrics": points, "params": _pairs(params), "tags": _pairs(tags)}
        self._post("runs/log-batch", body)

    def log_inputs(self, run_id: str, datasets: list[dict[str, Any]]) -> None:
        """Says what a run was trained on."""
        body = {"run_id": run_id, "datasets": datasets}
        known = json.dumps(datasets)
        if known in self._datasets:
            self._post("runs/log-inputs", body)
            return
        # Two runs that bring the same new data set at once: MLflow 3.17 answers one of them 400
        # (a unique constraint fails). The lock is for this process, the second try for others.
        with self._dataset_lock:
            try:
                self._post("runs/log-inputs", body)
            except RejectedError:
                self._post("runs/log-inputs", body)
            self._datasets.add(known)

    def metric_history(self, run_id: str, name: str) -> Iterator[dict[str, Any]]:
        """Every point of one metric."""
        query = {"run_id": run_id, "metric_key": name}
        while True:
            page = self._get("metrics/get-history", query)
            for point in page.get("metrics", []):
                yield {
                    "key": name,
                    "value": float(point["value"]),
                    "timestamp": int(point["timestamp"]),
                    "step": int(point.get("step", 0)),
                }
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]

    def end_run(self, run_id: str, status: str, end_ms: int) -> None:
        """Sets a run's status and end."""
        self._post("runs/update", {"run_id": run_id, "status": status, "end_time": end_ms})

    def delete_run(self, run_id: str) -> None:
        """Moves a run to the server's bin."""
        self._post("runs/delete", {"run_id": run_id})

    def upload(self, artifact_uri: str, name: str, file: Path | bytes) -> None:
        """Puts one file under a run's artifacts; `name` is relative, with slashes."""
        if not artifact_uri.startswith("mlflow-artifacts:"):
            return _upload_directly(artifact_uri, name, file)
        place = "/".join(filter(None, [urlsplit(artifact_uri).path.strip("/"), name]))
        path = f"mlflow-artifacts/artifacts/{quote(place)}"
        with contextlib.ExitStack() as stack:
            body: bytes | IO[bytes] = (
                file if isinstance(file, bytes) else stack.enter_context(file.open("rb"))
            )
            self._call("PUT", path, data=body)
        return None

    def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        return self._call("GET", path, params=query)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("POST", path, json=body)

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        self.requests += 1
        api = "" if path.startswith("mlflow-") else "mlflow/"
        url = f"{self.where.url}/api/2.0/{api}{path}"
        arguments |= {
            "timeout": (CONNECT_SECONDS, ANSWER_SECONDS),
            "allow_redirects": False,  # requests would turn a POST into a GET
            "stream": True,
        }
        try:
            with self._pace, self._session.request(method, url, **arguments) as response:
                content = _read(response)
        except (requests.RequestException, OSError) as error:
            raise UnreachableError(f"{self.where.host} {_what(error)}") from None
        return self._understand(response, content)

    def _understand(self, response: requests.Response, content: bytes) -> dict[str, Any]:
        """The answer's JSON object, or the error that the answer stands for."""
        status, host = response.status_code, self.where.host
        answer: Any = None
        with contextlib.suppress(ValueError):
            answer = json.loads(content or b"{}")
        if status == 200 and isinstance(answer, dict):
            return answer
        if status in (200, 408, 429) or status >= 500:
            what = "answers with something else than JSON" if status == 200 else f"answers {status}"
            raise UnreachableError(f"{host} {what}", _seconds(response.headers.get("Retry-After")))
        if status in (401, 403):
            raise DeniedError(
                f"{host} answers {status}: check MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD (or the token) and this user's rights"
            )
        if not isinstance(answer, dict) or "error_code" not in answer:
            raise DeniedError(
                f"{host} answers {status} where an MLflow server should be: "
                "check MLFLOW_TRACKING_URI"
            )
        raise RejectedError(f"{host} answers {status}: {self._safe(answer.get('message'))}")

    def _safe(self, message: object) -> str:
        text = " ".join(str(message).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:150]


class Pace:
    """Lets as many requests under way as the server answers without making them queue.

    An MLflow server on SQLite stops answering for longer than `ANSWER_SECONDS` when 32 requests
    write at once, while to a server 200 ms away 8 are too few to send 1,000 runs in two minutes.
    What an answer takes longer than the fastest one is time in the server's queue.

    Source: L. Brakmo and L. Peterson (1995). TCP Vegas. IEEE JSAC 13 (8).
    """

    SHORT_QUEUE, LONG_QUEUE = 2.0, 4.0  # requests
    STEP = 0.1  # request per answer

    def __init__(self) -> None:
        self.limit = 2.0 * MIN_REQUESTS
        self._under_way = 0
        self._fastest = math.inf
        self._slot = threading.Condition()
        self._began = threading.local()

    def __enter__(self) -> None:
        with self._slot:
            self._slot.wait_for(lambda: self._under_way < int(self.limit))
            self._under_way += 1
        self._began.at = time.monotonic()

    def __exit__(self, *_: object) -> None:
        seconds = time.monotonic() - self._began.at
        with self._slot:
            self.adapt(max(seconds, 1e-6), self._under_way)
            self._under_way -= 1
            self._slot.notify_all()

    def adapt(self, seconds: float, under_way: int) -> None:
        """Learns from an answer that took so long while so many requests were under way."""
        self._fastest = min(self._fastest, seconds)
        queued = under_way * (1 - self._fastest / seconds)
        if queued < self.SHORT_QUEUE:
            self.limit = min(self.limit + self.STEP, MAX_REQUESTS)
        elif queued > self.LONG_QUEUE:
            self.limit = max(self.limit - self.STEP, MIN_REQUESTS)


class _Login(requests.auth.AuthBase):
    """Set even without credentials, or requests would take some from ~/.netrc."""

    def __init__(self, where: Destination):
        self._where = where

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._where.token and not self._where.password:
            request.headers["Authorization"] = f"Bearer {self._where.token}"
        elif self._where.user or self._where.password:
            name, password = self._where.user.encode(), self._where.password.encode()
            requests.auth.HTTPBasicAuth(name, password)(request)
        return request


def _read(response: requests.Response) -> bytes:
    """The answer's body, unless it is endless in size or time."""
    deadline = time.monotonic() + ANSWER_SECONDS
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_content(65_536):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES or time.monotonic() > deadline:
            raise requests.ReadTimeout
    return b"".join(chunks)


def _what(error: Exception) -> str:
    match error:
        case requests.exceptions.SSLError():
            return "has a certificate that is not accepted (MLFLOW_TRACKING_SERVER_CERT_PATH)"
        case requests.ConnectTimeout():
            return f"cannot be reached within {CONNECT_SECONDS:.0f} s"
        case requests.ReadTimeout():
            return f"does not answer within {ANSWER_SECONDS:.0f} s"
        case requests.ConnectionError() if "NewConnectionError" in repr(error):
            return "cannot be reached"
    return "breaks the connection off"


def _seconds(retry_after: str | None) -> float:
    """What `Retry-After` asks for; its other form, a date, is not worth reading here."""
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _json_number(value: float) -> float | str:
    """NaN and infinities as protobuf's JSON writes them."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def _upload_directly(artifact_uri: str, name: str, file: Path | bytes) -> None:
    """Writes to a store the server does not stand in front of (S3, a shared folder).

    MLflow's own client knows these stores and where their credentials are.
    """
    import tempfile

    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    folder, _, leaf = name.rpartition("/")
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / leaf
        if isinstance(file, bytes):
            source.write_bytes(file)
        else:
            source.symlink_to(file.resolve())
        try:
            repository: Any = get_artifact_repository(artifact_uri)
            repository.log_artifact(str(source), folder or None)
        except Exception as error:
            where = urlsplit(artifact_uri).scheme or "folder"
            raise RejectedError(f"artifact store ({where}): {type(error).__name__}") from None
