"""A training that is killed goes on where it was, in the runs it had begun."""

import shutil

import pytest


# Shorter: tests/training/test_checkpoints.py, and the killed scripts of tests/tracking.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "when"),
    [
        ("dvc repro", "relu_8: epoch 2,"),
        ("dvc repro", "relu_8: test accuracy"),
        ("python train_parallel.py", "relu_8: epoch 2,"),
        ("python train_parallel.py", "relu_8: test accuracy"),
    ],
)
def test_a_killed_training_goes_on_to_the_same_bytes_in_the_same_runs(repository, command, when):
    repository.edit("epochs: 1", "epochs: 200")  # long enough to be killed in
    repository.dvc("repro", "train@relu_8")
    results = repository.folder / "metrics/runs/relu_8.json"
    expected = results.read_bytes()
    shutil.rmtree(repository.folder / ".dvc/cache/runs")
    shutil.rmtree(repository.folder / ".checkpoints")
    repository.run("git", "checkout", "-q", "HEAD", "metrics", "dvc.lock")
    before = repository.recorded()
    repository.kill(command, when)
    if "epoch" in when:
        assert repository.run("git", "status", "--short", "metrics") == ""

    output = repository.run(*command.split())

    assert "go on after the last finished epoch" in output
    assert results.read_bytes() == expected
    assert list((repository.folder / ".checkpoints").iterdir()) == []
    new = repository.recorded()[len(before) :]
    assert new.count(("relu_8", "FINISHED")) == 1
    assert [name for name, status in new if status != "FINISHED"] == []
