import numpy as np
import pytest
from support import is_one_line

from lab.base.errors import DataError
from lab.results import probabilities

SEEDS = [7, 9]


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probabilities.write("small", {"validation": made(), "test": made()})
    return probabilities.path_of("small", "test")


def made() -> np.ndarray:
    chance = np.random.default_rng(0).random((2, 5, 3)).astype(np.float32)
    return chance / chance.sum(axis=2, keepdims=True)


def refused(path) -> str:
    with pytest.raises(DataError) as caught:
        probabilities.read(path, SEEDS, 5)
    text = str(caught.value)
    assert is_one_line(text)
    assert text.startswith("models/runs/small/test_probabilities.npy: ")
    assert text.endswith("; run `dvc repro --force train@small`")
    return text


def test_what_is_written_is_mapped_and_cannot_be_changed(path):
    found = probabilities.read(path, SEEDS, 5)

    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, made())
    with pytest.raises(ValueError, match="read-only"):
        found[:] = 0


@pytest.mark.parametrize("change", [np.asfortranarray, lambda array: array[:, ::-1][:, ::-1]])
def test_the_order_in_memory_does_not_show_in_the_bytes(path, change):
    before = path.read_bytes()
    probabilities.write("small", {"test": change(made())})

    assert path.read_bytes() == before
    assert before == path.with_name("validation_probabilities.npy").read_bytes()
    np.testing.assert_array_equal(np.load(path), made())


def test_a_disk_that_fills_up_leaves_both_files_as_they_were(path, monkeypatch):
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    written = []

    def full(given, kind):
        if len(written) == 3:  # in the second file
            raise OSError(28, "No space left on device")
        written.append(given)
        return np.array(given, dtype=kind)

    monkeypatch.setattr(np, "ascontiguousarray", lambda array, dtype: full(array, dtype))
    with pytest.raises(OSError, match="No space left"):
        probabilities.write("small", {"validation": 1 - made(), "test": 1 - made()})

    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_part_of_a_file_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])

    assert "damaged (" in refused(path)


def test_bytes_after_the_end_are_refused(path):
    path.write_bytes(path.read_bytes() + b"?")

    assert "damaged (" in refused(path)


def test_a_missing_file_is_named(path):
    path.unlink()

    assert "no such file" in refused(path)


@pytest.mark.parametrize(
    ("array", "got"),
    [
        (made().astype(np.float64), "float64 [2, 5, 3]"),
        (made().astype(">f4"), ">f4 [2, 5, 3]"),
        (made()[:1], "float32 [1, 5, 3]"),
        (made()[:, :4], "float32 [2, 4, 3]"),
        (made()[0], "float32 [5, 3]"),
        (made()[:, :, :0], "float32 [2, 5, 0]"),
    ],
)
def test_another_shape_or_type_is_refused(path, array, got):
    np.save(path, array)

    assert f"must be float32 [2 seeds, 5 examples, classes]; got {got}" in refused(path)


@pytest.mark.parametrize(
    ("value", "got"),
    [(np.nan, "nan to nan"), (-0.5, "-0.5 to "), (2, " to 2"), (np.inf, "inf")],
)
def test_what_are_no_probabilities_is_refused(path, value, got):
    array = made()
    array[1, 2, 0] = value
    np.save(path, array)
    text = refused(path)

    assert "seed 9: probabilities must be from 0 to 1; got " in text
    assert got in text
