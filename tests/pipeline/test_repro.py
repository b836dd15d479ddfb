"""What `dvc repro` runs again after a change, and what it leaves alone."""

import pytest
from support import SMALL

THIRD = """\
  tanh_4:
    {network: feed_forward, hidden: [4], activation: tanh, dropout: 0.0, optimizer: sgd,
     learning_rate: 0.1, schedule: cosine, weight_decay: 0.0}
compare:"""


def test_a_second_run_does_nothing(repository):
    assert repository.repro() == []


@pytest.mark.slow
def test_a_forced_run_writes_the_same_bytes(repository):
    before = repository.tracked()
    repository.dvc("repro", "--force")

    assert repository.tracked() == before
    assert len(before) == 17


def test_editing_a_model_retrains_that_model_only(repository):
    repository.edit(
        "linear_4:\n    {network: feed_forward, hidden: [4]",
        "linear_4:\n    {network: feed_forward, hidden: [3]",
    )

    assert repository.stale() == ["train@linear_4", "compare", "model_card"]
    assert "models.linear_4.hidden" in repository.dvc("params", "diff", "--md")


@pytest.mark.slow
def test_adding_and_removing_a_model_is_an_edit_of_params_alone(repository):
    repository.edit("compare:", THIRD)
    assert repository.repro() == ["train@tanh_4", "compare", "export", "model_card"]
    assert "metrics/runs/tanh_4.json" in repository.dvc("metrics", "diff", "--md")
    assert "tanh_4" in (repository.folder / "metrics/metrics.csv").read_text(encoding="utf-8")
    assert len(repository.json("metrics/comparison.json")["differences"]) == 2

    (repository.folder / "params.yaml").write_text(SMALL, encoding="utf-8")
    assert repository.repro() == ["compare", "export", "model_card"]
    assert "tanh_4" not in (repository.folder / "metrics/metrics.csv").read_text(encoding="utf-8")


def test_another_split_leaves_what_was_fetched(repository):
    fetched = repository.folder / "data/raw/tiny/fetched"
    fetched.write_text("at some cost", encoding="utf-8")
    repository.edit("validation_size: 200", "validation_size: 250")
    output = repository.dvc("repro", "prepare")

    assert "tiny: 750 examples to train, 250 to validate, 300 to test" in output
    assert fetched.read_text(encoding="utf-8") == "at some cost"
