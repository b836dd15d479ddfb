"""Scores of task/metrics.py that a pull request adds, changes, takes away or breaks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import compare
from lab.base import params
from lab.base.errors import DataError, ParamsError
from lab.base.files import write_json
from lab.ci.gate import conclude
from lab.data.prepared import load_prepared
from lab.evidence.collection import collect
from lab.evidence.schema import Evidence
from lab.report import page
from lab.report.judgement import judge
from lab.report.notes import Notes
from lab.results import probabilities, scores
from lab.results.schema import Source


def collected() -> Evidence:
    return collect(Path(), None, [].append)


def words(evidence: Evidence) -> set[str]:
    return {one.verdict for one in judge(evidence).models}


def text(evidence: Evidence) -> str:
    return page.to_markdown(evidence, judge(evidence), [], Notes(), None)


def judged_by(repository, name: str) -> None:
    repository.edit("params.yaml", "  margin: 0.001", f"  margin: 0.001\n  metric: {name}")


def lose_the_cache() -> None:
    shutil.rmtree(".dvc/cache")


def compare_models() -> None:
    """What stage `compare` writes of scores."""
    tree = params.load(Path("params.yaml"))
    trained = {name: compare.read_results(name, tree) for name in tree.models}
    table = compare.score_table(trained, scores.own_metrics(), load_prepared())
    write_json(scores.SCORES, table.model_dump())


def test_a_new_score_is_computed_for_a_baseline_whose_probabilities_are_kept(repository):
    judged_by(repository, "macro_f1")
    found = collected()

    assert (found.metric, found.baseline_metric) == ("macro_f1", "accuracy")
    assert found.judged.unit == "%"
    for model in found.models:
        assert model.baseline.test["macro_f1"] == model.candidate.test["macro_f1"]
        assert model.baseline.validation.keys() == model.candidate.validation.keys()
        # With every class as common as the others and mistakes all over they are close.
        assert model.candidate.test["macro_f1"] == pytest.approx(
            model.candidate.test["accuracy"], abs=0.02
        )
    assert words(found) == {"equivalent"}
    assert "The score that is judged changed**, from accuracy to `macro_f1`;" in text(found)
    assert "### Test `macro_f1`" in text(found)


def test_a_baseline_that_cannot_have_the_judged_score_is_new_and_no_success(repository):
    judged_by(repository, "macro_f1")
    lose_the_cache()
    found = collected()

    assert words(found) == {"new score"}
    assert judge(found).passes
    assert conclude(judge(found), None) == "neutral"
    assert "the baseline has no `macro_f1`, and no probabilities to compute it from" in text(found)
    assert "missing" not in text(found).partition("### Details")[0]


def test_a_new_score_that_is_not_judged_takes_nothing_away(repository):
    lose_the_cache()
    found = collected()

    assert words(found) == {"equivalent"}
    assert conclude(judge(found), None) == "success"
    assert "macro_f1" not in found.models[0].baseline.test
    row = next(line for line in text(found).splitlines() if "Test `macro_f1`, pp" in line)
    assert row.endswith(" | new |")


def test_stored_scores_need_no_probabilities_when_the_same_functions_made_them(repository):
    judged_by(repository, "log_loss")
    compare_models()
    repository.commit("with scores")
    repository.run("git", "branch", "--quiet", "--force", "main")
    lose_the_cache()
    shutil.rmtree("models")
    found = collected()

    assert found.scores_missing is None
    assert found.baseline_metric == "log_loss"
    assert words(found) == {"equivalent"}


def test_stored_scores_of_other_functions_or_results_are_not_used(repository, monkeypatch):
    judged_by(repository, "macro_f1")
    compare_models()
    repository.commit("with scores")
    repository.run("git", "branch", "--quiet", "--force", "main")
    lose_the_cache()
    assert words(collected()) == {"equivalent"}

    # A pull request that changes the function, not its name.
    other = Source(file="task/metrics.py", sha256="0" * 64)
    with monkeypatch.context() as changed:
        changed.setattr(scores, "own_sources", lambda: [other])
        assert words(collected()) == {"new score"}

    table = json.loads(scores.SCORES.read_text(encoding="utf-8"))
    for spreads in table["test"].values():
        spreads["loss"]["per_seed"][0] += 1e-9
    scores.SCORES.write_text(json.dumps(table), encoding="utf-8")
    repository.commit("of other results")
    repository.run("git", "branch", "--quiet", "--force", "main")
    found = collected()
    assert words(found) == {"new score"}
    assert "macro_f1" in found.models[0].candidate.test  # from its probabilities


def test_a_score_that_was_removed_is_said(repository, monkeypatch):
    compare_models()
    repository.commit("with scores")
    repository.run("git", "branch", "--quiet", "--force", "main")
    monkeypatch.delattr("task.metrics.macro_f1")
    found = collected()

    assert found.scores_removed == ["macro_f1"]
    assert words(found) == {"equivalent"}
    assert "`macro_f1` was removed: only the baseline has it." in text(found)


def test_the_candidate_without_the_judged_score_is_missing(repository):
    judged_by(repository, "macro_f1")
    lose_the_cache()
    shutil.rmtree("models")
    found = collected()

    assert found.scores_missing == (
        "the candidate's validation probabilities of relu_8 are not here; run `dvc repro`"
    )
    assert words(found) == {"missing"}
    assert not judge(found).passes


@pytest.mark.parametrize("content", [b"?", "zeros", "others"])
def test_damaged_probabilities_and_those_of_other_results_are_not_used(repository, content):
    path = probabilities.path_of("relu_8", "test")
    if content == "zeros":
        content = np.zeros_like(np.load(path))
    elif content == "others":
        content = np.load(probabilities.path_of("linear_4", "test"))
    path.unlink()  # it may be a link into the cache
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    found = collected()

    assert "the candidate's test probabilities of relu_8" in found.scores_missing
    assert "macro_f1" not in found.models[0].candidate.test
    assert "macro_f1" in found.models[1].candidate.test
    assert words(found) == {"stale", "equivalent"}  # DVC sees the change, too
    assert "Scores of `task/metrics.py` are left out: `the candidate's test" in text(found)


def test_a_function_that_fails_is_said_and_judges_nothing(repository, monkeypatch):
    def macro_f1(*_given):
        raise LookupError("gone | `x`")

    broken = scores.metric(unit="%", higher_is_better=True)(macro_f1)
    monkeypatch.setattr("task.metrics.macro_f1", broken)
    assert words(collected()) == {"equivalent"}
    judged_by(repository, "macro_f1")
    found = collected()

    assert words(found) == {"missing"}
    assert "task/metrics.py: macro_f1: relu_8, validation, seed 0: raised" in found.scores_missing


def test_a_broken_file_fails_only_what_is_judged_by_it(repository, monkeypatch):
    def broken():
        raise DataError("task/metrics.py: cannot be imported (x); correct it")

    monkeypatch.setattr(scores, "own_metrics", broken)
    found = collected()
    assert words(found) == {"equivalent"}
    assert found.scores_missing == "task/metrics.py: cannot be imported (x); correct it"

    judged_by(repository, "macro_f1")
    with pytest.raises(DataError, match="cannot be imported"):
        collected()


def test_a_misspelt_score_is_one_line(repository):
    judged_by(repository, "macro_f2")

    with pytest.raises(ParamsError, match=r"got macro_f2; did you mean macro_f1\?"):
        collected()
