"""Files of a commit and of the working tree."""

import pytest

from lab.evidence.revisions import RevisionError
from lab.evidence.snapshots import Committed, WorkingTree, model_params, pins


def test_a_commit_reads_as_the_working_tree_it_was_made_from(finished):
    commit = finished.run("git", "rev-parse", "HEAD")
    committed, tree = Committed(finished.folder, commit), WorkingTree(finished.folder)

    for path in ("params.yaml", "metrics/runs/relu_8.json", "lab/__init__.py"):
        assert committed.read(path) == tree.read(path) != None  # noqa: E711
    assert committed.read("nothing") is None
    assert tree.read("nothing") is None


@pytest.mark.parametrize("path", ["/dev/zero", "../../../etc/passwd", "x" * 5_000, "a\0b"])
def test_a_path_that_no_file_of_the_project_has_reads_as_none(tmp_path, path):
    assert WorkingTree(tmp_path).read(path) is None


@pytest.mark.parametrize("content", ["a: [1", "models:\n  'a/b': {}\n", "models:\n  '..': {}\n"])
def test_damaged_params_are_refused(tmp_path, content):
    (tmp_path / "params.yaml").write_text(content, encoding="utf-8")

    with pytest.raises(RevisionError, match=r"^params\.yaml"):
        model_params(WorkingTree(tmp_path))


def test_pins_are_read_from_requirements(tmp_path):
    (tmp_path / "requirements.txt").write_text(
        "# made by\ntorch==2.15.0 \\\n    --hash=sha256:00\nnumpy==2.4.0 ; python_version>'3'\n",
        encoding="utf-8",
    )

    assert pins(WorkingTree(tmp_path)) == {"torch": "2.15.0", "numpy": "2.4.0"}
