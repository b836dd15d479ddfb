"""WordPiece by hand; examples/text holds it against the library's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.data.tokens import token_ids

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "un",
    "##aff",
    "##able",
    "!",
    "cafe",
    "Cat",
    "中",
    "'",
]
LOWER = {"pieces": PIECES, "is_lower_case": True, "unknown": 1, "start": 2, "end": 3}
CASED = {**LOWER, "is_lower_case": False}


@pytest.mark.parametrize(
    ("text", "tokeniser", "ids"),
    [
        ("", LOWER, [2, 3]),
        (" \t\n", LOWER, [2, 3]),
        ("unaffable", LOWER, [2, 4, 5, 6, 3]),  # of BERT's own documentation
        ("UNAFFABLE!!", LOWER, [2, 4, 5, 6, 7, 7, 3]),
        ("UNaffable", CASED, [2, 1, 3]),
        ("Cat", CASED, [2, 9, 3]),
        ("Cat", LOWER, [2, 1, 3]),
        ("Café", LOWER, [2, 8, 3]),
        ("cafe\N{COMBINING ACUTE ACCENT}", LOWER, [2, 8, 3]),
        ("café", CASED, [2, 1, 3]),
        ("un中un", LOWER, [2, 4, 10, 4, 3]),
        ("un\x00affable\u200b \ufffd", LOWER, [2, 4, 5, 6, 3]),
        ("un'un", LOWER, [2, 4, 11, 4, 3]),
        ("unaffableness", LOWER, [2, 1, 3]),
        ("un" + "able" * 30, LOWER, [2, 1, 3]),  # a word of more than 100 letters
        ("un " * 20, LOWER, [2, *[4] * 8, 3]),
    ],
)
def test_ids_by_hand(text, tokeniser, ids):
    row = token_ids([text], tokeniser, 10)

    assert row.dtype == np.int64
    assert row.tolist() == [ids + [0] * (10 - len(ids))]


@given(st.lists(st.text(max_size=30), max_size=4), st.integers(1, 9), st.booleans())
def test_any_text_is_a_row_of_tokens(texts, length, is_lower_case):
    rows = token_ids(texts, {**LOWER, "is_lower_case": is_lower_case}, length)

    assert rows.shape == (len(texts), length)
    assert ((rows >= 0) & (rows < len(PIECES))).all()
    assert (rows[:, 0] == 2).all()


def test_a_long_text_is_not_read_to_its_end():
    assert token_ids(["un " * 10**7], LOWER, 4).tolist() == [[2, 4, 4, 3]]
