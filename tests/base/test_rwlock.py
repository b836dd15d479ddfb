"""DVC's lock file after a kill."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.base import rwlock


@pytest.mark.parametrize("content", [b"", b'{"data/raw": {"wri', b"\xff"])
def test_half_a_file_is_removed(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rwlock"
    file.write_bytes(content)
    rwlock.mend(file)
    assert not file.exists()


def test_a_whole_one_stays_and_a_missing_one_is_no_matter(tmp_path: Path) -> None:
    file = tmp_path / "rwlock"
    rwlock.mend(file)
    file.write_text("{}")
    rwlock.mend(file)
    assert file.read_text() == "{}"


def test_one_that_is_being_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rwlock"
    file.write_text("")
    monkeypatch.setattr(rwlock.time, "sleep", lambda _: file.write_text('{"data'))
    rwlock.mend(file)
    assert file.read_text() == '{"data'


def test_dvc_runs_again(tmp_path: Path) -> None:
    """Real DVC refuses half a file and takes none."""
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {one: {cmd: echo done}}")
    (tmp_path / rwlock.FILE).write_text("")
    repro = [sys.executable, "-m", "dvc", "repro"]
    refused = subprocess.run(repro, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Unable to read RWLock-file" in refused.stderr
    rwlock.mend(tmp_path / rwlock.FILE)
    subprocess.run(repro, cwd=tmp_path, capture_output=True, check=True)
