"""The commits that pull requests are made of, each made once for all tests, its results trained.

A commit is named by what somebody did. What it makes worse stands beside it, so that a test knows
which pull requests must not pass without asking the code that is tried.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from repository import Repository

TRUNK = "trunk"  # the default branch; nothing may assume another name
DATE = "2026-11-20T10:00:00Z"  # of all commits: the same content is the same commit
# Another processor: PyTorch adds up in another order, and every result has other bytes.
LAPTOP = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
RELU = "learning_rate: 0.003, schedule"  # the first model's, relu_8
HIDDEN = "linear_4:\n    {network: feed_forward, hidden: [4]"
LINEAR = """\
  linear_4:
    {network: feed_forward, hidden: [4], activation: linear, dropout: 0.0, optimizer: adam,
     learning_rate: 0.005, schedule: linear, weight_decay: 0.0}
"""
# A job of the pull request's own workflow, under the name of the check.
SPOOF = """\
jobs:
  spoof:
    name: fair trial
    runs-on: ubuntu-24.04
    steps:
      - run: echo passed
"""
# What a cheat adds to the step that collects: the baseline was no better.
LIE = """\
import json, pathlib

def lie():
    file = pathlib.Path("report/report.json")
    report = json.loads(file.read_text())
    for model in report["models"]:
        model["baseline"] = model["candidate"]
    file.write_text(json.dumps(report))
"""
SCRIPT = "pull_request.py"
RENDER = "    report.render(evidence, REPORT"


@dataclass(frozen=True)
class Recipe:
    """How a commit is made: of which other, by which edits, and whether its results are its own.

    An edit is an old text, a new one, and a path. `damage` are the losses against `trunk`. On a
    laptop everything is made anew.
    """

    parent: str
    edits: tuple[tuple[str, str, str], ...]
    with_results: bool = False
    damage: frozenset[str] = frozenset()
    is_on_laptop: bool = False


def params(old: str, new: str) -> tuple[str, str, str]:
    return old, new, "params.yaml"


# So that three seeds show what becomes better and what worse: `trunk` is the tiny task with these.
STEADY = (
    params("learning_rate: 0.01, schedule", RELU),
    params(LINEAR.replace("0.005", "0.01"), LINEAR),
)
WORSE = params(RELU, "learning_rate: 0.0001, schedule")
OTHER = params(RELU, "learning_rate: 0.0031, schedule")
BETTER = params(HIDDEN, HIDDEN.replace("[4]", "[16]"))
RENAMED = params("relu_8:", "relu_9:")
WAS = params("was: {}", "was: {relu_9: relu_8}")
TYPO = ("\n## ", "\n##  ", "README.md")
LOST, GONE = frozenset({"relu_8"}), frozenset({"linear_4"})
RECIPES = {
    "readme": Recipe(TRUNK, (TYPO,)),
    "worse": Recipe(TRUNK, (WORSE,), with_results=True, damage=LOST),
    "worse_readme": Recipe("worse", (TYPO,), damage=LOST),
    "repaired": Recipe("worse", (params(*WORSE[1::-1]),), with_results=True),
    "worse_otherwise": Recipe(
        TRUNK,
        (params(LINEAR, LINEAR.replace("0.005", "0.0001")),),
        with_results=True,
        damage=GONE,
    ),
    "better": Recipe(TRUNK, (BETTER,), with_results=True),
    "other": Recipe(TRUNK, (OTHER,), with_results=True),
    "better_and_other": Recipe("better", (OTHER,), with_results=True),
    # results that git does not hold
    "uncommitted": Recipe(TRUNK, (BETTER,)),
    "worse_uncommitted": Recipe(TRUNK, (WORSE,), damage=LOST),
    "readme_on_uncommitted": Recipe("uncommitted", (TYPO,)),
    # models that go, or are called otherwise
    "removed": Recipe(TRUNK, (params(LINEAR, ""),), with_results=True, damage=GONE),
    "renamed": Recipe(TRUNK, (RENAMED,), with_results=True),
    "renamed_worse": Recipe(TRUNK, (RENAMED, WAS, WORSE), with_results=True, damage=LOST),
    "renamed_silently": Recipe(TRUNK, (RENAMED, WORSE), with_results=True, damage=LOST),
    # results of another machine
    "laptop": Recipe(TRUNK, (BETTER,), with_results=True, is_on_laptop=True),
    "laptop_trunk": Recipe(TRUNK, (("# ", "##", "README.md"),), True, is_on_laptop=True),
    "laptop_readme": Recipe("laptop_trunk", (TYPO,)),
    # what is judged on fresh seeds: of 3, then 6, then 12
    "asking": Recipe(TRUNK, (params("margin: 0.001", "margin: 0.1\n  budget: 12"),), True),
    "asking_worse": Recipe("asking", (WORSE,), with_results=True, damage=LOST),
    "asking_worse_readme": Recipe("asking_worse", (TYPO,), damage=LOST),
    "asking_other": Recipe("asking", (OTHER,), with_results=True),
    # what somebody may try
    "bar": Recipe(
        TRUNK, (WORSE, params("margin: 0.001", "margin: 0.9")), with_results=True, damage=LOST
    ),
    "spoof": Recipe("worse", (("jobs:\n", SPOOF, ".github/workflows/cml.yaml"),), damage=LOST),
    "lie": Recipe(
        "worse",
        (("", LIE, "lies.py"), (RENDER, f"    __import__('lies').lie()\n{RENDER}", SCRIPT)),
        damage=LOST,
    ),
    # mistakes
    "slip": Recipe(TRUNK, (params(RELU, "lerning_rate: 0.01, schedule"),)),
}


class Workshop:
    """A working repository in a folder that all workers of pytest-xdist have in common."""

    def __init__(self, folder: Path, trained: Repository) -> None:
        self.folder, self.made = folder, folder / "made"
        self.lab = Repository(folder / "lab")
        self.lab.environment |= {"GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE}
        self.cache = folder / "cache"  # as the default branch saved it
        self._known: dict[str, str] = {}
        with self._locked():
            if not self.made.exists():
                shutil.rmtree(folder / "lab", ignore_errors=True)
                trained.copied(folder / "lab")
                self._begin()
                self.made.mkdir()

    def _begin(self) -> None:
        """One commit with its results, under a fixed date, on a default branch of another name."""
        self.lab.run("git", "checkout", "-q", "--orphan", "begun")
        for old, new, path in STEADY:
            self.lab.edit(old, new, path)
        self.lab.repro("--quiet")
        self.lab.run("git", "add", "-A")
        self.lab.run("git", "commit", "-qm", "trunk")
        self.lab.run("git", "branch", "-qD", "main")
        self.lab.run("git", "branch", "-m", TRUNK)
        shutil.copytree(self.lab.folder / ".dvc/cache", self.cache, copy_function=os.link)
        if (self.lab.folder / "report/costs").exists():
            shutil.copytree(self.lab.folder / "report/costs", self.folder / "costs")

    @contextlib.contextmanager
    def _locked(self):
        self.folder.mkdir(exist_ok=True)
        with FileLock(self.folder / "lock"):
            yield

    def commit(self, name: str) -> str:
        """The commit of a name, made if it is not there yet."""
        if name not in self._known:
            self._known[name] = self._revision(name) if name == TRUNK else self._made(name)
        return self._known[name]

    def _made(self, name: str) -> str:
        file = self.made / name
        if not file.exists():
            parent = self.commit(RECIPES[name].parent)
            with self._locked():
                if not file.exists():
                    self._make(name, parent)
                    file.touch()
        return self._revision(name)

    def _revision(self, name: str) -> str:
        return self.lab.run("git", "rev-parse", f"refs/heads/{name}").strip()

    def _make(self, name: str, parent: str) -> None:
        recipe = RECIPES[name]
        self.lab.run("git", "checkout", "-qfB", name, parent)
        for old, new, path in recipe.edits:
            (self.lab.folder / path).touch()  # one that is new
            self.lab.edit(old, new, path)
        # At once: DVC writes git's index anew, without a mark at files of the same second, and of
        # these git then misses an edit that leaves the size as it is.
        self.lab.run("git", "add", "-A")
        if recipe.is_on_laptop:
            self._repro_on_laptop()
        elif recipe.with_results:
            self.lab.repro("--quiet")
        self.lab.run("git", "add", "-A")
        self.lab.run("git", "commit", "-qm", name)

    def _repro_on_laptop(self) -> None:
        """What it makes is not kept for the commits that are made here."""
        runs, kept = self.lab.folder / ".dvc/cache/runs", self.folder / "runs"
        runs.rename(kept)
        there = Repository(self.lab.folder)
        there.environment = {**self.lab.environment, **LAPTOP}
        there.repro("--quiet", "--force", "--no-run-cache")
        shutil.rmtree(runs)
        kept.rename(runs)

    def once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Bytes that take long to make, made once for all workers."""
        file = self.folder / "once" / name
        file.parent.mkdir(exist_ok=True)
        with FileLock(f"{file}.lock"):
            if not file.exists():
                content = make()
                file.with_suffix(".new").write_bytes(content)
                file.with_suffix(".new").replace(file)
        return file.read_bytes()
