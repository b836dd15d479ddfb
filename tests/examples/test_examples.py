"""Every folder of examples/: applied by `make example`, then used as its reader would use it."""

import re
import sys
from pathlib import Path

import pytest
from repository import Repository
from support import ROOT, copy_of_the_code, is_one_line, tree

from lab.base import params
from lab.base.example_task import RESULTS
from lab.report.pictures import IMAGES

EXAMPLES = sorted(path.name for path in (ROOT / "examples").iterdir() if (path / "task").is_dir())
# Packages that an example needs beside those of requirements.txt, and what installs them.
OPTIONAL = {"text": ("transformers", "make text")}
PLACES = ("params.yaml", "task/", "tests/task/")


@pytest.fixture
def clone(tmp_path) -> Repository:
    """The code and the results that git tracks, committed; nothing else is there yet."""
    folder = tmp_path / "clone"
    copy_of_the_code(folder)
    for name in ("metrics", "models"):
        (folder / name / "runs").mkdir(parents=True)
        (folder / name / "runs" / "relu_128.json").write_text("{}", encoding="utf-8")
    (folder / "dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")
    repository = Repository(folder)
    repository.run("git", "init", "-q", "-b", "main")
    repository.commit()
    return repository


def applied(repository: Repository, name: str) -> str:
    return repository.run("make", "-s", "example", f"NAME={name}")


def changed(repository: Repository) -> set[str]:
    """What differs from the last commit, and what git does not know yet."""
    lines = repository.run("git", "status", "--porcelain", "-uall", "--no-renames").splitlines()
    return {line[3:] for line in lines}


def without_caches(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if "__pycache__" not in name}


# --- what an example is --------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_holds_a_task_and_a_page_about_it_and_nothing_else(name):
    there = without_caches(tree(ROOT / "examples" / name))

    assert {"task/data/__init__.py", "task/common/__init__.py", "params.yaml"} <= set(there)
    assert any(file.startswith("tests/task/test_") for file in there)
    assert [file for file in there if file != "README.md" and not file.startswith(PLACES)] == []
    page = there["README.md"].decode()
    assert f"make example NAME={name}" in page
    assert len(page.splitlines()) <= 60


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_takes_the_place_of_the_task_and_of_its_results(clone, name):
    before = tree(clone.folder)

    assert "make repro" in applied(clone, name)

    after, own = tree(clone.folder), without_caches(tree(ROOT / "examples" / name))
    kept = {
        file: content
        for file, content in before.items()
        if not file.startswith((*PLACES, *RESULTS, ".git/"))
    }
    there = {file: after[file] for file in after if not file.startswith(".git/")}
    assert without_caches(there) == without_caches(
        kept | {file: own[file] for file in own if file != "README.md"}
    )
    clone.run(sys.executable, "-m", "lab.data.datasets")  # as `make repro` begins


def test_files_of_the_user_s_stay_beside_the_results_that_go(clone):
    for file in ("models/own.safetensors", "metrics/own.tmp", "data/raw/own.csv"):
        (clone.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (clone.folder / file).write_text("mine", encoding="utf-8")
    (clone.folder / ".git/info").mkdir(exist_ok=True)
    (clone.folder / ".git/info/exclude").write_text("*.tmp\n", encoding="utf-8")

    applied(clone, EXAMPLES[0])

    for file in ("models/own.safetensors", "metrics/own.tmp", "data/raw/own.csv"):
        assert (clone.folder / file).read_text(encoding="utf-8") == "mine"


# --- when nothing is replaced --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("task/data/__init__.py", "edited = True\n"),
        ("task/data/new.py", "new = True\n"),
        ("params.yaml", "edited: true\n"),
        ("tests/task/test_own.py", "own = True\n"),
        ("task/common/__init__.py", None),
        ("metrics/own.json", "{}\n"),
    ],
)
def test_work_that_is_not_committed_is_not_replaced(clone, file, content):
    path = clone.folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8") if content else path.unlink()
    before = without_caches(tree(clone.folder))

    said = clone.run("make", "-s", "example", f"NAME={EXAMPLES[0]}", code=2)

    assert f"got changes of {file}; commit them" in said
    assert without_caches(tree(clone.folder)) == before


@pytest.mark.parametrize("name", ["", "nowhere", "../examples/table", "x" * 5_000, "README.md"])
def test_a_name_that_is_no_example_is_one_line_with_those_there_are(clone, name):
    said = clone.run(sys.executable, "-m", "lab.base.example_task", name, code=2)

    assert is_one_line(said.strip())
    assert f"use {', '.join(EXAMPLES)}" in said
    assert changed(clone) == set()


def test_without_git_nothing_is_replaced(tmp_path):
    copy_of_the_code(tmp_path / "unpacked")
    unpacked = Repository(tmp_path / "unpacked")
    unpacked.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path)

    said = unpacked.run(sys.executable, "-m", "lab.base.example_task", EXAMPLES[0], code=2)

    assert is_one_line(said.strip())
    assert "not a git repository" in said


# --- the whole way -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_from_its_first_run_to_a_report_on_a_change(repository, name):
    """Another task was trained before it, so that what is left of that would show."""
    if name in OPTIONAL:
        package, command = OPTIONAL[name]
        pytest.importorskip(package, reason=f"{package} is not installed; run `{command}`")
    own = params.parse((ROOT / "examples" / name / "params.yaml").read_bytes(), name)
    first, models = next(iter(own.models)), sorted(own.models)
    trainings = {f"train@{model}" for model in models}
    before = results(repository)

    applied(repository, name)
    repository.run(sys.executable, "-m", "lab.data.datasets")
    assert set(repository.repro()) == set(repository.stages()) > trainings
    assert repository.stale() == []
    assert results(repository) == {"metrics": models, "models": models} != before
    assert repository.json("metrics/metrics.json")["model"] in models
    assert [file for file in changed(repository) if not file.startswith((*PLACES, *RESULTS))] == []
    repository.commit()

    said = repository.run(sys.executable, "report.py", "--base", "HEAD~1")
    assert "Not comparable" in said
    sides = report(repository)["models"]
    assert sorted(entry["name"] for entry in sides if entry["candidate"]) == models

    learn_slowly(repository.folder / "params.yaml", first, own.models[first].learning_rate / 20)
    assert set(repository.repro()) >= {f"train@{first}", "compare"}
    assert repository.stale() == []
    said = repository.run(sys.executable, "report.py", "--base", "HEAD")
    verdicts = "regressed|equivalent|real, .+|cannot tell"
    assert re.search(rf"^{first} .+ ({verdicts})$", said, re.M)
    found = report(repository)
    assert found["baseline"]["origin"] == "committed"
    assert [one["key"] for one in found["changes"]["params"]] == [f"models.{first}.learning_rate"]
    shown = {one["input"]["kind"] for one in found["examples"]}
    assert shown == {repository.json("metrics/dataset.json")["kind"]}
    assert {"report.html", "report.md", IMAGES.files[0]} <= set(tree(repository.folder / "report"))

    repository.run(sys.executable, "-m", "pytest", "-q", "tests/task")


def results(repository: Repository) -> dict[str, list[str]]:
    """The models of which there are results."""
    return {
        "metrics": sorted(
            path.stem for path in (repository.folder / "metrics/runs").glob("*.json")
        ),
        "models": sorted(path.name for path in (repository.folder / "models/runs").iterdir()),
    }


def report(repository: Repository) -> dict:
    return repository.json("report/report.json")


def learn_slowly(file: Path, model: str, value: float) -> None:
    """Changes one model's learning rate; the rest of the file stays as it is."""
    head, entry = re.split(rf"(?m)^(?=  {model}:)", file.read_text(encoding="utf-8"), maxsplit=1)
    entry, count = re.subn(r"learning_rate: [^\s,}]+", f"learning_rate: {value}", entry, count=1)
    assert count == 1
    file.write_text(head + entry, encoding="utf-8")
