"""What the first `dvc repro` leaves, held against what it came from."""

import sys

import mlflow
import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.metrics import f1_score


def test_every_promised_file_is_there(trained):
    files = (
        file for name in ("metrics", "models") for file in trained.folder.glob(f"{name}/**/*.*")
    )
    found = {str(file.relative_to(trained.folder)) for file in files}

    assert {
        "metrics/check.json",
        "metrics/classes.png",
        "metrics/check.md",
        "metrics/dataset-card.md",
        "metrics/labels.json",
        "metrics/labels.md",
        "metrics/model-card.md",
        "metrics/robustness.json",
        "metrics/metrics.csv",
        "metrics/metrics.json",
        "metrics/comparison.json",
        "metrics/confusion.csv",
        "metrics/export.json",
        "metrics/confusion_matrix.png",
        "metrics/dataset.json",
        "metrics/scores.json",
        "models/export/reference.npz",
        "metrics/runs/relu_8.json",
        "metrics/runs/linear_4.json",
        "metrics/curves/relu_8.csv",
        "metrics/curves/linear_4.csv",
        "models/runs/relu_8/weights.safetensors",
        "models/runs/relu_8/predictions.npz",
        "models/runs/relu_8/validation_probabilities.npy",
        "models/runs/relu_8/test_probabilities.npy",
        "models/runs/linear_4/weights.safetensors",
        "models/runs/linear_4/predictions.npz",
        "models/runs/linear_4/validation_probabilities.npy",
        "models/runs/linear_4/test_probabilities.npy",
        "models/best/weights.safetensors",
        "models/best/model.json",
        "models/best/example.npy",
        "models/export/model.onnx",
        "models/export/ensemble.onnx",
    } == {name for name in found if not name.startswith(("metrics/.", "mlruns"))}


def test_results_agree_with_the_predictions_they_came_from(trained):
    run = trained.json("metrics/runs/relu_8.json")
    labels = np.load(trained.folder / "data/prepared/test_labels.npy")
    predictions = np.load(trained.folder / "models/runs/relu_8/predictions.npz")["predictions"]

    assert run["seeds"] == [0, 1, 2]
    assert run["test"]["accuracy"]["per_seed"] == (predictions == labels).mean(axis=1).tolist()
    assert 0.5 < run["test"]["accuracy"]["mean"] < 0.99


def test_probabilities_agree_with_the_predictions_and_the_scores_with_scikit_learn(trained):
    folder = trained.folder / "models/runs/relu_8"
    labels = np.load(trained.folder / "data/prepared/test_labels.npy")
    predictions = np.load(folder / "predictions.npz")
    probabilities_SNC = np.load(folder / "test_probabilities.npy")
    scores = trained.json("metrics/scores.json")["test"]["relu_8"]
    run = trained.json("metrics/runs/relu_8.json")["test"]

    assert probabilities_SNC.shape == (3, 300, 4)
    np.testing.assert_array_equal(probabilities_SNC.argmax(axis=2), predictions["predictions"])
    np.testing.assert_array_equal(probabilities_SNC.max(axis=2), predictions["confidence"])
    assert {name: scores[name] for name in run} == run
    assert scores["macro_f1"]["per_seed"] == pytest.approx(
        [f1_score(labels, row, average="macro") for row in predictions["predictions"]], rel=1e-12
    )
    assert scores["log_loss"]["mean"] == pytest.approx(run["loss"]["mean"], rel=1e-4)


def test_the_best_model_is_chosen_by_validation_and_loads_into_torch(trained):
    validation = {
        name: trained.json(f"metrics/runs/{name}.json")["validation"]["accuracy"]
        for name in ("relu_8", "linear_4")
    }
    best = trained.json("models/best/model.json")
    name = max(validation, key=lambda model: validation[model]["mean"])
    assert best["model"] == name
    assert best["seed"] == int(np.argmax(validation[name]["per_seed"]))

    (hidden,) = best["arguments"]["hidden"]
    activation = {"relu": torch.nn.ReLU, "linear": torch.nn.Identity}[best["layers"]["activation"]]
    inputs, _, classes = best["layers"]["widths"]
    network = torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden), activation(), torch.nn.Linear(hidden, classes)
    )
    network.load_state_dict(
        safetensors.torch.load_file(trained.folder / "models/best/weights.safetensors")
    )
    images = np.load(trained.folder / "data/prepared/test_inputs.npy").reshape(-1, inputs) / 255
    labels = np.load(trained.folder / "data/prepared/test_labels.npy")
    predicted = network(torch.tensor(images, dtype=torch.float32)).argmax(dim=1).numpy()
    run = trained.json(f"metrics/runs/{name}.json")["test"]["accuracy"]["per_seed"]
    assert (predicted == labels).mean() == pytest.approx(run[best["seed"]], abs=2e-4)


def test_the_best_model_and_seed_are_chosen_by_the_score_that_params_name(repository):
    repository.edit("margin: 0.001", "margin: 0.001\n  metric: log_loss")
    output = repository.run("python", "compare.py")
    found = repository.json("metrics/comparison.json")
    validation = repository.json("metrics/scores.json")["validation"]
    best = min(validation, key=lambda name: validation[name]["log_loss"]["mean"])

    assert found["metric"] == {"name": "log_loss", "unit": "nats", "higher_is_better": False}
    assert found["chosen"] == {
        "model": best,
        "seed": int(np.argmin(validation[best]["log_loss"]["per_seed"])),
    }
    assert f"chosen by validation log_loss: {best} (seed " in output
    assert " nats [" in output
    assert found["differences"][0]["estimate"] < 0
    assert list(repository.json("metrics/metrics.json")) == [
        "model",
        "accuracy",
        "loss",
        "log_loss",
    ]


def test_the_second_interval_is_for_other_images(trained):
    """From the predictions, chosen model minus the other, by the formulas of the book."""
    compared = trained.json("metrics/comparison.json")
    found = compared["differences"][0]
    labels = np.load(trained.folder / "data/prepared/test_labels.npy")
    new, old = (
        np.load(trained.folder / f"models/runs/{name}/predictions.npz")["predictions"] == labels
        for name in (found["candidate"], found["baseline"])
    )
    difference = new.astype(float) - old
    seeds, images = difference.shape
    of_seeds = images * difference.mean(axis=1).var(ddof=1)
    of_images = seeds * difference.mean(axis=0).var(ddof=1)
    total = ((difference - difference.mean()) ** 2).sum()
    rest = total - (seeds - 1) * of_seeds - (images - 1) * of_images
    residual = rest / ((seeds - 1) * (images - 1))
    variance = (of_seeds + max(0, of_images - residual)) / (seeds * images)
    low, high = found["images"]

    assert found["candidate"] == compared["chosen"]["model"]
    assert (low + high) / 2 == pytest.approx(difference.mean())
    assert 1.96 < (high - low) / 2 / variance**0.5 < 4.31  # t of at least two degrees of freedom


def test_the_files_that_keep_their_old_names_say_what_the_new_ones_do(trained):
    runs = {name: trained.json(f"metrics/runs/{name}.json") for name in ("relu_8", "linear_4")}
    best = trained.json("models/best/model.json")
    chosen = runs[best["model"]]["test"]
    table = (trained.folder / "metrics/metrics.csv").read_text(encoding="utf-8").splitlines()
    rows = (trained.folder / "metrics/confusion.csv").read_text(encoding="utf-8").splitlines()
    picture = (trained.folder / "metrics/confusion_matrix.png").read_bytes()

    assert table == [
        "model,val_loss,val_acc",
        *(
            f"{name},{run['validation']['loss']['mean']},{run['validation']['accuracy']['mean']}"
            for name, run in runs.items()
        ),
    ]
    assert trained.json("metrics/metrics.json") == {
        "model": best["model"],
        "accuracy": chosen["accuracy"]["mean"],
        "loss": chosen["loss"]["mean"],
    }
    assert rows[0] == "actual,predicted"
    right = sum(actual == predicted for actual, _, predicted in (r.partition(",") for r in rows))
    assert (
        right / trained.json("metrics/dataset.json")["test"]["examples"]
        == chosen["accuracy"]["per_seed"][best["seed"]]
    )
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # inside MLflow
def test_runs_are_in_the_local_store_with_seeds_nested_and_a_model_that_predicts(repository):
    store = f"sqlite:///{repository.folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(store)
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=1000)
    parents = {r.info.run_name: r for r in runs if "mlflow.parentRunId" not in r.data.tags}
    parent = parents["relu_8"]
    nested = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    written = repository.json("metrics/runs/relu_8.json")

    compared = repository.json("metrics/comparison.json")
    name = compared["chosen"]["model"]
    comparison = parents[f"comparison: {name} chosen"]
    assert {"relu_8", "linear_4"} <= set(parents)
    assert sorted(r.info.run_name for r in nested) == [f"relu_8 seed {seed}" for seed in range(3)]
    assert parent.data.metrics["test_accuracy"] == written["test"]["accuracy"]["mean"]
    shown = f"{100 * written['test']['accuracy']['mean']:.2f} % ("
    assert parent.data.tags["test accuracy"].startswith(shown)
    assert parent.data.tags["cost"].endswith(" s")
    assert not [metric for metric in parent.data.metrics if "/" in metric]
    assert {r.data.tags["model"] for r in nested} == {"relu_8"}
    scores = repository.json("metrics/scores.json")["test"]["relu_8"]
    assert parent.data.metrics["test_macro_f1"] == scores["macro_f1"]["mean"]
    assert "validation_log_loss" in parent.data.metrics
    of_seeds = {r.data.tags["seed"]: r.data.metrics["test_macro_f1"] for r in nested}
    assert [of_seeds[seed] for seed in "012"] == scores["macro_f1"]["per_seed"]
    assert comparison.data.params["metric"] == "accuracy"
    assert comparison.data.metrics == {}  # it is no further model
    assert "model" not in comparison.data.tags
    assert comparison.data.tags["verdict"] in comparison.data.tags["mlflow.note.content"]
    verdicts = {each: parents[each].data.tags["verdict"] for each in ("relu_8", "linear_4")}
    assert verdicts.pop(name).startswith("chosen: ")
    assert all(said.startswith(f"not chosen: {name} ") for said in verdicts.values())
    assert parent.data.params["hidden"] == "[8]"
    assert len(client.get_metric_history(nested[0].info.run_id, "validation_accuracy")) == 1
    assert (
        parent.data.tags["data_sha256"]
        == repository.json("metrics/dataset.json")["train"]["sha256"]
    )


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # inside MLflow
def test_a_training_that_comes_to_the_same_results_has_their_verdict(repository):
    """DVC compares no results again that it has compared before."""
    repository.run(sys.executable, "train.py", "relu_8")

    client = mlflow.MlflowClient(f"sqlite:///{repository.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("fair-trial").experiment_id
    runs = client.search_runs([experiment], "attributes.run_name = 'relu_8'")
    newest, before = (run.data.tags for run in runs)
    assert newest["verdict"] == before["verdict"]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # inside MLflow
def test_each_models_run_shows_it_and_the_chosen_one_is_registered(repository, monkeypatch):
    monkeypatch.chdir(repository.folder)
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_experiment_by_name("fair-trial")
    runs = client.search_runs([experiment.experiment_id], "tags.stage LIKE 'train@%'")
    parents = {r.info.run_name: r for r in runs if "mlflow.parentRunId" not in r.data.tags}
    logged = client.search_logged_models([experiment.experiment_id])
    chosen = repository.json("metrics/comparison.json")["chosen"]
    version = client.get_model_version_by_alias("fair-trial", "chosen")
    card = client.get_registered_model("fair-trial").description

    assert sorted(model.name for model in logged) == ["linear_4", "relu_8"]
    for name, run in parents.items():
        shown = {file.path: file.file_size for file in client.list_artifacts(run.info.run_id)}
        assert {"confusion_matrix.png", "learning_curves.png", "report.html"} <= set(shown)
        (output,) = run.outputs.model_outputs
        (model,) = (each for each in logged if each.model_id == output.model_id)
        assert model.name == name
        of_model = {metric.key: metric for metric in model.metrics}
        assert of_model["test_accuracy"].value == run.data.metrics["test_accuracy"]
        assert of_model["test_accuracy"].dataset_name == run.inputs.dataset_inputs[0].dataset.name
        assert model.params["git_commit"] == run.data.tags["git_commit"]
    assert version.run_id == parents[chosen["model"]].info.run_id
    assert card.startswith(f"**{chosen['model']}**, seed {chosen['seed']}")
    assert version.description == card
