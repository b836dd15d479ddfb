import pytest
from repository import Repository

from lab.evidence.schema import ColumnValue, RowInput, TextInput
from lab.report.hypertext import hypertext
from lab.results import storage
from lab.tracking.showing import Mistake, page

COLUMNS = [
    ColumnValue(name="height", value=1.5, deviation=3.0),
    ColumnValue(name="weight", value=None, deviation=0.0),
]


@pytest.mark.parametrize(
    ("shown", "cell"),
    [
        (TextInput(kind="text", text="a <b>text"), "a &lt;b&gt;text"),
        (RowInput(kind="row", columns=COLUMNS, column_count=2), "height 1.5; weight missing"),
    ],
)
def test_a_mistake_that_is_no_picture_is_a_row_of_the_page(
    trained: Repository, shown: TextInput | RowInput, cell: str
) -> None:
    results = storage.read(trained.folder / storage.tracked("relu_8")[0])
    found = [Mistake(1234, 0, 1, 3)]
    text = hypertext(page(results, found, [shown], ["yes", "no"]), {})
    row = text[text.index("1,234") :]
    assert [row.index(part) for part in (">yes<", ">no<", ">3<", f">{cell}<")]
