import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.base import files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "new" / "x.json"
    files.write_json(target, {"a": [1, 2]})
    files.write_json(target, {"a": [3]})

    assert target.read_text(encoding="utf-8") == '{\n  "a": [3]\n}\n'
    assert names(target.parent) == ["x.json"]


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x"
    files.write_text(target, "old")

    with pytest.raises(FileNotFoundError), files.replacing(target) as temporary:
        temporary.with_name("absent").rename(temporary)

    assert target.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["x"]


def test_not_a_number_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x", {"a": float("nan")})

    assert names(tmp_path) == []


def test_an_error_names_the_file_and_not_its_temporary_neighbour(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_text(tmp_path / "x", "text")

    assert caught.value.filename == str(tmp_path / "x")
    assert names(tmp_path) == []


def test_permissions_follow_the_umask(tmp_path):
    previous = os.umask(0o027)
    try:
        files.write_text(tmp_path / "x", "text")
    finally:
        os.umask(previous)

    if sys.platform != "win32":
        assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_what_a_killed_process_left_goes_and_what_another_is_writing_stays(tmp_path):
    target = tmp_path / "x.json"
    (tmp_path / ".x.json.left.json").write_text("half a fi", encoding="utf-8")
    with files.replacing(target) as other:
        files.write_text(target, "mine")
        other.write_text("theirs", encoding="utf-8")

    assert target.read_text(encoding="utf-8") == "theirs"
    assert names(tmp_path) == ["x.json"]


def test_files_that_belong_together_are_all_written_before_one_is_renamed(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        files.write_text(path, "old")

    def fail_at_the_second() -> None:
        with files.replacing_all(paths) as (first, second):
            first.write_text("new", encoding="utf-8")
            second.unlink()

    with pytest.raises(FileNotFoundError):
        fail_at_the_second()

    assert [path.read_text(encoding="utf-8") for path in paths] == ["old", "old"]
    assert names(tmp_path) == ["a", "b"]


def test_put_back_brings_back_what_git_tracks_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.put_back(Path("no git here"))
    for name in ("gone", "changed"):
        Path(name).write_text("tracked", encoding="utf-8")
    for command in ("init", "add ."):
        subprocess.run(["git", *command.split()], capture_output=True, check=True)
    Path("gone").unlink()
    Path("changed").write_text("new", encoding="utf-8")

    files.put_back(Path("gone"), Path("changed"), Path("unknown"))

    assert {path: Path(path).read_text(encoding="utf-8") for path in ("gone", "changed")} == {
        "gone": "tracked",
        "changed": "new",
    }
    assert not Path("unknown").exists()


def test_put_back_says_what_git_refuses_and_where_there_is_no_git_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    files.put_back(Path("no git here"))
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        files.put_back(Path("no git at all"))
    for command in ("init --quiet", "config core.autocrlf false"):
        subprocess.run(["git", *command.split()], check=True)
    files.put_back(Path("never made"))
    assert capsys.readouterr().err == ""

    Path("metrics").mkdir()
    Path("metrics/gone").write_text("tracked", encoding="utf-8")
    subprocess.run(["git", "add", "metrics"], check=True)
    Path("metrics/gone").unlink()
    monkeypatch.setenv("GIT_DIR", str(tmp_path.parent))  # as from a hook of another repository
    with monkeypatch.context() as another:
        another.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        files.put_back(Path("metrics/gone"))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"run `git config --global --add safe.directory {tmp_path}`" in said
    assert said.endswith("if this stage fails, `git checkout metrics/gone` brings that file back\n")
    assert not Path("metrics/gone").exists()

    files.put_back(Path("metrics/gone"))
    assert Path("metrics/gone").read_text(encoding="utf-8") == "tracked"
