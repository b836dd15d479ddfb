from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.base.errors import DataError
from lab.base.params import DatasetParams
from lab.data.datasets import load_dataset
from task.data import idx, sources
from task.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from tests.task.idx_files import idx_bytes


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    fill=st.integers(0, 255),
)
def test_idx_round_trip(shape: list[int], fill: int) -> None:
    array = np.full(shape, fill, np.uint8)

    parsed = idx.parse_idx(idx_bytes(array), "file", len(shape))

    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, array)


GOOD = idx_bytes(np.zeros((2, 28, 28), np.uint8))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "no IDX header; got 0 bytes"),
        (GOOD[:15], "no IDX header; got 15 bytes"),
        (GOOD[:-1], r"shape \(2, 28, 28\) needs 1,584 bytes; got 1,583"),
        (GOOD + b"\0", r"shape \(2, 28, 28\) needs 1,584 bytes; got 1,585"),
        (b"\0\0\x08\x01" + GOOD[4:], "magic number must be 0x00000803; got 0x00000801"),
        (b"\0\0\x0d\x03" + GOOD[4:], "magic number must be 0x00000803; got 0x00000d03"),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "got 1,584"),
    ],
)
def test_a_wrong_idx_file_is_refused(content: bytes, rule: str) -> None:
    with pytest.raises(DataError, match=f"^images: .*{rule}; remove the file"):
        idx.parse_idx(content, "images", 3)


@pytest.mark.parametrize(
    ("images", "labels", "rule"),
    [
        ((3, 28, 27), [0, 1, 2], r"images must be \[N, 28, 28\]; got \[3, 28, 27\]"),
        ((0, 28, 28), [], r"at least one number each; got \[0, 28, 28\]"),
        ((3, 28, 28), [0, 1], r"numbers \[3\], one for each example; got uint8 \[2\]"),
        ((3, 28, 28), [0, 1, 10], "labels must be 0 to 9; got 10"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    images: tuple[int, ...],
    labels: list[int],
    rule: str,
) -> None:
    files = {
        TRAIN_IMAGES: idx_bytes(np.zeros(images, np.uint8)),
        TRAIN_LABELS: idx_bytes(np.array(labels, np.uint8)),
    }
    files |= {TEST_IMAGES: files[TRAIN_IMAGES], TEST_LABELS: files[TRAIN_LABELS]}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "fetch", lambda *_: files)
    settings = DatasetParams(name="MNIST", validation_size=1, split_seed=0)
    with pytest.raises(DataError, match=rule):
        load_dataset(settings, print)
