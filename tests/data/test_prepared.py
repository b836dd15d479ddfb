import contextlib
import dataclasses
import io
import os
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_data import HEIGHT, PIXELS, WIDTH
from numpy.typing import NDArray
from support import is_one_line, tree

from lab.base.errors import DataError
from lab.data import prepared as storage
from lab.data import splits
from lab.data.splits import Part


@pytest.fixture
def prepared(project: Path) -> Path:
    return project / storage.PREPARED


def test_prepared_arrays_are_mapped_and_writable_without_touching_the_files(
    project: Path, parts: Mapping[str, Part]
) -> None:
    before = tree(project)

    loaded = storage.load_prepared(project)

    for name, part in parts.items():
        mapped = getattr(loaded, name)
        assert isinstance(mapped.inputs, np.memmap)
        assert mapped.inputs.flags.writeable, "torch.from_numpy warns otherwise"
        np.testing.assert_array_equal(mapped.inputs, part.examples.inputs[part.rows])
        np.testing.assert_array_equal(mapped.labels, part.examples.labels[part.rows])
        mapped.inputs[:] = 255
        mapped.labels[:] = 9
    assert tree(project) == before


@pytest.mark.parametrize("name", ["train_inputs", "validation_labels", "test_inputs"])
def test_one_flipped_bit_is_noticed(project: Path, name: str) -> None:
    storage.verify(storage.load_prepared(project))
    path = project / storage.PREPARED / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=f"{name.partition('_')[0]}_.*SHA-256 must be ") as reported:
        storage.verify(storage.load_prepared(project))
    assert str(reported.value).endswith("run `dvc repro --force prepare`")


def test_prepared_files_are_plain_npy(prepared: Path) -> None:
    assert sorted(path.name for path in prepared.iterdir()) == sorted(
        f"{name}_{kind}.npy" for name in splits.SPLITS for kind in ("inputs", "labels")
    )
    array = np.load(prepared / "train_inputs.npy", allow_pickle=False)
    assert (array.dtype, array.shape) == (np.dtype(np.uint8), (240, HEIGHT, WIDTH))


def test_groups_of_the_test_split_are_kept_and_go_with_it(
    project: Path, parts: Mapping[str, Part]
) -> None:
    test = parts["test"]
    names = [f"patient {row // 3}" for row in range(len(test.examples.labels))]
    grouped = Part(dataclasses.replace(test.examples, groups=names), test.rows)
    folder = project / storage.PREPARED
    storage.save_prepared({**parts, "test": grouped}, 10, folder)
    numbers = storage.load_prepared(project).test_groups

    assert numbers is not None
    of_test = [names[row] for row in test.rows]
    together = np.equal.outer(of_test, of_test)
    np.testing.assert_array_equal(np.equal.outer(numbers, numbers), together)
    storage.save_prepared(parts, 10, folder)
    assert storage.load_prepared(project).test_groups is None


@pytest.mark.parametrize("wrong", [np.zeros(3, np.int64), np.zeros(60, np.float64)])
def test_groups_of_other_examples_are_refused(prepared: Path, wrong: NDArray[Any]) -> None:
    np.save(prepared / storage.GROUPS, wrong)

    with pytest.raises(DataError, match=r"test_groups.npy: must be int64 \[\d+\]; got "):
        storage.load_prepared(prepared.parents[1])


def npy(array: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, inputs=np.zeros((60, 20, 7), np.uint8))
    return buffer.getvalue()


def header(text: str, body: int = 0) -> bytes:
    content = text.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content + bytes(body)


def header_of(shape: str, kind: str = "|u1", body: int = 60 * PIXELS) -> bytes:
    return header(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}}}\n", body)


class Exploit:
    """Pickled into an array: loading it with pickle on would create a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("pickle-was-run"),)


HOSTILE_INPUTS: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "magic only": b"\x93NUMPY",
    "version 9": b"\x93NUMPY\x09\x00" + bytes(200),
    "pickle": pickle.dumps(Exploit()),
    "zip": npz(),
    "objects": npy(np.array([Exploit()], dtype=object), allow_pickle=True),
    "float": npy(np.zeros((60, 20, 7))),
    "signed": npy(np.zeros((60, 20, 7), np.int8)),
    "structured": npy(np.zeros((60, 20, 7), [("a", np.uint8)])),
    "flat": npy(np.zeros((60, PIXELS), np.uint8)),
    "scalar": npy(np.array(3, np.uint8)),
    "6 columns": npy(np.zeros((60, 20, 6), np.uint8)),
    "no examples": npy(np.zeros((0, 20, 7), np.uint8)),
    "too few": npy(np.zeros((59, 20, 7), np.uint8)),
    "too many": npy(np.zeros((61, 20, 7), np.uint8)),
    "truncated": npy(np.zeros((60, 20, 7), np.uint8))[:-1],
    "longer": npy(np.zeros((60, 20, 7), np.uint8)) + b"\0",
    "negative": header_of("(-60, 20, 7)"),
    "overflow": header_of("(4294967296, 4294967296, 7)"),
    "beyond int64": header_of(f"({10**30}, 20, 7)"),
    "not integers": header_of("(60.0, 20, 7)"),
    "not a tuple": header_of("60"),
    "unknown type": header_of("(60, 20, 7)", "nonsense"),
    "giant items": header_of("(60, 20, 7)", "<U1000000000"),
    "code": header("__import__('os').mkdir('code-was-run')\n"),
    "nested": header("(" * 5_000 + ")" * 5_000 + "\n"),
    "deep minus": header("-" * 9_000 + "1\n"),
    "unclosed": header("{'descr': '|u1', 'shape': (\n"),
    "long": header(" " * 60_000 + "\n"),
    "null": header("\0\0\0\n"),
    "long integer": header("{'shape': 60L}\n"),
}


@pytest.mark.parametrize("kind", HOSTILE_INPUTS)
def test_a_hostile_prepared_file_is_one_line(
    prepared: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prepared.parent)
    path = prepared / "validation_inputs.npy"
    path.write_bytes(HOSTILE_INPUTS[kind])

    with pytest.raises(DataError) as caught:
        storage.load_prepared(prepared.parents[1])

    assert is_one_line(str(caught.value))
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith("; run `dvc repro prepare`")
    assert [path.name for path in prepared.parent.iterdir()] == ["prepared"]


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="(){}[]'\"\\:,.-+0123456789descrfotanhpLxu|<>#\n \t\0eT", max_size=80))
def test_any_header_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npy"
    path.write_bytes(header(text, 100))
    with contextlib.suppress(DataError):
        storage.load_array(path)


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        (np.full(60, 10, np.uint8), "labels must be 0 to 9; got 10"),
        (np.zeros(59, np.uint8), r"uint8 or uint16 \[60\], one for each example; got uint8 \[59\]"),
        (np.zeros((60, 1), np.uint8), r"got uint8 \[60, 1\]"),
        (np.zeros(60, np.int64), r"got int64 \[60\]"),
    ],
)
def test_wrong_labels_are_refused(prepared: Path, labels: NDArray[Any], rule: str) -> None:
    np.save(prepared / "validation_labels.npy", labels)

    with pytest.raises(DataError, match=rf"validation_labels.npy: .*{rule}; run `dvc repro"):
        storage.load_prepared(prepared.parents[1])


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
        storage.load_prepared(prepared.parents[1])
    assert str(caught.value) == f"{path}: no such file; run `dvc repro prepare`"
