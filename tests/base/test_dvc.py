"""DVC's cache and configuration wherever they are, and its commands."""

import json
import os
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo
from pipelines import run

from lab.base import dvc
from lab.base.dvc import Cache, DVCError, share_cache
from lab.base.stages import read_stages
from lab.evidence.reproduction import checkout

ODD_NAMES = ["a # b", "a, b", "100%", "%(x)s", "ä€", "it's", 'a "b"', "[a]", "a=b;c $x"]


# --- cache ---------------------------------------------------------------------------------------


def cached(project: Path) -> bytes | None:
    """The content of a file in the cache, found as a report finds predictions."""
    recorded = read_stages(project)["data"].outputs["data"].recorded
    file = Cache(project).file(recorded or "", "a")
    return file.read_bytes() if file else None


def test_a_file_of_a_cached_folder_is_found_by_the_folders_hash(pipeline):
    recorded = read_stages(pipeline)["data"].outputs["data"].recorded

    assert cached(pipeline) == b"in\n"
    assert Cache(pipeline).file(recorded, "nothing") is None
    assert Cache(pipeline).file("0" * 32 + ".dir", "a") is None
    assert Cache(pipeline).file("", "a") is None
    assert Cache(pipeline).folder == pipeline / ".dvc" / "cache"


@pytest.mark.parametrize("level", ["--global", "--project", "--local"])
@pytest.mark.parametrize("is_relative", [True, False])
def test_the_cache_is_where_any_configuration_puts_it(
    pipeline, tmp_path, monkeypatch, level, is_relative
):
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    elsewhere = tmp_path / "else where"
    (pipeline / ".dvc" / "cache").rename(elsewhere)
    assert cached(pipeline) is None
    place = os.path.relpath(elsewhere, pipeline) if is_relative else str(elsewhere)
    run(pipeline, "dvc", "cache", "dir", level, place)

    assert Cache(pipeline).folder == elsewhere
    assert cached(pipeline) == b"in\n"


@pytest.mark.parametrize(
    ("level", "value", "place"),
    [("user", "{0}/cache", "cache"), ("system", '"{0}/a b"', "a b"), (".dvc/config", "~/link", "c"),
     ("user", "'{0}/a, #b'", "a, #b"), ("system", "{0}/ä %", "ä %"), ("user", "~/cache", "cache"),
     (".dvc/config.local", "{0}/not/there", "not/there")],
)  # fmt: skip
def test_a_baseline_has_the_cache_that_somebody_wrote_into_a_configuration(
    pipeline, tmp_path, monkeypatch, level, value, place
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "system"))
    cache = tmp_path / "home" / place
    if place != "not/there":
        cache.parent.mkdir()
        (pipeline / ".dvc/cache").rename(cache)
        (tmp_path / "home/link").symlink_to(cache)
    file = pipeline / level if level.startswith(".") else tmp_path / level / "config"
    file.parent.mkdir(exist_ok=True)
    text = f"[cache]\n    dir = {value.format(tmp_path / 'home')}\n"
    file.write_text(text, encoding="utf-8")

    with checkout(pipeline, run(pipeline, "git", "rev-parse", "HEAD")) as found:
        assert Cache(found).folder.samefile(cache)
        assert cached(found) == (None if place == "not/there" else b"in\n")


def test_a_baseline_has_a_cache_of_its_own_where_there_can_be_no_other(
    pipeline, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    (pipeline / ".dvc/config.local").write_text(
        f"[cache]\n    dir = {tmp_path}/file/cache\n", encoding="utf-8"
    )
    (pipeline / "data/raw").mkdir(parents=True)
    (pipeline / "data/raw/gone").symlink_to(tmp_path / "nowhere")

    with checkout(pipeline, run(pipeline, "git", "rev-parse", "HEAD")) as found:
        assert Cache(found).folder == found / ".dvc/cache"
        monkeypatch.chdir(found)
        with Repo() as repo:
            repo.reproduce(["word"])
        assert (found / "word.txt").read_text(encoding="utf-8") == "hello\n"


@pytest.mark.parametrize(
    "content",
    [
        b'[{"relpath": "a", "md5": 1}]',
        b'[{"relpath": "a", "md5": "../../../../in.txt"}]',
        b'[{"relpath": "a", "md5": "%s"}]' % (b"a" * 5_000),
        b"[" * 100_000,
        b"{}",
    ],
    ids=["number", "path", "long", "deep", "object"],
)
def test_a_damaged_cache_has_no_file(pipeline, content):
    recorded = read_stages(pipeline)["data"].outputs["data"].recorded or ""
    listing = Cache(pipeline).folder / "files" / "md5" / recorded[:2] / recorded[2:]
    listing.chmod(0o644)
    listing.write_bytes(content)

    assert Cache(pipeline).file(recorded, "a") is None


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_cache_is_shared_whose_path_has_odd_characters(pipeline, tmp_path, name):
    """As the checkout of a baseline does, for a project in a folder of that name."""
    first = tmp_path / name / "project"
    first.parent.mkdir()
    shutil.move(pipeline, first)
    os.chdir(first)
    run(tmp_path, "git", "clone", "--quiet", str(first), "clone")
    clone = tmp_path / "clone"
    share_cache(Cache(first).folder, clone)
    with Repo(str(clone)) as repo:
        repo.checkout()

    assert (clone / "data" / "a").read_bytes() == b"in\n"
    assert Cache(clone).folder.samefile(first / ".dvc" / "cache")
    assert run(clone, "git", "status", "--porcelain") == ""


# --- commands ------------------------------------------------------------------------------------


def test_the_cache_knows_whether_it_holds_all_of_a_folder(pipeline):
    stage = read_stages(pipeline)["data"]
    folder, cache = stage.outputs["data"].recorded, dvc.Cache(pipeline)
    file = cache.file(folder, "a")

    assert cache.holds(folder)
    assert cache.holds(f"{file.parent.name}{file.name}")
    file.unlink()
    assert not cache.holds(folder)
    assert not cache.holds("0" * 32)
    assert not cache.holds("0" * 32 + ".dir")
    assert not cache.holds("../x")


def test_a_stage_that_is_forgotten_is_looked_for_among_the_runs(pipeline):
    """Its results in dvc.lock are of another machine: the cache lacks them, DVC would run it."""
    lock = pipeline / "dvc.lock"
    here = lock.read_text(encoding="utf-8")
    recorded = read_stages(pipeline)["data"].outputs["data"].recorded
    shutil.rmtree(pipeline / "data")
    lock.write_text(here.replace(recorded, "0" * 32 + ".dir"), encoding="utf-8")
    dvc.forget(pipeline, [])
    assert "0" * 32 in lock.read_text(encoding="utf-8")
    dvc.forget(pipeline, ["data", "unknown"])

    assert "is cached - skipping run" in run(pipeline, "dvc", "repro", "data")
    assert read_stages(pipeline)["data"].outputs["data"].recorded == recorded


def test_a_command_returns_what_it_printed_and_fails_in_one_line(pipeline):
    assert json.loads(dvc.run("status", "--json")) == {}
    with pytest.raises(DVCError) as caught:
        dvc.run("status", "nowhere")
    assert str(caught.value).startswith("dvc status: ERROR: ")
    assert "\n" not in str(caught.value)


def test_a_command_elsewhere_is_shown_line_by_line(pipeline, tmp_path):
    lines: list[str] = []
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(DVCError, match="`dvc repro word` failed: "):
        dvc.follow(tmp_path / "elsewhere", os.environ, lines.append, "repro", "word")
    (pipeline / "word.txt").unlink()
    dvc.follow(pipeline, os.environ, lines.append, "repro", "word")

    assert any("echo hello" in line for line in lines)
    assert (pipeline / "word.txt").read_text(encoding="utf-8") == "hello\n"


# --- results -------------------------------------------------------------------------------------


def test_restore_lays_out_what_the_cache_has_and_deletes_nothing_else(pipeline, capfd):
    own = pipeline / "data" / "own"
    own.write_text("mine", encoding="utf-8")
    (pipeline / "data" / "a").unlink()
    shutil.rmtree(pipeline / "grids")

    dvc.restore(pipeline)

    assert own.read_text(encoding="utf-8") == "mine"
    assert (pipeline / "grids" / "1").exists()
    assert capfd.readouterr().out == ("data stays as it is: files lie there that no cache has\n")
    own.unlink()
    dvc.restore(pipeline)
    assert (pipeline / "data" / "a").exists()
