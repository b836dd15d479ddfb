"""The data sets that `dataset.name` in params.yaml may name: sentences and their classes.

An edit here makes stage `prepare` run again, and training only if its examples come out different.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lab.base import files
from lab.base.errors import DataError
from lab.data.examples import Dataset, Examples
from task.data import grammar, readers, tokeniser

TRAIN, IN_DOMAIN, OUT_OF_DOMAIN = (
    "in_domain_train.tsv", "in_domain_dev.tsv", "out_of_domain_dev.tsv",
)  # fmt: skip
COLA = (
    "get cola_public_1.1.zip at https://nyu-mll.github.io/CoLA/ and put the files of its folder "
    "raw there (excerpts of published works, whose copyright stays with their owners)"
)
BANKING77 = (
    "get them at https://github.com/PolyAI-LDN/task-specific-datasets, folder banking_data, and "
    "put them there (licence CC BY 4.0)"
)
OWN = "put a CSV file with the header text,category there"
# A test of 400 tells accuracies apart that differ by 5 pp or so.
MADE_UP = {TRAIN: 1_400, IN_DOMAIN: 400, OUT_OF_DOMAIN: 200}


def cola(
    raw: Path,
    say: tokeniser.Say,
    *,
    test: Literal["in domain", "out of domain", "both"] = "in domain",
    length: int = 32,
    vocabulary: int = 8_000,
    checkpoint: str | None = None,
) -> Dataset:
    """The Corpus of Linguistic Acceptability: can one say so in English?

    The labels of its test set are not published, so its development sets test here, and the
    validation split comes out of the training set. Source: Warstadt et al. 2019 (arXiv 1805.12471).

    Args:
        raw: folder of its three files.
        say: takes one line of progress at a time.
        test: which of its development sets tests.
        length: tokens of a sentence; what is longer is cut.
        vocabulary: how many tokens there are at most.
        checkpoint: whose tokeniser makes the tokens, in place of one that is made here.
    """
    wanted = {"in domain": [IN_DOMAIN], "out of domain": [OUT_OF_DOMAIN]}
    names = wanted.get(test, [IN_DOMAIN, OUT_OF_DOMAIN])
    readers.require(raw, [TRAIN, *names], COLA)
    return _dataset(
        readers.read_cola(raw / TRAIN),
        _joined([readers.read_cola(raw / name) for name in names]),
        {"0": "unacceptable", "1": "acceptable"},
        say,
        length=length,
        vocabulary=vocabulary,
        checkpoint=checkpoint,
    )


def acceptability(
    raw: Path,
    say: tokeniser.Say,
    *,
    test: Literal["in domain", "out of domain", "both"] = "in domain",
    length: int = 16,
    vocabulary: int = 500,
    checkpoint: str | None = None,
) -> Dataset:
    """Made-up sentences in CoLA's format, with its options; files that are there are read."""
    if not any(raw.glob("*.tsv")):
        say(f"acceptability: MADE-UP sentences of a small grammar, no real data, written to {raw}")
        for name, content in grammar.made_up(MADE_UP).items():
            files.write_text(raw / name, content)
    return cola(
        raw, say, test=test, length=length, vocabulary=vocabulary, checkpoint=checkpoint
    )  # fmt: skip


def banking77(
    raw: Path,
    say: tokeniser.Say,
    *,
    length: int = 64,
    vocabulary: int = 8_000,
    checkpoint: str | None = None,
) -> Dataset:
    """Customers' questions to a bank, by 77 intents. Source: Casanueva et al. 2020 (2003.04807)."""
    readers.require(raw, ["train.csv", "test.csv"], BANKING77)
    return texts(raw, say, length=length, vocabulary=vocabulary, checkpoint=checkpoint)


def texts(
    raw: Path,
    say: tokeniser.Say,
    *,
    length: int = 64,
    vocabulary: int = 8_000,
    checkpoint: str | None = None,
) -> Dataset:
    """Own sentences: `train.csv`, and `test.csv` where there is an official test set."""
    readers.require(raw, ["train.csv"], OWN)
    train = readers.read_csv(raw / "train.csv")
    test = readers.read_csv(raw / "test.csv") if (raw / "test.csv").is_file() else None
    classes = sorted(set(train.classes))
    for name in sorted({*test.classes} - {*classes} if test else ()):
        raise DataError(
            f"{raw / 'test.csv'}: must have categories of train.csv; got {name!r}; correct it"
        )
    names = dict(zip(classes, classes, strict=True))
    return _dataset(
        train, test, names, say, length=length, vocabulary=vocabulary, checkpoint=checkpoint
    )


def _joined(parts: Sequence[readers.Sentences]) -> readers.Sentences:
    return readers.Sentences(
        [text for part in parts for text in part.texts],
        [name for part in parts for name in part.classes],
    )


def _dataset(
    train: readers.Sentences,
    test: readers.Sentences | None,
    names: dict[str, str],
    say: tokeniser.Say,
    *,
    length: int,
    vocabulary: int,
    checkpoint: str | None,
) -> Dataset:
    tokeniser.require_lengths(length, vocabulary)
    if checkpoint is not None:
        made, by = tokeniser.loaded(checkpoint, length), checkpoint
    else:
        made, by = tokeniser.trained(train.texts, vocabulary, length), "a WordPiece made of"
        by = f"{by} the {len(train.texts):,} {'training ' if test else ''}sentences, not of labels"
    say(f"{made.vocabulary:,} tokens by {by}")
    examples = functools.partial(_examples, list(names), made.ids)
    return Dataset(
        train=examples(train, are_split=test is None),
        test=examples(test) if test else None,
        class_names=list(names.values()),
        kind="text",
        vocabulary=made.vocabulary,
        tokeniser=made.described(train.texts),
        may_repeat=True,  # sentences that differ may have the same tokens
    )


def _examples(
    names: Sequence[str],
    ids: Callable[[Sequence[str]], tokeniser.Ids],
    given: readers.Sentences,
    *,
    are_split: bool = False,
) -> Examples:
    """Token ids and labels; what is to be split is kept together by its text.

    By default a hash of the bytes would decide, and another vocabulary changes those.
    """
    label = {name: number for number, name in enumerate(names)}
    return Examples(
        inputs=ids(given.texts),
        labels=np.array([label[name] for name in given.classes], dtype=np.int64),
        groups=[text.lower() for text in given.texts] if are_split else None,
        texts=given.texts,
    )


DATASETS = {
    "acceptability": acceptability,
    "cola": cola,
    "banking77": banking77,
    "texts": texts,
}
