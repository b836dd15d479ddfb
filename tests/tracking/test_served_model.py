import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from exports import metadata, trained
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from servers import held_port
from support import PATIENCE_SECONDS, started
from trained import (
    BYTES,
    CNN,
    DENSE,
    EMBEDDING,
    LOOKS,
    ROOT,
    SETTINGS,
    TRAIN,
    define,
    images,
    prepared,
    write_best,
)

from lab.base.params import ModelParams
from lab.data.examples import Scaling
from lab.data.prepared import Prepared
from lab.exporting import graphs
from lab.results.predictions import read_predictions
from lab.serving.network import Network
from lab.tracking.store import Store, served_model

pytestmark = [  # of MLflow's own making
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*type hint:UserWarning"),
]

GREY = prepared(images(90, 9, 8), "grey image", scaling=BYTES)
RUN = {
    "name": "comparison", "params": {}, "tags": {}, "note": "", "dataset": None, "children": [],
    "fingerprint": "", "is_again": False, "recording": "r",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, "mlflow.db")
    # MLflow sets it when a model is recorded.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


def recorded(build: Path) -> str:
    """The address of the model in the local store, recorded as compare.py does."""
    store = Store(f"sqlite:///{Path.cwd()}/mlflow.db")
    store.begin(1, RUN, 1_000)
    store.model(1, str(build))
    store.end(1, "FINISHED", 2_000)
    mlflow.set_tracking_uri(store.uri)
    return f"runs:/{store.ids(1)[0]}/model"


def as_trained(inputs: NDArray[Any]) -> NDArray[Any]:
    found = read_predictions(Path("models/runs/small/predictions.npz"), 3)
    return found.predictions[TRAIN.seeds.index(9)]


@pytest.mark.parametrize("model", [DENSE, CNN])
def test_mlflows_model_gives_classes_of_images_as_stored(model: ModelParams) -> None:
    loaded = mlflow.pyfunc.load_model(recorded(write_best(model, GREY)))

    assert loaded.metadata.signature.to_dict() == {
        "inputs": '[{"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 9, 8]}}]',
        "outputs": '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]',
        "params": None,
    }
    np.testing.assert_array_equal(loaded.input_example, GREY.test.inputs[:1])
    predicted = loaded.predict(GREY.test.inputs)
    assert predicted.dtype == np.int64
    np.testing.assert_array_equal(predicted, as_trained(GREY.test.inputs))
    for wrong in (
        GREY.test.inputs.reshape(90, -1),
        GREY.test.inputs / 255,
        np.zeros((45, 9, 16), np.uint8),
    ):
        with pytest.raises(MlflowException, match="does not match expected"):
            loaded.predict(wrong)


@pytest.mark.parametrize(("model", "owner"), [(DENSE, 1), (CNN, 2)])
def test_the_chosen_model_is_that_of_its_training_unless_its_export_is_a_program(
    model: ModelParams, owner: int
) -> None:
    build, results = write_best(model, GREY), "a" * 64
    store = Store(f"sqlite:///{Path.cwd()}/mlflow.db")
    for key, tags in ((1, {"results_sha256": results}), (2, {})):
        store.begin(key, {**RUN, "recording": f"r{key}", "tags": tags}, 1_000)
    store.model(1, str(build), "small")
    store.chosen(2, str(build), "small", "the card", results)

    (version,) = store.client.search_model_versions("name = 'fair-trial'")
    assert (version.run_id, version.description) == (store.ids(owner)[0], "the card")
    mlflow.set_tracking_uri(store.uri)
    loaded = mlflow.pyfunc.load_model("models:/fair-trial@chosen")
    np.testing.assert_array_equal(loaded.predict(GREY.test.inputs), as_trained(GREY.test.inputs))


def ids(monkeypatch: pytest.MonkeyPatch) -> tuple[ModelParams, Prepared]:
    define(monkeypatch, "bag", EMBEDDING)
    tokens = np.random.default_rng(0).integers(0, 30, (90, 4))
    return ModelParams(network="bag", width=6, **SETTINGS), prepared(tokens, "text", vocabulary=30)


def test_mlflows_model_refuses_ids_that_are_no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = ids(monkeypatch)
    loaded = mlflow.pyfunc.load_model(recorded(write_best(model, data)))

    np.testing.assert_array_equal(loaded.predict(data.test.inputs), as_trained(data.test.inputs))
    with pytest.raises(MlflowException, match="inputs must be 0 to 29; got 30 at row 1"):
        loaded.predict(data.test.inputs[:2] * 0 + [[0], [30]])


def of_rows(_: pytest.MonkeyPatch) -> tuple[ModelParams, Prepared]:
    rows = np.random.default_rng(0).normal(5, 3, (90, 3)).astype(np.float32)
    rows[::4, 1] = np.nan
    scaling = Scaling(shift=[5.0, 4.0, 6.0], scale=[3.0, 2.0, 1.0], fill=[5.0, 4.5, 6.0])
    return DENSE, prepared(rows, "row", scaling=scaling, columns=["a", "b", "c"])


@pytest.mark.parametrize(
    "task", [lambda _: (DENSE, GREY), lambda _: (CNN, GREY), of_rows, ids],
    ids=["dense", "program", "rows", "tokens"],
)  # fmt: skip
def test_the_onnx_file_predicts_what_mlflows_model_predicts_and_takes_nothing_that_that_refuses(
    task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = task(monkeypatch)
    graph, _, _ = trained(model, data)
    network = Network(graphs.written(graph, metadata(data)))
    loaded = mlflow.pyfunc.load_model(recorded(Path("models/best")))
    inputs = data.test.inputs

    for given in (inputs, inputs[:1], inputs[::-1]):
        np.testing.assert_array_equal(loaded.predict(given), network(given).argmax(axis=1))
    wrong = [inputs[0], inputs[:, :1], inputs.reshape(-1), inputs[None], inputs.astype(complex)]
    if inputs.dtype == np.int64:
        wrong += [inputs * 0 - 1, inputs * 0 + 30]
    elif inputs.dtype == np.uint8:
        wrong += [inputs / 255, inputs / 1.0, inputs * 0 + np.int64(300), -inputs.astype(int)]
    else:
        wrong += [inputs * np.float32("inf")]
    for given in wrong:
        with pytest.raises(MlflowException):
            loaded.predict(given)
        with pytest.raises(ValueError, match=r"^inputs must be "):
            network(given)


def test_mlflows_model_of_a_class_loads_where_the_repository_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    define(monkeypatch, "looks", LOOKS)
    rows = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    model = ModelParams(network="looks", signs=[1, -1], **SETTINGS)
    loaded = mlflow.pyfunc.load_model(recorded(write_best(model, prepared(rows, "row"))))

    np.testing.assert_array_equal(loaded.predict(rows), as_trained(rows))


def test_the_scoring_server_takes_json_and_refuses_pixels_from_0_to_1() -> None:
    loaded = mlflow.pyfunc.load_model(recorded(write_best(DENSE, GREY)))

    from mlflow.pyfunc import scoring_server  # whose import warns, see `pytestmark`

    def answer(pixels: NDArray[Any]) -> Any:
        body = json.dumps({"inputs": pixels.tolist()})
        schema = loaded.metadata.get_input_schema()
        return scoring_server.invocations(body, "application/json", loaded, schema)

    answered = answer(GREY.test.inputs)
    assert json.loads(answered.response)["predictions"] == as_trained(GREY.test.inputs).tolist()
    whole = answer(GREY.test.inputs.astype(float))
    assert json.loads(whole.response)["predictions"] == as_trained(GREY.test.inputs).tolist()
    unit = GREY.test.inputs / 255
    for scaled in (unit, (unit - 0.13) / 0.31, unit * 0.9):
        with pytest.raises(MlflowException, match=r"not be fractions.*send the bytes 0 to 255"):
            answer(scaled)
    for wrong, says in (
        (GREY.test.inputs * 0 + np.int64(300), "300 out of bounds"),
        (unit * 600, "out of bounds"),
        (unit * 2 - 1.0, "-1 out of bounds"),
        (unit * np.nan, "cannot convert float NaN"),
        (GREY.test.inputs[0], "does not match expected shape"),
        (np.zeros((18, 12, 12), int), "does not match expected shape"),  # as many as 36 of 9 x 8
        (np.zeros((18, 144), int), "does not match expected shape"),
    ):
        with pytest.raises(MlflowException, match=says):
            answer(wrong)


def test_no_form_of_a_table_cuts_across_images() -> None:
    """18 of 12 x 12 are as many pixels as 36 of 9 x 8."""
    loaded = mlflow.pyfunc.load_model(recorded(write_best(DENSE, GREY)))

    from mlflow.pyfunc import scoring_server

    pixels = np.random.default_rng(0).integers(9, 256, (18, 144))
    rows = {"columns": list(range(144)), "data": pixels.tolist()}
    lists = {"columns": ["image"], "data": [[row.tolist()] for row in pixels]}
    for table in (rows, lists):
        body = json.dumps({"dataframe_split": table})
        schema = loaded.metadata.get_input_schema()
        with pytest.raises(MlflowException, match=r"expected shape of|input shape must be"):
            scoring_server.invocations(body, "application/json", loaded, schema)
    for frame in (
        pd.DataFrame(pixels),
        pd.DataFrame({"image": list(pixels.astype(np.uint8).reshape(18, 12, 12))}),
    ):
        with pytest.raises(MlflowException, match=r"expected shape of|input shape must be"):
            loaded.predict(frame)


RECORDS = """
import sys
from lab.tracking.store import Store
store = Store("sqlite:///mlflow.db")
store.begin(1, %r, 1_000)
store.model(1, "models/best")
print("torch" in sys.modules)
"""


def test_recording_a_model_does_not_wait_for_torch() -> None:
    write_best(CNN, GREY)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, "-c", RECORDS % RUN],
        env=environment, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.slow
def test_mlflow_serves_a_model_without_this_repository(tmp_path: Path) -> None:
    mlflow.pyfunc.save_model("saved", **served_model(write_best(CNN, GREY)))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with held_port() as port, Path("log").open("wb") as log:
        command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", "saved"]
        command += ["--env-manager", "local", "--port", str(port)]
        with started(*command, cwd=tmp_path, env=environment, stdout=log, stderr=log) as process:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations",
                json.dumps({"inputs": GREY.test.inputs.tolist()}).encode(),
                {"Content-Type": "application/json"},
            )
            answer = _answer(request, process)
    assert answer == {"predictions": as_trained(GREY.test.inputs).tolist()}


def _answer(request: urllib.request.Request, process: "subprocess.Popen[str]") -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return json.load(response)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
