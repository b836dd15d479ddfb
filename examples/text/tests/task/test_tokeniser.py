"""Sentences -> token ids, by a WordPiece made here and by a checkpoint's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lab.base.errors import DataError, TaskError
from task.data import tokeniser

transformers = pytest.importorskip(
    "transformers", reason="the packages of `make text` are not installed"
)

ROOT = Path(tokeniser.__file__).parents[2]
TEXTS = ["The cats sleep.", "The cat sleeps.", "the dog sleeps", "dogs sleep", "cats and dogs"]


def saved(folder: Path, padding: str = "[PAD]") -> Path:
    """A tokeniser as a checkpoint of BERT has it."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sleep", "."]
    transformers.BertTokenizer(
        vocab={word: number for number, word in enumerate(words)}, pad_token=padding
    ).save_pretrained(folder)
    return folder


def test_a_row_is_cls_the_sentence_sep_and_zeros():
    made = tokeniser.trained(TEXTS, size=100, length=12)

    rows = made.ids([*TEXTS, "cat " * 40, "\N{SNOWMAN}"])

    assert rows.shape == (7, 12)
    assert rows.dtype == np.int64
    unknown, begin, end = 1, 2, 3
    assert (rows[:, 0] == begin).all()
    for row in rows:
        tokens = np.count_nonzero(row)
        assert row[tokens - 1] == end
        assert not row[tokens:].any()
    assert np.count_nonzero(rows[5]) == 12, "cut"
    assert rows[6, 1] == unknown
    assert unknown not in rows[:5]
    assert 4 < rows.max() < made.vocabulary <= 100
    np.testing.assert_array_equal(rows[2], made.ids(["THE  Dog sleeps"])[0])


def test_a_token_named_in_a_sentence_is_not_taken_for_it():
    made = tokeniser.trained([*TEXTS, "a #s b"], size=100, length=12)

    assert np.count_nonzero(made.ids(["##s"])) > 3


HOSTILE = [
    "", " ", "\t\n", "[SEP] [CLS] ##s", "Ça va? NAÏVE café", "İstanbul ΣΑΣ straße", "中文cats日本",
    "a\x00b\x85c\ufffdd\u200be", "cat-dog_cat's", "x" * 300, "the " * 40,
    "\U0001f600 cats\U0001f600", "ﬁne ½ Ⅷ", "a\u0301\u0327", "e\u3000f\u2028g", "¿cats؟ «dogs»",
    "$5+3=8^`~|",
]  # fmt: skip


def test_an_exported_model_is_told_how_to_make_the_same_ids():
    made = tokeniser.trained([*TEXTS, *HOSTILE], size=300, length=24)
    found = made.described([*TEXTS, *HOSTILE])

    assert found is not None, [
        text for text in [*TEXTS, *HOSTILE] if made.described([text]) is None
    ]
    assert len(found.pieces) == made.vocabulary
    assert found.pieces[:4] == tokeniser.SPECIAL


def test_of_a_checkpoints_tokeniser_too_unless_it_does_more(tmp_path):
    made = tokeniser.loaded(str(saved(tmp_path)), length=8)

    assert made.described(TEXTS) is not None
    assert made.described([*TEXTS, "the [MASK]"]) is None


def test_every_process_makes_the_same_vocabulary():
    """The trainer's own order comes from a hash table, another one in every process."""
    program = (
        "import hashlib\n"
        "from task.data import TRAIN, grammar, tokeniser\n"
        "texts = grammar.made_up({TRAIN: 400})[TRAIN].splitlines()\n"
        "rows = tokeniser.trained(texts, 150, 24).ids(texts)\n"
        "print(hashlib.sha256(rows.tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", program]
    found = {
        subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
        for _ in range(3)
    }

    assert len(found) == 1


def test_the_tokeniser_of_a_checkpoint_is_used(tmp_path):
    made = tokeniser.loaded(str(saved(tmp_path)), length=8)

    assert made.vocabulary == 10
    assert made.ids(["The cats sleep."]).tolist() == [[2, 5, 6, 7, 8, 9, 3, 0]]
    assert made.ids(["the " * 20]).tolist() == [[2, 5, 5, 5, 5, 5, 5, 3]]


def test_a_name_is_looked_for_in_the_cache_of_hugging_face(tmp_path, monkeypatch):
    """Its layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache."""
    entry = tmp_path / "models--someone--small-bert"
    saved(entry / "snapshots" / ("a" * 40))
    (entry / "refs").mkdir()
    (entry / "refs/main").write_text("a" * 40, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    assert tokeniser.local_folder("someone/small-bert") == entry / "snapshots" / ("a" * 40)


@pytest.mark.parametrize("checkpoint", ["someone/not-there", "no/such/folder"])
def test_a_checkpoint_that_is_nowhere_is_one_line(checkpoint):
    with pytest.raises(DataError) as caught:
        tokeniser.loaded(checkpoint, length=8)

    assert str(caught.value) == (
        "params.yaml: dataset.checkpoint: must be a folder or a name in Hugging Face's cache; "
        f"got {checkpoint}; run `hf download {checkpoint}` once, or correct it"
    )


def test_a_folder_without_a_tokeniser_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"must hold a tokeniser; got [^\n]+$"):
        tokeniser.loaded(str(tmp_path), length=8)


def test_a_tokeniser_that_pads_with_another_number_is_refused(tmp_path):
    with pytest.raises(DataError, match="must pad with 0, as BERT's do; got 1; use another"):
        tokeniser.loaded(str(saved(tmp_path, padding="[UNK]")), length=8)


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("tokenizers", lambda: tokeniser.trained(TEXTS, size=100, length=12)),
        ("transformers", lambda: tokeniser.loaded("data", length=8)),
    ],
)
def test_without_the_packages_it_says_what_to_run(package, make, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(TaskError) as caught:
        make()

    assert str(caught.value) == (
        f"task/data: needs the package {package}, which is not installed; run `make text`"
    )
