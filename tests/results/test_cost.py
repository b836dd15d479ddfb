"""What training cost is found by the results' bytes, wherever they were made and are read."""

import subprocess
from pathlib import Path

import pytest

from lab.evidence.costs import cost_of, remember
from lab.results.cost import Usage, write_cost

USAGE = Usage(started=0.0, wall_seconds=2.0, cpu_seconds=3.0, peak_memory_bytes=4)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".dvc").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "project")], check=True)
    return tmp_path / "project"


def make(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    (folder / "relu.json").write_bytes(content)
    write_cost(USAGE, 10, folder / "relu.json")


def test_a_later_training_of_the_same_model_leaves_what_an_earlier_one_cost(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"first", b"second"):
        make(project, content, monkeypatch)
    found = cost_of(b"first")
    assert found is not None
    assert (found.wall_seconds, found.image_steps_per_second) == (2.0, 5.0)
    assert cost_of(b"second") == found
    assert cost_of(b"third") is None


def test_what_an_experiment_cost_outlives_its_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = project / ".dvc/tmp/exps/standalone/tmp1"
    make(temporary, b"experiment", monkeypatch)
    assert sorted(path.name for path in temporary.iterdir()) == ["relu.json"]
    monkeypatch.chdir(project)
    assert cost_of(b"experiment") is not None


def test_what_a_checkout_of_its_own_cost_is_kept_and_damage_is_no_cost(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "checkout", b"baseline", monkeypatch)
    (tmp_path / "checkout/report/costs/broken.json").write_text("[[", encoding="utf-8")
    monkeypatch.chdir(project)
    assert cost_of(b"baseline") is None
    remember(tmp_path / "checkout")
    assert cost_of(b"baseline") is not None

    (note,) = (project / "report/costs").iterdir()
    for damage in (b"", b"[]", b"{}", b"\xff", b'{"results_sha256": 1, "wall_seconds": 0}'):
        note.write_bytes(damage)
        assert cost_of(b"baseline") is None
