"""tune.py as a user runs it: real data, real processes, real MLflow; killed, mistaken, repeated."""

import csv
import json
import signal
import subprocess
import sys
import time

import pytest
from repository import Repository
from support import PATIENCE_SECONDS, is_one_line, started, tree

BETTER = "learning_rate: 0.01"
WRITTEN = ("metrics/tuning.csv", "metrics/tuning.json")
TUNE = """
tune:   # what may be tried
  learning_rate: {low: 0.005, high: 0.2, log: true}
  dropout: {low: 0.0, high: 0.3}
"""


def searched(repository: Repository, *arguments: str, code: int = 0) -> str:
    return repository.run(sys.executable, "tune.py", "relu_8", *arguments, code=code)


def ready(repository: Repository) -> Repository:
    """With today's rate so low that nearly any other is better."""
    repository.edit(BETTER, "learning_rate: 0.00001")
    repository.edit("seeds: [0, 1, 2]", "seeds: [0, 1, 2, 3, 4, 5, 6, 7]")
    file = repository.folder / "params.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("epochs: 1", "epochs: 3") + TUNE, encoding="utf-8"
    )
    return repository


@pytest.fixture(scope="module")
def found(trained, tmp_path_factory) -> tuple[Repository, str]:
    """A repository after a search whose winner was applied."""
    repository = ready(trained.copied(tmp_path_factory.mktemp("tune") / "repository"))
    before = repository.stale()
    output = searched(repository, "--trainings", "20", "--apply")
    assert repository.stale() == before  # what was trained before is as stale as it was
    return repository, output


def rows(repository: Repository) -> list[dict[str, str]]:
    with (repository.folder / "metrics/tuning.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_winner_beats_todays_params_on_fresh_seeds_and_is_applied(found):
    repository, output = found
    (line,) = [line for line in output.splitlines() if "search said" in line]
    (winner,) = [row for row in rows(repository) if "winner" in row["remark"]]

    assert line.startswith(f"relu_8 with learning_rate {winner['learning_rate']}, dropout ")
    assert line.endswith(", improved")
    assert "on validation; on fresh seeds +" in line
    assert "searches have read these test examples once" in output
    text = (repository.folder / "params.yaml").read_text(encoding="utf-8")
    assert f"learning_rate: {winner['learning_rate']}," in text
    assert text.endswith(TUNE)


def test_the_trials_seeds_are_no_seeds_of_params_or_of_the_search(found):
    repository, _ = found
    (reading,) = repository.json("metrics/tuning.json")["readings"]

    assert len(set(reading["seeds"])) == len(reading["seeds"]) >= 3
    assert min(reading["seeds"]) >= 2**16
    assert not {*range(8)} & set(reading["seeds"])
    assert len(reading["winner"]) == len(reading["today"]) == len(reading["seeds"])


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # inside MLflow
def test_a_search_is_a_run_with_its_candidates_below_and_their_curves(found):
    repository, _ = found
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{repository.folder}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    (parent,) = [run for run in runs if run.info.run_name == "tune relu_8"]
    below = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]

    assert len(below) == len(rows(repository))
    assert parent.data.tags["verdict"].endswith("improved")
    assert {each.path for each in client.list_artifacts(parent.info.run_id)} >= {
        "tuning.csv", "tuning.png",
    }  # fmt: skip
    (today,) = [run for run in below if run.data.tags["candidate"].startswith("today")]
    curve = client.get_metric_history(today.info.run_id, "validation_accuracy")
    assert [point.step for point in curve] == [1, 2, 3]


def test_the_same_search_gives_the_same_bytes_and_reads_the_test_no_more(found, tmp_path):
    """And what it found can be taken over later, by the very params that it was compared with."""
    repository, _ = found
    again = repository.copied(tmp_path / "repository")
    before = {name: (again.folder / name).read_bytes() for name in WRITTEN}
    again.run("git", "checkout", "params.yaml")
    ready(again)
    (again.folder / ".checkpoints/.tuning/relu_8.jsonl").unlink()  # trains all of it again

    output = searched(again, "--trainings", "20")

    assert {name: (again.folder / name).read_bytes() for name in WRITTEN} == before
    assert "read these test examples once" in output
    assert "to take it over: `make tune MODEL=relu_8 APPLY=1`" in output

    file = again.folder / "params.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("epochs: 3", "epochs: 4"), encoding="utf-8"
    )
    assert "changed since the last trial of relu_8" in searched(again, "--apply", code=2)
    file.write_text(
        file.read_text(encoding="utf-8").replace("epochs: 4", "epochs: 3"), encoding="utf-8"
    )
    assert "models.relu_8 has the winner's values" in searched(again, "--apply")
    assert file.read_bytes() == (repository.folder / "params.yaml").read_bytes()


@pytest.mark.cluster
def test_a_cluster_of_two_nodes_finds_the_same(found, cluster, tmp_path):
    """Every candidate's scores, and the trial, to the last digit."""
    repository, _ = found
    far = repository.copied(tmp_path / "repository")
    before = {name: (far.folder / name).read_bytes() for name in WRITTEN}
    far.run("git", "checkout", "params.yaml", "metrics")
    ready(far)
    (far.folder / ".checkpoints/.tuning/relu_8.jsonl").unlink()
    far.environment.update(cluster)

    searched(far, "--trainings", "20", "--address", cluster["address"])

    assert {name: (far.folder / name).read_bytes() for name in WRITTEN} == before


def test_a_killed_search_goes_on_to_the_same_bytes(found, tmp_path):
    repository, _ = found
    killed = repository.copied(tmp_path / "repository")
    table = (killed.folder / "metrics/tuning.csv").read_bytes()
    killed.run("git", "checkout", "params.yaml")
    ready(killed)
    kept = killed.folder / ".checkpoints/.tuning/relu_8.jsonl"
    for name in (kept, killed.folder / "metrics/tuning.csv"):
        name.unlink()
    command = f"{sys.executable} tune.py relu_8 --trainings 20"

    killed.kill(command, "candidates to epoch 3")

    assert not (killed.folder / "metrics/tuning.csv").exists()
    done = kept.read_bytes().count(b"[")
    assert done > 0
    searched(killed, "--trainings", "20")
    assert (killed.folder / "metrics/tuning.csv").read_bytes() == table
    assert [path.name for path in (killed.folder / ".checkpoints").iterdir()] == [".tuning"]


def test_ctrl_c_is_one_line_and_leaves_nothing_half_written(found, tmp_path):
    repository, _ = found
    stopped = repository.copied(tmp_path / "repository")
    stopped.edit("epochs: 3", "epochs: 3000")
    before = tree(stopped.folder / "metrics")
    params = (stopped.folder / "params.yaml").read_bytes()
    with started(
        sys.executable, "tune.py", "relu_8", "--trainings", "1000", cwd=stopped.folder,
        env=stopped.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline()
        while not list(stopped.folder.glob(".checkpoints/.tuning/relu_8/*")):
            time.sleep(0.1)  # until its workers train
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 130
    assert is_one_line(errors.strip())
    assert tree(stopped.folder / "metrics") == before
    assert (stopped.folder / "params.yaml").read_bytes() == params


def test_nothing_is_applied_that_is_not_better(found, tmp_path):
    """The space holds rates that are worse than today's, all of them."""
    repository, _ = found
    worse = repository.copied(tmp_path / "repository")
    worse.run("git", "checkout", "params.yaml", "metrics")
    (worse.folder / "metrics/tuning.json").unlink()
    file = worse.folder / "params.yaml"
    tune = "tune: {learning_rate: {low: 0.0000001, high: 0.000001}}\n"
    file.write_text(file.read_text(encoding="utf-8") + tune, encoding="utf-8")
    before = file.read_bytes()

    output = searched(worse, "--trainings", "12", "--apply", code=1)

    assert "relu_8: none of" in output
    assert "params.yaml stays as it is: only an improvement is written" in output
    assert file.read_bytes() == before
    assert not (worse.folder / "metrics/tuning.json").exists()


@pytest.mark.slow  # tests/tuning/test_search.py has the same in no time
def test_if_everything_diverges_it_is_said(found, tmp_path):
    repository, _ = found
    wild = repository.copied(tmp_path / "repository")
    wild.run("git", "checkout", "params.yaml", "metrics")
    wild.edit(
        "optimizer: adam,\n     learning_rate: 0.01", "optimizer: sgd,\n     learning_rate: 99.0"
    )
    wild.edit("weight_decay: 0.0", "weight_decay: 90.0")
    file = wild.folder / "params.yaml"
    tune = "tune: {learning_rate: {low: 90.0, high: 100.0}}\n"
    file.write_text(file.read_text(encoding="utf-8") + tune, encoding="utf-8")

    output = searched(wild, "--trainings", "12", code=2)

    assert "every candidate diverged, and so did today's params" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["relu_9"], "models: unknown model; got 'relu_9'; use one of relu_8, linear_4"),
        ([""], "models: unknown model; got ''"),
        (["relu_8", "--seconds", "0"], "--seconds: must be a number from 1 to"),
        (["relu_8", "--seconds", "-5"], "--seconds: must be a number from 1 to"),
        (["relu_8", "--seconds", "nan"], "--seconds: must be a number from 1 to"),
        (["relu_8", "--seconds", "soon"], "got 'soon'"),
        (["relu_8", "--trainings", "0"], "--trainings: must be a whole number from 12 to"),
        (["relu_8", "--trainings", "12.5"], "got '12.5'"),
        (["relu_8", "--apply"], "tune: must have a key of relu_8 at least"),
        (["relu_8"], "tune: must have a key of relu_8 at least; got none; add one"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_trained(trained, arguments, message):
    """In the repository that all tests share: nothing may be written."""
    output = trained.run(sys.executable, "tune.py", *arguments, code=2)

    assert message in output
    assert is_one_line(output.strip())
    assert not (trained.folder / "metrics/tuning.csv").exists()


def test_without_prepared_data_it_says_what_to_run(repository):
    ready(repository)
    (repository.folder / "data/prepared/train_inputs.npy").unlink()

    output = searched(repository, code=2)

    assert "no such file; run `dvc repro prepare`" in output
    assert is_one_line(output.strip())


def test_a_damaged_ledger_is_one_line(repository):
    ready(repository)
    (repository.folder / "metrics/tuning.json").write_text(
        json.dumps({"schema_version": 1}), encoding="utf-8"
    )

    output = searched(repository, code=2)

    assert "metrics/tuning.json: readings" in output
    assert is_one_line(output.strip())
