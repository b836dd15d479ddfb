"""Files of sentences -> examples: the real formats with their quirks, and what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

import prepare
from lab.base.errors import DataError, ParamsError
from lab.data.prepared import load_prepared, load_texts
from task.data import IN_DOMAIN, OUT_OF_DOMAIN, TRAIN, grammar, readers

COLA = (
    'gj04\t1\t\tThey said "go.\n'
    "cj99\t0\t*\tThe more he reads, the more books.\n"
    "bc01\t0\t??\tWhat\u2028 did  \u201cMary\u201d say'?\n"
)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("change", ["\n", "\r\n", "\ufeff"], ids=["unix", "windows", "mark"])
def test_a_file_of_cola_has_four_columns_and_quotes_that_are_only_characters(tmp_path, change):
    text = COLA.replace("\n", change) if change != "\ufeff" else change + COLA

    found = readers.read_cola(written(tmp_path / TRAIN, text))

    assert found.texts == [
        'They said "go.',
        "The more he reads, the more books.",
        "What did “Mary” say'?",
    ]
    assert found.classes == ["1", "0", "0"]


def test_a_file_of_banking77_has_quotes_commas_and_ends_of_lines_within_a_question(tmp_path):
    text = (
        "text,category\r\n"
        "I am still waiting on my card?,card_arrival\r\n"
        '"What can I do, if it ""failed""\n\nagain?\n",failed_transfer\r\n'
        "\r\n"
    )

    found = readers.read_csv(written(tmp_path / "train.csv", text))

    assert found.texts == ["I am still waiting on my card?", 'What can I do, if it "failed" again?']
    assert found.classes == ["card_arrival", "failed_transfer"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must hold sentences; got none"),
        ("a\t1\t\tFine.\nb\t1\tBroken.\n", "line 2: must have 4 columns between tabs"),
        ("a\t1\t\tFine.\n\n", "line 2: must have 4 columns between tabs"),
        ("source\tlabel\tnote\tsentence\n", "line 1: the label must be 0 or 1; got 'label'"),
        ("a\t2\t\tFine.\n", "line 1: the label must be 0 or 1; got '2'"),
        ("a\t1\t\t \n", "line 1: must have a sentence"),
        (b"a\t1\t\tFine.\nb\t0\t\tCaf\xe9.\n", "line 2: must be UTF-8; got the byte 0xe9"),
    ],
)
def test_a_wrong_file_of_cola_is_one_line(tmp_path, content, said):
    path = written(tmp_path / TRAIN, content)

    with pytest.raises(DataError) as caught:
        readers.read_cola(path)

    assert str(caught.value).startswith(f"{path}: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must hold sentences; got none"),
        ("text,category\n", "must hold sentences; got none"),
        ("text,label\nFine,a\n", "line 1: must be the header text,category; got ['text', 'label']"),
        ("text,category\nFine\n", "line 2: must have 2 columns; got 1"),
        ('text,category\n"a\nb",x\none,two,three\n', "line 4: must have 2 columns; got 3"),
        ('text,category\n"no end,x\n', "line 2: must be CSV with quotes in pairs"),
        ('text,category\n" ",x\n', "line 2: must have a sentence"),
        ("text,category\nFine, \n", "line 2: must have a category"),
        (b"text,category\nCaf\xe9,x\n", "line 2: must be UTF-8; got the byte 0xe9"),
    ],
)
def test_a_wrong_csv_file_is_one_line(tmp_path, content, said):
    path = written(tmp_path / "train.csv", content)

    with pytest.raises(DataError) as caught:
        readers.read_csv(path)

    assert str(caught.value).startswith(f"{path}: {said}")
    assert "\n" not in str(caught.value)


# --- the made-up set ------------------------------------------------------------------------------


def sentences(sizes: dict[str, int]) -> dict[str, list[list[str]]]:
    made = grammar.made_up(sizes)
    return {name: [line.split("\t") for line in made[name].splitlines()] for name in made}


def test_the_made_up_sentences_differ_and_half_of_them_are_acceptable():
    made = sentences({TRAIN: 300, IN_DOMAIN: 100, OUT_OF_DOMAIN: 50})

    assert {name: len(lines) for name, lines in made.items()} == {
        TRAIN: 300, IN_DOMAIN: 100, OUT_OF_DOMAIN: 50,
    }  # fmt: skip
    every = [line for lines in made.values() for line in lines]
    assert len({text for *_, text in every}) == len(every)
    assert {tuple(line[:3]) for line in every} == {("made", "1", ""), ("made", "0", "*")}
    for lines in made.values():
        assert sum(label == "1" for _, label, *_ in lines) == len(lines) / 2
    assert {text.count(" ") > 9 for *_, text in made[OUT_OF_DOMAIN]} == {True}
    assert {text.count(" ") > 9 for *_, text in made[TRAIN]} == {False}


def agrees(text: str) -> bool:
    """Whether the determiner of the subject is of its number, by a rule of its own."""
    first, *rest = text.lower().rstrip(".").split()
    nouns = [*grammar.PEOPLE, *grammar.THINGS]
    number = {noun[k]: k for noun in nouns for k in (0, 1)}
    needed = {pair[k]: k for pair in grammar.DETERMINERS for k in (0, 1) if pair[0] != pair[1]}
    noun = next(word for word in [first, *rest] if word in number)
    return first in {*needed, "the"} and needed.get(first, number[noun]) == number[noun]


def test_acceptable_sentences_agree_and_some_of_the_others_do_not():
    lines = sentences({TRAIN: 400})[TRAIN]

    assert all(agrees(text) for _, label, _, text in lines if label == "1")
    assert 0.1 < np.mean([not agrees(text) for _, label, _, text in lines if label == "0"]) < 0.9


# --- data sets, through stage `prepare` -----------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run `prepare.main` in."""
    pytest.importorskip("tokenizers", reason="the packages of `make text` are not installed")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepared(folder: Path, name: str, files: dict[str, str], **options: object) -> None:
    params = YAML(typ="safe", pure=True).load(Path(prepare.__file__).with_name("params.yaml"))
    params["dataset"] = {"name": name, "validation_size": 2, "split_seed": 0, **options}
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    raw = folder / "data/raw" / name
    raw.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        written(raw / file, content)
    prepare.main()


def cola_file(count: int, name: str) -> str:
    return "".join(f"x\t{k % 2}\t\tSentence {name} number {k}.\n" for k in range(count))


def test_the_run_without_any_file_makes_them_and_says_so(project, capsys):
    prepared(project, "acceptability", {}, length=16)

    assert "MADE-UP sentences of a small grammar, no real data" in capsys.readouterr().out
    assert len(readers.read_cola(project / "data/raw/acceptability" / TRAIN).texts) == 1_400
    data = load_prepared()
    assert len(data.test.inputs) == 400
    assert data.description.class_names == ["unacceptable", "acceptable"]
    assert int(data.train.inputs.max()) < (data.description.vocabulary or 0)
    texts = load_texts(project / "data/prepared", 400)
    assert texts == readers.read_cola(project / "data/raw/acceptability" / IN_DOMAIN).texts

    prepared(project, "acceptability", {}, length=16)
    assert "MADE-UP" not in capsys.readouterr().out, "the files are there"


@pytest.mark.parametrize(("test", "count"), [("in domain", 3), ("out of domain", 4), ("both", 7)])
def test_the_development_sets_of_cola_test(project, test, count):
    files = {
        TRAIN: cola_file(20, "t"), IN_DOMAIN: cola_file(3, "i"), OUT_OF_DOMAIN: cola_file(4, "o"),
    }  # fmt: skip

    prepared(project, "cola", files, test=test)

    assert len(load_prepared().test.labels) == count


def test_files_of_cola_that_are_lacking_are_named_with_their_source_and_licence(project):
    with pytest.raises(DataError) as caught:
        prepared(project, "cola", {TRAIN: cola_file(9, "t")})

    assert str(caught.value).startswith(
        "data/raw/cola: must hold in_domain_dev.tsv; got no such file; get cola_public_1.1.zip at "
        "https://nyu-mll.github.io/CoLA/"
    )
    assert "copyright" in str(caught.value)


def csv_file(count: int, name: str, categories: int = 3) -> str:
    return "text,category\n" + "".join(
        f"Question {name} {k},intent_{k % categories}\n" for k in range(count)
    )


def test_banking77_has_both_files_and_the_classes_of_its_training_file(project):
    prepared(
        project, "banking77", {"train.csv": csv_file(30, "a"), "test.csv": csv_file(6, "b", 2)}
    )

    data = load_prepared()
    assert data.description.class_names == ["intent_0", "intent_1", "intent_2"]
    assert data.test.labels.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "data/raw/banking77: must hold train.csv, test.csv; got no such file; get them at"),
        (
            {"train.csv": csv_file(9, "a", 2), "test.csv": csv_file(9, "b")},
            "data/raw/banking77/test.csv: must have categories of train.csv; got 'intent_2'",
        ),
    ],
)
def test_what_is_wrong_with_banking77_is_one_line(project, files, said):
    with pytest.raises(DataError) as caught:
        prepared(project, "banking77", files)

    assert str(caught.value).startswith(said)


def test_own_sentences_are_split_by_their_text_whatever_the_vocabulary(project, capsys):
    text = csv_file(60, "a") + "QUESTION A 7,intent_1\n"

    splits = []
    for vocabulary in (100, 200):
        prepared(
            project, "texts", {"train.csv": text}, test_fraction=0.3, vocabulary=vocabulary
        )  # fmt: skip
        splits.append(
            json.loads((project / "data/prepared/test_texts.json").read_text(encoding="utf-8"))
        )

    assert splits[0] == splits[1]
    assert 5 < len(splits[0]) < 40
    assert ("Question a 7" in splits[0]) == ("QUESTION A 7" in splits[0])
    assert "a WordPiece made of the 61 sentences, not of labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"length": 2}, "params.yaml: dataset.length: must be 3 to 4,096; got 2; correct it"),
        ({"vocabulary": 9}, "params.yaml: dataset.vocabulary: must be 100 to 1,000,000; got 9"),
        ({"lenght": 20}, "params.yaml: dataset.lenght: unknown key; got 20; did you mean length?"),
        ({"test": "all"}, "params.yaml: dataset.test: "),
    ],
)
def test_a_wrong_option_is_one_line(project, options, said):
    with pytest.raises(ParamsError) as caught:
        prepared(project, "acceptability", {}, **options)

    assert str(caught.value).startswith(said)
