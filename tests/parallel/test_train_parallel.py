"""train_parallel.py as a user runs it: real DVC and git, small data, processes that are killed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_data import CLASSES, images, parts, prepared
from processes import PROMPT_SECONDS, ray_node, wait_for
from support import CHECK, PATIENCE_SECONDS, copy_of_the_code, run_in, started

import train_parallel
from lab.base.errors import LabError
from lab.data.description import DESCRIPTION, write_description
from lab.data.prepared import PREPARED, save_prepared
from lab.data.splits import SPLITS

MODEL = (
    "{network: feed_forward, hidden: [8], activation: relu, dropout: 0.0, "
    "optimizer: adam, learning_rate: 0.01, schedule: linear, weight_decay: 0.0}"
)
SMALL = f"""\
dataset: {{name: tiny, validation_size: 100, split_seed: 0}}
train: {{seeds: [0, 1, 2], seeds_per_stack: 2, epochs: 10, batch_size: 32, precision: bfloat16}}
models:
  first: {MODEL}
  second: {MODEL.replace("[8]", "[4]")}
compare: {{margin: 0.001}}
{CHECK}"""
LONG = SMALL.replace("epochs: 10", "epochs: 10000")  # an hour

pytestmark = [
    pytest.mark.xdist_group("train_parallel"),
    pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc"),
]


class Project:
    """A copy of this repository with its own git history, data and params."""

    processes: contextlib.ExitStack  # that a test has started

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts train_parallel.py; it ends with the test at the latest."""
        process = started(
            sys.executable, "train_parallel.py", *arguments, cwd=self.folder,
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return self.processes.enter_context(process)

    def run(self, *command: str, code: int = 0) -> str:
        return run_in(self.folder, self.environment, *command, code=code)

    def train(self, *arguments: str) -> str:
        return self.run(sys.executable, "train_parallel.py", *arguments)

    def params(self, text: str) -> None:
        (self.folder / "params.yaml").write_text(text, encoding="utf-8")

    def written(self, model: str = "*") -> dict[str, bytes]:
        files = [
            *self.folder.glob(f"models/runs/{model}/*"),
            *self.folder.glob(f"metrics/*/{model}.*"),
        ]
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in files}

    def out_of_date(self) -> list[str]:
        return list(json.loads(self.run("dvc", "status", "--json", "prepare", "train")))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, empty_store) -> Project:
    """A project whose models train_parallel.py has trained from nothing."""
    project = Project(tmp_path_factory.mktemp("parallel") / "project")
    copy_of_the_code(project.folder)
    project.params(SMALL)
    data = prepared(images(3000, 0), images(100, 1), images(100, 2))
    splits = parts(**{name: getattr(data, name) for name in SPLITS})
    save_prepared(splits, CLASSES, project.folder / PREPARED)
    write_description(data.description, project.folder / DESCRIPTION)
    (project.folder / "data/raw/tiny").mkdir(parents=True)
    shutil.copy(empty_store, project.folder / "mlflow.db")
    project.run("git", "init", "-q")
    project.run(sys.executable, "check.py")
    project.run("dvc", "commit", "-q", "-f", "prepare", "check")
    project.first_output = project.train()  # type: ignore[attr-defined]
    return project


@pytest.fixture
def project(trained) -> Iterator[Project]:
    """The trained project, whatever the test before did to it."""
    before, lock = trained.written(), (trained.folder / "dvc.lock").read_bytes()
    with contextlib.ExitStack() as trained.processes:
        yield trained
    trained.params(SMALL)
    for name, content in before.items():
        (trained.folder / name).write_bytes(content)
    (trained.folder / "dvc.lock").write_bytes(lock)


def test_it_trains_everything_and_dvc_has_nothing_left_to_train(trained):
    output = trained.first_output

    assert output.count("epoch 10, seeds 0, 1: validation accuracy") == 2
    assert "first: test accuracy" in output
    assert "second: test accuracy" in output
    assert "first - second: " in output or "second - first: " in output
    assert (
        trained.run("dvc", "status", "prepare", "train", "compare")
        == "Data and pipelines are up to date.\n"
    )
    assert len(trained.written()) == 12
    assert trained.train() == "every model is up to date\n"


def test_the_bytes_are_those_of_train_py(project):
    expected = project.written("first")
    assert len(expected) == 6
    for name in expected:
        (project.folder / name).unlink()
    project.run(sys.executable, "train.py", "first")

    assert project.written("first") == expected


def test_only_what_changed_is_trained_again(project):
    project.params(SMALL.replace("[4]", "[5]"))
    output = project.train("--workers", "1")

    assert "first: epoch" not in output
    assert "second: test accuracy" in output
    assert project.out_of_date() == []


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # inside MLflow
def test_runs_of_one_call_are_found_by_their_group(trained):
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{trained.folder / 'mlflow.db'}")
    experiments = [found.experiment_id for found in client.search_experiments()]
    whole = client.search_runs(experiments, "tags.stage = 'train_parallel'", max_results=9)
    group = whole[-1].data.tags["group"]
    together = client.search_runs(experiments, f"tags.group = '{group}'")
    names = {run.info.run_name for run in together}

    assert names == {"train_parallel", "first", "second"} | {
        f"{model} seed {seed}" for model in ("first", "second") for seed in range(3)
    }
    assert {run.info.status for run in together} == {"FINISHED"}
    (first,) = (run for run in together if run.info.run_name == "first")
    written = json.loads((trained.folder / "metrics/runs/first.json").read_text(encoding="utf-8"))
    assert first.data.metrics["test_accuracy"] == written["test"]["accuracy"]["mean"]
    assert first.data.tags["precision"] == written["precision"]


def workers(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that train: grandchildren of the script, by way of the fork server.

    DVC's own grandchildren are none of them; a worker may end while this looks for it.
    """
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"forkserver" in (folder / "cmdline").read_bytes():
                stat = (folder / "stat").read_text(encoding="utf-8")
                parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    children = {child for child, parent in parents.items() if parent == process.pid}
    return [child for child, parent in parents.items() if parent in children]


def kill(number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.kill(number, signal.SIGKILL)


def in_session(process: "subprocess.Popen[str]") -> list[int]:
    """What is left of the processes a script started, zombies aside."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == process.pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def gone(process: "subprocess.Popen[str]") -> bool:
    """Whether all that a script started ends, too, long before it could have finished."""
    deadline = time.monotonic() + PROMPT_SECONDS
    while in_session(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not in_session(process)


def test_a_killed_worker_is_replaced_and_changes_no_byte(project):
    expected = project.written()
    process = project.start("--force")
    wait_for(process, "first: epoch 2,")
    kill(workers(process)[0])
    output = process.communicate(timeout=PATIENCE_SECONDS)[0]

    assert process.returncode == 0, output
    assert "a worker process was killed; " in output
    assert project.written() == expected
    assert gone(process)


@pytest.mark.slow
def test_a_worker_that_keeps_dying_is_named_and_the_rest_is_kept(project):
    project.params(SMALL.replace("epochs: 10", "epochs: 9"))
    process = project.start()
    wait_for(process, "first: test accuracy")
    while process.poll() is None:
        for worker in workers(process):
            kill(worker)
        time.sleep(0.01)
    output = process.communicate()[0]

    assert process.returncode == 2
    assert output.splitlines()[-1].startswith(
        "train_parallel.py: killed 3 times over (out of memory?): second, seeds "
    )
    assert project.out_of_date() == ["train@second"]
    assert gone(process)


def test_ctrl_c_ends_everything_at_once(project):
    project.params(LONG)
    process = project.start("--force")
    wait_for(process, "epoch 1,")
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=PROMPT_SECONDS)[0]

    assert process.returncode == 130
    assert output.endswith("train_parallel.py: interrupted; nothing half-written was left behind\n")
    assert "Traceback" not in output
    assert gone(process)


def test_workers_end_with_a_killed_script(project):
    project.params(LONG)
    process = project.start("--force")
    wait_for(process, "epoch 1,")
    assert len(workers(process)) >= 1
    process.kill()

    assert gone(process)
    process.communicate()


def test_params_that_change_meanwhile_are_not_recorded(project):
    project.params(SMALL.replace("epochs: 10", "epochs: 30"))
    process = project.start()
    wait_for(process, "epoch 1,")
    project.params(SMALL.replace("epochs: 10", "epochs: 31"))
    output = process.communicate(timeout=PATIENCE_SECONDS)[0]

    assert process.returncode == 2
    assert output.splitlines()[-1].startswith("train_parallel.py: params.yaml changed meanwhile; ")
    assert project.out_of_date() == ["train@first", "train@second"]


def test_a_comparison_that_is_lacking_alone_is_made(project):
    """As when the process that records results in DVC was killed between two stages."""
    project.params(SMALL.replace("margin: 0.001", "margin: 0.002"))
    output = project.train()

    assert "epoch" not in output
    assert "first - second: " in output or "second - first: " in output
    assert project.train() == "every model is up to date\n"


def test_a_lock_file_that_dvc_left_half_written_is_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text("schema: '2.0'\n", encoding="utf-8")

    def killed(*arguments: str) -> str:
        Path("dvc.lock").write_text("sche", encoding="utf-8")
        raise LabError(f"dvc {arguments[0]}: exit -9")

    monkeypatch.setattr(train_parallel.dvc, "run", killed)
    with pytest.raises(LabError, match="then run `dvc commit -f train@first`"):
        train_parallel.record_in_dvc(["train@first"])

    assert Path("dvc.lock").read_text(encoding="utf-8") == "schema: '2.0'\n"


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["--workers", "0"], "--workers: must be at least 1; got 0"),
        (["--address", "127.0.0.1:1", "--force"], "train_parallel.py: --address: "),
    ],
)
def test_command_lines(trained, arguments, reported):
    assert reported in trained.run(sys.executable, "train_parallel.py", *arguments, code=2)


def test_stale_data_are_refused(project):
    project.params(SMALL.replace("split_seed: 0", "split_seed: 1"))

    assert project.run(sys.executable, "train_parallel.py", code=2) == (
        "train_parallel.py: the prepared data are out of date; run `dvc repro --force prepare`\n"
    )


def test_a_lock_that_outlived_its_dvc_is_said_before_anything_is_trained(project):
    config, lock = project.folder / ".dvc/config", project.folder / ".dvc/tmp/lock"
    before = config.read_text(encoding="utf-8")
    config.write_text(f"{before}    hardlink_lock = true\n", encoding="utf-8")
    lock.write_text(f"{project.folder}/.dvc/tmp/0123.lock", encoding="utf-8")
    try:
        said = project.run(sys.executable, "train_parallel.py", "--force", code=2)
    finally:
        config.write_text(before, encoding="utf-8")
        lock.unlink()

    assert said.startswith("train_parallel.py: .dvc/tmp/lock: DVC's lock is held; wait for ")
    assert said.count("\n") == 1


@pytest.mark.cluster
def test_a_cluster_of_two_nodes_writes_the_same_bytes(project, cluster):
    expected = project.written()
    project.environment.update(cluster)
    output = project.train("--force", "--address", cluster["address"])

    assert "second: test accuracy" in output
    assert project.written() == expected


@pytest.mark.cluster
def test_stacks_of_a_lost_node_are_trained_on_the_others(project, cluster):
    project.params(SMALL.replace("epochs: 10", "epochs: 100"))
    project.train("--force")
    expected = project.written()
    project.environment.update(cluster)
    third = project.processes.enter_context(
        ray_node({**os.environ, **cluster}, f"--address={cluster['address']}")
    )
    process = project.start("--force", "--address", cluster["address"])
    while len(training_on_ray()) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    for lost in in_session(third):
        kill(lost)
    output = process.communicate(timeout=PATIENCE_SECONDS)[0]

    assert process.returncode == 0, output
    assert project.written() == expected


@pytest.mark.cluster
def test_ctrl_c_leaves_no_training_on_the_cluster(project, cluster):
    project.params(SMALL.replace("epochs: 10", "epochs: 1000"))
    project.environment.update(cluster)
    process = project.start("--force", "--address", cluster["address"])
    while not training_on_ray():
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=PROMPT_SECONDS)[0]

    assert process.returncode == 130, output
    deadline = time.monotonic() + PROMPT_SECONDS
    while training_on_ray():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def training_on_ray() -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"ray::_train_far"):
                found.append(int(path.parent.name))
    return found
