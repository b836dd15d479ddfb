import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from lab.base.errors import LabError
from lab.base.params import DatasetParams
from lab.data import datasets
from lab.data.examples import Dataset, Examples


def made(
    raw: Path,
    say: Callable[[str], None],
    *,
    count: int = 20,
    colour: Literal["grey", "blue"] = "grey",
    columns: list[str] | None = None,
) -> Dataset:
    say(f"{raw} {count} {colour} {columns}")
    inputs = np.arange(count * 4, dtype=np.float32).reshape(count, 4)
    return Dataset(Examples(inputs, np.arange(count) % 2), None, ["a", "b"], "row")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("task.data.DATASETS", {"made": made})


def load(name: str = "made", **options: object) -> tuple[Dataset, list[str]]:
    said: list[str] = []
    settings = DatasetParams(name=name, validation_size=5, split_seed=0, **options)
    return datasets.load_dataset(settings, said.append), said


def test_options_stand_beside_lab_s_own_keys() -> None:
    found, said = load(count=30, colour="blue", columns=["x"])

    assert len(found.train.labels) == 30
    assert said == ["data/raw/made 30 blue ['x']"]
    assert Path("data/raw/made").is_dir()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("maid", {}, "dataset.name: must be one of task.data.DATASETS; got maid; use made"),
        ("made", {"cuont": 3}, "dataset.cuont: unknown key; got 3; did you mean count?"),
        ("made", {"colours_": 3}, "dataset.colours_: unknown key; got 3; did you mean colour?"),
        (
            "made",
            {"split_sed": 3},
            "dataset.split_sed: unknown key; got 3; did you mean split_seed?",
        ),
        ("made", {"count": "3"}, "dataset.count: must be a whole number; got '3'"),
        ("made", {"colour": "red"}, "dataset.colour: input should be 'grey' or 'blue'; got 'red'"),
        ("made", {"columns": "x"}, "dataset.columns: must be a list; got 'x'"),
        ("made", {"columns": [1]}, "dataset.columns.0: must be text; got 1"),
        ("made", {"say": 1}, "dataset.say: unknown key"),
        ("made", {"count": 0}, "data set made: train: inputs must be [N, ...]"),
    ],
)
def test_a_slip_is_one_line(name: str, options: dict, said: str) -> None:
    with pytest.raises(LabError) as caught:
        load(name, **options)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [None, [made], {"made": 3}, {"made": "made"}])
def test_datasets_must_be_functions_by_name(wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task.data.DATASETS", wrong)

    with pytest.raises(LabError, match="DATASETS must be a dict of functions by name; correct it"):
        load()


def test_a_module_without_data_sets_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("task.data.DATASETS")

    with pytest.raises(LabError, match="must define DATASETS; got nothing of that name; add it"):
        load()


def test_a_module_that_does_not_import_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    monkeypatch.setattr("task.__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "task.data")

    with pytest.raises(LabError, match=r"data\.py:1: ModuleNotFoundError: No module named"):
        load()
