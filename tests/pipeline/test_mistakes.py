"""Slips of a user are one line, before anything is lost."""

import numpy as np
import pytest


def test_a_slip_in_params_is_reported_before_anything_is_lost(repository):
    before = repository.tracked()
    repository.edit("learning_rate: 0.01", "learning_rat: 0.01")
    first = repository.run("python", "-m", "lab.base.params", code=2)
    by_stage = repository.run("python", "train.py", "relu_8", code=2)

    assert "models.relu_8.learning_rat: unknown key; got 0.01; did you mean learning_rate?" in first
    assert by_stage == first.replace("params.py", "train.py")
    assert repository.tracked() == before


@pytest.mark.parametrize(
    ("command", "reported"),
    [
        (["train.py", "resnet"], "train.py: params.yaml: models: unknown model; got 'resnet'; "
                                 "use one of relu_8, linear_4\n"),
        (["train.py", "--help"], "an entry of `models:` in params.yaml"),
    ],
)  # fmt: skip
def test_command_lines(repository, command, reported):
    assert reported in repository.run("python", *command, code=0 if "--help" in command else 2)


def test_prepared_data_of_another_shape_is_refused(repository):
    path = repository.folder / "data/prepared/test_labels.npy"
    path.unlink()
    np.save(path, np.zeros(3, np.float64))
    reported = repository.run("python", "train.py", "relu_8", code=2)

    assert reported.startswith("train.py: data/prepared/test_labels.npy: ")
    assert reported.count("\n") == 1


def test_results_of_other_seeds_are_not_compared(repository):
    repository.edit("seeds: [0, 1, 2]", "seeds: [0, 1]")

    assert repository.run("python", "compare.py", code=2) == (
        "compare.py: metrics/runs/relu_8.json: seeds must be those of params.yaml; "
        "got [0, 1, 2]; run `dvc repro`\n"
    )
