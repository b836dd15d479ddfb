"""The data set that `dataset.name` in params.yaml names: a CSV file in `data/raw/table`.

An edit here makes stage `prepare` run again, and training only if its examples come out different.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lab.base.errors import ParamsError, shortened
from lab.data.examples import Dataset, Examples
from task.data import breast_cancer, rows


def table(
    raw: Path,
    say: Callable[[str], None],
    *,
    file: str,
    label_column: str,
    id_column: str | None = None,
    group_column: str | None = None,
    leave_out: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    rare_below: Annotated[int, Field(ge=1)] = 5,
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ",",
) -> Dataset:
    """The rows of a CSV file: numbers as they are, categories as a column of 0 and 1 for each.

    Args:
        raw: the file's folder, `data/raw/table`.
        say: takes one line of progress at a time.
        file: its name; `breast_cancer.csv` is written there if it is not there yet.
        label_column: says each row's class.
        id_column: names rows, each once; a row's name and not its numbers then decide whether it
            tests.
        group_column: rows of one group (a patient, a machine) stay together in every split.
        leave_out: columns that no network sees.
        categories: columns of numbers that are names, such as postal codes. Columns of other text
            are categories anyway.
        rare_below: categories in fewer rows than this are all zero, as missing ones are.
        separator: between the values of a line.

    Raises:
        ParamsError: `file` lies elsewhere.
        DataError: the file breaks a rule; the message says what to correct in it.
    """
    if Path(file).name != file:
        raise ParamsError(
            f"params.yaml: dataset.file: must be the name of a file in {raw}; "
            f"got {shortened(repr(file), 60)}; put it there"
        )
    path = raw / file
    if file == breast_cancer.FILE and not path.exists():
        breast_cancer.write(path)
        say(f"table: scikit-learn's breast cancer data written to {path}")
    roles = rows.Roles(label_column, id_column, group_column, leave_out, categories)
    found = rows.read(path, separator, roles, rare_below)
    say(f"table: {len(found.labels):,} rows of {len(found.names)} numbers read from {path}")
    return Dataset(
        train=Examples(found.values, found.labels, found.ids, found.groups),
        test=None,
        class_names=found.classes,
        kind="row",
        scaling="standardise",  # in which a gap becomes the mean of the training rows
        columns=found.names,
    )


DATASETS = {"table": table}
