import contextlib
import hashlib
import io
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_TRAIN
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import idx_bytes, is_one_line, tree

from lab.base.errors import DataError, ParamsError
from lab.data import dataset
from lab.data.dataset import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS

FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


# --- IDX -----------------------------------------------------------------------------------------


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    fill=st.integers(0, 255),
)
def test_idx_round_trip(shape: list[int], fill: int) -> None:
    array = np.full(shape, fill, np.uint8)

    parsed = dataset.parse_idx(idx_bytes(array), "file", len(shape))

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
        dataset.parse_idx(content, "images", 3)


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
    idx = {
        TRAIN_IMAGES: idx_bytes(np.zeros(images, np.uint8)),
        TRAIN_LABELS: idx_bytes(np.array(labels, np.uint8)),
    }
    with pytest.raises(DataError, match=rule):
        dataset.split(idx, 1, 0)


# --- the split -----------------------------------------------------------------------------------

LABELS = st.lists(st.integers(0, 9), min_size=2, max_size=200).map(
    lambda labels: np.array(labels, np.uint8)
)
SEEDS = st.integers(0, 2**31 - 1)


@given(labels=LABELS, seed=SEEDS, data=st.data())
def test_the_validation_set_has_its_exact_size_and_every_class_its_share(
    labels: NDArray[np.uint8], seed: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(labels) - 1))

    chosen = dataset.choose_validation(labels, size, seed)

    assert chosen.shape == labels.shape
    assert chosen.sum() == size
    counts = np.bincount(labels, minlength=10)
    taken = np.bincount(labels[chosen], minlength=10)
    assert (np.abs(taken - counts * size / len(labels)) < 1).all()
    np.testing.assert_array_equal(chosen, dataset.choose_validation(labels, size, seed))


@given(first=SEEDS, second=SEEDS)
def test_another_seed_chooses_other_images(first: int, second: int) -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 40)

    same = dataset.choose_validation(labels, 100, first) == dataset.choose_validation(
        labels, 100, second
    )

    assert same.all() == (first == second)


def test_shares_by_largest_remainder() -> None:
    # Hamilton's method by hand: quotas 4.7, 1.6, 0.7 of 7; the remainders .7 and .7 win over .6.
    assert dataset._shares(np.array([47, 16, 7]), 7) == [5, 1, 1]


def test_every_image_is_equally_likely_to_be_chosen() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    times = sum(dataset.choose_validation(labels, 50, seed).astype(int) for seed in range(400))

    # 200 images, each chosen Binomial(400, 1/4) times: six standard deviations are 52.
    assert isinstance(times, np.ndarray)
    assert np.abs(times - 100).max() < 52


@pytest.mark.parametrize("size", [-1, 0, 4, 5])
def test_a_split_without_images_is_refused(size: int) -> None:
    with pytest.raises(ParamsError, match=rf"must be from 1 to 3, .*; got {size}; correct"):
        dataset.choose_validation(np.zeros(4, np.uint8), size, 0)


def test_the_split_is_complete_disjoint_and_in_the_official_order(
    small: dict[str, bytes],
) -> None:
    prepared = dataset.split(small, 60, 7)

    official = dataset.parse_idx(small[TRAIN_IMAGES], "", 3)
    labels = dataset.parse_idx(small[TRAIN_LABELS], "", 1)
    chosen = dataset.choose_validation(labels, 60, 7)
    rebuilt = np.empty_like(official)
    rebuilt[chosen] = prepared.validation.images
    rebuilt[~chosen] = prepared.train.images
    np.testing.assert_array_equal(rebuilt, official)
    assert len(prepared.train.labels) == SMALL_TRAIN - 60
    np.testing.assert_array_equal(
        prepared.test.images, dataset.parse_idx(small[TEST_IMAGES], "", 3)
    )
    np.testing.assert_array_equal(
        prepared.test.labels, dataset.parse_idx(small[TEST_LABELS], "", 1)
    )


# --- prepared files ------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path, small: dict[str, bytes]) -> Path:
    folder = tmp_path / "prepared"
    dataset.save_prepared(dataset.split(small, 60, 0), folder)
    return folder


def test_prepared_arrays_are_mapped_and_writable_without_touching_the_files(
    prepared: Path, small: dict[str, bytes]
) -> None:
    before = tree(prepared)

    loaded = dataset.load_prepared(prepared)

    written = dataset.split(small, 60, 0)
    for name in dataset.SPLITS:
        mapped, expected = getattr(loaded, name), getattr(written, name)
        assert isinstance(mapped.images, np.memmap)
        assert mapped.images.flags.writeable, "torch.from_numpy warns otherwise"
        np.testing.assert_array_equal(mapped.images, expected.images)
        np.testing.assert_array_equal(mapped.labels, expected.labels)
        mapped.images[:] = 255
        mapped.labels[:] = 9
    assert tree(prepared) == before


@pytest.mark.parametrize("name", ["train_images", "validation_labels", "test_images"])
def test_one_flipped_bit_is_noticed(prepared: Path, small: dict[str, bytes], name: str) -> None:
    described = dataset.describe("MNIST", 0, dataset.split(small, 60, 0))
    dataset.verify(dataset.load_prepared(prepared), described)
    path = prepared / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"{name.partition('_')[0]}_.*SHA-256 must be ") as told:
        dataset.verify(dataset.load_prepared(prepared), described)
    assert str(told.value).endswith("run `dvc repro --force prepare`")


def test_prepared_files_are_plain_npy(prepared: Path) -> None:
    assert sorted(path.name for path in prepared.iterdir()) == sorted(
        f"{name}_{kind}.npy" for name in dataset.SPLITS for kind in ("images", "labels")
    )
    array = np.load(prepared / "train_images.npy", allow_pickle=False)
    assert (array.dtype, array.shape) == (np.dtype(np.uint8), (240, 28, 28))


def npy(array: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, images=np.zeros((60, 28, 28), np.uint8))
    return buffer.getvalue()


def header(text: str, body: int = 0) -> bytes:
    content = text.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content + bytes(body)


def header_of(shape: str, kind: str = "|u1", body: int = 60 * 784) -> bytes:
    return header(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}}}\n", body)


class Exploit:
    """Pickled into an array: loading it with pickle on would create a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("pickle-was-run"),)


HOSTILE_IMAGES: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "magic only": b"\x93NUMPY",
    "version 9": b"\x93NUMPY\x09\x00" + bytes(200),
    "pickle": pickle.dumps(Exploit()),
    "zip": npz(),
    "objects": npy(np.array([Exploit()], dtype=object), allow_pickle=True),
    "float": npy(np.zeros((60, 28, 28))),
    "signed": npy(np.zeros((60, 28, 28), np.int8)),
    "structured": npy(np.zeros((60, 28, 28), [("a", np.uint8)])),
    "flat": npy(np.zeros((60, 784), np.uint8)),
    "scalar": npy(np.array(3, np.uint8)),
    "27 pixels": npy(np.zeros((60, 28, 27), np.uint8)),
    "no images": npy(np.zeros((0, 28, 28), np.uint8)),
    "too few": npy(np.zeros((59, 28, 28), np.uint8)),
    "too many": npy(np.zeros((61, 28, 28), np.uint8)),
    "truncated": npy(np.zeros((60, 28, 28), np.uint8))[:-1],
    "longer": npy(np.zeros((60, 28, 28), np.uint8)) + b"\0",
    "negative": header_of("(-60, 28, 28)"),
    "overflow": header_of("(4294967296, 4294967296, 28)"),
    "beyond int64": header_of(f"({10**30}, 28, 28)"),
    "not integers": header_of("(60.0, 28, 28)"),
    "not a tuple": header_of("60"),
    "unknown type": header_of("(60, 28, 28)", "nonsense"),
    "giant items": header_of("(60, 28, 28)", "<U1000000000"),
    "code": header("__import__('os').mkdir('code-was-run')\n"),
    "nested": header("(" * 5_000 + ")" * 5_000 + "\n"),
    "deep minus": header("-" * 9_000 + "1\n"),
    "unclosed": header("{'descr': '|u1', 'shape': (\n"),
    "long": header(" " * 60_000 + "\n"),
    "null": header("\0\0\0\n"),
    "long integer": header("{'shape': 60L}\n"),
}


@pytest.mark.parametrize("kind", HOSTILE_IMAGES)
def test_a_hostile_prepared_file_is_one_line(
    prepared: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prepared.parent)
    path = prepared / "validation_images.npy"
    path.write_bytes(HOSTILE_IMAGES[kind])

    with pytest.raises(DataError) as caught:
        dataset.load_prepared(prepared)

    assert is_one_line(str(caught.value))
    named = "validation_labels" if kind in {"too few", "too many"} else "validation_images"
    assert str(caught.value).startswith(f"{prepared / named}.npy: ")
    assert str(caught.value).endswith("; run `dvc repro prepare`")
    assert sorted(path.name for path in prepared.parent.iterdir()) == ["prepared"]


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="(){}[]'\"\\:,.-+0123456789descrfotanhpLxu|<>#\n \t\0eT", max_size=80))
def test_any_header_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npy"
    path.write_bytes(header(text, 100))
    with contextlib.suppress(DataError):
        dataset._load_array(path)


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        (np.full(60, 10, np.uint8), "labels must be 0 to 9; got 10"),
        (np.zeros(59, np.uint8), r"must be uint8 \[60\], one for each image; got uint8 \[59\]"),
        (np.zeros((60, 1), np.uint8), r"got uint8 \[60, 1\]"),
        (np.zeros(60, np.int64), r"got int64 \[60\]"),
    ],
)
def test_wrong_labels_are_refused(prepared: Path, labels: NDArray[Any], rule: str) -> None:
    np.save(prepared / "validation_labels.npy", labels)

    with pytest.raises(DataError, match=rf"validation_labels.npy: .*{rule}; run `dvc repro"):
        dataset.load_prepared(prepared)


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "broken link"])
def test_what_is_no_file_is_refused(prepared: Path, kind: str) -> None:
    path = prepared / "test_labels.npy"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "broken link":
        path.symlink_to("nowhere")

    with pytest.raises(DataError) as caught:
        dataset.load_prepared(prepared)
    assert str(caught.value) == f"{path}: no such file; run `dvc repro prepare`"


# --- description ---------------------------------------------------------------------------------


def test_the_description_counts_and_identifies(tmp_path: Path, small: dict[str, bytes]) -> None:
    prepared = dataset.split(small, 60, 3)
    path = tmp_path / "metrics" / "dataset.json"

    dataset.write_description(dataset.describe("MNIST", 3, prepared), path)

    read = dataset.read_description(path)
    assert read == dataset.describe("MNIST", 3, prepared)
    assert (read.name, read.split_seed) == ("MNIST", 3)
    assert [read.train.images, read.validation.images, read.test.images] == [240, 60, 100]
    labels = small[TEST_LABELS][8:]
    assert read.test.sha256 == hashlib.sha256(small[TEST_IMAGES][16:] + labels).hexdigest()
    assert read.test.images_per_class == [labels.count(digit) for digit in range(10)]


def test_a_mapped_array_is_described_like_the_one_in_memory(
    prepared: Path, small: dict[str, bytes]
) -> None:
    mapped = dataset.load_prepared(prepared)
    assert dataset.describe("X", 0, mapped) == dataset.describe("X", 0, dataset.split(small, 60, 0))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"schema_version": 2}, "schema_version: Input should be 1; got 2"),
        ({"name": 3}, "name: Input should be a valid string; got 3"),
        ({"more": 1}, "more: Extra inputs are not permitted; got 1"),
        ({"test": {}}, "test.images: Field required; got {}"),
        ({"split_seed": "0"}, "split_seed: Input should be a valid integer; got '0'"),
    ],
)
def test_a_wrong_description_is_refused(
    tmp_path: Path, small: dict[str, bytes], change: dict[str, Any], rule: str
) -> None:
    good = dataset.describe("MNIST", 0, dataset.split(small, 60, 0)).model_dump()
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(good | change))

    with pytest.raises(DataError) as caught:
        dataset.read_description(path)
    assert str(caught.value) == f"{path}: {rule}; run `dvc repro prepare`"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 9_999])
def test_what_is_no_description_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"dataset.json: top level: ") as caught:
        dataset.read_description(path)
    assert is_one_line(str(caught.value))


def test_a_missing_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset.json: no such file; run `dvc repro prepare`"):
        dataset.read_description(tmp_path / "dataset.json")
