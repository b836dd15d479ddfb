"""The pipeline as a user runs it: real DVC, real git, real MNIST, small settings."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
import safetensors.torch
import torch
from ruamel.yaml import YAML
from support import SMALL, copy_of_the_code, run_in, started

ROOT = Path(__file__).parent.parent
THIRD = """\
  tanh_4:
    {network: feed_forward, hidden: [4], activation: tanh, dropout: 0.0, optimizer: sgd,
     learning_rate: 0.1, schedule: cosine, weight_decay: 0.0}
compare:"""


class Repository:
    """A clone of this repository, with its own git history, params and MLflow store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = str(Path(sys.executable).parent)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")},
            "PATH": bin_folder + os.pathsep + os.environ["PATH"],
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
            "COLUMNS": "200",
        }  # fmt: skip

    def run(self, *command: str, code: int = 0) -> str:
        return run_in(self.folder, self.environment, *command, code=code)

    def dvc(self, *arguments: str, code: int = 0) -> str:
        return self.run("dvc", *arguments, code=code)

    def ran(self, output: str) -> list[str]:
        return re.findall(r"Running stage '(.+)':", output)

    def edit(self, old: str, new: str) -> None:
        path = self.folder / "params.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def json(self, path: str) -> dict:
        return json.loads((self.folder / path).read_text())

    def tracked(self) -> dict[str, bytes]:
        """The result files git tracks."""
        files = sorted((self.folder / "metrics").rglob("*"))
        return {str(path): path.read_bytes() for path in files if path.is_file()}

    def recorded(self) -> list[tuple[str, str]]:
        """Name and status of all MLflow runs, in the order in which they began."""
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            return database.execute("SELECT name, status FROM runs ORDER BY rowid").fetchall()

    def kill(self, command: str, when: str) -> None:
        """Kills a command and what it started as soon as it prints something."""
        with started(
            *command.split(), cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            output = ""
            for line in process.stdout or ():
                output += line
                if when in line:
                    return  # and `started` kills
        pytest.fail(output)

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "results")


@pytest.fixture(scope="module")
def repository(tmp_path_factory, raw_mnist) -> Repository:
    folder = tmp_path_factory.mktemp("pipeline") / "repository"
    copy_of_the_code(folder)
    shutil.copytree(raw_mnist, folder / "data" / "raw" / "MNIST")
    (folder / "params.yaml").write_text(SMALL)
    created = Repository(folder)
    created.run("git", "init", "-q", "-b", "main")
    created.commit()
    output = created.dvc("repro")
    assert created.ran(output) == ["prepare", "train@relu_8", "train@linear_4", "compare"]
    created.commit()
    return created


@pytest.fixture
def small(repository):
    """The repository as it was after its first run, whatever a test did to it."""
    yield repository
    repository.run("git", "reset", "-q", "--hard")
    repository.run("git", "clean", "-qfd")
    repository.dvc("checkout", "-q", "--force")


def test_every_promised_file_is_there(small):
    found = {str(path.relative_to(small.folder)) for path in small.folder.glob("m*/**/*.*")}

    assert {
        "metrics/metrics.csv",
        "metrics/metrics.json",
        "metrics/comparison.json",
        "metrics/confusion.csv",
        "metrics/confusion_matrix.png",
        "metrics/dataset.json",
        "metrics/runs/relu_8.json",
        "metrics/runs/linear_4.json",
        "metrics/curves/relu_8.csv",
        "metrics/curves/linear_4.csv",
        "models/runs/relu_8/weights.safetensors",
        "models/runs/relu_8/predictions.npz",
        "models/runs/linear_4/weights.safetensors",
        "models/runs/linear_4/predictions.npz",
        "models/best/weights.safetensors",
        "models/best/model.json",
    } == {name for name in found if not name.startswith(("metrics/.", "mlruns"))}


@pytest.mark.parametrize("when", ["relu_8: epoch 2,", "relu_8: test accuracy"])
@pytest.mark.parametrize("command", ["dvc repro", "python train_parallel.py"])
def test_a_killed_training_goes_on_to_the_same_bytes_in_the_same_runs(small, command, when):
    small.edit("epochs: 1", "epochs: 12")
    small.dvc("repro", "train@relu_8")
    results = small.folder / "metrics/runs/relu_8.json"
    expected = results.read_bytes()
    shutil.rmtree(small.folder / ".dvc/cache/runs")
    shutil.rmtree(small.folder / ".checkpoints")
    small.run("git", "checkout", "-q", "HEAD", "metrics", "dvc.lock")
    before = small.recorded()
    small.kill(command, when)
    if "epoch" in when:
        assert small.run("git", "status", "--short", "metrics") == ""

    output = small.run(*command.split())

    assert "go on after the last finished epoch" in output
    assert results.read_bytes() == expected
    assert list((small.folder / ".checkpoints").iterdir()) == []
    new = small.recorded()[len(before) :]
    assert new.count(("relu_8", "FINISHED")) == 1
    assert {status for _, status in new} == {"FINISHED"}


def test_results_agree_with_the_predictions_they_came_from(small):
    run = small.json("metrics/runs/relu_8.json")
    labels = np.load(small.folder / "data/prepared/test_labels.npy")
    predictions = np.load(small.folder / "models/runs/relu_8/predictions.npz")["predictions"]

    assert run["seeds"] == [0, 1, 2]
    assert run["test"]["accuracy"]["per_seed"] == (predictions == labels).mean(axis=1).tolist()
    assert 0.8 < run["test"]["accuracy"]["mean"] < 0.95


def test_the_best_model_is_chosen_by_validation_and_loads_into_torch(small):
    validation = {
        name: small.json(f"metrics/runs/{name}.json")["validation"]["accuracy"]
        for name in ("relu_8", "linear_4")
    }
    best = small.json("models/best/model.json")
    name = max(validation, key=lambda model: validation[model]["mean"])
    assert best["model"] == name
    assert best["seed"] == int(np.argmax(validation[name]["per_seed"]))

    activation = {"relu": torch.nn.ReLU, "linear": torch.nn.Identity}[best["activation"]]
    network = torch.nn.Sequential(
        torch.nn.Linear(784, best["hidden"][0]), activation(), torch.nn.Linear(*best["hidden"], 10)
    )
    network.load_state_dict(
        safetensors.torch.load_file(small.folder / "models/best/weights.safetensors")
    )
    images = np.load(small.folder / "data/prepared/test_images.npy").reshape(-1, 784) / 255
    labels = np.load(small.folder / "data/prepared/test_labels.npy")
    predicted = network(torch.tensor(images, dtype=torch.float32)).argmax(dim=1).numpy()
    run = small.json(f"metrics/runs/{name}.json")["test"]["accuracy"]["per_seed"]
    assert (predicted == labels).mean() == pytest.approx(run[best["seed"]], abs=2e-4)


def test_the_ancestors_files_say_what_they_said(small):
    run = small.json("metrics/runs/relu_8.json")
    chosen = small.json("metrics/metrics.json")
    table = (small.folder / "metrics/metrics.csv").read_text().splitlines()
    rows = (small.folder / "metrics/confusion.csv").read_text().splitlines()
    picture = (small.folder / "metrics/confusion_matrix.png").read_bytes()

    assert table[0] == "model,val_loss,val_acc"
    assert table[1] == (
        f"relu_8,{run['validation']['loss']['mean']},{run['validation']['accuracy']['mean']}"
    )
    assert chosen == {
        "model": "relu_8",
        "accuracy": run["test"]["accuracy"]["mean"],
        "loss": run["test"]["loss"]["mean"],
    }
    assert rows[0] == "actual,predicted"
    right = sum(actual == predicted for actual, _, predicted in (r.partition(",") for r in rows))
    assert (
        right / 10_000
        == run["test"]["accuracy"]["per_seed"][small.json("models/best/model.json")["seed"]]
    )
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # inside MLflow
def test_runs_are_in_the_local_store_with_seeds_nested_and_a_model_that_predicts(small):
    store = f"sqlite:///{small.folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(store)
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=1000)
    parents = {r.info.run_name: r for r in runs if "mlflow.parentRunId" not in r.data.tags}
    parent = parents["relu_8"]
    nested = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    written = small.json("metrics/runs/relu_8.json")

    assert {"relu_8", "linear_4", "comparison"} <= set(parents)
    assert sorted(r.info.run_name for r in nested) == [f"relu_8 seed {seed}" for seed in range(3)]
    assert parent.data.metrics["test_accuracy"] == written["test"]["accuracy"]["mean"]
    assert parent.data.metrics["spread/test_accuracy_sd"] == written["test"]["accuracy"]["sd"]
    assert {r.data.tags["model"] for r in nested} == {"relu_8"}
    assert parent.data.params["hidden"] == "[8]"
    assert len(client.get_metric_history(nested[0].info.run_id, "validation_accuracy")) == 1
    assert parent.data.tags["data_sha256"] == small.json("metrics/dataset.json")["train"]["sha256"]


def test_a_second_run_does_nothing(small):
    assert small.ran(small.dvc("repro")) == []


def test_a_forced_run_writes_the_same_bytes(small):
    before = small.tracked()
    small.dvc("repro", "--force")

    assert small.tracked() == before
    assert len(before) == 10


def test_editing_a_model_retrains_that_model_only(small):
    small.edit("linear_4:\n    {network: feed_forward, hidden: [4]", "linear_4:\n    {hidden: [3]")

    assert small.ran(small.dvc("repro")) == ["train@linear_4", "compare"]
    assert "metrics/runs/linear_4.json" in small.dvc("metrics", "diff", "--md")
    assert "models.linear_4.hidden" in small.dvc("params", "diff", "--md")


def test_adding_and_removing_a_model_is_an_edit_of_params_alone(small):
    small.edit("compare:", THIRD)
    assert small.ran(small.dvc("repro")) == ["train@tanh_4", "compare"]
    assert "tanh_4" in (small.folder / "metrics/metrics.csv").read_text()
    assert len(small.json("metrics/comparison.json")["differences"]) == 2

    (small.folder / "params.yaml").write_text(SMALL)
    assert small.ran(small.dvc("repro")) == ["compare"]
    assert "tanh_4" not in (small.folder / "metrics/metrics.csv").read_text()


def test_another_split_does_not_fetch_again(small):
    small.edit("validation_size: 500", "validation_size: 600")
    output = small.dvc("repro", "prepare")

    assert "MNIST: 59,400 images to train, 600 to validate" in output
    assert "fetching" not in output


def test_experiments_run_and_are_shown(small):
    output = small.dvc("exp", "run", "-S", "train.epochs=2", "--name", "two-epochs")

    assert "train@relu_8" in small.ran(output)
    shown = small.dvc("exp", "show", "--csv")
    assert "two-epochs" in shown
    assert "metrics/metrics.json:accuracy" in shown or "accuracy" in shown.splitlines()[0]


def test_metrics_plots_and_dag_have_something_to_show(small):
    metrics = small.dvc("metrics", "show", "--md")
    plots = small.dvc("plots", "show", "--json")

    assert "metrics/runs/relu_8.json" in metrics
    assert "test.accuracy.mean" in metrics
    for name in ("metrics/curves/relu_8.csv", "metrics/confusion.csv", "confusion_matrix.png"):
        assert name in plots
    assert "train@linear_4" in small.dvc("dag", "--md")


def test_a_slip_in_params_is_told_before_anything_is_lost(small):
    before = small.tracked()
    small.edit("learning_rate: 0.01", "learning_rat: 0.01")
    told = small.run("python", "-m", "lab.base.params", code=2)
    by_stage = small.run("python", "train.py", "relu_8", code=2)

    assert "models.relu_8.learning_rat: unknown key; got 0.01; did you mean learning_rate?" in told
    assert by_stage == told.replace("params.py", "train.py")
    assert small.tracked() == before


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["train.py", "resnet"], "train.py: params.yaml: models: unknown model; got 'resnet'; "
                                 "use one of relu_8, linear_4\n"),
        (["train.py"], "the following arguments are required: model"),
        (["train.py", "--help"], "an entry of `models:` in params.yaml"),
    ],
)  # fmt: skip
def test_command_lines(small, command, told):
    assert told in small.run("python", *command, code=0 if "--help" in command else 2)


def test_prepared_data_of_another_shape_is_refused(small):
    path = small.folder / "data/prepared/test_labels.npy"
    path.unlink()
    np.save(path, np.zeros(3, np.float64))
    told = small.run("python", "train.py", "relu_8", code=2)

    assert told.startswith("train.py: data/prepared/test_labels.npy: ")
    assert told.count("\n") == 1


def test_results_of_other_seeds_are_not_compared(small):
    small.edit("seeds: [0, 1, 2]", "seeds: [0, 1]")

    assert small.run("python", "compare.py", code=2) == (
        "compare.py: metrics/runs/relu_8.json: seeds must be those of params.yaml; "
        "got [0, 1, 2]; run `dvc repro`\n"
    )


def modules_imported_by(script: Path) -> set[str]:
    """The files of `lab/` that a script imports, directly or through others, with the package."""
    found: set[str] = set()
    queue = [script]
    while queue:
        text = queue.pop().read_text()
        names = re.findall(r"^\s*from lab\.(\w+) import", text, re.MULTILINE)
        for group in re.findall(r"^\s*from lab import (.+)$", text, re.MULTILINE):
            names += [name.strip() for name in group.split(",")]
        new = {f"lab/{name}.py" for name in names} - found
        found |= new
        queue += [ROOT / name for name in new]
    return found | {"lab/__init__.py"}


@pytest.mark.parametrize("stage", ["prepare", "train", "compare"])
def test_every_stage_lists_the_modules_it_imports(stage):
    tree = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    deps = set(tree.get("do", tree)["deps"])

    code = {dep for dep in deps if dep.endswith(".py")}
    assert code == modules_imported_by(ROOT / f"{stage}.py") | {f"{stage}.py"}
