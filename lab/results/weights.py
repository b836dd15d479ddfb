"""`weights.safetensors`: all seeds of a model as one stack, and one of them for use elsewhere."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from lab.base.errors import DataError, LabError, shortened
from lab.base.files import write_bytes, write_json
from lab.base.params import ModelParams
from lab.data.splits import CLASSES
from lab.results.storage import TRAINED, remake

Weights = Mapping[str, npt.NDArray[Any]]  # by name; of a stack, with a leading axis for its seeds


def path_of(model: str) -> Path:
    """Where a model's weights lie."""
    return TRAINED / model / "weights.safetensors"


def write(model: str, seeds: Sequence[int], stacked: Weights) -> None:
    """Writes a model's weights, all seeds in one file."""
    described = {"seeds": list(seeds), "sha256": _checksum(stacked)}
    # In one entry: safetensors writes several in an order that differs from run to run.
    content = safetensors.numpy.save(dict(stacked), {"stack": json.dumps(described)})
    write_bytes(path_of(model), content)


def read_seed(model: str, seed: int) -> dict[str, npt.NDArray[Any]]:
    """One seed's weights.

    Raises:
        DataError: the file is missing or damaged, or has no such seed.
    """
    path = path_of(model)
    seeds, stacked = _read(path)
    if seed not in seeds:
        raise DataError(f"{path}: must hold seed {seed}; got {seeds}; {remake(path)}")
    return {name: tensor[seeds.index(seed)] for name, tensor in stacked.items()}


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
    if (found := _checksum(stacked)) != wanted:
        reason = f"SHA-256 must be {wanted[:12]}..., is {found[:12]}..."
        raise DataError(f"{path}: damaged ({reason}); {remake(path)}")
    return seeds, stacked


def export_seed(folder: Path, name: str, seed: int, model: ModelParams) -> None:
    """Writes one seed's network so that torch.nn.Sequential and the served model load it.

    `weights.safetensors` holds that seed's part of the stack; `model.json` says which layers it
    belongs to. Dropout does nothing outside training and is not exported.

    Raises:
        DataError: the model's `weights.safetensors` is missing or damaged.
        LabError: the network is not made of dense layers.
    """
    weights = read_seed(name, seed)
    inputs = _inputs(name, model, weights)
    write_bytes(folder / "weights.safetensors", safetensors.numpy.save(weights))
    description = {
        "model": name,
        "seed": seed,
        "inputs": inputs,
        "hidden": list(model.hidden),
        "activation": model.activation,
        "classes": CLASSES,
    }
    write_json(folder / "model.json", description)


def _inputs(name: str, model: ModelParams, weights: Weights) -> int:
    """How many inputs a network of dense layers has; activations stand between its layers."""
    inputs = weights["0.weight"].shape[-1] if "0.weight" in weights else 0
    widths = itertools.pairwise([inputs, *model.hidden, CLASSES])
    wanted: dict[str, tuple[int, ...]]
    wanted = {f"{2 * k}.weight": (out, into) for k, (into, out) in enumerate(widths)}
    wanted |= {f"{2 * k}.bias": (out,) for k, out in enumerate([*model.hidden, CLASSES])}
    if not inputs or {key: tensor.shape for key, tensor in weights.items()} != wanted:
        raise LabError(
            f"params.yaml: models.{name}.network: only networks of dense layers can be exported; "
            f"got {model.network} with {', '.join(sorted(weights))}; choose another network"
        )
    return int(inputs)


def _checksum(weights: Weights) -> str:
    """Of weights, which are not checked by the file that holds them, as predictions are."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(np.ascontiguousarray(weights[name]).data)
    return digest.hexdigest()
