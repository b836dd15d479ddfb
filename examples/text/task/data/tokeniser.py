"""Sentences -> token ids, by a checkpoint's tokeniser or by a small WordPiece made here."""

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import DataError, ParamsError, TaskError
from lab.data import examples
from lab.data.tokens import token_ids

PADDING = 0  # the id that fills a sentence up; networks take `ids != 0` for the attention mask
UNKNOWN = "[UNK]"
SPECIAL = ["[PAD]", UNKNOWN, "[CLS]", "[SEP]"]  # [PAD] first, which makes it 0
FEWEST_SEEN = 2  # times that two pieces stand together before they become one
INSTALL = "run `make text`"

Say = Callable[[str], None]
Ids = NDArray[np.int64]
Encode = Callable[[Sequence[str]], list[list[int]]]


class Tokeniser:
    """Makes rows of ids: `[CLS]`, the sentence, `[SEP]`, then zeros.

    Args:
        encode: ids of each sentence, cut to `length`.
        ids: of the pieces.
        length: of a row.
        is_lower_case: whether capitals are small letters to it.
    """

    def __init__(
        self, encode: Encode, ids: dict[str, int], length: int, *, is_lower_case: bool
    ) -> None:
        self.vocabulary = len(ids)
        self._pieces = sorted(ids, key=ids.__getitem__)
        self._is_lower_case = is_lower_case
        self._encode = encode
        self._length = length

    def ids(self, texts: Sequence[str]) -> Ids:
        """Token ids int64 `[N, length]`."""
        rows = np.full((len(texts), self._length), PADDING, dtype=np.int64)
        for row, tokens in zip(rows, self._encode(texts), strict=True):
            row[: len(tokens)] = tokens
        return rows

    def described(self, texts: Sequence[str]) -> examples.Tokeniser | None:
        """What an exported model says of it, which takes texts where this package is not.

        None where it does more than WordPiece does, so that the ids of these texts are others.
        """
        if not set(SPECIAL) <= {*self._pieces}:
            return None
        unknown, start, end = (self._pieces.index(name) for name in SPECIAL[1:])
        found = examples.Tokeniser(
            form="wordpiece", pieces=self._pieces, is_lower_case=self._is_lower_case,
            unknown=unknown, start=start, end=end,
        )  # fmt: skip
        is_alike = np.array_equal(
            token_ids(texts, found.model_dump(), self._length), self.ids(texts)
        )
        return found if is_alike else None


def trained(texts: Sequence[str], size: int, length: int) -> Tokeniser:
    """A WordPiece in lower case whose pieces are found in `texts`, without their labels.

    Source: Devlin et al. 2019 (arXiv 1810.04805) for the form of a row.

    Args:
        texts: of the training set.
        size: of the vocabulary, at most.
        length: of a row.
    """
    tokenizers = _imported("tokenizers")
    tokeniser = _wordpiece(tokenizers, {})
    # The trainer numbers letters within words as it meets them in a hash table, in another order
    # in every process, and breaks ties by number. Named beforehand, they have an order.
    normal = map(tokeniser.normalizer.normalize_str, texts)
    letters = [f"##{letter}" for letter in sorted(set("".join(normal))) if not letter.isspace()]
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=FEWEST_SEEN,
        special_tokens=[*SPECIAL, *letters],
        show_progress=False,
    )
    tokeniser.train_from_iterator(texts, trainer)
    # Anew, because the trained one would take "##a" in a sentence for that token.
    tokeniser = _wordpiece(tokenizers, tokeniser.get_vocab())
    tokeniser.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")],
    )
    tokeniser.enable_truncation(length)
    return Tokeniser(
        lambda given: [each.ids for each in tokeniser.encode_batch(list(given))],
        tokeniser.get_vocab(),
        length,
        is_lower_case=True,
    )


def _wordpiece(tokenizers: Any, vocabulary: dict[str, int]) -> Any:
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token=UNKNOWN))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return made


def loaded(checkpoint: str, length: int) -> Tokeniser:
    """The tokeniser of a checkpoint: a folder, or a name that is in Hugging Face's cache.

    No network is used.

    Raises:
        DataError: there is none, or it does not pad with 0.
    """
    transformers = _imported("transformers")
    folder = local_folder(checkpoint)
    try:
        tokeniser = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"{folder}: must hold a tokeniser; got {reason}; save one there with save_pretrained"
        ) from None
    if tokeniser.pad_token_id != PADDING:
        raise DataError(
            f"{folder}: its tokeniser must pad with {PADDING}, as BERT's do; "
            f"got {tokeniser.pad_token_id}; use another checkpoint"
        )

    def encode(texts: Sequence[str]) -> list[list[int]]:
        found: Any = tokeniser(list(texts), truncation=True, max_length=length)
        return list(found["input_ids"])

    is_lower_case = getattr(tokeniser, "do_lower_case", True)  # if wrong, `described` notices
    return Tokeniser(encode, tokeniser.get_vocab(), length, is_lower_case=is_lower_case)


def local_folder(checkpoint: str) -> Path:
    """Where the files of a checkpoint are on this machine.

    Raises:
        DataError: nowhere.
    """
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    hub = _imported("huggingface_hub")
    try:
        return Path(hub.snapshot_download(checkpoint, local_files_only=True))
    except (OSError, ValueError):  # ValueError: not in the form of a name
        raise DataError(
            f"params.yaml: dataset.checkpoint: must be a folder or a name in Hugging Face's cache; "
            f"got {checkpoint}; run `hf download {checkpoint}` once, or correct it"
        ) from None


def require_lengths(length: int, vocabulary: int) -> None:
    """Checks two options of params.yaml.

    Raises:
        ParamsError: one is out of range.
    """
    for name, value, least, most in (
        ("length", length, 3, 4096),
        ("vocabulary", vocabulary, 100, 1_000_000),
    ):
        if not least <= value <= most:
            raise ParamsError(
                f"params.yaml: dataset.{name}: must be {least} to {most:,}; got {value}; correct it"
            )


def _imported(name: str) -> Any:
    """A package of the optional group `text`, kept from calling home and from threads."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise TaskError(
            f"task/data: needs the package {error.name}, which is not installed; {INSTALL}"
        ) from None
