"""What differs between two revisions."""

from lab.base.stages import ABSENT, Stage, Tracked
from lab.evidence.changes import readers, value_changes


def test_numbers_that_are_equal_do_not_differ():
    assert value_changes({"a": 1, "b": True}, {"a": 1.0, "b": 1}) == [("b", True, 1)]
    assert value_changes({"a": {"x": 1}}, {}) == [("a", {"x": 1}, ABSENT)]


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
