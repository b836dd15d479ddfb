"""Variables of MLflow's client and servers as they are configured, all with a real server."""

import contextlib
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import mlflow
import pytest
import yaml
from certificates import write_certificates
from mlflow import MlflowClient
from servers import Proxy, mlflow_server
from trained import write_layers

import sync
from lab.base.errors import LabError
from lab.tracking import destination, mirror
from lab.tracking.destination import EXPERIMENT, server_url
from lab.tracking.sent import SentRuns, unsent
from lab.tracking.store import Store

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of connections that servers end
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of MLflow's own making
    pytest.mark.filterwarnings("ignore:.*type hint:UserWarning"),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]
RUN = {
    "name": "relu", "params": {"hidden": 4}, "tags": {}, "note": "", "dataset": None,
    "children": [], "fingerprint": "", "is_again": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def real(folder: Path) -> Iterator[str]:
    with mlflow_server(folder, auth=False, more=("--enable-workspaces",)) as url:
        yield url


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder)
    write_certificates(folder / "other")
    (folder / "empty.pem").write_text("nothing\n", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """MLflow's client sets variables that stay."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def store(tmp_path: Path, empty_store: Path, real: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A local store with a run of one file, and the server configured."""
    monkeypatch.chdir(tmp_path)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", real)
    monkeypatch.setattr(sys, "argv", ["sync.py"])
    shutil.copy(empty_store, "mlflow.db")
    monkeypatch.setattr(destination, "LOCAL_STORE", f"sqlite:///{tmp_path}/mlflow.db")
    store = Store(destination.LOCAL_STORE)
    record(store, 1)
    return store


def record(store: Store, key: int) -> str:
    store.begin(key, RUN, 1_000)
    Path("curve.csv").write_text("epoch\n1\n", encoding="utf-8")
    store.artifact(key, str(Path("curve.csv").resolve()), "")
    store.end(key, "FINISHED", 2_000)
    return store.ids(key)[0]


def problem() -> str:
    """What `make sync` reports."""
    with pytest.raises(LabError) as failure:
        sync.main()
    return str(failure.value)


def names_there(url: str, experiment: str = EXPERIMENT) -> list[str]:
    client = MlflowClient(url)
    found = client.get_experiment_by_name(experiment)
    return [run.info.run_name for run in client.search_runs([found.experiment_id])] if found else []


@contextlib.contextmanager
def tls_proxy(real: str, folder: Path, *, wants_certificate: bool = False) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
    with Proxy(real, tls=context) as proxy:
        yield proxy.url


SERVER, CLIENT = "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"
INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"


@pytest.mark.parametrize(
    ("variables", "wants_certificate", "says"),
    [
        ({SERVER: "ca.pem", "REQUESTS_CA_BUNDLE": "other/ca.pem"}, False, ""),
        ({INSECURE: "1", "REQUESTS_CA_BUNDLE": "other/ca.pem"}, False, ""),
        ({"REQUESTS_CA_BUNDLE": "ca.pem"}, False, ""),
        ({SERVER: "ca.pem", CLIENT: "client.pem"}, True, ""),
        ({}, False, f"has a certificate that is not accepted ({SERVER})"),
        ({SERVER: "other/ca.pem"}, False, f"has a certificate that is not accepted ({SERVER})"),
        ({SERVER: "none.pem"}, False, f"{SERVER}: Could not find"),
        ({SERVER: "empty.pem"}, False, f"{SERVER} is no certificate"),
        ({"REQUESTS_CA_BUNDLE": "none.pem"}, False, "REQUESTS_CA_BUNDLE: Could not find"),
        ({SERVER: "ca.pem", INSECURE: "true"}, False, f"'{INSECURE}' and '{SERVER}'"),
        ({SERVER: "ca.pem"}, True, f"it may want a certificate ({CLIENT})"),
        ({SERVER: "ca.pem", CLIENT: "none.pem"}, True, f"{CLIENT}: Could not find"),
        ({SERVER: "ca.pem", CLIENT: "empty.pem"}, True, f"{CLIENT} is no certificate"),
    ],
)
def test_mlflows_variables_for_certificates_are_honoured_or_named(
    store: Store, real: str, certificates: Path, monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str], wants_certificate: bool, says: str,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value if name == INSECURE else str(certificates / value))
    with tls_proxy(real, certificates, wants_certificate=wants_certificate) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        if says:
            assert says in problem()
        else:
            sync.main()
            assert unsent(store.client, SentRuns(url)) == {}


def test_https_to_a_server_without_it_is_named(
    store: Store, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", real.replace("http:", "https:"))
    assert "speaks no TLS: write http:// in MLFLOW_TRACKING_URI" in problem()


def test_each_workspace_is_a_place_of_its_own(
    store: Store, real: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sync.main()  # the default one has the run
    capsys.readouterr()
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-b")
    assert "Workspace 'team-b' not found (MLFLOW_WORKSPACE)" in problem()
    MlflowClient(real).create_workspace("team-b")
    assert names_there(real) == []
    sync.main()
    assert "1 run sent, none left" in capsys.readouterr().out
    assert names_there(real) == ["relu"]
    sync.main()
    assert "0 runs sent, none left" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_WORKSPACE", "default")
    sync.main()
    assert "0 runs sent, none left" in capsys.readouterr().out


def test_an_experiment_of_ones_own_is_honoured(
    store: Store, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "a name of one's own")
    sync.main()
    assert names_there(real, "a name of one's own") == ["relu"]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", MlflowClient(real).create_experiment("by id"))
    record(store, 2)
    sync.main()
    assert names_there(real, "by id") == ["relu"]
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "123456")
    record(store, 3)
    assert "MLFLOW_EXPERIMENT_ID: " in problem()


def test_an_experiment_in_the_bin_is_named_with_the_command_that_restores_it(
    store: Store, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = MlflowClient(real)
    binned = there.create_experiment("binned")
    there.delete_experiment(binned)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "binned")
    assert (
        f"the experiment binned is in the bin; restore it (MLFLOW_TRACKING_URI={real} mlflow "
        f"experiments restore --experiment-id {binned})"
    ) in problem()
    there.restore_experiment(binned)
    sync.main()
    assert names_there(real, "binned") == ["relu"]


RECORDS = """
from lab.tracking.recording import RunSpec, recording
with recording(RunSpec("relu", {"hidden": 4})) as run:
    run.metrics({"accuracy": 0.5})
"""


def test_a_wrong_address_and_variables_of_servers_leave_the_local_store_alone(
    tmp_path: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    variables = {
        "MLFLOW_TRACKING_URI": "postgresql://me:hush@host/db",
        "MLFLOW_EXPERIMENT_ID": "77",
        "MLFLOW_EXPERIMENT_NAME": "another",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_WORKSPACE": "team-b",
    }
    environment = {**os.environ, "PYTHONPATH": str(Path(sync.__file__).parent), **variables}
    done = subprocess.run(
        [sys.executable, "-c", RECORDS],
        cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stderr.startswith("tracking: MLFLOW_TRACKING_URI: must be a server's address")
    assert done.stderr.count("\n") == 1
    assert "hush" not in done.stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        runs = "SELECT runs.name, status, e.name, workspace FROM runs JOIN experiments e USING (%s)"
        found = database.execute(runs % "experiment_id").fetchall()
    assert found == [("relu", "FINISHED", EXPERIMENT, "default")]


def test_a_server_out_of_reach_is_called_so_with_a_workspace_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-b")
    assert problem().startswith("127.0.0.1:9 cannot be reached; 1 run still to send")


def test_the_local_experiment_is_taken_out_of_the_bin(store: Store) -> None:
    store.client.delete_experiment(store.experiment)
    again = Store(store.uri)
    assert again.experiment == store.experiment
    record(again, 2)
    assert len(again.client.search_runs([again.experiment])) == 2


def test_files_that_this_machine_cannot_put_where_the_server_keeps_them(
    store: Store, real: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    MlflowClient(real).create_experiment("elsewhere")
    with contextlib.closing(sqlite3.connect(folder / "server.db")) as database, database:
        change = "UPDATE experiments SET artifact_location = ? WHERE name = 'elsewhere'"
        database.execute(change, (f"{tmp_path}/taken/files",))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
    message = problem()
    assert "curve.csv: " in message
    assert f"keeps files in the folder {tmp_path}/taken/files/" in message
    assert "NotADirectoryError" in message
    assert "start the server with --serve-artifacts" in message
    assert unsent(store.client, SentRuns(server_url()))


def test_a_folder_of_the_servers_machine_is_not_made_on_this_one(tmp_path: Path) -> None:
    files = tmp_path / "srv" / "1" / "run" / "artifacts"
    with pytest.raises(FileNotFoundError, match="srv here"):
        mirror._require_shared(files, "http://tracking.example:5000")
    mirror._require_shared(files, "http://127.0.0.1:5000")  # made by whoever is first
    (tmp_path / "srv").mkdir()
    mirror._require_shared(files, "http://tracking.example:5000")


def test_what_refuses_on_the_way_is_not_the_login(
    store: Store, real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(real, host="tracking.example") as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url)
        assert "Invalid Host header: start it with --allowed-hosts 127.0.0.1:" in problem()
    with Proxy(real) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url)
        proxy.inject("403", 1)
        assert "answers 403, as MLflow does not: a proxy on the way refuses it" in problem()
        proxy.inject("413", 1, among="PUT ")
        assert "curve.csv: " in (told := problem())
        assert "answers 413: it, or a proxy on the way, takes nothing so large" in told
        proxy.clear()
        sync.main()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon", "'soon' for MLFLOW_HTTP_REQUEST_TIMEOUT"),
        ("MLFLOW_TRACKING_INSECURE_TLS", "yes", "MLFLOW_TRACKING_INSECURE_TLS value must be"),
        ("HTTP_PROXY", "http://127.0.0.1:9", "cannot be reached through the proxy of HTTP_PROXY"),
        ("MLFLOW_TRACKING_AWS_SIGV4", "true", "No module named 'requests_auth_aws_sigv4'"),
    ],
)
def test_a_wrong_variable_of_the_client_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert says in problem()


def test_a_file_of_logins_that_cannot_be_read_is_named_and_not_shown(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / ".mlflow").mkdir()
    for content in (
        "mlflow_tracking_password = hush\n",
        "[mlflow]\nmlflow_tracking_password=%hush",
    ):
        (tmp_path / ".mlflow/credentials").write_text(content, encoding="utf-8")
        assert "~/.mlflow/credentials: must be an INI file" in (told := problem())
        assert "hush" not in told


def test_a_mirrored_model_holds_no_path_of_this_machine(
    store: Store, real: str, tmp_path: Path
) -> None:
    write_layers(tmp_path / "build")
    store.begin(2, RUN, 1_000)
    store.model(2, str(tmp_path / "build"))
    store.end(2, "FINISHED", 2_000)
    os.environ["MLFLOW_TRACKING_URI"] = real  # MLflow put the local store there
    sync.main()
    there = MlflowClient(real)
    experiment = there.get_experiment_by_name(EXPERIMENT)
    assert experiment
    query = f"tags.{mirror.RUN_TAG} = '{store.ids(2)[0]}'"
    (copy,) = there.search_runs([experiment.experiment_id], query)
    mlflow.set_tracking_uri(real)
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{copy.info.run_id}/model"))
    described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    assert described["artifact_path"] == "model"
    for file in folder.rglob("*"):
        assert not file.is_file() or str(tmp_path).encode() not in file.read_bytes()
        assert (
            not file.is_file() or str(Path(sync.__file__).parent).encode() not in file.read_bytes()
        )
