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
