import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import idx_bytes

from lab.base.errors import DataError
from lab.data import idx
from lab.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS


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
        ((3, 28, 27), [0, 1, 2], r"uint8 \[N, 28, 28\]; got uint8 \[3, 28, 27\]"),
        ((0, 28, 28), [], r"got uint8 \[0, 28, 28\]"),
        ((3, 28, 28), [0, 1], r"uint8 \[3\], one for each image; got uint8 \[2\]"),
        ((3, 28, 28), [0, 1, 10], "labels must be 0 to 9; got 10"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(
    images: tuple[int, ...], labels: list[int], rule: str
) -> None:
    files = {
        TRAIN_IMAGES: idx_bytes(np.zeros(images, np.uint8)),
        TRAIN_LABELS: idx_bytes(np.array(labels, np.uint8)),
    }
    with pytest.raises(DataError, match=rule):
        idx.read({**files, TEST_IMAGES: files[TRAIN_IMAGES], TEST_LABELS: files[TRAIN_LABELS]})
