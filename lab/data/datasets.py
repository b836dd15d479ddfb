"""The data set that params.yaml names: found in `task/data`, its options checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.base.errors import ParamsError, TaskError
from lab.base.params import PARAMS_FILE, DatasetParams, load
from lab.base.script import run_script
from lab.base.signatures import checked_arguments
from lab.base.task_code import imported, running_task_code
from lab.data.checks import require_dataset
from lab.data.examples import Dataset

RAW = Path("data/raw")
SUPPLIED = ("raw", "say")

Say = Callable[[str], None]


def load_dataset(settings: DatasetParams, say: Say) -> Dataset:
    """The examples, fetched or read by the task's function, and checked.

    Args:
        settings: the section `dataset` of params.yaml.
        say: takes one line of progress at a time.

    Raises:
        ParamsError: there is no such data set, or an option of it is wrong.
        LabError: its function fails, or its examples break a rule.
    """
    function, options = find(settings)
    raw = RAW / settings.name
    raw.mkdir(parents=True, exist_ok=True)
    with running_task_code("task/data"):
        dataset: Dataset = function(raw, say, **options)
    require_dataset(settings.name, dataset)
    return dataset


def find(settings: DatasetParams) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function of a data set, and its options.

    Raises:
        ParamsError: there is no such data set, or an option of it is wrong.
    """
    known = imported("data", "DATASETS")
    if not isinstance(known, dict) or not all(map(callable, known.values())):
        raise TaskError("task/data: DATASETS must be a dict of functions by name; correct it")
    if settings.name not in known:
        raise ParamsError(
            f"{PARAMS_FILE}: dataset.name: must be one of task.data.DATASETS; "
            f"got {settings.name}; use {', '.join(known)}"
        )
    function = known[settings.name]
    options = checked_arguments(
        function,
        settings.own,
        ["dataset"],
        supplied=SUPPLIED,
        known=DatasetParams.model_fields,
    )
    return function, options


def main() -> None:
    """Checks `params.yaml`, so that a slip is reported before any stage runs.

    Raises:
        ParamsError: there is one.
    """
    tree = load()
    if tree.check.labels is None:  # of which DVC says where it reads it, and not what it is
        raise ParamsError(
            f"{PARAMS_FILE}: check.labels: missing key; add it (folds: 0 looks at no labels), "
            "see docs/data-checks.md"
        )
    find(tree.dataset)


if __name__ == "__main__":
    run_script(main)
