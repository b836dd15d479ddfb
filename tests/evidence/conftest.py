"""A real git repository with the project's pipeline, run by real DVC on the tiny task."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ROOT, SMALL, lay_out_the_tiny_task

# One model a line, so that tests can edit them, and one stack of seeds.
PARAMS = SMALL.replace("\n    {", " {").replace(",\n     ", ", ")

# The pipeline's own stages but for this one, which spares torch.
TRAIN = '''\
"""Stage `train` of the tests: results as if a model had been trained."""
import itertools
import math
import os
import sys

import numpy as np
from lab.base import params
from lab.results.cost import Meter, write_cost
from lab.data.prepared import load_prepared
from lab.results.storage import tracked
from lab.training.outcome import Epoch, Evaluation, Trained
from lab.training.scoring import write_trained

name = sys.argv[1]
tree = params.load()
model, train = tree.model(name), tree.train
data = load_prepared()
classes, inputs = len(data.description.class_names), math.prod(data.description.shape)
mistakes = 10 if model.own["activation"] == "relu" else 20
mistakes += len(repr(model)) % 7 + 3 * train.epochs + tree.dataset.split_seed
# What another machine makes of the same.
mistakes += int(os.environ.get("MACHINE_MISTAKES", "0"))
confidence = float(os.environ.get("MACHINE_CONFIDENCE", "0.9"))
device = os.environ.get("MACHINE_DEVICE", "cpu")

def evaluated(split):
    predictions_SN = np.repeat(split.labels[None], len(train.seeds), axis=0)
    for seed, row in zip(train.seeds, predictions_SN):
        # Of one model a seed is luck, so that few of them do not tell how good it is.
        luck = model.own["dropout"] == 0.55 and np.random.default_rng([seed, 2]).integers(13) - 6
        wrong = np.random.default_rng(seed).permutation(len(row))[: mistakes + seed % 3 + luck]
        row[wrong] = (row[wrong] + 1) % classes
    accuracy_S = (predictions_SN == split.labels).mean(axis=1)
    confidence_SN = np.full(predictions_SN.shape, confidence, dtype=np.float32)
    rest = np.float32((1 - confidence) / (classes - 1))
    others = np.full((*predictions_SN.shape, classes), rest)
    np.put_along_axis(others, predictions_SN[..., None].astype(int), np.float32(confidence), axis=2)
    return Evaluation(accuracy_S, 1 - accuracy_S, predictions_SN, confidence_SN, others)

with Meter() as meter:
    validation, test = evaluated(data.validation), evaluated(data.test)
    weights = {}
    widths = [inputs, *model.own["hidden"], classes]
    for layer, (into, out) in enumerate(itertools.pairwise(widths)):
        weights[f"{2 * layer}.weight"] = np.zeros((len(train.seeds), out, into), dtype=np.float32)
        weights[f"{2 * layer}.bias"] = np.zeros((len(train.seeds), out), dtype=np.float32)
    seeds = tuple(train.seeds)
    epochs = [Epoch(seeds, number + 1, validation.loss_S, validation.loss_S, validation.accuracy_S)
              for number in range(train.epochs)]
trained = Trained(seeds, weights, 4, tuple(epochs), validation, test)
write_trained(name, trained, data, device=device, precision="float32")
write_cost(meter.usage, 1_000, tracked(name)[0])

def main() -> None:
    """So that a test can break it."""

main()
'''


class Repository:
    """A git repository with the project's pipeline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "MLFLOW", "DVC"))}
        author = {f"GIT_{who}_{what}": "t@example.org"
                  for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
        path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        self.environment = {**kept, **author, "PATH": path, "RECORD_RUNS": "0"}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, encoding="utf-8",
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def commit(self, message: str = "change") -> str:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)
        return self.run("git", "rev-parse", "HEAD")

    def repro(self, *targets: str) -> None:
        self.run("dvc", "repro", *targets)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text(encoding="utf-8")
        assert old in text
        (self.folder / path).write_text(text.replace(old, new), encoding="utf-8")

    def copy(self, folder: Path) -> "Repository":
        shutil.copytree(self.folder, folder, symlinks=True)
        return Repository(folder)


@pytest.fixture(autouse=True)
def no_checkout_is_left_here(no_checkout_is_left: None) -> None:
    """Of the baselines, trials and anchors, however they end."""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose main branch holds fresh results; tests work on copies."""
    repository = Repository(tmp_path_factory.mktemp("finished") / "repository")
    folder = repository.folder
    folder.mkdir()
    for name in ("lab", "prepare.py", "check.py", "compare.py", "export.py", "dvc.yaml",
                 ".gitignore", ".dvcignore", "requirements.txt"):  # fmt: skip
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    lay_out_the_tiny_task(folder)
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.run("dvc", "init", "--quiet")
    repository.run("dvc", "config", "core.autostage", "true")
    repository.repro("train")
    repository.commit("baseline")
    return repository


@pytest.fixture
def enter(tmp_path, monkeypatch) -> Callable[[Repository], Repository]:
    """Makes a copy of a repository the working directory."""

    def entered(one: Repository) -> Repository:
        copy = one.copy(tmp_path / "repository")
        monkeypatch.chdir(copy.folder)
        for key in [key for key in os.environ if key.startswith(("GIT_", "MLFLOW", "DVC"))]:
            monkeypatch.delenv(key)
        return copy

    return entered


@pytest.fixture
def repository(finished, enter) -> Repository:
    """A copy of the finished repository on a branch of its own, as the working directory."""
    copy = enter(finished)
    copy.run("git", "checkout", "--quiet", "-b", "branch")
    return copy
