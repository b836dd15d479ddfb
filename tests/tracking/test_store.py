import math
import shutil
from pathlib import Path

import pytest

from lab.tracking.sent import RECORDING_TAG
from lab.tracking.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own making


def test_a_run_interrupted_after_its_creation_gets_its_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    tags = {RECORDING_TAG: "r"}
    created = store.client.create_run(store.experiment, tags=tags, run_name="relu")
    run = {
        "name": "relu",
        "params": {"epochs": 3},
        "tags": {"model": "relu"},
        "note": "",
        "dataset": {"name": "MNIST", "digest": "d" * 64, "context": "training"},
        "fingerprint": "",
        "is_again": False,
        "recording": "r",
        "children": [],
    }
    (root,) = store.to_continue(run)
    assert root == created.info.run_id
    for _ in range(2):  # and whatever is there already is no error
        store.begin(1, run, 1_000, root)

    found = store.client.get_run(root)
    assert found.data.params == {"epochs": "3"}
    assert found.data.tags["model"] == "relu"
    assert [each.dataset.name for each in found.inputs.dataset_inputs] == ["MNIST"]


def a_run(recording: str) -> dict[str, object]:
    return {
        "name": "relu", "params": {}, "tags": {}, "note": "", "dataset": None, "children": [],
        "fingerprint": "", "is_again": False, "recording": recording,
    }  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, "mlflow.db")
    return Store(f"sqlite:///{tmp_path}/mlflow.db")


def test_numbers_that_are_none_are_recorded_once(store: Store) -> None:
    """An infinite one comes back from the database as the largest."""
    values = {"up": math.inf, "down": -math.inf, "none": math.nan, "usual": 0.1}
    store.begin(1, a_run("first"), 1_000)
    store.metrics(1, None, values, 1, 1_000)
    (root,) = store.ids(1)
    again = Store(store.uri)
    again.begin(1, a_run("second"), 2_000, root)
    again.metrics(1, None, values, 1, 2_000)

    assert again.ids(1) == [root]
    assert {name: len(store.client.get_metric_history(root, name)) for name in values} == (
        dict.fromkeys(values, 1)
    )
