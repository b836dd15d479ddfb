"""A user's own data in the real pipeline: changes are noticed, no file of theirs is deleted."""

import textwrap

import pytest
from repository import Repository, stages_run
from support import is_one_line, tree

ROWS = '''
"""Rows of numbers in a CSV file."""

import numpy as np

from lab.data.examples import Dataset, Examples


def rows(raw, say, *, file: str = "rows.csv"):
    values = np.loadtxt(raw / file, delimiter=",", ndmin=2).astype(np.float32)
    return Dataset(
        Examples(values[:, 1:], values[:, 0].astype(int)), None, ["no", "yes"], "row", "standardise"
    )


DATASETS = {"rows": rows, "others": rows}
'''


def csv(count: int, first: int = 0) -> str:
    return "".join(f"{k % 2},{k * 0.5 + (k % 2) * 99},{k * k % 17}\n" for k in range(first, count))


@pytest.fixture
def own(repository: Repository) -> Repository:
    """A repository whose data set is a CSV file, prepared and committed."""
    (repository.folder / "task/data/__init__.py").write_text(ROWS, encoding="utf-8")
    params = (repository.folder / "params.yaml").read_text(encoding="utf-8")
    start, end = params.index("dataset:"), params.index("train:")
    own = "dataset:\n  name: rows\n  validation_size: 20\n  test_fraction: 0.2\n  split_seed: 0\n"
    (repository.folder / "params.yaml").write_text(
        params[:start] + own + params[end:], encoding="utf-8"
    )
    raw = repository.folder / "data/raw/rows"
    raw.mkdir(parents=True)
    (raw / "rows.csv").write_text(csv(200), encoding="utf-8")
    assert repository.repro("prepare") == ["prepare"]
    repository.commit()
    return repository


def test_a_change_of_the_raw_file_is_noticed_and_moves_no_example_to_another_side(
    own: Repository,
) -> None:
    before = own.json("metrics/dataset.json")
    raw = own.folder / "data/raw/rows/rows.csv"
    raw.write_text(csv(260, first=200) + raw.read_text(encoding="utf-8"), encoding="utf-8")

    assert own.repro("prepare") == ["prepare"]

    after = own.json("metrics/dataset.json")
    assert before["test"]["examples"] < after["test"]["examples"] < 260
    assert sum(after[name]["examples"] for name in ("train", "validation", "test")) == 260


def test_files_of_another_data_set_make_nothing_stale(own: Repository) -> None:
    other = own.folder / "data/raw/others"
    other.mkdir()
    (other / "rows.csv").write_text(csv(90), encoding="utf-8")
    (own.folder / "data/raw/note.txt").write_text("to do\n", encoding="utf-8")

    assert own.repro("prepare") == []


def test_restore_deletes_no_file_of_the_user_s(own: Repository) -> None:
    """Neither a new one nor one that is not as DVC recorded it; results are laid out."""
    raw = own.folder / "data/raw/rows"
    (raw / "new.csv").write_text(csv(30), encoding="utf-8")
    (raw / "rows.csv").write_text(csv(240), encoding="utf-8")
    (own.folder / "data/raw/by hand.csv").write_text("1\n", encoding="utf-8")
    kept = tree(own.folder / "data/raw")
    (own.folder / "data/prepared/train_inputs.npy").unlink()

    own.run("python", "-m", "lab.base.dvc", "restore")

    assert tree(own.folder / "data/raw") == kept
    assert (own.folder / "data/prepared/train_inputs.npy").is_file()


def test_restore_lays_out_raw_files_where_none_are(own: Repository) -> None:
    raw = own.folder / "data/raw/rows"
    (raw / "rows.csv").unlink()
    raw.rmdir()

    own.run("python", "-m", "lab.base.dvc", "restore")

    assert (raw / "rows.csv").read_text(encoding="utf-8") == csv(200)


BROKEN = {
    "no file": (None, "no such file"),
    "an empty file": ("", ""),
    "text in it": ("0,1,2\n1,x,3\n", "ValueError: could not convert string"),
    "a class too many": (csv(90) + "2,3,4\n", "labels must be 0 to 1; got 2 at row 90"),
    "one class": (
        "".join(f"0,{k},1\n" for k in range(90)),
        "every class needs an example to train",
    ),
    "infinite": (csv(90) + "1,inf,4\n", "got inf at row 90"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_leave_what_was_there(own: Repository, name: str) -> None:
    content, said = BROKEN[name]
    raw = own.folder / "data/raw/rows/rows.csv"
    if content is None:
        raw.unlink()
    else:
        raw.write_text(content, encoding="utf-8")
    kept = tree(own.folder / "data/prepared"), tree(own.folder / "metrics")

    output = own.run("python", "prepare.py", code=2)

    assert is_one_line(output.splitlines()[-1])
    assert "Traceback" not in output
    assert said in output
    assert (tree(own.folder / "data/prepared"), tree(own.folder / "metrics")) == kept


# --- networks ------------------------------------------------------------------------------------


def test_a_third_model_is_one_class_and_one_entry(repository: Repository) -> None:
    (repository.folder / "task/networks/third.py").write_text(
        textwrap.dedent(
            """
            from torch import nn

            class Network(nn.Sequential):
                def __init__(self, input_shape: tuple[int, ...], classes: int, width: int):
                    super().__init__(
                        nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(),
                        nn.Dropout(0.1), nn.Linear(width, classes),
                    )
            """
        ),
        encoding="utf-8",
    )
    repository.edit(
        "\ncompare:",
        "\n  third:\n    {network: third, width: 8, optimizer: adam, learning_rate: 0.01,"
        " schedule: linear, weight_decay: 0.0}\n\ncompare:",
    )
    output = repository.dvc("repro")

    assert stages_run(output) == ["train@third", "compare", "export", "model_card"]
    assert repository.json("metrics/runs/third.json")["test"]["accuracy"]["mean"] > 0.5
    assert "third" in repository.json("metrics/scores.json")["test"]
    assert "third seed 0" in [name for name, _ in repository.recorded()]


def test_a_slip_in_any_model_is_said_before_the_first_one_trains(repository: Repository) -> None:
    trains = [stage for stage in repository.stages() if stage.startswith("train@")]
    first, last = (stage.removeprefix("train@") for stage in (trains[0], trains[-1]))
    repository.edit("dropout:", "dropuot:")

    output = repository.run("python", "train.py", last, code=2)

    assert is_one_line(output.strip())
    assert f"models.{first}.dropuot: unknown key; got 0.0; did you mean dropout?" in output
