"""The data of this example: scikit-learn's breast cancer data, with gaps and a category.

569 tumours, 30 measurements of each, benign or malignant. Source: W. Street, W. Wolberg,
O. Mangasarian 1993, UCI Machine Learning Repository (CC BY 4.0); scikit-learn carries it.
"""

import csv
import io
from pathlib import Path

from lab.base import files

FILE = "breast_cancer.csv"
SIZES = ((12.0, "small"), (15.0, "medium"), (float("inf"), "large"))  # of the mean radius, below


def write(path: Path) -> None:
    """Writes the CSV file, the same bytes everywhere."""
    from sklearn.datasets import load_breast_cancer  # takes seconds

    data = load_breast_cancer()
    radius, *others = (str(name) for name in data.feature_names)
    header = ["sample", radius.replace("radius", "size"), *others, "diagnosis"]
    lines = [
        [f"s{row:03}", *cells(row, values), str(data.target_names[label])]
        for row, (values, label) in enumerate(
            zip(data.data.tolist(), data.target.tolist(), strict=True)
        )
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    files.write_text(path, text.getvalue())


def cells(row: int, values: list[float]) -> list[str]:
    """The first measurement as a category, the others as numbers; one in 23 is missing.

    >>> cells(0, [11.9, 1.5, 2.5])
    ['', '1.5', '2.5']
    >>> cells(1, [11.9, 1.5, 2.5])
    ['small', '1.5', '2.5']
    """
    size = next(name for bound, name in SIZES if values[0] < bound)
    return [
        "" if (7 * row + 11 * column) % 23 == 0 else text
        for column, text in enumerate([size, *map(repr, values[1:])])
    ]
