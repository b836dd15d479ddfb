import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import sys
import time
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import numpy as np
import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import FileInfo, Run
from mlflow.exceptions import MlflowException
from servers import FAULTS, LATE, PASSWORD, USER, DagsHub, Proxy, mlflow_server
from trained import write_layers

import sync
from lab.base.errors import LabError
from lab.tracking import destination, mirror, sender
from lab.tracking.destination import EXPERIMENT, ServerError, UnreachableError
from lab.tracking.registry import CHAMPION
from lab.tracking.sent import (
    FILE,
    FOLDER,
    PARENT_TAG,
    RESULTS_TAG,
    SentRuns,
    claimed,
    forget,
    forget_doubtful,
    unsent,
)
from lab.tracking.server import Server
from lab.tracking.store import Store

# `make test-servers` runs this file against an older server, named by its Python, and with every
# fault at every request; by default each request meets one fault and each fault some request.
OLD_PYTHON = os.environ.get("OLD_MLFLOW_PYTHON", "")
ALL_FAULTS = "every fault in turn"
CAMPAIGN = list(FAULTS) if os.environ.get("FAULT_CAMPAIGN") else [ALL_FAULTS]

pytestmark = [
    pytest.mark.xdist_group("servers"),  # one server, one worker
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # connections that faults leave behind
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of MLflow's own making
]


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    old = {"python": OLD_PYTHON, "store": "./files"} if OLD_PYTHON else {}
    with mlflow_server(folder, auth=not OLD_PYTHON, **old) as url:
        yield url


@pytest.fixture
def proxy(real: str) -> Iterator[Proxy]:
    with Proxy(real) as proxy:
        yield proxy


@pytest.fixture
def store(
    tmp_path: Path, empty_store: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """An empty local store in a folder of its own, with the server configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    shutil.copy(empty_store, "mlflow.db")
    # MLflow keeps one engine per address, so a relative one would go on using the first folder.
    monkeypatch.setattr(destination, "LOCAL_STORE", f"sqlite:///{tmp_path}/mlflow.db")
    return Store(destination.LOCAL_STORE)


def run_dict(name: str, children: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "params": {"learning_rate": 0.001, "hidden": [128]},
        "tags": {"model": name},
        "note": "*note*",
        "dataset": {"name": "MNIST", "digest": "d" * 64, "context": "training"},
        "fingerprint": "",
        "is_again": False,
        "children": [{**run_dict(f"{name} seed {seed}"), "note": ""} for seed in range(children)],
    }


def the_tree(store: Store, *, key: int = 1, children: int = 2, name: str = "relu") -> str:
    """A finished parent with children, metrics, a data set and two files; its id."""
    store.begin(key, run_dict(name, children), 1_000)
    for step in range(3):
        store.metrics(key, None, {"accuracy": step / 3, "odd": float("nan")}, step, 2_000 + step)
        for child in range(children):
            seed = f"{name} seed {child}"
            store.metrics(key, seed, {"accuracy": child + step / 7}, step, 2_000 + step)
    Path("results").mkdir(exist_ok=True)
    Path("results/curve.csv").write_text("epoch\n1\n", encoding="utf-8")
    Path("results/an image.png").write_bytes(bytes(range(256)))
    store.artifact(key, "results", "")
    store.end(key, "FINISHED", 9_000)
    return store.ids(key)[0]


def synced(store: Store, attempts: int = 1) -> str:
    """Sends the queue like `make sync`; what went wrong."""
    url = destination.server_url()
    sent = SentRuns(url)
    try:
        server = Server(url)
        server.experiment()
        queue = unsent(store.client, sent)
        return sender.send_queue(queue, store.client, server, sent, attempts=attempts)
    except ServerError as error:
        return str(error)


def left(store: Store, proxy: Proxy) -> dict[str, int]:
    return unsent(store.client, SentRuns(proxy.url))


def described(client: MlflowClient, run: Run) -> dict[str, Any]:
    """All that must be equal here and there."""
    tags = {
        key: value
        for key, value in run.data.tags.items()
        if key not in (mirror.RUN_TAG, mirror.TREE_TAG, PARENT_TAG)
    }
    histories = [client.get_metric_history(run.info.run_id, name) for name in run.data.metrics]
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "time": (run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": tags,
        "points": sorted(
            (point.key, point.step, point.timestamp, repr(point.value))
            for history in histories
            for point in history
        ),
        "data": [
            (entry.dataset.name, entry.dataset.digest, [tag.value for tag in entry.tags])
            for entry in (run.inputs.dataset_inputs if run.inputs else ())
        ],
        "files": sorted(files(client, run.info.run_id)),
    }


def files(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[Any]:
    for entry in _listed(client, run_id, folder):
        if entry.is_dir:
            yield from files(client, run_id, entry.path)
        else:
            yield entry.path, entry.file_size


def _listed(client: MlflowClient, run_id: str, folder: str | None) -> list[FileInfo]:
    """Artifacts in a folder; MLflow's own listing asks a 2.7 for models, which it lacks."""
    if not destination.is_server(client.tracking_uri):
        return client.list_artifacts(run_id, folder)
    answer = requests.get(
        f"{client.tracking_uri}/api/2.0/mlflow/artifacts/list",
        {"run_id": run_id, "path": folder or ""},
        auth=(os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]),
        timeout=30,
    )
    return [
        FileInfo(entry["path"], entry["is_dir"], int(entry.get("file_size") or 0))
        for entry in answer.json().get("files", [])
    ]


def assert_equal_there(store: Store, roots: list[str]) -> None:
    """Each run of the trees exists once on the server, and is the same."""
    there = MlflowClient(destination.server_url())
    experiment = there.get_experiment_by_name(EXPERIMENT)
    assert experiment
    for root in roots:
        query = f"tags.{mirror.TREE_TAG} = '{root}'"
        copies = {
            run.data.tags[mirror.RUN_TAG]: run
            for run in there.search_runs([experiment.experiment_id], query)
        }
        assert len(copies) == len(there.search_runs([experiment.experiment_id], query))
        local = f"tags.`{PARENT_TAG}` = '{root}'"
        children = store.client.search_runs([store.experiment], local)
        assert set(copies) == {root, *(run.info.run_id for run in children)}
        for run in (store.client.get_run(root), *children):
            copy = copies[run.info.run_id]
            assert described(there, copy) == described(store.client, run)
            parent = copies[root].info.run_id if run.info.run_id != root else None
            assert copy.data.tags.get(PARENT_TAG) == parent


def requests_of(store: Store, proxy: Proxy, **tree: Any) -> int:
    """How many requests a tree takes when nothing goes wrong."""
    the_tree(store, **tree)
    proxy.clear()
    assert synced(store) == ""
    return len(proxy.seen)


def test_a_queued_tree_arrives_complete_in_few_requests(store: Store, proxy: Proxy) -> None:
    root = the_tree(store)
    assert synced(store) == ""
    assert_equal_there(store, [root])
    proxy.clear()
    assert synced(store) == ""
    assert len(proxy.seen) <= 1  # looks for the experiment, sends nothing
    assert_equal_there(store, [root])
    parent_alone = requests_of(store, proxy, key=2, children=0)
    with_children = requests_of(store, proxy, key=3, children=3)
    assert (with_children - parent_alone) / 3 <= 4


def test_a_run_that_goes_on_after_it_was_sent_is_sent_again(store: Store) -> None:
    root = the_tree(store)
    assert synced(store) == ""
    store.begin(2, run_dict("relu", 2), 5_000, root)
    store.metrics(2, "relu seed 1", {"accuracy": 1.0}, 3, 6_000)
    forget(store.ids(2))
    store.end(2, "FINISHED", 10_000)

    assert synced(store) == ""

    assert store.ids(2) == store.ids(1)
    assert_equal_there(store, [root])


@pytest.mark.parametrize("kind", CAMPAIGN)
def test_a_fault_at_any_request_leaves_one_whole_copy(
    store: Store, proxy: Proxy, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced(store)  # the experiment exists
    count = requests_of(store, proxy)
    faults = itertools.cycle(FAULTS if kind == ALL_FAULTS else [kind])
    assert count >= len(FAULTS) or kind != ALL_FAULTS
    for number, fault in zip(range(1, count + 1), faults, strict=False):
        root = the_tree(store, key=number + 1)
        proxy.inject(fault, number)
        with monkeypatch.context() as patience:
            patience.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2" if "hangs" in fault else "60")
            problem = synced(store)
        assert number <= len(proxy.seen) < 3 * count, f"{fault} at request {number}"
        assert bool(problem) >= bool(left(store, proxy)), f"{fault} at request {number}"
        proxy.clear()
        assert synced(store) == "", f"{fault} at request {number}"
        assert left(store, proxy) == {}, f"{fault} at request {number}"
        assert_equal_there(store, [root])


def test_the_next_attempt_of_a_sync_makes_one_lost_answer_good(store: Store, proxy: Proxy) -> None:
    root = the_tree(store)
    proxy.inject("500 after", 4)
    assert synced(store, attempts=2) == ""
    assert_equal_there(store, [root])


def test_a_file_that_something_else_answered_for_is_sent_again(store: Store, proxy: Proxy) -> None:
    """A login page of a network, say, answers 200 to an upload that it throws away."""
    root = the_tree(store)
    proxy.inject("garbage", 1, among="PUT ")
    assert "did not keep" in synced(store)
    assert synced(store) == ""
    assert_equal_there(store, [root])


def test_a_run_that_the_server_creates_late_leaves_no_second_copy(
    store: Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was given up and looked for, in vain, before the server was done with it."""
    root = the_tree(store, children=1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    proxy.inject(LATE, 1, among="runs/create")
    assert synced(store, attempts=2) == ""
    assert len([line for line in proxy.seen if "runs/delete" in line]) == 1
    assert_equal_there(store, [root])


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")
def test_the_model_on_the_server_predicts_like_the_local_one(
    store: Store, real: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = tmp_path / "build"
    inputs = write_layers(build)
    store.begin(1, run_dict("relu"), 1_000)
    store.model(1, str(build))
    store.end(1, "FINISHED", 2_000)
    root = store.ids(1)[0]
    expected = mlflow.pyfunc.load_model(f"runs:/{root}/model").predict(inputs)
    assert len(set(expected)) > 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url)  # MLflow put the local store there
    assert synced(store) == ""
    shutil.rmtree(build)
    shutil.rmtree("mlruns")  # only the server has the model now
    there = MlflowClient(real)
    experiment = there.get_experiment_by_name(EXPERIMENT)
    assert experiment
    query = f"tags.{mirror.RUN_TAG} = '{root}'"
    (copy,) = there.search_runs([experiment.experiment_id], query)
    if OLD_PYTHON:  # which a newer client asks for models that it lacks
        where = downloaded(there, copy, tmp_path / "downloaded")
    else:
        mlflow.set_tracking_uri(real)
        where = f"runs:/{copy.info.run_id}/model"
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(where).predict(inputs), expected)


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")
def test_what_is_in_production_has_its_alias_on_the_server_too(
    store: Store, real: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["sync.py"])
    write_layers(tmp_path / "build")
    for key, results in ((1, "a" * 64), (2, "b" * 64)):
        run = run_dict(f"relu {key}")
        store.begin(key, {**run, "tags": {**run["tags"], RESULTS_TAG: results}}, 1_000)
        store.model(key, str(tmp_path / "build"))
        store.chosen(key, str(tmp_path / "build"), "relu", "card", results)
        store.end(key, "FINISHED", 2_000)
    there, said = MlflowClient(real), []
    for results in ("b" * 64, "a" * 64, "a" * 64, "c" * 64):
        store.champion(1, results)
        # MLflow put the local store there.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", real.replace("//", f"//{USER}:{PASSWORD}@"))
        sync.main()
        said.append(capsys.readouterr().out.splitlines()[1:])
        found = there.get_model_version_by_alias(EXPERIMENT, CHAMPION)
        assert found.tags[RESULTS_TAG] == results.replace("c", "a")
    assert [len(lines) for lines in said] == [1, 1, 1, 0]  # the last one was chosen elsewhere
    assert len(there.search_model_versions(f"name = '{EXPERIMENT}'")) == 2
    with pytest.raises(MlflowException):
        store.client.get_model_version_by_alias(EXPERIMENT, CHAMPION)


def downloaded(client: MlflowClient, run: Run, folder: Path) -> str:
    """The run's model, fetched file by file through the server's REST API."""
    place = urlsplit(str(run.info.artifact_uri)).path.strip("/")
    for path, _ in files(client, run.info.run_id, "model"):
        url = f"{client.tracking_uri}/api/2.0/mlflow-artifacts/artifacts/{place}/{path}"
        answer = requests.get(url, timeout=30)
        answer.raise_for_status()
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(answer.content)
    return str(folder / "model")


def test_more_points_params_and_tags_than_one_request_takes(store: Store) -> None:
    run = run_dict("many")
    run["params"] = {f"param_{number}": number for number in range(230)}
    run["tags"] = {f"tag_{number}": "x" for number in range(90)}
    store.begin(1, {**run, "params": {}}, 1_000)
    for first in range(0, 230, 100):
        some = dict(list(run["params"].items())[first : first + 100])
        for name, value in some.items():
            store.client.log_param(store.ids(1)[0], name, value)
    values = [float("nan"), float("inf"), -float("inf"), -0.0, 5e-324, 0.1]
    for step in range(400):
        store.metrics(1, None, {f"m{i}": values[(step + i) % 6] for i in range(5)}, step, step)
    store.end(1, "FINISHED", 2_000)
    assert synced(store) == ""
    assert_equal_there(store, [store.ids(1)[0]])


def test_two_senders_at_once_send_each_tree_once(store: Store) -> None:
    roots = [the_tree(store, key=key) for key in range(4)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(synced, [store, store]))
    assert synced(store) == ""
    assert_equal_there(store, roots)


def test_a_claimed_run_is_left_alone_and_an_abandoned_one_ended(store: Store) -> None:
    with claimed("a-recording") as is_mine:  # before the run exists
        assert is_mine
        store.begin(1, {**run_dict("relu", 1), "recording": "a-recording"}, 1_000)
        root = store.ids(1)[0]
        assert "another process" in synced(store)
        assert store.client.get_run(root).info.status == "RUNNING"
    assert synced(store) == ""
    assert store.client.get_run(root).info.status == "FAILED"
    assert_equal_there(store, [root])


def test_live_runs_arrive_while_they_go_on(store: Store, proxy: Proxy) -> None:
    queued = the_tree(store, name="earlier")
    live = sender.Live(store.client, proxy.url)
    store.begin(2, run_dict("relu", 2), 1_000)
    root = store.ids(2)[0]
    with claimed(root):
        live.add(root, 3)
        live.send_others()
        store.metrics(2, None, {"accuracy": 0.5}, 1, 2_000)
        store.metrics(2, "relu seed 1", {"accuracy": 0.5}, 1, 2_000)
        there = MlflowClient(proxy.url)
        query = f"tags.{mirror.TREE_TAG} = '{root}'"
        for _ in range(600):
            found = there.search_experiments(filter_string=f"name = '{EXPERIMENT}'")
            runs = there.search_runs([each.experiment_id for each in found], query)
            if len(runs) == 3:
                break
            time.sleep(0.1)
        assert {run.info.status for run in runs} == {"RUNNING"}
        sent = SentRuns(proxy.url)
        for _ in range(600):
            if sent.server_id(queued):
                break
            time.sleep(0.1)
        store.metrics(2, None, {"accuracy": 0.6}, 2, 3_000)
        store.end(2, "FINISHED", 4_000)
        report = live.finish(60.0)
    assert [link.rpartition("/")[0] for link in report["links"]] == [
        f"{proxy.url}/#/experiments/{found[0].experiment_id}/runs"
    ]
    assert_equal_there(store, [root, queued])
    assert synced(store) == ""


@pytest.mark.parametrize("fault", ["hangs", "dies", "500", "401", "garbage"])
def test_a_broken_server_delays_the_end_by_less_than_a_second(
    store: Store, proxy: Proxy, fault: str
) -> None:
    proxy.inject(fault, 1)
    live = sender.Live(store.client, proxy.url)
    root = the_tree(store)
    live.add(root, 3)
    began = time.monotonic()
    report = live.finish(0.7)
    assert time.monotonic() - began < 5  # 0.7 s, and room for a busy machine
    assert fault != "dies" or report["links"] == []
    if not report["links"]:  # one refused request may have been made good in time
        assert "3 runs still to send" in report["line"]
        assert "run `make sync`" in report["line"]
    assert PASSWORD not in json.dumps(report)


def test_wrong_passwords_are_reported_without_being_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch, real: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if OLD_PYTHON:
        pytest.skip("that server has no passwords")
    the_tree(store)
    secret = "hunter2-of-the-user"  # noqa: S105
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", secret)
    with pytest.raises(LabError, match="answers 401: check MLFLOW_TRACKING_USERNAME") as failure:
        sync.send_all(destination.server_url())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", real.replace("//", f"//{USER}:{secret}@"))
    assert destination.server_url() == real
    with pytest.raises(LabError, match="3 runs still to send") as second:
        sync.send_all(destination.server_url())
    written = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert secret.encode() not in written
    assert secret not in f"{failure.value}{second.value}{capfd.readouterr()}"


def test_sync_sends_everything_and_says_so(
    store: Store, proxy: Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["sync.py"])
    roots = [the_tree(store, key=key, children=1) for key in range(3)]
    sync.main()
    host = proxy.url.removeprefix("http://")
    assert capsys.readouterr().out == f"{host}: 6 runs sent, none left\n"
    assert_equal_there(store, roots)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(LabError, match="no server is configured"):
        sync.main()
    monkeypatch.setattr(sys, "argv", ["sync.py", "--if-configured"])
    sync.main()


@pytest.fixture
def dagshub(real: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsHub]:
    """A DagsHub on loopback; a token of its own, because the package remembers tokens."""
    if OLD_PYTHON:
        pytest.skip("DagsHub is tested in front of the newer server")
    monkeypatch.setattr(webbrowser, "open", lambda *_: pytest.fail("a browser was opened"))
    with DagsHub(real, "owner/digits", f"token-{time.time_ns()}") as there:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD", raising=False)
        monkeypatch.setenv("DAGSHUB_CLIENT_HOST", there.url)
        monkeypatch.setenv("DAGSHUB_REPO", "owner/digits")
        monkeypatch.setenv("DAGSHUB_USER_TOKEN", there.token)
        yield there


def test_dagshub_gets_the_runs(
    store: Store, dagshub: DagsHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = the_tree(store)
    assert destination.server_url() == f"{dagshub.url}/owner/digits.mlflow"
    assert synced(store) == ""
    assert_equal_there(store, [root])
    assert not [line for line in dagshub.seen if "POST /api/v1" in line]
    written = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert dagshub.token.encode() not in written


@pytest.mark.parametrize("name", ["DAGSHUB_ACCESS_TOKEN", "MLFLOW_TRACKING_PASSWORD"])
def test_other_names_of_the_token_are_accepted(
    dagshub: DagsHub, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("DAGSHUB_USER_TOKEN")
    monkeypatch.setenv(name, dagshub.token)
    assert destination.login() == {
        "MLFLOW_TRACKING_USERNAME": "someone",
        "MLFLOW_TRACKING_PASSWORD": dagshub.token,
    }


def test_dagshub_that_refuses_is_reported_in_one_line(
    dagshub: DagsHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSHUB_REPO", "owner/digit")
    with pytest.raises(LabError, match=r"DAGSHUB_REPO: .* has no repository owner/digit"):
        destination.login()
    assert not [line for line in dagshub.seen if line.startswith("POST")]
    monkeypatch.setenv("DAGSHUB_USER_TOKEN", "wrong-token")
    with pytest.raises(LabError, match=r"DAGSHUB_USER_TOKEN: .* does not accept") as refused:
        destination.login()
    assert "wrong-token" not in str(refused.value)
    dagshub.status = 500
    with pytest.raises(UnreachableError, match="answers with status 500"):
        destination.login()
    monkeypatch.setenv("DAGSHUB_CLIENT_HOST", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="out of reach"):
        destination.login()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"DAGSHUB_REPO": "owner/name"}, "DAGSHUB_USER_TOKEN: needed"),
        ({"DAGSHUB_REPO": "name", "DAGSHUB_USER_TOKEN": "t"}, "DAGSHUB_REPO: must be owner/name"),
        ({"DAGSHUB_REPO": "https://example.org/o/n"}, "DAGSHUB_REPO: must be owner/name"),
    ],
)
def test_a_wrong_variable_is_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        destination.server_url(environment)


def test_a_run_is_not_sent_while_one_of_its_files_is_missing(store: Store, proxy: Proxy) -> None:
    """They may have been left behind by a move, or thrown away; the rest is on the server."""
    the_tree(store, name="whole", children=0)
    root = the_tree(store, key=2, children=0)
    file = Path("mlruns", root, "artifacts", "results", "an image.png")
    content = file.read_bytes()
    file.unlink()

    assert synced(store) == (
        f"relu: {file} is missing; put it back, or delete the run in `make ui`"
    )
    assert left(store, proxy) == {root: 1}
    file.write_bytes(content)
    assert synced(store) == ""
    assert left(store, proxy) == {}


def test_after_a_move_runs_are_sent_again_of_which_nobody_looked_for_the_files(
    store: Store, proxy: Proxy
) -> None:
    root = the_tree(store, children=0)
    assert synced(store) == ""
    forget_doubtful([root])
    assert left(store, proxy) == {}
    with contextlib.closing(sqlite3.connect(FOLDER / FILE)) as ledger:  # of before files were
        ledger.execute("PRAGMA user_version = 0")
    forget_doubtful([root])
    assert left(store, proxy) == {root: 1}
