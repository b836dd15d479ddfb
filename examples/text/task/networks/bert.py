"""BERT: small and from scratch, or a pretrained checkpoint's weights.

Source: Devlin et al. 2019 (arXiv 1810.04805), by way of the package transformers.
"""

import hashlib
import importlib
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from lab.base.errors import DataError, ParamsError, TaskError

PADDING = 0
WEIGHTS = "model.safetensors"  # never a pickle, which may run code
WHERE = "params.yaml: a model of network bert"


class Network(nn.Module):
    """BERT's encoder and pooler (`backbone`), and one dense layer on it (`scores`).

    From scratch `layers`, `heads` and `hidden` say how large it is; with a checkpoint its own
    configuration does.

    Args:
        input_shape: `[L]`, how many tokens a sentence has.
        classes: how many scores.
        vocabulary: how many tokens there are.
        layers: of the encoder.
        heads: of attention in each layer.
        hidden: width of a token's vector; four times as many units within a layer.
        dropout: fraction dropped while training, everywhere in BERT and before the scores.
        checkpoint: pretrained weights: a folder, or a name that is in Hugging Face's cache.
        checkpoint_sha256: SHA-256 of its model.safetensors, which makes params.yaml say what the
            results come from.
        frozen_layers: how many layers stay as they are, the first ones; with one or more the
            embeddings do, too.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        vocabulary: int,
        layers: int | None = None,
        heads: int | None = None,
        hidden: int | None = None,
        dropout: float = 0.1,
        checkpoint: str | None = None,
        checkpoint_sha256: str | None = None,
        frozen_layers: int = 0,
    ) -> None:
        super().__init__()
        size = {"layers": layers, "heads": heads, "hidden": hidden}
        self.backbone = (
            _from_scratch(size, input_shape[0], vocabulary, dropout)
            if checkpoint is None
            else _pretrained(checkpoint, checkpoint_sha256, size, dropout)
        )
        config = self.backbone.config
        _require_fit(config, input_shape[0], vocabulary)
        self.dropout = nn.Dropout(dropout)
        self.scores = nn.Linear(config.hidden_size, classes)
        self._freeze(frozen_layers)

    def _freeze(self, count: int) -> None:
        layers = self.backbone.encoder.layer
        if not 0 <= count <= len(layers):
            raise ParamsError(
                f"{WHERE}: frozen_layers must be 0 to {len(layers)}; got {count}; correct it"
            )
        if count:
            for part in (self.backbone.embeddings, *layers[:count]):
                part.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores [B, C] of token ids [B, L]."""
        found = self.backbone(input_ids=inputs, attention_mask=(inputs != PADDING).long())
        scores: Tensor = self.scores(self.dropout(found.pooler_output))
        return scores


def _from_scratch(size: dict[str, int | None], length: int, vocabulary: int, dropout: float) -> Any:
    for name, value in size.items():
        if value is None or value < 1:
            got = "nothing" if value is None else value
            rule = f"{name} must be 1 or more (or checkpoint name a checkpoint)"
            raise ParamsError(f"{WHERE}: {rule}; got {got}; add it")
    bert, hidden = _imported("transformers"), size["hidden"] or 0
    return bert.BertModel(
        bert.BertConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            num_hidden_layers=size["layers"],
            num_attention_heads=size["heads"],
            intermediate_size=4 * hidden,
            max_position_embeddings=length,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            pad_token_id=PADDING,
        )
    )


def _pretrained(
    checkpoint: str, sha256: str | None, size: dict[str, int | None], dropout: float
) -> Any:
    for name, value in size.items():
        if value is not None:
            rule = f"{name} must not stand beside checkpoint, which has its own"
            raise ParamsError(f"{WHERE}: {rule}; got {value}; remove it")
    bert = _imported("transformers")
    bert.logging.disable_progress_bar()  # of the file's tensors, once for every seed
    folder = _local_folder(checkpoint)
    _require_sha256(folder / WEIGHTS, sha256)
    try:
        found, said = bert.BertModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            dtype="float32",
        )
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"{folder}: must be a checkpoint of BERT; got {reason}; use another"
        ) from None
    # A checkpoint may lack the pooler, which then is as from scratch.
    for name in sorted(each for each in said["missing_keys"] if not each.startswith("pooler.")):
        raise DataError(f"{folder}: must have all weights of BERT; got no {name}; use another")
    return found


def _local_folder(checkpoint: str) -> Path:
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    hub = _imported("huggingface_hub")
    try:
        return Path(hub.snapshot_download(checkpoint, local_files_only=True))
    except (OSError, ValueError):  # ValueError: not in the form of a name
        raise ParamsError(
            f"{WHERE}: checkpoint must be a folder or a name in Hugging Face's cache; "
            f"got {checkpoint}; run `hf download {checkpoint}` once, or correct it"
        ) from None


def _require_sha256(path: Path, wanted: str | None) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; save the model there as safetensors")
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != wanted:
        raise ParamsError(
            f"{WHERE}: checkpoint_sha256 must be that of {path}, so that other weights train "
            f"anew; got {wanted}; if you mean these weights, set it to {got}"
        )


def _require_fit(config: Any, length: int, vocabulary: int) -> None:
    if config.vocab_size != vocabulary:
        raise ParamsError(
            f"{WHERE}: the checkpoint's {config.vocab_size:,} tokens must be those of the data; "
            f"got {vocabulary:,}; name the same checkpoint as dataset.checkpoint"
        )
    if config.max_position_embeddings < length:
        raise ParamsError(
            f"{WHERE}: dataset.length must be at most the checkpoint's "
            f"{config.max_position_embeddings}; got {length}; lower it"
        )


def _imported(name: str) -> Any:
    """A package of the group `text`: only where it is used (3 s), and kept from calling home."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise TaskError(
            f"task/networks/bert.py: needs the package {error.name}, which is not installed; "
            "run `make text`"
        ) from None
