"""Two branches that changed one model each, merged: the recipe of `make merged` (Makefile)."""

from lab.base.stages import read_stages
from lab.evidence.staleness import staleness

NAMES = ("relu_8", "linear_4")


def train_on_a_branch(repository, name: str) -> str:
    """Makes a branch that trained one model with another dropout; returns its results."""
    repository.run("git", "checkout", "--quiet", "-b", f"change-{name}", "main")
    activation = name.split("_")[0]
    repository.edit("params.yaml", f"{activation}, dropout: 0.0", f"{activation}, dropout: 0.25")
    repository.repro()
    repository.commit(name)
    return (repository.folder / f"metrics/runs/{name}.json").read_text()


def test_results_of_both_branches_come_together_without_training_again(repository):
    """What either branch trained comes back from DVC's run cache; the comparison runs anew."""
    repository.edit("params.yaml", "  linear_4:", "\n\n\n  linear_4:")  # apart: no conflict there
    repository.commit("apart")
    repository.run("git", "branch", "--quiet", "--force", "main")
    trained = {name: train_on_a_branch(repository, name) for name in NAMES}
    merged = repository.run(
        "sh", "-c", f"git merge --quiet change-{NAMES[0]} || git diff --name-only --diff-filter=U"
    )
    assert "metrics/metrics.csv" in merged
    assert "params.yaml" not in merged.splitlines()

    repository.run("git", "checkout", "--quiet", "HEAD", "--", "dvc.lock", "metrics")
    printed = repository.run("dvc", "repro")
    repository.run("git", "add", "dvc.lock", "metrics")
    repository.run("git", "commit", "--quiet", "--no-edit")

    assert "Running stage 'compare'" in printed
    assert "Running stage 'train" not in printed
    for name, results in trained.items():
        assert (repository.folder / f"metrics/runs/{name}.json").read_text() == results
    assert staleness(repository.folder, read_stages(repository.folder)) == {}
    assert repository.run("git", "status", "--porcelain") == ""
