import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from support import is_one_line

from lab.base.errors import DataError
from lab.data import description, idx, splits
from lab.data import prepared as storage
from lab.data.idx import TEST_IMAGES, TEST_LABELS


@pytest.fixture
def prepared(tmp_path: Path, small: dict[str, bytes]) -> Path:
    folder = tmp_path / "prepared"
    storage.save_prepared(splits.split(*idx.read(small), 60, 0), folder)
    return folder


def test_the_description_counts_and_identifies(tmp_path: Path, small: dict[str, bytes]) -> None:
    prepared = splits.split(*idx.read(small), 60, 3)
    path = tmp_path / "metrics" / "dataset.json"

    description.write_description(description.describe("MNIST", 3, prepared), path)

    read = description.read_description(path)
    assert read == description.describe("MNIST", 3, prepared)
    assert (read.name, read.split_seed) == ("MNIST", 3)
    assert [read.train.images, read.validation.images, read.test.images] == [240, 60, 100]
    labels = small[TEST_LABELS][8:]
    assert read.test.sha256 == hashlib.sha256(small[TEST_IMAGES][16:] + labels).hexdigest()
    assert read.test.images_per_class == [labels.count(digit) for digit in range(10)]


def test_a_mapped_array_is_described_like_the_one_in_memory(
    prepared: Path, small: dict[str, bytes]
) -> None:
    mapped = storage.load_prepared(prepared)
    assert description.describe("X", 0, mapped) == description.describe(
        "X", 0, splits.split(*idx.read(small), 60, 0)
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"schema_version": 2}, "schema_version: input should be 1; got 2"),
        ({"name": 3}, "name: input should be a valid string; got 3"),
        ({"more": 1}, "more: extra inputs are not permitted; got 1"),
        ({"test": {}}, "test.images: field required; got {}"),
        ({"split_seed": "0"}, "split_seed: input should be a valid integer; got '0'"),
    ],
)
def test_a_wrong_description_is_refused(
    tmp_path: Path, small: dict[str, bytes], change: dict[str, Any], rule: str
) -> None:
    good = description.describe("MNIST", 0, splits.split(*idx.read(small), 60, 0)).model_dump()
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(good | change))

    with pytest.raises(DataError) as caught:
        description.read_description(path)
    assert str(caught.value) == f"{path}: {rule}; run `dvc repro prepare`"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 9_999])
def test_what_is_no_description_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"dataset.json: top level: ") as caught:
        description.read_description(path)
    assert is_one_line(str(caught.value))


def test_a_missing_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset.json: no such file; run `dvc repro prepare`"):
        description.read_description(tmp_path / "dataset.json")
