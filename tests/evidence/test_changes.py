"""What differs between two revisions."""

from pipelines import commit, run

from lab.base.stages import ABSENT, Stage, Tracked
from lab.evidence.changes import budget_of, file_changes, readers, uncommitted, value_changes
from lab.evidence.snapshots import WorkingTree


def test_numbers_that_are_equal_do_not_differ():
    assert value_changes({"a": 1, "b": True}, {"a": 1.0, "b": 1}) == [("b", True, 1)]
    assert value_changes({"a": {"x": 1}}, {}) == [("a", {"x": 1}, ABSENT)]


def test_a_budget_is_nought_where_params_name_none(tmp_path):
    def budget(text: str) -> int | None:
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        return budget_of(WorkingTree(tmp_path))

    assert budget("compare: {margin: 0.1, budget: 40}") == 40
    assert budget("compare: {margin: 0.1}") == 0
    for broken in ("compare: {budget: true}", "compare: {budget: -1}", "compare: 5", "[", ""):
        assert budget(broken) is None


def test_a_file_is_read_by_the_stages_that_depend_on_it_or_its_folder():
    def stage(name: str, *paths: str) -> Stage:
        tracked = Tracked("0" * 32, "unchanged")
        return Stage(name, "true", "true", dict.fromkeys(paths, tracked), {}, {}, (), False)

    stages = {
        one.name: one
        for one in (stage("prepare", "lab/data"), stage("train", "lab/data", "lab/training"),
                    stage("report", "lab/database.py"))
    }  # fmt: skip

    assert readers("lab/data/dataset.py", stages) == ["prepare", "train"]
    assert readers("lab/database.py", stages) == ["report"]
    assert readers("lab", stages) == []


def test_the_other_files_of_a_monorepo_are_none_of_this_projects_changes(tmp_path):
    project, sibling = tmp_path / "a project", tmp_path / "a project 2"
    for folder in (project, sibling):
        folder.mkdir()
        for name in ("edited", "moved", "staged"):
            (folder / name).write_text("1\n", encoding="utf-8")
    run(tmp_path, "git", "init", "--quiet")
    base = commit(tmp_path)
    for folder in (project, sibling, tmp_path):
        for name in ("edited", "staged", "new ä"):
            (folder / name).write_text("2\n", encoding="utf-8")
    run(tmp_path, "git", "add", "staged", "a project/staged", "a project 2/staged")
    run(tmp_path, "git", "mv", "a project/moved", "a project 2/came")
    here = ["edited", "moved", "new ä", "staged"]

    assert uncommitted(project) == here
    assert [change.path for change in file_changes(project, base)] == here
