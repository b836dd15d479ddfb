"""Evidence collected in real git repositories, with pipelines run by real DVC."""

import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparisons import collected, remake, shown, words
from dvc.repo import Repo

from lab.base.stages import read_stages
from lab.data.examples import Dataset
from lab.evidence.schema import MAX_MOVED, ImageInput, RowInput, TextInput
from lab.report import page
from lab.report.judgement import judge
from lab.report.notes import Notes


@pytest.fixture(autouse=True)
def _forget():
    shown.clear()


# --- what is compared ----------------------------------------------------------------------------


def test_uncommitted_work_is_compared_with_where_the_branch_began(repository):
    repository.edit("params.yaml", "relu, dropout: 0.0", "relu, dropout: 0.1")
    repository.repro("train")
    found = collected()

    assert found.baseline.origin == "committed"
    assert found.baseline.commit == found.candidate.commit
    assert found.candidate.uncommitted == ["params.yaml"]
    assert [(c.key, c.baseline, c.candidate) for c in found.changes.params] == [
        ("models.relu_8.dropout", "0.0", "0.1")
    ]
    states = {state.name: (state.state, state.reasons) for state in found.stages}
    assert states["prepare"] == ("unchanged", [])
    assert states["train@relu_8"] == ("ran", ["models.relu_8.dropout 0.0 → 0.1"])
    assert states["train@linear_4"] == ("unchanged", [])
    assert not any(model.stale for model in found.models)
    assert words(found)["linear_4"] == "equivalent"
    # The predictions of the baseline come from DVC's cache.
    assert [flips.missing for flips in found.flips] == [None, None]
    assert found.models[0].candidate.cost is not None
    assert shown == []


def test_edits_without_new_results_are_stale(repository):
    repository.edit("lab/training/optimizer.py", "SGD_MOMENTUM = 0.9", "SGD_MOMENTUM = 0.8")
    found = collected()

    assert set(words(found).values()) == {"stale"}
    assert found.models[0].stale == ["train@relu_8: lab/training/optimizer.py changed"]
    assert [change.path for change in found.changes.code] == ["lab/training/optimizer.py"]
    assert found.changes.code[0].stages == ["train@relu_8", "train@linear_4", "labels"]


def test_committed_results_that_are_stale_are_reported_when_fresh_ones_are_there(
    repository, monkeypatch
):
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    repository.run("git", "commit", "--quiet", "--all", "--message", "forgot the results")
    remake(monkeypatch)
    found = collected()

    assert found.candidate.committed_stale == [
        "train@relu_8: train.epochs 1 → 2",
        "train@linear_4: train.epochs 1 → 2",
    ]
    assert not any(model.stale for model in found.models)


def test_a_detached_head_and_a_dirty_tree_work(repository):
    repository.commit("empty")
    repository.run("git", "checkout", "--quiet", "--detach")
    Path("notes | `odd` @name.txt").write_text("one\ntwo\n", encoding="utf-8")
    found = collected()

    assert found.candidate.uncommitted == ["notes | `odd` @name.txt"]
    assert [(c.path, c.added) for c in found.changes.code] == [("notes | `odd` @name.txt", 2)]
    assert set(words(found).values()) == {"equivalent"}


def test_the_baseline_may_be_the_candidate(repository):
    found = collected("HEAD")

    assert found.baseline.commit == found.candidate.commit
    assert found.candidate.uncommitted == []
    assert set(words(found).values()) == {"equivalent"}
    assert {state.state for state in found.stages[:3]} == {"unchanged"}


# --- models, seeds and data that differ ----------------------------------------------------------


def test_other_seeds_are_compared_without_pairing(repository, monkeypatch):
    repository.edit("params.yaml", "[0, 1, 2]", "[3, 4, 5, 6]")
    remake(monkeypatch)
    judged = judge(collected())

    assert not judged.models[0].finding.difference.is_paired
    assert judged.models[0].finding.difference.interval is not None


def test_another_split_is_reported_and_compared(repository, monkeypatch):
    repository.edit("params.yaml", "split_seed: 0", "split_seed: 1")
    remake(monkeypatch)
    found = collected()

    assert found.candidate_data.train != found.baseline_data.train
    assert found.candidate_data.test == found.baseline_data.test
    assert set(words(found).values()) <= {"equivalent", "cannot tell", "improved", "regressed"}


def test_another_test_set_is_not_compared(repository, monkeypatch):
    repository.edit("params.yaml", "  split_seed: 0", "  split_seed: 0\n  test_seed: 8")
    remake(monkeypatch)
    found = collected()

    assert set(words(found).values()) == {"not comparable"}
    assert not judge(found).passes
    assert found.flips == []


# --- baselines that have to be made --------------------------------------------------------------


def test_a_stale_baseline_is_reproduced_with_its_own_code(repository, tmp_path, monkeypatch):
    """In a folder whose name no configuration of DVC's could hold."""
    repository = repository.copy(tmp_path / "a #1, 100 %(x)s ä" / "repository")
    monkeypatch.chdir(repository.folder)
    # A baseline with other params than its results, and a candidate with results for those.
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    repository.run("git", "commit", "--quiet", "--all", "--message", "stale baseline")
    repository.run("git", "branch", "--quiet", "--force", "main")
    repository.edit("lab/base/progress.py", '"""Progress', '"""The progress')
    repository.repro("train")
    repository.commit()
    found = collected()

    assert found.baseline.origin == "reproduced"
    assert found.baseline.reasons[0] == "train@relu_8: train.epochs 1 → 2"
    assert set(words(found).values()) == {"equivalent"}
    assert found.models[0].baseline.test == found.models[0].candidate.test
    assert found.models[0].baseline.cost is not None
    assert [flips.missing for flips in found.flips] == [None, None]
    assert shown[0].startswith(f"baseline {found.baseline.commit[:12]}: its results cannot be used")


def test_absent_results_are_reproduced(repository):
    repository.run("git", "rm", "--quiet", "--cached", "metrics/runs/relu_8.json")
    repository.run("git", "commit", "--quiet", "--message", "lost")
    found = collected("HEAD")

    assert found.baseline.origin == "reproduced"
    assert found.baseline.reasons[0] == "metrics/runs/relu_8.json is missing"
    assert set(words(found).values()) == {"equivalent"}


def test_a_baseline_that_cannot_be_reproduced_is_missing_not_zero(repository):
    repository.edit(
        "train.py", "def main() -> None:", 'def main() -> None:\n    raise LookupError("x")'
    )
    repository.commit("broken")
    repository.run("git", "branch", "--quiet", "--force", "main")
    repository.run("git", "checkout", "--quiet", "HEAD~1", "--", "train.py")
    repository.commit("fixed")
    found = collected()

    assert found.baseline.origin == "none"
    assert found.baseline.reasons[0] == "train@relu_8: train.py changed"
    assert "failed" in found.baseline.reasons[-1]
    assert set(words(found).values()) == {"missing"}
    assert not judge(found).passes


def test_a_baseline_without_a_pipeline_makes_every_model_new(repository):
    repository.run("git", "checkout", "--quiet", "--orphan", "old")
    repository.run("git", "rm", "--quiet", "-r", "--cached", ".")
    repository.run("git", "commit", "--quiet", "--allow-empty", "--message", "before everything")
    repository.run("git", "checkout", "--quiet", "--force", "branch")
    found = collected("old")

    assert found.baseline.origin == "none"
    assert "no pipeline" in found.baseline.reasons[-1]
    assert set(words(found).values()) == {"new"}


def test_a_baseline_of_an_older_schema_is_missing(repository):
    for name in ("relu_8", "linear_4"):
        Path(f"metrics/runs/{name}.json").write_text('{"accuracy": 0.97}', encoding="utf-8")
    Path("dvc.yaml").write_text("stages:\n  train:\n    cmd: 'true'\n", encoding="utf-8")
    repository.commit("older schema")
    found_at = repository.run("git", "rev-parse", "HEAD")
    repository.run("git", "checkout", "--quiet", "HEAD~1", "--", ".")
    repository.commit("newer schema")
    found = collected(found_at)

    assert "is not of this schema" in found.baseline.reasons[0]
    assert set(words(found).values()) == {"missing"}
    assert "is not of this schema" in found.models[0].baseline_missing


def test_lost_and_wrong_predictions_are_reported(repository):
    for name, content in (("relu_8", Path("models/runs/linear_4/predictions.npz").read_bytes()),
                          ("linear_4", b"?")):  # fmt: skip
        path = Path(f"models/runs/{name}/predictions.npz")
        path.unlink()  # it may be a link into the cache
        path.write_bytes(content)
    assert [one.missing for one in collected("HEAD").flips] == [
        "the candidate's predictions do not belong to its results",
        "the candidate's predictions are damaged",
    ]
    shutil.rmtree(".dvc/cache")
    assert {one.missing for one in collected("HEAD").flips} == {
        "the baseline's predictions are not in the DVC cache"
    }


# --- classes and examples of any data ------------------------------------------------------------

DESCRIBED = Path("metrics/dataset.json")


def as_in_schema_1(described: dict[str, object]) -> dict[str, object]:
    """The same description as it was before data of all kinds were."""
    splits = {
        name: {
            "images": described[name]["examples"],
            "sha256": described[name]["sha256"],
            "images_per_class": described[name]["examples_per_class"],
        }
        for name in ("train", "validation", "test")
    }
    kept = {key: described[key] for key in ("name", "split_seed")}
    return {"schema_version": 1, **kept, **splits}


def as_in_schema_2(described: dict[str, object]) -> dict[str, object]:
    """The same description as it was before models were exported."""
    kept = {key: value for key, value in described.items() if key not in ("framing", "tokeniser")}
    return {**kept, "schema_version": 2}


def commit_outputs() -> None:
    """Lets DVC take the files as they lie for what its stages made."""
    with Repo() as repo:
        for name in read_stages(Path()):
            if name not in ("compare", "export", "model_card", "labels", "card"):
                repo.commit(name, force=True)


@pytest.mark.parametrize(
    ("as_it_was", "knows_names"), [(as_in_schema_1, False), (as_in_schema_2, True)]
)
def test_a_baseline_described_by_an_earlier_schema_is_compared_without_making_it_again(
    repository, as_it_was, knows_names
):
    today = DESCRIBED.read_text(encoding="utf-8")
    DESCRIBED.write_text(json.dumps(as_it_was(json.loads(today))), encoding="utf-8")
    commit_outputs()
    repository.commit("as it was")
    repository.run("git", "branch", "--quiet", "--force", "main")
    DESCRIBED.write_text(today, encoding="utf-8")
    commit_outputs()
    repository.commit("as it is")
    found = collected()

    assert found.baseline.origin == "committed"
    assert (found.baseline_data.class_names is not None) == knows_names
    assert found.baseline_data.kind == "grey image"
    assert found.baseline_data.test == found.candidate_data.test
    assert set(words(found).values()) == {"equivalent"}
    assert [flips.missing for flips in found.flips] == [None, None]
    assert shown == []


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"\xff\x00", b'{"schema_version": 1}', b"[" * 100_000]
)
def test_a_candidate_without_a_description_of_its_data_is_reported(repository, content):
    DESCRIBED.unlink()
    if content is not None:
        DESCRIBED.write_bytes(content)
    found = collected()
    text = page.to_markdown(found, judge(found), [], Notes(), None)

    assert found.candidate_data is None
    assert found.class_names == ["0", "1", "2", "3"]
    assert set(words(found).values()) == {"stale"}
    assert found.examples == []
    assert "The candidate has no valid description of its data (`metrics/dataset.json`)." in text


EXPORT = Path("metrics/export.json")


def test_the_report_tells_what_of_the_export_is_not_the_model(repository):
    assert collected().candidate_export is None
    measured = {
        "largest_difference": 0.01, "flips": 7, "predictions": 900, "score": 0.9,
        "difference": None,
    }  # fmt: skip
    forms = {
        "model": {"sha256": "0" * 64, "bytes": 4_000, "measured": measured, "reason": None},
        "ensemble": {"sha256": None, "bytes": None, "measured": None, "reason": "too large"},
    }
    whole = {
        "schema_version": 1, "model": "relu_8", "seed": 0, "margin": 0.001, "trained": 0.9,
        "metric": {"name": "accuracy", "unit": "%", "higher_is_better": True},
        "forms": forms, "reason": None,
    }  # fmt: skip
    EXPORT.write_text(json.dumps(whole), encoding="utf-8")
    found = collected()

    assert [(one.name, one.flips, one.reason) for one in found.candidate_export.forms] == [
        ("model", 7, None),
        ("ensemble", None, "too large"),
    ]
    assert (
        "**Export** of `relu_8`: `ensemble` is not exported; `model` differs on 7 of 900."
    ) in page.to_markdown(found, judge(found), [], Notes(), None)
    EXPORT.write_text("[" * 100_000, encoding="utf-8")
    assert collected().candidate_export is None


def test_a_project_without_any_results_is_reported(repository):
    shutil.rmtree("metrics")
    found = collected()

    assert found.class_names == []
    assert set(words(found).values()) == {"missing"}
    assert page.to_markdown(found, judge(found), [], Notes(), None)


def other_data(monkeypatch, change) -> None:
    """What stage prepare gets from now on, where it runs in this process."""
    datasets = importlib.import_module("task.data").DATASETS
    usual = datasets["tiny"]

    def other(raw: Path, say, *, test_seed: int = 1) -> Dataset:
        return change(usual(raw, say, test_seed=test_seed))

    monkeypatch.setitem(datasets, "tiny", other)


def with_inputs(dataset: Dataset, form, **more) -> Dataset:
    """The data set with other inputs and fields."""
    parts = {name: replace(part, inputs=form(part.inputs))
             for name, part in (("train", dataset.train), ("test", dataset.test))}  # fmt: skip
    return replace(dataset, **{"scaling": None, **parts, **more})


def test_classes_that_have_other_names_are_said_in_one_line(repository, monkeypatch):
    names = ["north", "east", "südlich", "west"]
    other_data(monkeypatch, lambda dataset: replace(dataset, class_names=names))
    remake(monkeypatch)
    found = collected()
    text = page.to_markdown(found, judge(found), [], Notes(), None)

    assert found.class_names == names
    line = "**Classes have other names**: `südlich` was `south`; the new ones are used here."
    assert line in text
    assert set(words(found).values()) == {"equivalent"}


def test_results_of_another_number_of_classes_than_the_data_are_missing(repository):
    described = json.loads(DESCRIBED.read_text(encoding="utf-8"))
    described["class_names"].append("up")
    for name in ("train", "validation", "test"):
        described[name]["examples_per_class"].append(0)
    DESCRIBED.write_text(json.dumps(described), encoding="utf-8")
    found = collected()

    assert set(words(found).values()) == {"missing"}
    assert found.models[0].candidate_missing == (
        "metrics/runs/relu_8.json has 4 classes, its data 5"
    )
    assert "**The number of classes differs**: 5, and 4 before." in page.to_markdown(
        found, judge(found), [], Notes(), None
    )


def test_what_changed_among_many_classes_is_kept_and_the_rest_left_out(repository, monkeypatch):
    """With a number of classes whose confusion has no place in report.json."""

    def of_150_classes(dataset: Dataset) -> Dataset:
        parts = {name: replace(part, labels=np.arange(len(part.labels)) % 150)
                 for name, part in (("train", dataset.train), ("test", dataset.test))}  # fmt: skip
        return replace(dataset, class_names=[f"class {number}" for number in range(150)], **parts)

    other_data(monkeypatch, of_150_classes)
    remake(monkeypatch)
    repository.commit("many classes")
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    remake(monkeypatch)
    found = collected("HEAD")
    model = found.models[0]

    assert (model.candidate.confusion, model.baseline.confusion) == (None, None)
    assert len(model.candidate.classes) == 150
    assert 0 < len(model.moved) <= MAX_MOVED
    assert all(one.candidate != one.baseline for one in model.moved)
    assert all(one.predicted == (one.actual + 1) % 150 for one in model.moved)  # as train.py errs
    assert len(found.model_dump_json()) < 60_000


def as_ids(images):
    return images.reshape(len(images), -1)[:, :9].astype(np.int64)


def as_text(dataset: Dataset) -> Dataset:
    made = with_inputs(dataset, as_ids, kind="text", vocabulary=256)
    texts = [f"text {number}\n\x00" for number in range(len(made.test.labels))]
    return replace(made, test=replace(made.test, texts=texts))


def as_rows(dataset: Dataset) -> Dataset:
    return with_inputs(dataset, lambda images: images[:, 3].astype(np.float32), kind="row")


def as_colours(dataset: Dataset) -> Dataset:
    form = lambda images: np.repeat(images[:, None, :6], 3, axis=1)  # noqa: E731
    return with_inputs(dataset, form, kind="colour image")


@pytest.mark.parametrize("change", [as_text, as_rows, as_colours, lambda dataset: dataset])
def test_examples_of_every_kind_are_shown(repository, monkeypatch, change):
    other_data(monkeypatch, change)
    remake(monkeypatch)
    repository.commit("other data")
    repository.edit("params.yaml", "epochs: 1", "epochs: 4")
    repository.edit("params.yaml", "seeds: [0, 1, 2]", "seeds: [0]")
    remake(monkeypatch)
    found = collected("HEAD")
    first = found.examples[0]

    assert {one.input.kind for one in found.examples} == {found.candidate_data.kind}
    assert first.baseline_prediction != first.candidate_prediction
    match first.input:
        case TextInput(text=text):
            assert text == rf"text {first.index} \x00"
        case RowInput(columns=columns, column_count=count):
            assert (len(columns), count) == (5, 8)
        case ImageInput(kind="colour image", shape=shape):
            assert shape == (6, 8, 3)
        case ImageInput(shape=shape):
            assert shape == (8, 8)
