"""Hostile IDX files, made and read as `tests/inputs.py` does with files of other kinds."""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import inputs

from lab.data.checks import require_dataset
from lab.data.examples import Dataset
from task.data import idx, sources
from tests.task.idx_files import idx_bytes


def make_valid() -> None:
    chance = np.random.default_rng(0)
    for name, count in {"train": 60, "t10k": 40}.items():
        images = chance.integers(0, 255, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        inputs.ALSO_VALID[f"{name}-images-idx3-ubyte"] = idx_bytes(images)
        inputs.ALSO_VALID[f"{name}-labels-idx1-ubyte"] = idx_bytes(labels)


def make_idx(chance: inputs.Chance) -> None:
    name = chance.choice([idx.TRAIN_IMAGES, idx.TRAIN_LABELS, idx.TEST_IMAGES])
    content = bytearray(inputs.VALID[name])
    if chance.random() < 0.6:  # the header: magic number and counts
        at = 4 * chance.randrange(4)
        number = chance.choice([0, 1, 27, 29, 2**16, 2**31, 2**32 - 1, chance.getrandbits(32)])
        content[at : at + 4] = struct.pack(">I", number)
    else:
        content = bytearray(inputs.corrupted(chance, bytes(content)))
    if chance.random() < 0.3:
        packed = sources.GZIP_MAGIC + zlib.compress(content, wbits=31)[2:]
        content = bytearray(inputs.corrupted(chance, packed) if chance.random() < 0.7 else packed)
    Path(name).write_bytes(content)


def read_idx() -> None:
    found = {}
    for name in (
        idx.TRAIN_IMAGES,
        idx.TRAIN_LABELS,
        idx.TEST_IMAGES,
        idx.TEST_LABELS,
    ):
        content = Path(name).read_bytes()
        is_packed = content.startswith(sources.GZIP_MAGIC)
        found[name] = sources.gunzip(content, 10_000_000) if is_packed else content
    train, test = idx.read(found)
    classes = idx.CLASS_NAMES["MNIST"]
    require_dataset("MNIST", Dataset(train, test, classes, kind="grey image", may_repeat=True))


if __name__ == "__main__":
    inputs.KINDS["IDX"] = (make_idx, read_idx)
    make_valid()
    inputs.main()
