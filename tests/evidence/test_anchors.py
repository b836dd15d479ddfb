"""The commit that nothing may fall below: found, compared with, and moved."""

import pytest
from clones import Clones
from comparisons import collected, shown

import report as script
from lab.base.errors import LabError
from lab.evidence.resolution import Resolution
from lab.evidence.schema import OnSeeds
from lab.evidence.tags import anchor_of


@pytest.fixture(autouse=True)
def _forget():
    shown.clear()


# --- which commit it is --------------------------------------------------------------------------


def test_the_tag_comes_before_the_newest_release_that_the_baseline_contains(tmp_path):
    clones = Clones(tmp_path / "clones", tmp_path / "trusted")
    work = clones.work
    first = clones.commit("first", {"a": "1"})
    second = clones.commit("second", {"a": "2"})
    clones.commit("third", {"a": "3"})

    assert anchor_of(work, second) is None
    for name, commit in (("v1.9", first), ("v1.10", second), ("v2", "HEAD"), ("version", first)):
        clones.run(work, "tag", "--annotate", "--message", "x", name, commit)
    assert anchor_of(work, second) == ("v1.10", second)
    assert anchor_of(work, first) == ("v1.9", first)
    clones.run(work, "tag", "anchor", first)
    assert anchor_of(work, second) == ("anchor", first)


def test_what_is_in_production_comes_between_them(tmp_path):
    clones = Clones(tmp_path / "clones", tmp_path / "trusted")
    work = clones.work
    first = clones.commit("first", {"a": "1"})
    second = clones.commit("second", {"a": "2"})
    clones.run(work, "tag", "--annotate", "--message", "x", "v1.0", second)
    production = [
        ("model#production#9", first, "v1 in production"),
        ("model#production#10", second, "v2 in production"),
        ("model#production#11", first, "v1 in production"),
    ]
    for name, commit, message in production[:2]:
        clones.run(work, "tag", "--annotate", "--message", message, name, commit)

    assert anchor_of(work, second)[1] == second
    assert anchor_of(work, second)[0].startswith("v2, in production since 20")
    assert anchor_of(work, first)[1] == first
    name, commit, message = production[2]  # a step back
    clones.run(work, "tag", "--annotate", "--message", message, name, commit)
    assert anchor_of(work, second)[1] == first
    clones.run(work, "tag", "anchor", second)
    assert anchor_of(work, second) == ("anchor", second)


# --- what it has of the models -------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_way(finished, tmp_path_factory):
    """An anchor, a baseline where one model is another, and a branch that changed both."""
    made = finished.copy(tmp_path_factory.mktemp("anchors") / "repository")
    made.edit("params.yaml", "  was: {}", "  was: {}\n  budget: 3")
    made.commit("a budget")
    made.run("git", "tag", "anchor")
    made.edit("params.yaml", "relu, dropout: 0.0", "relu, dropout: 0.125")
    made.repro("train")
    made.commit("the baseline")
    made.run("git", "checkout", "--quiet", "-b", "branch")
    made.edit("params.yaml", "relu, dropout: 0.125", "relu, dropout: 0.55")
    made.edit("params.yaml", "linear, dropout: 0.0", "linear, dropout: 0.55")
    made.repro("train")
    made.commit("both")
    return made


@pytest.fixture
def repository(long_way, enter):
    return enter(long_way)


def test_models_that_changed_are_compared_with_what_the_anchor_has(repository):
    anchor = repository.run("git", "rev-parse", "anchor")
    found = collected()
    of_anchor = collected(named="anchor")
    relu, linear = found.models

    assert (found.anchor.commit, found.anchor.name, found.anchor.missing) == (
        anchor,
        "anchor",
        None,
    )
    held = of_anchor.models[0].baseline
    assert relu.anchor == OnSeeds(seeds=held.seeds, test=held.test)
    assert relu.anchor.test != relu.baseline.test
    assert linear.anchor == OnSeeds(seeds=[0, 1, 2], test=linear.baseline.test)  # the very same
    # Where the baseline is the anchor itself, its numbers are the baseline's.
    assert of_anchor.models[0].anchor == relu.anchor
    assert {one.anchor for one in collected(named="HEAD").models} == {None}  # nothing changed


def test_on_fresh_seeds_the_anchor_is_trained_where_it_is_not_the_baseline(repository):
    found = collected(resolution=Resolution("always", fresh_from=5, confirmation=1))
    relu, linear = found.models
    baseline = found.trial.baseline

    assert relu.anchor.seeds == baseline["relu_8"].seeds == found.trial.candidate["relu_8"].seeds
    assert relu.anchor.test["accuracy"] != baseline["relu_8"].test["accuracy"]
    assert linear.anchor == baseline["linear_4"]
    assert found.trial.seeds_trained == 3 * 5
    assert "training relu_8 of the anchor (anchor) on the same seeds" in shown


def test_an_anchor_without_results_of_its_own_says_so(repository):
    base = repository.run("git", "rev-parse", "main")
    repository.run("git", "checkout", "--quiet", "anchor")
    repository.edit("params.yaml", "epochs: 1", "epochs: 20")
    repository.commit("stale")
    repository.run("git", "tag", "--force", "anchor")
    repository.run("git", "checkout", "--quiet", "branch")
    found = collected(named=base)

    assert found.anchor.missing == "train@relu_8: train.epochs 1 → 20"
    assert {one.anchor for one in found.models} == {None}


# --- where it moves ------------------------------------------------------------------------------


def test_it_moves_to_what_is_better_or_for_a_reason(repository, tmp_path, capsys):
    output = tmp_path / "report"
    with pytest.raises(LabError, match=r"anchor: HEAD is not better than anchor \([0-9a-f]{12}\)"):
        script.move_anchor(output, "")
    head = repository.run("git", "rev-parse", "HEAD")
    assert repository.run("git", "rev-parse", "anchor^{commit}") != head

    script.move_anchor(output, "half the size is worth it")
    assert repository.run("git", "rev-parse", "anchor^{commit}") == head
    assert "By hand: half the size is worth it" in repository.run("git", "tag", "-n99")
    assert "git push --force origin anchor" in capsys.readouterr().out

    repository.edit("params.yaml", "linear, dropout: 0.55", "relu, dropout: 0.55")
    with pytest.raises(LabError, match=r"got params\.yaml; commit"):
        script.move_anchor(output, "")
    repository.repro("train")
    better = repository.commit("better")
    script.move_anchor(output, "")
    said = repository.run("git", "tag", "-n99")
    assert repository.run("git", "rev-parse", "anchor^{commit}") == better
    assert f"Before: anchor {head}" in said
    assert "improved" in said
