"""Texts as token ids by WordPiece, as BERT's own code makes them; needs NumPy alone.

Source: Devlin et al. 2019 (arXiv 1810.04805) and its `tokenization.py`.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTINUES = "##"  # begins a piece that does not begin a word
LONGEST_WORD = 100  # characters; a longer one is unknown
MOST_CHARACTERS = 100_000  # of a text that are looked at; no row of tokens holds as many

# Each is a word of its own, for their texts have no spaces between words.
_IDEOGRAPH = re.compile(
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002a6df\U0002a700-\U0002b81f\U0002b820-\U0002ceaf\U0002f800-\U0002fa1f])"
)


def token_ids(texts: Sequence[str], tokeniser: Mapping[str, Any], length: int) -> NDArray[np.int64]:
    """Token ids [N, length]: start, the text's as far as they fit, end, then zeros.

    Args:
        texts: of the examples.
        tokeniser: the fields of a `lab.data.examples.Tokeniser`.
        length: of a row.

    >>> pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ed", "!"]
    >>> made = {"pieces": pieces, "is_lower_case": True, "unknown": 1, "start": 2, "end": 3}
    >>> token_ids(["Played!", "chess"], made, 6)
    array([[2, 4, 5, 6, 3, 0],
           [2, 1, 3, 0, 0, 0]])
    """
    id_of = {piece: number for number, piece in enumerate(tokeniser["pieces"])}
    rows = np.zeros((len(texts), length), np.int64)
    for row, text in zip(rows, texts, strict=True):
        found: list[int] = []
        for word in _words(text[:MOST_CHARACTERS], tokeniser["is_lower_case"]):
            found += _pieces(word, id_of) or [tokeniser["unknown"]]
            if len(found) >= length:
                break
        ids = [tokeniser["start"], *found[: max(length - 2, 0)], tokeniser["end"]][:length]
        row[: len(ids)] = ids
    return rows


def _words(text: str, is_lower_case: bool) -> Iterator[str]:
    """Words and signs; without accents where capitals do not count either."""
    kept = "".join(" " if letter.isspace() else letter for letter in text if _is_shown(letter))
    kept = _IDEOGRAPH.sub(r" \1 ", kept)
    if is_lower_case:
        apart = unicodedata.normalize("NFD", kept)
        kept = "".join(letter.lower() for letter in apart if unicodedata.category(letter) != "Mn")
    for word in kept.split():
        start = 0
        for place, letter in enumerate(word):
            if _is_punctuation(letter):
                if start < place:
                    yield word[start:place]
                yield letter
                start = place + 1
        if start < len(word):
            yield word[start:]


def _is_shown(letter: str) -> bool:
    if letter in "\t\n\r":
        return True
    return letter != "\ufffd" and not unicodedata.category(letter).startswith("C")


def _is_punctuation(letter: str) -> bool:
    is_ascii_sign = letter.isascii() and letter.isprintable() and not letter.isalnum()
    return is_ascii_sign or unicodedata.category(letter).startswith("P")


def _pieces(word: str, id_of: Mapping[str, int]) -> list[int]:
    """The longest piece first; none if what is left of the word is no piece."""
    if len(word) > LONGEST_WORD:
        return []
    found, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = word[start:end] if start == 0 else CONTINUES + word[start:end]
            if piece in id_of:
                found.append(id_of[piece])
                start = end
                break
        else:
            return []
    return found
