"""Weights that were trained before, in files or as torchvision publishes them."""

import hashlib
import urllib.error
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lab.base.errors import DataError, ParamsError, SourceError, shortened

SUFFIXES = (".safetensors", ".pt", ".pth")
FEWEST_DIGITS = 8  # of a SHA-256, in hexadecimal
PUBLISHED = "ViT_"  # begins torchvision's names for what fits this network
KEY = "params.yaml: weights (network vision_transformer)"


def load_backbone(backbone: nn.Module, weights: str, sha256: str | None) -> None:
    """Puts weights into torchvision's Vision Transformer, whose `heads` are left out.

    Files have torchvision's names, or those of `task.networks.vision_transformer`. What was trained
    on images of another size has its positions interpolated.

    Raises:
        ParamsError: there are no such weights, or `sha256` is not the file's.
        DataError: the file is damaged, or made for another network.
        SourceError: they cannot be downloaded.
    """
    is_file = weights.endswith(SUFFIXES)
    found = _from_file(Path(weights), sha256) if is_file else _published(weights)
    named = {
        name.removeprefix("backbone."): tensor
        for name, tensor in found.items()
        if not name.startswith(("head.", "heads."))
    }
    state = _at_size(backbone, named)
    _require_alike(weights, state, backbone.state_dict())
    backbone.load_state_dict(state)


def _from_file(path: Path, sha256: str | None) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ParamsError(f"{KEY}: must be a file; got {path}, which is none; put it there")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is None or len(sha256) < FEWEST_DIGITS or not digest.startswith(sha256.lower()):
        raise ParamsError(
            f"params.yaml: sha256 (network vision_transformer): must be that of {path}, "
            f"{FEWEST_DIGITS} digits or more; got {sha256}; the file has {digest[:16]}"
        )
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # unpickling raises nearly anything
        said = shortened(str(error) or type(error).__name__, 100)
        raise DataError(f"{path}: must hold weights; got {said}; replace it") from None
    if not isinstance(found, dict) or not all(isinstance(each, Tensor) for each in found.values()):
        raise DataError(
            f"{path}: must hold tensors by name (a state_dict); got {type(found).__name__}; "
            "save model.state_dict()"
        )
    return found


def _published(name: str) -> Mapping[str, Tensor]:
    from torchvision.models import get_model_weights, get_weight

    try:
        entry = get_weight(name)
    except (ValueError, KeyError):
        entry = None
    if entry is None or not name.startswith(PUBLISHED):
        known = ", ".join(str(each) for each in get_model_weights("vit_b_16"))
        raise ParamsError(
            f"{KEY}: must be a file ({', '.join(SUFFIXES)}) or one of torchvision's for a Vision "
            f"Transformer; got {shortened(name, 60)}; use {known} or another"
        )
    try:
        found: Mapping[str, Tensor] = entry.get_state_dict(progress=False, check_hash=True)
    except (urllib.error.URLError, TimeoutError, ConnectionError, RuntimeError) as error:
        raise SourceError(
            f"{KEY}: {name} must come from {entry.url}; got {shortened(str(error), 100)}; "
            "try again with a network, or put the file here and give its path"
        ) from None
    return found


def _at_size(backbone: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The same with positions for as many patches as the backbone has."""
    from torchvision.models.vision_transformer import interpolate_embeddings

    key = "encoder.pos_embedding"
    wanted, got = backbone.state_dict()[key], state.get(key)
    if got is None or got.shape == wanted.shape:
        return state
    try:
        changed: Mapping[str, Tensor] = interpolate_embeddings(
            backbone.image_size, backbone.patch_size, dict(state)
        )
    except (ValueError, RuntimeError):  # no square of patches
        return state
    return changed


def _require_alike(where: str, got: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    rule = "must fit the network that params.yaml describes"
    for name, tensor in wanted.items():
        have = list(got[name].shape) if name in got else "nothing"
        if have != list(tensor.shape):
            raise DataError(
                f"{where}: {rule}, {list(tensor.shape)} for {name}; got {have}; "
                "correct patch, layers, width or mlp"
            )
    for name in sorted(got.keys() - wanted.keys())[:1]:
        raise DataError(f"{where}: {rule}; got {name} beyond it; correct layers")
