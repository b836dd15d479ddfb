"""DVC's own commands have something to show: experiments, metrics, plots and the graph."""

import pytest
from repository import stages_run


@pytest.mark.slow
def test_experiments_run_and_are_shown(repository):
    output = repository.dvc("exp", "run", "-S", "train.epochs=2", "--name", "two-epochs")

    assert "train@relu_8" in stages_run(output)
    shown = repository.dvc("exp", "show", "--csv")
    assert "two-epochs" in shown
    assert "metrics/metrics.json:accuracy" in shown or "accuracy" in shown.splitlines()[0]


def test_metrics_plots_and_dag_have_something_to_show(repository):
    metrics = repository.dvc("metrics", "show", "--md")
    plots = repository.dvc("plots", "show", "--json")

    assert "metrics/runs/relu_8.json" in metrics
    assert "test.accuracy.mean" in metrics
    assert "test.relu_8.macro_f1.mean" in metrics
    assert "sha256" not in metrics
    for name in ("metrics/curves/relu_8.csv", "metrics/confusion.csv", "confusion_matrix.png"):
        assert name in plots
    assert "train@linear_4" in repository.dvc("dag", "--md")
