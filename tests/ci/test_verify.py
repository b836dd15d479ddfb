"""A rebuild from nothing finds what makes numbers and is no dependency: real DVC, real git."""

import re
import shutil
from pathlib import Path

import pytest
from support import SMALL, copy_of_the_code, run_in

from lab.base.errors import LabError
from lab.ci.verify import environment, verify

pytestmark = pytest.mark.usefixtures("no_checkout_is_left")

# Two stages whose number hangs on a module that DVC does not know of, and on the processor.
PIPELINE = """\
stages:
  first: {cmd: python stage.py first, deps: [stage.py], params: [first],
          outs: [metrics/first.json: {cache: false}]}
  second: {cmd: python stage.py second, deps: [stage.py, metrics/first.json], params: [second],
           outs: [metrics/second.json: {cache: false}, models]}
"""
STAGE = """\
import json, os, pathlib, sys
import yaml
import hidden
name = sys.argv[1]
number = yaml.safe_load(open("params.yaml"))[name] * hidden.FACTOR
number += float(os.environ.get("PROCESSOR", 0))
pathlib.Path("metrics").mkdir(exist_ok=True)
pathlib.Path("models").mkdir(exist_ok=True)
pathlib.Path("models/weights").write_text(str(number))
pathlib.Path(f"metrics/{name}.json").write_text(json.dumps(number))
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str) -> str:
        return run_in(self.folder, environment(), *command)

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content, encoding="utf-8")

    def commit(self, message: str) -> str:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)
        return self.run("git", "rev-parse", "HEAD").strip()

    def repro(self) -> str:
        self.run("dvc", "repro", "--quiet")
        return self.commit("Results")


@pytest.fixture(autouse=True)
def without_cml():
    """In place of the folder's, which leaves no program on PATH; this needs git and DVC."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    made = begun(tmp_path_factory.mktemp("finished") / "project")
    made.write("dvc.yaml", PIPELINE)
    made.write("stage.py", STAGE)
    made.write("hidden.py", "FACTOR = 2\n")
    made.write("params.yaml", "first: 1\nsecond: 3\n")
    made.write(".gitignore", "__pycache__\n/models\n")
    made.run("dvc", "init", "--quiet")
    made.repro()
    return made


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy for one test, to do with it what it likes."""
    return Project(shutil.copytree(finished.folder, tmp_path / "project"))


def begun(folder: Path) -> Project:
    folder.mkdir(exist_ok=True)
    made = Project(folder)
    made.run("git", "init", "-q", "-b", "main")
    made.run("git", "config", "user.name", "t")
    made.run("git", "config", "user.email", "t@example.org")
    return made


def missing(stage: str, commit: str) -> str:
    return (
        f"{stage}: its dependencies are those of {commit[:12]}, and its results are not; "
        "something that makes numbers is missing in dvc.yaml"
    )


@pytest.mark.parametrize("processor", ["0", "0.5"])
def test_a_change_that_alters_no_byte_passes_on_every_processor(project, processor, monkeypatch):
    project.write("hidden.py", "FACTOR = 2  # as before\n")
    project.commit("A comment")
    project.write("params.yaml", "first: 5\nsecond: 5\n")  # not committed, so not looked at
    monkeypatch.setenv("PROCESSOR", processor)

    assert verify(project.folder) == []
    assert project.run("git", "status", "--porcelain") == " M params.yaml\n"


@pytest.mark.parametrize("processor", ["0", pytest.param("0.5", marks=pytest.mark.slow)])
def test_a_byte_that_depends_on_what_dvc_does_not_know_of_is_found(project, processor, monkeypatch):
    results = project.run("git", "rev-parse", "HEAD").strip()
    project.write("hidden.py", "FACTOR = 4\n")
    project.commit("A number that is no dependency")
    assert "up to date" in project.run("dvc", "status")
    monkeypatch.setenv("PROCESSOR", processor)

    assert verify(project.folder) == [missing("first", results), missing("second", results)]


def test_each_stage_is_compared_with_the_commit_that_made_its_results(project):
    results = project.run("git", "rev-parse", "HEAD").strip()
    project.write("hidden.py", "FACTOR = 4\n")
    project.write("params.yaml", "first: 1\nsecond: 7\n")
    project.repro()

    assert verify(project.folder) == [missing("first", results)]


def test_results_of_other_params_are_found(project):
    project.write("params.yaml", "first: 1\nsecond: 7\n")
    project.commit("A param, and not its results")

    assert verify(project.folder) == [
        "second: dvc.lock is of other code or params; run `make repro`"
    ]


def test_a_result_that_was_edited_by_hand_is_found(project):
    project.write("metrics/second.json", "99.0")
    project.commit("A better number")

    assert verify(project.folder) == ["metrics/second.json: not what dvc.lock says"]


def test_a_stage_that_fails_and_a_history_that_is_cut_off_are_no_success(project, tmp_path):
    project.write("stage.py", "raise SystemExit('no')\n")
    project.commit("A stage that fails")
    with pytest.raises(LabError, match="cannot be rebuilt"):
        verify(project.folder)

    project.run("git", "clone", "-q", "--depth=1", f"file://{project.folder}", "../shallow")
    with pytest.raises(LabError, match="unshallow"):
        verify(tmp_path / "shallow")


@pytest.mark.slow
def test_this_repository_is_rebuilt_and_a_planted_cause_is_found(tmp_path, capfd):
    copy_of_the_code(tmp_path / "lab")
    project = begun(tmp_path / "lab")
    project.write("params.yaml", re.sub(r"  linear_4:\n(    .*\n)+", "", SMALL))
    results = project.repro()

    assert verify(project.folder) == []

    planted = project.folder / "lab" / "base" / "files.py"
    planted.write_text(
        planted.read_text(encoding="utf-8").replace("indent=2", "indent=1"), encoding="utf-8"
    )
    project.commit("Another layout of JSON")

    assert verify(project.folder) == [
        missing(stage, results)
        for stage in (
            "prepare",
            "check",
            "train@relu_8",
            "compare",
            "export",
            "model_card",
            "labels",
        )
    ]
