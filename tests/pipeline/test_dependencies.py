"""What makes the numbers is one list: a change there makes stages stale, any other does not."""

import ast
from pathlib import Path

import pytest
from imports import reached
from repository import Repository
from ruamel.yaml import YAML
from support import ROOT

from lab.training import checkpoints

NETWORK = "task/networks/${item.network}.py"
SCORES = ("lab/results/common_scores.py", "lab/results/scores.py")
MAKE_NUMBERS = (
    *("lab/cards", "lab/checking", "lab/data", "lab/exporting", "lab/training"),
    *("lab/verdict", "task"),
    *SCORES,
    "lab/serving/network.py",
    "lab/serving/reference.py",
    "lab/shifts/corruptions.py",
    "lab/shifts/reference.py",
    "lab/shifts/statistics.py",
)
PIPELINE = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))[
    "stages"
]


def python_files(*places: str) -> set[Path]:
    found = [ROOT / place for place in places]
    return {file for one in found for file in ([one] if one.is_file() else one.rglob("*.py"))}


def code_of(stage: str) -> set[str]:
    """The files and folders of code that dvc.yaml lists for a stage."""
    deps = set(PIPELINE[stage].get("do", PIPELINE[stage])["deps"])
    return {dep for dep in deps if dep.endswith(".py") or dep.startswith(("lab/", "task/"))}


def script_of(stage: str) -> str:
    """The root script that a stage runs."""
    return PIPELINE[stage].get("do", PIPELINE[stage])["cmd"].split()[1]


EXPORT = {
    *("lab/exporting", "lab/training/scoring.py", "lab/verdict"),
    *("lab/serving/network.py", "lab/serving/reference.py"),
    *("lab/shifts/reference.py", "lab/shifts/statistics.py"),
    *SCORES,
    *("task/dataset.md", "task/metrics.py"),
}
MODEL_CARD = {
    *("lab/cards", "lab/shifts/corruptions.py", "lab/verdict", "lab/serving/network.py"),
    *("task/dataset.md", "task/model.md"),
}
JUDGE = "task/networks/${check.labels.model.network}.py"


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("prepare", {"lab/data", "task/data"}),
        ("check", {"lab/checking", "lab/data", "lab/shifts/statistics.py"}),
        ("labels", {"lab/checking", "lab/data", "lab/training", "task/common", JUDGE}),
        ("card", {"lab/checking", "task/dataset.md"}),
        ("train", {"lab/data", "lab/training", "task/common", NETWORK}),
        ("compare", {"lab/verdict", *SCORES, "task/metrics.py"}),
        ("export", EXPORT),
        ("model_card", MODEL_CARD),
    ],
)
def test_a_stage_depends_on_its_script_and_on_what_makes_its_numbers(stage, code):
    assert code_of(stage) == {script_of(stage), *code}


def test_checkpoints_are_of_the_same_code_as_the_stage():
    assert {*checkpoints.CODE, NETWORK} == code_of("train")


@pytest.mark.parametrize(
    ("places", "allowed"),
    [
        (["lab/data"], ("lab/data", "lab/base")),
        (
            ["lab/data", "lab/training"],
            # lab/verdict: of it lab/results takes the interval that it shows and does not write.
            ("lab/data", "lab/training", "lab/base", "lab/results", "lab/verdict"),
        ),
        (["task"], ("task", "lab/data", "lab/training", "lab/base", "lab/results", "lab/verdict")),
        (["lab/verdict"], ("lab/verdict",)),
    ],
)
def test_what_makes_numbers_imports_nothing_else_that_could(places, allowed):
    """Files and formats may come from elsewhere, but not a number: they are no dependencies."""
    files = {file for file in reached(python_files(*places)) if file.parent != ROOT / "lab"}
    folders = {file.parent.relative_to(ROOT).as_posix() for file in files}

    assert {folder for folder in folders if not folder.startswith(allowed)} == set()


def test_only_what_makes_numbers_computes_with_torch_on_the_way_to_them():
    elsewhere = reached(python_files("lab/data", "lab/training")) - python_files(*MAKE_NUMBERS)

    assert len(elsewhere) > 3
    assert [file for file in elsewhere if "torch" in top_level_packages(file)] == []


def top_level_packages(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_imports_the_code_that_dvc_yaml_lists_for_it(stage):
    """A folder on the list that the stage does not use would run it for nothing."""
    used = {file.relative_to(ROOT).as_posix() for file in reached({ROOT / script_of(stage)})}
    listed = {place for place in code_of(stage) if place.startswith("lab/")}

    assert {place for place in listed if not any(name.startswith(place) for name in used)} == set()


# --- and DVC sees it so ------------------------------------------------------------------------


def edit_docstring(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert '"""' in text, file
    file.write_text(text.replace('"""', '"""Edited. ', 1), encoding="utf-8")


def test_docstrings_elsewhere_make_nothing_stale(repository: Repository):
    scripts = {ROOT / script_of(stage) for stage in PIPELINE}
    files = (python_files("lab") | {*ROOT.glob("*.py")}) - python_files(*MAKE_NUMBERS) - scripts
    assert ROOT / "lab/base/errors.py" in files
    for file in files:
        edit_docstring(repository.folder / file.relative_to(ROOT))

    assert repository.stale() == []


def test_a_docstring_in_training_makes_every_training_stale(repository: Repository):
    edit_docstring(repository.folder / "lab/training/loop.py")

    assert repository.stale() == ["train@relu_8", "train@linear_4", "labels"]


def test_another_score_makes_only_the_comparison_and_the_export_stale(repository: Repository):
    edit_docstring(repository.folder / "task/metrics.py")

    assert repository.stale() == ["compare", "export"]


def add_another_network(repository: Repository) -> Path:
    """Adds a network, which makes nothing stale, and a model of it, which is trained alone."""
    networks = repository.folder / "task/networks"
    (networks / "other.py").write_bytes((networks / "feed_forward.py").read_bytes())
    assert repository.stale() == []
    repository.edit("compare:", OTHER)
    assert repository.stale() == ["train@other_4", "compare", "model_card"]
    return networks / "other.py"


def test_another_network_makes_its_own_models_stale_and_no_other(repository: Repository):
    file = add_another_network(repository)

    edit_docstring(file.with_name("feed_forward.py"))
    trained = {"train@relu_8", "train@linear_4", "train@other_4"}
    assert set(repository.stale()) == {*trained, "compare", "model_card", "labels"}


@pytest.mark.slow
def test_another_network_trains_its_own_models_and_no_other(repository: Repository):
    file = add_another_network(repository)
    repository.dvc("repro", "train@other_4")
    first, other = (
        repository.json(f"metrics/runs/{name}.json") for name in ("linear_4", "other_4")
    )
    assert other["test"] == first["test"]

    edit_docstring(file)
    assert repository.stale() == ["train@other_4", "compare", "model_card"]


OTHER = """\
  other_4:
    {network: other, hidden: [4], activation: linear, dropout: 0.0, optimizer: adam,
     learning_rate: 0.01, schedule: linear, weight_decay: 0.0}
compare:"""
