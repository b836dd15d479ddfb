"""States in which nothing may be promoted: one line, exit 2, and nothing half-written."""

import json
import os
import subprocess
import sys

import pytest
from promotions import Shelf
from support import PATIENCE_SECONDS, is_one_line

from tests.faults import preload


@pytest.fixture(scope="module")
def promoted(stocked: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A version in production, and a better one at HEAD; never write into it."""
    made = stocked.copied(tmp_path_factory.mktemp("promoted") / "repository")
    made.environment["RECORD_RUNS"] = "0"
    made.promote()
    made.take("better")
    return made


@pytest.fixture
def shelf(promoted: Shelf, tmp_path) -> Shelf:
    copy = promoted.copied(tmp_path / "repository")
    copy.environment["RECORD_RUNS"] = "0"
    return copy


def state(shelf: Shelf) -> tuple[list[str], str, str, str]:
    """All that a refused promotion leaves as it is."""
    production = shelf.run("sha256sum", "models/production/model.onnx")
    return shelf.tags(), shelf.head(), production, shelf.run("git", "status", "--porcelain")


def refused(shelf: Shelf, said: str, *arguments: str) -> None:
    before = state(shelf)
    output = shelf.promote(*arguments, code=2).strip()
    assert said in output
    assert is_one_line(output)
    assert state(shelf) == before


def rewritten(shelf: Shelf, path: str, **changes) -> None:
    """Lets git have another file."""
    file = shelf.folder / path
    tree = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    file.write_text(json.dumps(tree), encoding="utf-8")
    shelf.run("git", "commit", "--quiet", "--all", "--message", "rewritten")


def test_states_of_git_and_of_results(shelf):
    shelf.run("git", "checkout", "--quiet", "--detach")
    refused(shelf, "HEAD: must be on a branch, where registry.json is committed")
    refused(shelf, "HEAD: must be on a branch", "--rollback")
    shelf.run("git", "checkout", "--quiet", "main")

    (shelf.folder / "new.py").touch()
    refused(shelf, "promote: HEAD must be what lies here; got new.py; commit, then try again")
    (shelf.folder / "new.py").unlink()

    file = shelf.folder / "registry.json"
    content = file.read_text(encoding="utf-8")
    file.write_text(content.replace("linear_4", "another"), encoding="utf-8")
    refused(shelf, "must be as tag model#production#1 says; got something else; it is written by")
    file.write_text("{", encoding="utf-8")
    refused(shelf, "registry.json: top level: invalid json")
    file.write_text(content, encoding="utf-8")

    shelf.run("git", "tag", "--annotate", "--message=by gto", "model#production#2")
    refused(shelf, "tag model#production#2: must be written by promote.py")
    shelf.run("git", "tag", "--delete", "model#production#2")

    lack = "the network cannot be a graph"
    rewritten(shelf, "metrics/export.json", forms={}, reason=lack)
    refused(shelf, f"forms: must have the model as a file; got none ({lack})")
    rewritten(shelf, "metrics/export.json", model="another", forms={})
    refused(shelf, "model: must be linear_4, as metrics/comparison.json says; got another")
    shelf.run("git", "rm", "--quiet", "metrics/export.json")
    shelf.run("git", "commit", "--quiet", "--message", "gone")
    refused(
        shelf, "metrics/export.json: must be in git at HEAD; got no such file; run `make repro`"
    )
    shelf.run("git", "reset", "--quiet", "--hard", "HEAD~3")

    # A branch that lacks what is in production is no place for registry.json.
    shelf.run("git", "checkout", "--quiet", "-b", "old", f"{shelf.commits['first']}~1")
    refused(shelf, "must be in git at HEAD; got no such file")
    shelf.run("git", "checkout", "--quiet", "main")

    shelf.edit("epochs: 12", "epochs: 13")
    shelf.run("git", "commit", "--quiet", "--all", "--message", "stale")
    refused(shelf, "promote: the results must be HEAD's own; got train@linear_4: train.epochs 12")


def test_a_clone_that_lacks_the_tags_promotes_nothing(shelf, tmp_path):
    source = f"file://{shelf.folder}"
    for number, options in enumerate((["--no-tags"], ["--depth=1", "--no-tags"])):
        folder = tmp_path / f"clone-{number}"
        shelf.run("git", "clone", "--quiet", *options, source, str(folder))
        clone = Shelf(folder)
        clone.environment = shelf.environment
        said = clone.promote(code=2)
        assert "registry.json: steps.0: must have its tag; got no model#production#1; run" in said
        assert "git fetch --tags" in said
        assert is_one_line(said.strip())
        assert clone.tags() == []
        assert not (folder / "models/production").exists()


@pytest.mark.skipif(bool(preload.needs_a_compiler()), reason="needs a C compiler")
@pytest.mark.parametrize("place", [
    ".git/refs/tags",
    "models/production",
    pytest.param(".git/objects", marks=pytest.mark.slow),
    pytest.param(".git/refs/heads", marks=pytest.mark.slow),
    pytest.param("registry.json", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_full_disk_is_one_line_and_the_next_run_agrees(shelf, tmp_path, place):
    counted = tmp_path / "state"
    counted.write_bytes(bytes(16))
    full = {
        "LD_PRELOAD": str(preload.compiled(tmp_path)),
        "FAULT_STATE": str(counted),
        "FAULT_FOLDER": f"{shelf.folder}/",
        "FAULT_ONLY": place,
        "FAULT_NUMBER": "1",
        "FAULT_STAYS": "1",
    }
    done = subprocess.run(
        [sys.executable, "promote.py"], cwd=shelf.folder, env={**shelf.environment, **full},
        capture_output=True, encoding="utf-8", timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = (one for one in done.stderr.splitlines() if one.startswith("promote.py: "))
    assert "Traceback" not in done.stderr
    assert line

    shelf.promote()
    assert [*shelf.contradictions()] == []
    assert [one.version for one in shelf.steps()] == [1, 2]


CAN_MOUNT = sys.platform == "linux" and os.geteuid() == 0


@pytest.mark.skipif(not CAN_MOUNT, reason="needs to be root, on Linux")
@pytest.mark.parametrize("folder", [".git", pytest.param("models", marks=pytest.mark.slow)])
def test_a_read_only_folder_is_one_line(shelf, folder):
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ("unshare", "--mount", "sh", "-c", mount, folder)
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("may not mount")
    output = shelf.run(*command, sys.executable, "promote.py", code=2)

    assert "ead-only" in output.splitlines()[-1]
    assert "Traceback" not in output
    shelf.promote()
    assert [*shelf.contradictions()] == []
