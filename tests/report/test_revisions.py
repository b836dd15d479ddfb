"""Baselines in real git repositories, with pipelines run by real DVC."""

import functools
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support import ROOT

from lab.report import revisions
from lab.report.collection import collect
from lab.report.evidence import Evidence
from lab.report.judgement import judge
from lab.report.revisions import Committed, RevisionError, WorkingTree, resolve_base, staleness


def small_params() -> str:
    """The repository's own params, with little to do."""
    tree = YAML(typ="safe").load(ROOT / "params.yaml")
    tree["dataset"] |= {"name": "MNIST", "validation_size": 60, "split_seed": 0}
    tree["train"] |= {"seeds": [0, 1, 2], "seeds_per_stack": 3, "epochs": 1, "batch_size": 100}
    like = next(iter(tree["models"].values())) | {"dropout": 0.0}
    tree["models"] = {
        "relu_8": like | {"hidden": [8], "activation": "relu"},
        "linear_4": like | {"hidden": [4], "activation": "linear"},
    }
    lines = []
    for section, values in tree.items():
        shown = {key: json.dumps(value).replace('"', "") for key, value in values.items()}
        lines += [f"{section}:", *(f"  {key}: {value}" for key, value in shown.items())]
    return "\n".join(lines) + "\n"


# The pipeline's own stages, with images and results that are made up: neither network nor torch.
PREPARE = '''\
"""Stage `prepare` of the tests: made-up images."""
from pathlib import Path

import numpy as np
from lab.base import params
from lab.data import dataset
from lab.data.description import DESCRIPTION
from lab.data.prepared import PREPARED
from lab.data.splits import Prepared, Split

settings = params.load().dataset
TEST_SEED = 7

def split(seed, count):
    chance = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = chance.integers(0, 120, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels):
        image[2 * label : 2 * label + 4] += 90
    return Split(images, labels)

prepared = Prepared(split(settings.split_seed, 200), split(9, settings.validation_size),
                    split(TEST_SEED, 100))
Path("data/raw").mkdir(parents=True, exist_ok=True)
Path("data/raw/made").write_text("up")
dataset.save_prepared(prepared, PREPARED)
description = dataset.describe(settings.name, settings.split_seed, prepared)
dataset.write_description(description, DESCRIPTION)
'''

TRAIN = '''\
"""Stage `train` of the tests: results as if a model had been trained."""
import sys

import numpy as np
from lab.base import params
from lab.results import schema as results
from lab.results.cost import Meter, write_cost
from lab.data.prepared import PREPARED, load_prepared
from lab.training.outcome import Epoch, Evaluation, Trained

name = sys.argv[1]
tree = params.load()
model, train = tree.model(name), tree.train
data = load_prepared(PREPARED)
mistakes = 10 if model.activation == "relu" else 20
mistakes += len(repr(model)) % 7 + 3 * train.epochs + tree.dataset.split_seed

def evaluated(split):
    predictions_SN = np.repeat(split.labels[None], len(train.seeds), axis=0)
    for seed, row in zip(train.seeds, predictions_SN):
        wrong = np.random.default_rng(seed).permutation(len(row))[: mistakes + seed % 3]
        row[wrong] = (row[wrong] + 1) % 10
    accuracy_S = (predictions_SN == split.labels).mean(axis=1)
    confidence_SN = np.full(predictions_SN.shape, 0.9, dtype=np.float32)
    return Evaluation(accuracy_S, 1 - accuracy_S, predictions_SN, confidence_SN)

with Meter() as meter:
    validation, test = evaluated(data.validation), evaluated(data.test)
    weights = {"0.weight": np.zeros((len(train.seeds), 2, 2), dtype=np.float32)}
    seeds = tuple(train.seeds)
    epochs = [Epoch(seeds, number + 1, validation.loss_S, validation.loss_S, validation.accuracy_S)
              for number in range(train.epochs)]
trained = Trained(seeds, weights, 4, tuple(epochs), validation, test)
results.write_run(name, trained, data, device="cpu", precision="float32")
write_cost(name, meter.cost, 1_000, results.RUNS / f"{name}.json")

def main() -> None:
    """So that a test can break it."""

main()
'''

pytestmark = pytest.mark.xdist_group("revisions")  # they copy one repository


class Repository:
    """A git repository with the project's pipeline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "MLFLOW", "DVC"))}
        author = {f"GIT_{who}_{what}": "t@example.org"
                  for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
        path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        self.environment = {**kept, **author, "PATH": path}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True,
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
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new))

    def copy(self, folder: Path) -> "Repository":
        shutil.copytree(self.folder, folder, symlinks=True)
        return Repository(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose main branch holds fresh results; tests work on copies."""
    repository = Repository(tmp_path_factory.mktemp("finished") / "repository")
    folder = repository.folder
    folder.mkdir()
    for name in ("lab", "compare.py", "dvc.yaml", ".gitignore", ".dvcignore",
                 "requirements.txt"):  # fmt: skip
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    (folder / "params.yaml").write_text(small_params())
    (folder / "prepare.py").write_text(PREPARE)
    (folder / "train.py").write_text(TRAIN)
    repository.run("git", "init", "--quiet", "--initial-branch=main")
    repository.run("dvc", "init", "--quiet")
    repository.run("dvc", "config", "core.autostage", "true")
    repository.repro("train")
    repository.commit("baseline")
    return repository


@pytest.fixture
def repository(finished, tmp_path, monkeypatch) -> Repository:
    """A copy of the finished repository on a branch of its own, as the working directory."""
    copy = finished.copy(tmp_path / "repository")
    copy.run("git", "checkout", "--quiet", "-b", "branch")
    monkeypatch.chdir(copy.folder)
    for key in [key for key in os.environ if key.startswith(("GIT_", "MLFLOW", "DVC"))]:
        monkeypatch.delenv(key)
    return copy


def collected(named: str | None = None) -> Evidence:
    return collect(Path(), named, said.append)


said: list[str] = []


@pytest.fixture(autouse=True)
def _forget():
    said.clear()


def words(evidence: Evidence) -> dict[str, str]:
    return {one.model.name: one.word for one in judge(evidence).models}


def remake(monkeypatch) -> None:
    """What `dvc repro train` does, in this process and at once; its own work is tested above."""
    runpy.run_path("prepare.py")
    stages = revisions.defined_stages(WorkingTree(Path()))
    for name in stages:
        if name.startswith("train@"):
            monkeypatch.setattr(sys, "argv", ["train.py", name.removeprefix("train@")])
            runpy.run_path("train.py")
    params = YAML(typ="safe").load(Path("params.yaml"))

    def value(key: str) -> object:
        return functools.reduce(dict.__getitem__, key.split("."), params)

    def entry(path: str) -> dict[str, str]:
        files = sorted(Path(path).rglob("*")) if Path(path).is_dir() else [Path(path)]
        content = b"".join(file.read_bytes() for file in files if file.is_file())
        suffix = ".dir" if Path(path).is_dir() else ""
        return {
            "path": path,
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest() + suffix,
        }

    locked = {
        name: {
            "cmd": stage.command,
            "deps": [entry(path) for path in stage.dependencies],
            "params": {"params.yaml": {key: value(key) for key in stage.params}},
            "outs": [entry(path) for path in stage.outputs],
        }
        for name, stage in stages.items()
        if name != "compare"
    }  # fmt: skip
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": locked}))


# --- what is compared ----------------------------------------------------------------------------


def test_uncommitted_work_is_compared_with_where_the_branch_began(repository):
    repository.edit("params.yaml", "relu, dropout: 0.0", "relu, dropout: 0.1")
    repository.repro("train")
    found = collected()

    assert found.baseline.origin == "committed"
    assert found.baseline.commit == found.candidate.commit
    assert found.candidate.uncommitted == ["params.yaml"]
    assert [(c.key, c.baseline, c.candidate) for c in found.changes.params] == [
        ("models.relu_8.dropout", "0.0", "0.1")
    ]
    states = {state.name: (state.state, state.reasons) for state in found.stages}
    assert states["prepare"] == ("unchanged", [])
    assert states["train@relu_8"] == ("ran", ["models.relu_8.dropout 0.0 → 0.1"])
    assert states["train@linear_4"] == ("unchanged", [])
    assert not any(model.stale for model in found.models)
    assert words(found)["linear_4"] == "equivalent"
    # The predictions of the baseline come from DVC's cache.
    assert [flips.missing for flips in found.flips] == [None, None]
    assert found.models[0].candidate.cost is not None
    assert said == []


def test_edits_without_new_results_are_stale(repository):
    repository.edit("lab/training/loop.py", "SGD_MOMENTUM = 0.9", "SGD_MOMENTUM = 0.8")
    found = collected()

    assert set(words(found).values()) == {"stale"}
    assert found.models[0].stale == ["train@relu_8: lab/training/loop.py changed"]
    assert [change.path for change in found.changes.code] == ["lab/training/loop.py"]
    assert found.changes.code[0].stages == ["train@relu_8", "train@linear_4"]


def test_committed_results_that_are_stale_are_told_when_fresh_ones_are_there(
    repository, monkeypatch
):
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    repository.run("git", "commit", "--quiet", "--all", "--message", "forgot the results")
    remake(monkeypatch)
    found = collected()

    assert found.candidate.committed_stale == [
        "train@relu_8: train.epochs 1 → 2",
        "train@linear_4: train.epochs 1 → 2",
    ]
    assert not any(model.stale for model in found.models)


def test_dvc_itself_calls_the_same_stages_changed(repository):
    for edit in [("params.yaml", "epochs: 1", "epochs: 2"), ("lab/report/plots.py", '"""', '"""x')]:
        repository.run("git", "checkout", "--quiet", ".")
        repository.edit(*edit)
        status = json.loads(repository.run("dvc", "status", "--json"))
        changed = {stage for stage in status if stage != "compare"}

        assert set(staleness(WorkingTree(Path()))) >= changed
        assert not staleness(WorkingTree(Path())) or changed


def test_a_detached_head_and_a_dirty_tree_work(repository):
    repository.commit("empty")
    repository.run("git", "checkout", "--quiet", "--detach")
    Path("notes | `odd` @name.txt").write_text("one\ntwo\n")
    found = collected()

    assert found.candidate.uncommitted == ["notes | `odd` @name.txt"]
    assert [(c.path, c.added) for c in found.changes.code] == [("notes | `odd` @name.txt", 2)]
    assert set(words(found).values()) == {"equivalent"}


def test_the_baseline_may_be_the_candidate(repository):
    found = collected("HEAD")

    assert found.baseline.commit == found.candidate.commit
    assert found.candidate.uncommitted == []
    assert set(words(found).values()) == {"equivalent"}
    assert {state.state for state in found.stages[:3]} == {"unchanged"}


# --- models, seeds and data that differ ----------------------------------------------------------


def test_models_on_one_side_only(repository, monkeypatch):
    repository.edit("params.yaml", "  linear_4:", "  tanh_4:")
    repository.edit("params.yaml", "activation: linear", "activation: tanh")
    remake(monkeypatch)
    found = collected()

    assert words(found) == {"relu_8": "equivalent", "tanh_4": "new", "linear_4": "removed"}


def test_a_renamed_model_is_recognised_by_its_params_and_results(repository, monkeypatch):
    repository.edit("params.yaml", "  linear_4:", "  plain_4:")
    remake(monkeypatch)
    found = collected()

    assert [(model.name, model.renamed_from) for model in found.models] == [
        ("relu_8", None),
        ("plain_4", "linear_4"),
    ]
    assert words(found)["plain_4"] == "equivalent"


def test_a_renamed_and_changed_model_is_told_plainly(repository, monkeypatch):
    repository.edit(
        "params.yaml", "  linear_4: {network: feed_forward, hidden: [4]", "  plain_5: {hidden: [5]"
    )
    remake(monkeypatch)

    assert words(collected()) == {"relu_8": "equivalent", "plain_5": "new", "linear_4": "removed"}


def test_other_seeds_are_compared_without_pairing(repository, monkeypatch):
    repository.edit("params.yaml", "[0, 1, 2]", "[3, 4, 5, 6]")
    remake(monkeypatch)
    judged = judge(collected())

    assert not judged.models[0].finding.difference.is_paired
    assert judged.models[0].finding.difference.interval is not None


def test_another_split_is_reported_and_compared(repository, monkeypatch):
    repository.edit("params.yaml", "split_seed: 0", "split_seed: 1")
    remake(monkeypatch)
    found = collected()

    assert found.candidate_data.train != found.baseline_data.train
    assert found.candidate_data.test == found.baseline_data.test
    assert set(words(found).values()) <= {"equivalent", "cannot tell", "improved", "regressed"}


def test_another_test_set_is_not_compared(repository, monkeypatch):
    repository.edit("prepare.py", "TEST_SEED = 7", "TEST_SEED = 8")
    remake(monkeypatch)
    found = collected()

    assert set(words(found).values()) == {"not comparable"}
    assert not judge(found).passes
    assert found.flips == []


# --- baselines that have to be made --------------------------------------------------------------


def test_a_stale_baseline_is_reproduced_with_its_own_code(repository):
    # A baseline with other params than its results, and a candidate with results for those.
    repository.edit("params.yaml", "epochs: 1", "epochs: 2")
    repository.run("git", "commit", "--quiet", "--all", "--message", "stale baseline")
    repository.run("git", "branch", "--quiet", "--force", "main")
    repository.edit("lab/base/progress.py", '"""Progress', '"""The progress')
    repository.repro("train")
    repository.commit()
    found = collected()

    assert found.baseline.origin == "reproduced"
    assert found.baseline.reasons[0] == "train@relu_8: train.epochs 1 → 2"
    assert set(words(found).values()) == {"equivalent"}
    assert found.models[0].baseline.test == found.models[0].candidate.test
    assert found.models[0].baseline.cost is not None
    assert [flips.missing for flips in found.flips] == [None, None]
    assert said[0].startswith(f"baseline {found.baseline.commit[:12]}: its results cannot be used")
    assert repository.run("git", "worktree", "list").count("\n") == 0


def test_absent_results_are_reproduced(repository):
    repository.run("git", "rm", "--quiet", "--cached", "metrics/runs/relu_8.json")
    repository.run("git", "commit", "--quiet", "--message", "lost")
    found = collected("HEAD")

    assert found.baseline.origin == "reproduced"
    assert found.baseline.reasons[0] == "metrics/runs/relu_8.json is missing"
    assert set(words(found).values()) == {"equivalent"}


def test_a_baseline_that_cannot_be_reproduced_is_missing_not_zero(repository):
    repository.edit(
        "train.py", "def main() -> None:", 'def main() -> None:\n    raise LookupError("x")'
    )
    repository.commit("broken")
    repository.run("git", "branch", "--quiet", "--force", "main")
    repository.run("git", "checkout", "--quiet", "HEAD~1", "--", "train.py")
    repository.commit("mended")
    found = collected()

    assert found.baseline.origin == "none"
    assert found.baseline.reasons[0] == "train@relu_8: train.py changed"
    assert "failed" in found.baseline.reasons[-1]
    assert set(words(found).values()) == {"missing"}
    assert not judge(found).passes
    assert repository.run("git", "worktree", "list").count("\n") == 0


def test_a_baseline_without_a_pipeline_makes_every_model_new(repository):
    repository.run("git", "checkout", "--quiet", "--orphan", "old")
    repository.run("git", "rm", "--quiet", "-r", "--cached", ".")
    repository.run("git", "commit", "--quiet", "--allow-empty", "--message", "before everything")
    repository.run("git", "checkout", "--quiet", "--force", "branch")
    found = collected("old")

    assert found.baseline.origin == "none"
    assert "no pipeline" in found.baseline.reasons[-1]
    assert set(words(found).values()) == {"new"}


def test_a_baseline_of_an_older_schema_is_missing(repository):
    for name in ("relu_8", "linear_4"):
        Path(f"metrics/runs/{name}.json").write_text('{"accuracy": 0.97}')
    Path("dvc.yaml").write_text("stages:\n  train:\n    cmd: 'true'\n")
    repository.commit("older schema")
    found_at = repository.run("git", "rev-parse", "HEAD")
    repository.run("git", "checkout", "--quiet", "HEAD~1", "--", ".")
    repository.commit("newer schema")
    found = collected(found_at)

    assert "is not of this schema" in found.baseline.reasons[0]
    assert set(words(found).values()) == {"missing"}
    assert "is not of this schema" in found.models[0].baseline_missing


def test_lost_and_wrong_predictions_are_told(repository):
    for name, content in (("relu_8", Path("models/runs/linear_4/predictions.npz").read_bytes()),
                          ("linear_4", b"?")):  # fmt: skip
        path = Path(f"models/runs/{name}/predictions.npz")
        path.unlink()  # it may be a link into the cache
        path.write_bytes(content)
    assert [one.missing for one in collected("HEAD").flips] == [
        "the candidate's predictions do not belong to its results",
        "the candidate's predictions are damaged",
    ]
    shutil.rmtree(".dvc/cache")
    assert {one.missing for one in collected("HEAD").flips} == {
        "the baseline's predictions are not in the DVC cache"
    }


# --- revisions that cannot be found --------------------------------------------------------------


def refusal(named: str | None = None) -> str:
    with pytest.raises(RevisionError) as caught:
        print(revisions.head(Path()), resolve_base(Path(), named))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def git(*arguments: str, folder: Path | None = None) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def history(tmp_path, monkeypatch) -> Path:
    """A repository of empty commits: main with two, branch with one more."""
    folder = tmp_path / "history"
    folder.mkdir()
    monkeypatch.chdir(folder)
    git("init", "--quiet", "--initial-branch=main")
    for message in ("first", "second"):
        git("commit", "--quiet", "--allow-empty", "--message", message)
    git("checkout", "--quiet", "-b", "branch", "HEAD~1")
    git("commit", "--quiet", "--allow-empty", "--message", "work")
    return folder


def test_the_base_is_the_merge_base_and_knows_how_far_the_trunk_went(history):
    base = resolve_base(Path(), None)

    assert base.commit == git("rev-parse", "HEAD~1")
    assert (base.named, base.trunk, base.behind) == (None, "main", 1)


def test_a_tag_or_any_revision_may_be_named(history):
    git("tag", "--annotate", "v1", "--message", "x", "main")

    assert resolve_base(Path(), "v1").commit == git("rev-parse", "main")
    assert resolve_base(Path(), "HEAD~1").named == "HEAD~1"


def test_origins_default_branch_comes_first(history, tmp_path, monkeypatch):
    git("branch", "--quiet", "--move", "main", "trunk")
    git("checkout", "--quiet", "trunk")
    git("clone", "--quiet", str(history), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")

    assert resolve_base(Path(), None).trunk == "origin/trunk"


@pytest.mark.parametrize("named", ["nowhere", "--all", "HEAD~99", "a b", "x^{tree}"])
def test_an_unknown_revision_is_told(history, named):
    assert refusal(named).startswith("BASE: ")


def test_no_default_branch_is_told(history):
    git("branch", "--quiet", "-D", "main")

    assert refusal() == (
        "no default branch found (origin/HEAD, main or master); "
        "name the baseline: `make report BASE=<revision>`"
    )


def test_histories_without_a_common_commit_are_told(history):
    git("checkout", "--quiet", "--orphan", "alone")
    git("commit", "--quiet", "--allow-empty", "--message", "alone")

    assert refusal().startswith("HEAD and main have no commit in common; name the baseline")


@pytest.mark.parametrize("named", [None, "HEAD~1"])
def test_a_shallow_clone_is_told_with_the_fetch_that_mends_it(
    history, tmp_path, monkeypatch, named
):
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--depth=1", "--no-single-branch", f"file://{history}", str(clone))
    git("remote", "set-head", "origin", "main", folder=clone)
    monkeypatch.chdir(clone)

    assert refusal(named).endswith(
        "; this is a shallow clone: run `git fetch --unshallow origin` "
        "(actions/checkout: `fetch-depth: 0`)"
    )


def test_no_repository_and_no_commit_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert refusal().startswith("not a git repository, and the report compares revisions")
    git("init", "--quiet")
    assert refusal() == "no commit yet; run `git add --all && git commit`"


# --- files, stages, params -----------------------------------------------------------------------


def test_a_commit_reads_as_the_working_tree_it_was_made_from(finished):
    commit = finished.run("git", "rev-parse", "HEAD")
    committed, tree = Committed(finished.folder, commit), WorkingTree(finished.folder)

    assert committed.listing("metrics") == tree.listing("metrics")
    for path in ("params.yaml", "metrics/runs/relu_8.json", "lab/__init__.py"):
        assert committed.read(path) == tree.read(path)
    assert committed.read("nothing") is None
    assert tree.read("nothing") is None
    assert staleness(committed) == staleness(tree) == {}


def test_stages_are_read_from_dvc_yaml_as_dvc_resolves_them(finished):
    defined = revisions.defined_stages(WorkingTree(finished.folder))
    locked = revisions.locked_stages(WorkingTree(finished.folder))

    assert list(defined) == ["prepare", "train@relu_8", "train@linear_4", "compare"]
    for name, stage in locked.items():
        assert defined[name].command == stage.command
        assert set(defined[name].dependencies) == set(stage.dependencies)
        assert set(defined[name].params) == set(stage.params)
        assert set(defined[name].outputs) == set(stage.outputs)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("dvc.lock", "stages: [1]"),
        ("dvc.lock", "stages:\n  a: {cmd: x, deps: [{path: y}]}"),
        ("dvc.lock", "{"),
        ("params.yaml", "a: [1"),
        ("params.yaml", "models:\n  'a/b': {}\n"),
        ("params.yaml", "models:\n  '..': {}\n"),
    ],
)
def test_damaged_files_are_told(tmp_path, path, content):
    (tmp_path / path).write_text(content)
    tree = WorkingTree(tmp_path)

    with pytest.raises(RevisionError) as caught:
        print(revisions.locked_stages(tree), revisions.model_params(tree))
    assert str(caught.value).startswith(path)


def test_numbers_that_are_equal_do_not_differ():
    assert revisions.differences({"a": 1, "b": True}, {"a": 1.0, "b": 1}) == [("b", True, 1)]
    assert revisions.differences({"a": {"x": 1}}, {}) == [("a", {"x": 1}, revisions.ABSENT)]


def test_pins_are_read_from_requirements(tmp_path):
    (tmp_path / "requirements.txt").write_text(
        "# made by\ntorch==2.15.0 \\\n    --hash=sha256:00\nnumpy==2.4.0 ; python_version>'3'\n"
    )

    assert revisions.pins(WorkingTree(tmp_path)) == {"torch": "2.15.0", "numpy": "2.4.0"}


def test_the_cache_is_where_dvc_is_told(tmp_path):
    (tmp_path / ".dvc").mkdir()
    assert revisions.cache_folder(tmp_path) == tmp_path / ".dvc" / "cache"
    (tmp_path / ".dvc" / "config").write_text("[cache]\n    dir = ../shared\n")
    assert revisions.cache_folder(tmp_path) == tmp_path / "shared"
    (tmp_path / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {tmp_path}/own\n")
    assert revisions.cache_folder(tmp_path) == tmp_path / "own"
