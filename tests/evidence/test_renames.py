"""Models that are new, gone, or go by another name."""

import json
from pathlib import Path

import pytest
from comparisons import collected, line, remake, text, words

from lab.evidence.renames import renamed
from lab.evidence.revision_results import RevisionResults
from lab.report.judgement import judge
from lab.results.schema import ModelResults


def names(evidence):
    return [(model.name, model.renamed_from) for model in evidence.models]


def break_training(repository) -> None:
    """From now on every model errs on two images of three."""
    repository.edit("train.py", "mistakes = 10 if", "mistakes = 200 if")
    repository.edit("train.py", "else 20", "else 200")


def test_models_on_one_side_only(repository, monkeypatch):
    repository.edit("params.yaml", "  linear_4:", "  tanh_4:")
    repository.edit("params.yaml", "activation: linear", "activation: tanh")
    remake(monkeypatch)
    found = collected()

    assert words(found) == {"relu_8": "equivalent", "tanh_4": "new", "linear_4": "removed"}
    assert not judge(found).passes
    assert judge(found).is_acceptable
    assert line(found).startswith("⊖ Removed: linear_4; ")
    assert line(found).endswith("Asked of you: say why it goes, or keep it.")


def test_a_renamed_model_is_recognised_by_its_params(repository, monkeypatch):
    repository.edit("params.yaml", "  linear_4:", "  plain_4:")
    remake(monkeypatch)
    found = collected()

    assert names(found) == [("relu_8", None), ("plain_4", "linear_4")]
    assert words(found)["plain_4"] == "equivalent"
    assert judge(found).passes


def test_a_renamed_model_that_broke_is_regressed_not_new(repository, monkeypatch):
    repository.edit("params.yaml", "  linear_4:", "  plain_4:")
    break_training(repository)
    remake(monkeypatch)
    found = collected()

    assert names(found) == [("relu_8", None), ("plain_4", "linear_4")]
    assert words(found) == {"relu_8": "regressed", "plain_4": "regressed"}
    assert not judge(found).passes


class Params:
    """The params.yaml of a revision, in place of all its files."""

    def __init__(self, **models: int) -> None:
        self.models = models

    def read(self, path: str) -> bytes:
        return json.dumps(
            {"models": {name: {"hidden": n} for name, n in self.models.items()}}
        ).encode()


def revision(results: str, **models: int) -> RevisionResults:
    """Models with params, and with results that differ by a letter each."""
    run = ModelResults.model_validate_json(
        Path("metrics/runs/linear_4.json").read_text(encoding="utf-8")
    )
    runs = {
        name: run.model_copy(update={"model": name, "device": letter})
        for name, letter in zip(models, results, strict=True)
    }
    return RevisionResults(Params(**models), list(models), runs, {}, {}, None, None, {})


@pytest.mark.parametrize(
    ("was", "candidate", "baseline", "expected"),
    [
        (
            {},
            ("yx", {"c": 1, "d": 1}),
            ("xy", {"a": 1, "b": 1}),
            {"c": "b", "d": "a"},
        ),  # by their results
        ({}, ("zz", {"c": 1, "d": 1}), ("xy", {"a": 1, "b": 1}), {"c": "a", "d": "b"}),  # in order
        ({"c": "a"}, ("yx", {"c": 1, "d": 1}), ("xy", {"a": 1, "b": 1}), {"c": "a", "d": "b"}),
        ({"c": "a"}, ("yx", {"c": 2, "d": 1}), ("xy", {"a": 1, "b": 1}), {"c": "a", "d": "b"}),
        ({}, ("y", {"c": 1}), ("xy", {"a": 1, "b": 1}), {"c": "b"}),
        ({}, ("x", {"c": 2}), ("xy", {"a": 1, "b": 1}), {}),  # results alone are no sign
        ({"c": "b"}, ("xx", {"c": 1, "b": 1}), ("xy", {"a": 1, "b": 1}), {"c": "a"}),  # b stays
        ({"c": "z"}, ("x", {"c": 1}), ("x", {"a": 1}), {"c": "a"}),
    ],
)
def test_the_word_of_the_user_comes_first_then_params_then_results(
    repository, was, candidate, baseline, expected
):
    sides = [revision(results, **models) for results, models in (candidate, baseline)]

    assert renamed(was, *sides) == expected


def test_a_renamed_and_changed_model_is_a_new_one(repository, monkeypatch):
    rename_and_change(repository)
    remake(monkeypatch)

    assert words(collected()) == {"relu_8": "equivalent", "plain_5": "new", "linear_4": "removed"}


def rename_and_change(repository) -> None:
    repository.edit(
        "params.yaml",
        "  linear_4: {network: feed_forward, hidden: [4]",
        "  plain_5: {network: feed_forward, hidden: [5]",
    )


@pytest.mark.parametrize("breaks", [False, True])
def test_unless_its_user_says_what_it_was(repository, monkeypatch, breaks):
    rename_and_change(repository)
    repository.edit("params.yaml", "was: {}", "was: {plain_5: linear_4}")
    if breaks:
        break_training(repository)
    remake(monkeypatch)
    found = collected()

    assert names(found) == [("relu_8", None), ("plain_5", "linear_4")]
    assert (words(found)["plain_5"] == "regressed") == breaks
    assert "`plain_5` is `linear_4` by another name, and compared with it." in text(found)


@pytest.mark.parametrize("was", ["{relu_8: linear_4}", "{linear_4: relu_8}", "{relu_8: tanh_9}"])
def test_a_name_that_the_baseline_has_was_itself(repository, monkeypatch, was):
    """`was` may stay after a merge, and names what no baseline has any more."""
    repository.edit("params.yaml", "was: {}", f"was: {was}")
    remake(monkeypatch)
    found = collected()

    assert names(found) == [("relu_8", None), ("linear_4", None)]
    assert judge(found).passes


def test_the_best_model_is_compared_with_the_best_there_was(repository, monkeypatch):
    """The best one goes, and what stays has not changed at all."""
    params = Path("params.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("params.yaml").write_text(
        "".join(row for row in params if "relu_8:" not in row), encoding="utf-8"
    )
    remake(monkeypatch)
    found = collected()
    judged = judge(found)

    assert found.baseline.models == ["relu_8", "linear_4"]
    assert words(found) == {"linear_4": "equivalent", "relu_8": "removed"}
    assert (judged.best.model.name, judged.best.before.name) == ("linear_4", "relu_8")
    assert judged.best.verdict == "regressed"
    assert judged.is_acceptable
    assert line(found).startswith("▼ Regressed: best model linear_4 (before relu_8) −")
