"""Why results are stale, in words."""

import json
from pathlib import Path

from lab.base.stages import ABSENT, Param, Stage, Tracked, read_stages
from lab.evidence.staleness import result_stages, stage_changes, staleness

SAME = Tracked("0" * 32, "unchanged")


def stage(name: str, *, follows: tuple[str, ...] = (), **parts: object) -> Stage:
    """A stage that is up to date, but for `parts`."""
    base = {
        "name": name, "command": "run", "last_command": "run", "dependencies": {}, "params": {},
        "outputs": {}, "follows": follows, "always_runs": False,
    }  # fmt: skip
    return Stage(**(base | parts))  # type: ignore[arg-type]


def pipeline(**prepare: object) -> dict[str, Stage]:
    """A stage, one that makes results of what it writes, and one that only reads those."""
    found = [
        stage("prepare", **prepare),
        stage("train", follows=("prepare",), outputs={"metrics/runs/a.json": SAME}),
        stage("compare", follows=("train",), command="other"),
        stage("apart", command="other"),
    ]
    return {one.name: one for one in found}


def reasons(**parts: object) -> list[str]:
    return staleness(Path(), pipeline(**parts)).get("prepare", [])


def test_stages_that_make_results_and_all_that_they_follow_count():
    assert result_stages(pipeline()) == {"prepare", "train"}
    assert staleness(Path(), pipeline()) == {}


def test_what_follows_a_stale_stage_is_stale():
    assert staleness(Path(), pipeline(always_runs=True)) == {
        "prepare": ["DVC runs it every time"],
        "train": ["depends on prepare"],
    }


def test_each_reason_has_its_words():
    assert reasons(last_command=None) == ["never ran"]
    assert reasons(command="run fast") == ["command: run → run fast"]
    paths = {
        word: Tracked("0" * 32, word) for word in ("modified", "missing", "new", "unknown")
    } | {"same": SAME}
    assert reasons(dependencies=paths) == [
        "missing is missing",
        "modified changed",
        "new is read now",
        "unknown cannot be checked",
    ]
    assert reasons(outputs=paths) == [
        "modified is not what the stage wrote",
        "missing is missing",
        "new was not written by the last run",
        "unknown cannot be checked",
    ]
    assert reasons(
        params={
            "train": Param({"epochs": 1, "seeds": [0]}, {"epochs": 2, "seeds": [0]}, True),
            "gone": Param(1, ABSENT, True),
            "kept": Param(1, 1, False),
            "odd": Param(1, 1.0, True),  # DVC alone knows why
        }
    ) == ["gone 1 → absent", "odd changed", "train.epochs 1 → 2"]


def test_a_stage_of_another_revision_is_compared_by_its_last_run():
    before = stage("train", dependencies={"a": SAME, "b": SAME}, params={"x": Param(1, 1, False)})
    after = stage(
        "train", last_command="run fast", dependencies={"a": Tracked("1" * 32, "unchanged"),
                                                        "c": SAME},
        params={"x": Param(2, 2, False)},
    )  # fmt: skip

    assert stage_changes(None, after) == ["new stage"]
    assert stage_changes(before, before) == []
    assert stage_changes(before, after) == [
        "command: run → run fast",
        "x 1 → 2",
        "a changed",
        "b is no longer read",
        "c is read now",
    ]


# --- folders -------------------------------------------------------------------------------------


def stale_here(commit: str | None = None) -> dict[str, list[str]]:
    return staleness(Path(), read_stages(Path(), commit), commit)


def test_of_a_folder_the_files_that_changed_are_named(repository):
    """Edited, new and removed ones, in the working tree and in a commit; results are older."""
    repository.commit("nothing to do with it")
    repository.edit("lab/training/optimizer.py", "SGD_MOMENTUM = 0.9", "SGD_MOMENTUM = 0.8")
    Path("lab/training/new.py").write_text("", encoding="utf-8")
    Path("lab/training/stacks.py").unlink()
    changed = [f"lab/training/{name}.py changed" for name in ("new", "optimizer", "stacks")]

    assert stale_here() == {"train@relu_8": changed, "train@linear_4": changed}
    assert stale_here(repository.commit()) == stale_here()


def test_a_folder_is_named_itself_where_git_does_not_know_or_many_files_changed(repository):
    repository.edit("dvc.lock", "path: lab/training", "path: lab/training ")
    for path in Path("lab/training").glob("*.py"):
        path.write_text(path.read_text(encoding="utf-8") + "# more\n", encoding="utf-8")
    assert len(list(Path("lab/training").glob("*.py"))) > 5 or len(stale_here()) == 2
    for number in range(6):
        Path(f"lab/training/n{number}.py").write_text("", encoding="utf-8")
    assert stale_here()["train@relu_8"] == ["lab/training changed"]

    entries = Path("dvc.lock").read_text(encoding="utf-8")
    recorded = read_stages(Path())["train@relu_8"].dependencies["lab/training"].recorded
    Path("dvc.lock").write_text(entries.replace(recorded, f"{'0' * 32}.dir"), encoding="utf-8")
    repository.run("git", "checkout", "--quiet", "lab/training/optimizer.py")
    assert stale_here()["train@relu_8"] == ["lab/training changed"]


def test_dvc_itself_calls_the_same_stages_changed(repository):
    for edit in [
        ("params.yaml", "epochs: 1", "epochs: 2"),
        ("params.yaml", "split_seed: 0", "split_seed: 1"),
        ("lab/report/plots.py", '"""', '"""x'),
        ("metrics/runs/relu_8.json", "cpu", "gpu"),
    ]:
        repository.run("git", "checkout", "--quiet", ".")
        repository.edit(*edit)
        changed = set(json.loads(repository.run("dvc", "status", "--json", "train", "prepare")))
        found = stale_here()

        assert {name for name, why in found.items() if why != ["depends on prepare"]} == changed
        assert set(stale_here(repository.commit())) == set(found)
        repository.run("git", "checkout", "--quiet", "HEAD~1")


def test_a_clone_without_data_and_cache_is_fresh(repository, tmp_path):
    repository.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))

    assert staleness(tmp_path / "clone", read_stages(tmp_path / "clone")) == {}
