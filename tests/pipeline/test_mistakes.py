"""Slips of a user are one line, before anything is lost."""

import numpy as np
import pytest


def test_a_slip_in_params_is_reported_before_anything_is_lost(repository):
    before = repository.tracked()
    repository.edit("learning_rate: 0.01", "learning_rat: 0.01")
    first = repository.run("python", "-m", "lab.data.datasets", code=2)
    by_stage = repository.run("python", "train.py", "relu_8", code=2)

    assert "models.relu_8.learning_rat: unknown key; got 0.01; did you mean learning_rate?" in first
    assert by_stage == first.replace("datasets.py", "train.py")
    assert repository.tracked() == before


def test_a_params_of_before_the_data_checks_is_told_what_it_lacks(repository):
    params = repository.folder / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").split("check:")[0], encoding="utf-8")
    said = repository.run("python", "-m", "lab.data.datasets", code=2)

    assert said.count("\n") == 1
    assert "params.yaml: check.labels: missing key; add it (folds: 0 looks at no labels)" in said


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


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ("return 1 / 0", "raised ZeroDivisionError: division by zero"),
        ("return labels.mean() * float('nan')", "must return one finite number; got NaN"),
        ("return labels", "must return one finite number; got a value of type memmap"),
    ],
)
def test_a_score_that_fails_is_one_line_and_leaves_all_results_as_they_were(repository, body, got):
    before = repository.tracked()
    own = f"@metric(unit='s', higher_is_better=True)\ndef own(_, __, labels):\n    {body}\n"
    own = f"from lab.results.scores import metric\n\n\n{own}\n\n__all__"
    repository.edit("__all__", own, path="task/metrics.py")

    assert repository.run("python", "compare.py", code=2) == (
        f"compare.py: task/metrics.py: own: relu_8, validation, seed 0: {got}; "
        "correct the function\n"
    )
    assert repository.tracked() == before


def test_a_training_with_a_broken_score_is_complete_and_says_so_in_one_line(repository):
    before = repository.tracked()
    repository.edit("__all__", "1 / 0\n__all__", path="task/metrics.py")
    output = repository.run("python", "train.py", "relu_8")

    said = [line for line in output.splitlines() if "task/metrics.py" in line]
    assert said == [
        "task/metrics.py: cannot be imported (ZeroDivisionError: division by zero); correct it; "
        "relu_8 is complete, its own scores are not recorded"
    ]
    assert "relu_8: test accuracy" in output
    assert repository.tracked() == before


def test_a_misspelt_score_is_one_line(repository):
    repository.edit("margin: 0.001", "margin: 0.001\n  metric: macro_f")

    assert repository.run("python", "compare.py", code=2) == (
        "compare.py: params.yaml: compare.metric: no such score; got macro_f; "
        "did you mean macro_f1?\n"
    )


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
