import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import is_one_line

from lab.base.errors import DataError
from lab.data import description
from lab.data import prepared as storage
from lab.data.description import Description
from lab.data.examples import Dataset
from lab.data.splits import Part


def test_the_description_counts_and_identifies(
    tmp_path: Path, made: Dataset, described: Description
) -> None:
    path = tmp_path / "metrics" / "dataset.json"

    description.write_description(described, path)

    read = description.read_description(path)
    assert read == described
    assert (read.name, read.split_seed) == ("made", 0)
    assert [read.train.examples, read.validation.examples, read.test.examples] == [240, 60, 100]
    assert made.test
    labels = made.test.labels.tobytes()
    assert read.test.sha256 == hashlib.sha256(made.test.inputs.tobytes() + labels).hexdigest()
    assert read.test.examples_per_class == [labels.count(label) for label in range(10)]
    assert (read.kind, read.shape, read.dtype) == ("grey image", [20, 7], "uint8")


def test_mapped_arrays_are_described_like_those_in_memory(
    project: Path, described: Description, parts: Mapping[str, Part]
) -> None:
    mapped = storage.load_prepared(project)

    assert mapped.description == described
    for name in parts:
        split = getattr(mapped, name)
        assert isinstance(split.inputs, np.memmap)
        expected = getattr(described, name).sha256
        assert description.checksum(split.inputs, None, split.labels) == expected


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"schema_version": 1}, "schema_version: input should be 3; got 1"),
        ({"schema_version": 2}, "schema_version: input should be 3; got 2"),
        ({"framing": "crop"}, "framing: input should be 'fit' or 'ink'; got 'crop'"),
        ({"tokeniser": "bert"}, "tokeniser: input should be an object; got 'bert'"),
        ({"name": 3}, "name: input should be a valid string; got 3"),
        ({"more": 1}, "more: extra inputs are not permitted; got 1"),
        ({"test": {}}, "test.examples: field required; got {}"),
        ({"split_seed": "0"}, "split_seed: input should be a valid integer; got '0'"),
    ],
)
def test_a_wrong_description_is_refused(
    tmp_path: Path, described: Description, change: dict[str, Any], rule: str
) -> None:
    good = described.model_dump()
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(good | change), encoding="utf-8")

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
