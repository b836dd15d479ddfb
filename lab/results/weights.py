"""`weights.safetensors`: all seeds of a model as one stack."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from lab.base.errors import DataError, shortened
from lab.base.files import write_bytes
from lab.results.storage import TRAINED, remake

Weights = Mapping[str, npt.NDArray[Any]]  # by name; of a stack, with a leading axis for its seeds


def path_of(model: str) -> Path:
    """Where a model's weights lie."""
    return TRAINED / model / "weights.safetensors"


def write(model: str, seeds: Sequence[int], stacked: Weights) -> None:
    """Writes a model's weights, all seeds in one file.

    What is the same for all seeds, as the frozen part of a network is, stands there once: its
    leading axis has the length 1.
    """
    stacked = {key: tensor[:1] if _is_shared(tensor) else tensor for key, tensor in stacked.items()}
    described = {"seeds": list(seeds), "sha256": _checksum(stacked)}
    # In one entry: safetensors writes several in an order that differs from run to run.
    content = safetensors.numpy.save(dict(stacked), {"stack": json.dumps(described)})
    write_bytes(path_of(model), content)


def read_seed(model: str, seed: int, root: Path = Path()) -> dict[str, npt.NDArray[Any]]:
    """One seed's weights, of the project in a folder.

    Raises:
        DataError: the file is missing or damaged, or has no such seed.
    """
    path = root / path_of(model)
    seeds, stacked = _read(path)
    if seed not in seeds:
        raise DataError(f"{path}: must hold seed {seed}; got {seeds}; {remake(path)}")
    place = seeds.index(seed)
    return {name: tensor[place if len(tensor) > 1 else 0, ...] for name, tensor in stacked.items()}


def _is_shared(tensor: npt.NDArray[Any]) -> bool:
    first = tensor[0].tobytes()  # not the numbers: 0.0 equals -0.0, and NaN nothing
    return len(tensor) > 1 and all(other.tobytes() == first for other in tensor[1:])


def _read(path: Path) -> tuple[list[int], Weights]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; run `dvc repro`")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            stacked = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            described = json.loads(file.metadata()["stack"])
        seeds, wanted = [int(seed) for seed in described["seeds"]], str(described["sha256"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({shortened(str(error))}); {remake(path)}") from None
    lengths = {len(tensor) if tensor.ndim else 0 for tensor in stacked.values()}
    if not lengths <= {1, len(seeds)}:
        reason = f"{len(seeds)} seeds, but tensors of {sorted(lengths)}"
        raise DataError(f"{path}: damaged ({reason}); {remake(path)}")
    if (found := _checksum(stacked)) != wanted:
        reason = f"SHA-256 must be {wanted[:12]}..., is {found[:12]}..."
        raise DataError(f"{path}: damaged ({reason}); {remake(path)}")
    return seeds, stacked


def _checksum(weights: Weights) -> str:
    """Of weights, which are not checked by the file that holds them, as predictions are."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(np.ascontiguousarray(weights[name]).data)
    return digest.hexdigest()
