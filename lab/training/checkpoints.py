"""What a training that was killed needs to go on after its last finished epoch.

A checkpoint is one file for each stack of seeds, outside of DVC's outputs, which DVC deletes before
a stage runs. Its name is a hash of everything that determines its numbers, so another model, other
data or other code never find it. Losing one costs time and nothing else: one that is damaged is
ignored, and one that cannot be written is left out, each with a warning.
"""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import sys
import zlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from lab.base.files import sha256, write_bytes, write_text
from lab.base.params import NETWORKS, Params
from lab.data.description import Description

FOLDER = Path(".checkpoints")
# What determines the numbers, as dvc.yaml has it; the file of the model's network comes to it.
CODE = ("lab/data", "lab/training", "task/common", "train.py")
ROOT = Path(__file__).resolve().parents[2]
RESULT = "result.md5"  # beside the checkpoints of a training that came to its end
CHECKSUM = 4  # bytes of CRC-32 before the arrays

Arrays = Mapping[str, NDArray[Any]]


def fingerprint(params: Params, model: str, data: Description) -> str:
    """A hash of what determines a training's numbers, but for device and seeds."""
    train = params.train.model_dump(exclude={"seeds", "seeds_per_stack"})
    return _hash(
        params.models[model].settings(),
        train,
        [data.train.sha256, data.validation.sha256],
        _code(params.models[model].network),
        version("torch"),
    )


def _code(network: str) -> dict[str, str]:
    """SHA-256 of each file that determines the numbers."""
    places = [*(ROOT / name for name in CODE), NETWORKS / f"{network}.py"]
    listed = itertools.chain.from_iterable(sorted(each.rglob("*.py")) or [each] for each in places)
    return {file.relative_to(ROOT).as_posix(): sha256(file.read_bytes()) for file in listed}


class Checkpoints:
    """The checkpoints of one model's training, on one device in one precision.

    Stacks may be loaded and saved from several threads and processes, each stack from one.
    """

    def __init__(
        self,
        params: Params,
        model: str,
        data: Description,
        *,
        device: str,
        precision: str,
        search: str = "",
    ) -> None:
        """Takes the folder of a search, whose trainings go on as a rule, and say nothing of it."""
        self._model, self._search = model, search
        self._key = _hash(fingerprint(params, model, data), device, precision)
        self.is_used = False  # whether a stack went on from one
        self._can_be_written = True

    def load(self, seeds: Sequence[int], like: Arrays) -> Arrays | None:
        """The arrays that `save` got last for these seeds, or None.

        Args:
            seeds: of the stack.
            like: names, types and shapes they must have; a first axis of 0 stands for any length.
        """
        path = self._path(seeds)
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            _say(f"{path}: {error.strerror}; ignored, seeds {_listed(seeds)} start over")
            return None
        arrays = _unpacked(content)
        if arrays is None or not _fit(arrays, like):
            _say(f"{path}: damaged; ignored, seeds {_listed(seeds)} start over")
            return None
        if not self._search:
            _say(f"{self._model}: seeds {_listed(seeds)} go on after the last finished epoch")
        self.is_used = True
        return arrays

    def save(self, seeds: Sequence[int], arrays: Arrays) -> None:
        """Replaces the checkpoint of these seeds."""
        if not self._can_be_written:
            return
        path = self._path(seeds)
        content = safetensors.numpy.save(dict(arrays))
        try:
            write_bytes(path, _checksum(content) + content)
        except OSError as error:
            self._can_be_written = False
            _say(f"{path}: {error.strerror}; training goes on without checkpoints")

    def _path(self, seeds: Sequence[int]) -> Path:
        return FOLDER / (self._search or self._model) / _hash(self._key, list(seeds))[:32]


def exist(model: str) -> bool:
    """Whether a training of this model did not come to its end, in whatever params."""
    return (FOLDER / model).exists()


def clear(model: str) -> None:
    """Removes all checkpoints of a model, those of other params too."""
    shutil.rmtree(FOLDER / model, ignore_errors=True)


def finish(model: str, result: Path) -> None:
    """Removes a model's checkpoints when its training is complete; `result` is a file it wrote.

    A stage of DVC is complete when `dvc.lock` names what it wrote, and if it is killed before, DVC
    runs it again. So its checkpoints stay until `clear_recorded` finds the result there.
    """
    if "DVC_STAGE" in os.environ:
        md5 = hashlib.md5(result.read_bytes(), usedforsecurity=False).hexdigest()  # as DVC has it
        with contextlib.suppress(OSError):
            write_text(FOLDER / model / RESULT, md5)
            return
    clear(model)


def clear_recorded(model: str) -> None:
    """Removes the checkpoints of a training whose result DVC has recorded."""
    with contextlib.suppress(OSError):
        if (FOLDER / model / RESULT).read_bytes() in Path("dvc.lock").read_bytes():
            clear(model)


def _unpacked(content: bytes) -> Arrays | None:
    checksum, content = content[:CHECKSUM], content[CHECKSUM:]
    if _checksum(content) != checksum:
        return None
    try:
        return safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError):  # KeyError: a type that numpy lacks
        return None


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(CHECKSUM, "big")


def _fit(arrays: Arrays, like: Arrays) -> bool:
    def fits(array: NDArray[Any], other: NDArray[Any]) -> bool:
        shape = array.shape if other.shape[:1] != (0,) else (0, *array.shape[1:])
        return shape == other.shape and array.dtype == other.dtype

    return arrays.keys() == like.keys() and all(fits(arrays[k], like[k]) for k in like)


def _hash(*parts: object) -> str:
    return sha256(json.dumps(parts, sort_keys=True).encode())


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")  # in one piece, whatever other threads say
