from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from lab.base.errors import DataError
from lab.results import weights

SEEDS = [7, 9, 4]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_all_seeds_share_is_stored_once_and_read_for_each():
    random = np.random.default_rng(0)
    own, frozen = random.normal(size=(3, 4)), random.normal(size=(4, 5))
    stacked = {
        "own": own.astype(np.float32),
        "frozen": np.stack([frozen] * 3),
        "batches": np.full(3, 12),
        "zero": np.array([[0.0], [-0.0], [0.0]]),
        "unknown": np.full((3, 2), np.nan),
    }
    weights.write("small", SEEDS, stacked)

    stored = safetensors.numpy.load_file(weights.path_of("small"))
    assert {key: len(tensor) for key, tensor in stored.items()} == {
        "own": 3, "frozen": 1, "batches": 1, "zero": 3, "unknown": 1,
    }  # fmt: skip
    for place, seed in enumerate(SEEDS):
        read = weights.read_seed("small", seed)
        assert read.keys() == stacked.keys()
        for key, tensor in read.items():
            assert tensor.tobytes() == stacked[key][place].tobytes()
            assert tensor.shape == stacked[key].shape[1:]


def test_where_seeds_differ_the_file_holds_the_stack_as_it_is():
    stacked = {"0.weight": np.arange(12, dtype=np.float32).reshape(3, 2, 2)}
    weights.write("small", SEEDS, stacked)

    content = weights.path_of("small").read_bytes()
    assert content.endswith(stacked["0.weight"].tobytes())
    with safetensors.safe_open(weights.path_of("small"), framework="numpy") as file:
        assert file.get_slice("0.weight").get_shape() == [3, 2, 2]


def test_one_seed_is_a_stack_of_one():
    weights.write("small", [7], {"bias": np.float32([[1, 2]])})

    np.testing.assert_array_equal(weights.read_seed("small", 7)["bias"], [1, 2])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[:100], r"damaged .*"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), r"damaged \(SHA-256 must be .*"),
        (lambda content: content.replace(b"[7, 9, 4]", b"[7, 94]  "), r"damaged \(2 seeds, but .*"),
        (lambda content: content.replace(b"[7, 9, 4]", b"[7, 8, 4]"), r"must hold seed 9.*"),
    ],
)
def test_damaged_weights_are_refused_in_one_line(damage, problem):
    weights.write("small", SEEDS, {"bias": np.arange(6, dtype=np.float32).reshape(3, 2)})
    path = weights.path_of("small")
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(
        DataError, match=f"{problem}; run `dvc repro --force train@small`"
    ) as caught:
        weights.read_seed("small", 9)
    assert "\n" not in str(caught.value)


def test_absent_weights_are_named():
    with pytest.raises(DataError, match=r"small.*: no such file; run `dvc repro`"):
        weights.read_seed("small", 9)
    assert not Path("models").exists()
