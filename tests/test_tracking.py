import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lab import tracking


def a_run(seeds: int = 2) -> tracking.Run:
    children = [
        tracking.Run(f"relu_4 seed {seed}", {"seed": seed}, {"model": "relu_4"})
        for seed in range(seeds)
    ]
    return tracking.Run(
        "relu_4",
        {"learning_rate": 0.001},
        {"model": "relu_4"},
        "Run `make repro`.",
        tracking.Dataset("MNIST", "a" * 64),
        children,
    )


def rows(query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect("mlflow.db") as database:
        return database.execute(query).fetchall()


@pytest.fixture
def build(tmp_path: Path) -> Path:
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    description = {"inputs": 4, "hidden": [3], "activation": "relu", "classes": 2}
    (tmp_path / "model.json").write_text(json.dumps(description))
    return tmp_path


def test_a_run_is_recorded_whole(
    tmp_path: Path, build: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics.csv").write_text("model\n")
    with tracking.recording(a_run()) as recorder:
        recorder.metrics({"accuracy": 0.5}, step=1)
        recorder.metrics({"accuracy": float("nan")}, step=1, child="relu_4 seed 1")
        recorder.artifact(tmp_path / "metrics.csv", "results")
        recorder.model(build)
    assert capfd.readouterr() == ("", "")
    assert rows("SELECT name, status FROM runs ORDER BY name") == [
        ("relu_4", "FINISHED"),
        ("relu_4 seed 0", "FINISHED"),
        ("relu_4 seed 1", "FINISHED"),
    ]
    assert rows("SELECT value, is_nan, step FROM metrics ORDER BY is_nan") == [
        (0.5, 0, 1),
        (0.0, 1, 1),
    ]
    assert len(list(tmp_path.glob("mlruns/*/artifacts/results/metrics.csv"))) == 1
    assert len(list(tmp_path.glob("mlruns/models/*/artifacts/MLmodel"))) == 1


def test_importing_it_imports_neither_mlflow_nor_torch() -> None:
    code = "import sys, lab.tracking; print({'mlflow', 'torch', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
