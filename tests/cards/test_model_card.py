"""The model card, held against the files that it is made of."""

import contextlib
import io
import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from repository import Repository
from ruamel.yaml import YAML
from support import ROOT

from lab.base.errors import DataError, LabError
from lab.cards import words
from lab.cards.model import card
from lab.results.schema import Spread

NEEDED = ("metrics", "task", "params.yaml")


@pytest.fixture
def project(trained: Repository, tmp_path: Path) -> Path:
    """The sources of a card, to be changed."""
    for name in NEEDED:
        place, source = tmp_path / name, trained.folder / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, place)
    return tmp_path


def change(project: Path, name: str, *keys: object, value: object) -> None:
    path = project / "metrics" / name
    tree = place = json.loads(path.read_text(encoding="utf-8"))
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(tree), encoding="utf-8")


def front_of(text: str) -> dict:
    return YAML(typ="safe").load(text.split("---\n")[1])


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def ends(found: list[float] | tuple[float, float] | None) -> str:
    return "–" if found is None else " to ".join(map(percent, found))


def signed(value: float) -> str:
    text = f"{100 * value:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def rows_of(folder: Path) -> list[str]:
    """Every row of a table with a number in it, from the sources alone."""

    def read(name: str) -> dict:
        return json.loads((folder / "metrics" / name).read_text(encoding="utf-8"))

    robust, exported, data = read("robustness.json"), read("export.json"), read("dataset.json")
    runs = read(f"runs/{robust['model']}.json")
    table, names = read("scores.json"), data["class_names"]
    rows = [
        f"| Model | `{robust['model']}`, seed {robust['seed']} of {len(runs['seeds'])} |",
        f"| Numbers learned | {runs['parameter_count']:,} |",
    ]
    for name, form in exported["forms"].items():
        if not form["reason"]:
            said = f"{form['bytes']:,} bytes, SHA-256 `{form['sha256'][:12]}`"
            rows.append(f"| `{name}.onnx` | {said} |")
    for score in table["scores"]:
        spread = Spread.of(np.array(table["test"][robust["model"]][score["name"]]["per_seed"]))
        factor, form = (100, ".2f") if score["unit"] == "%" else (1, ".4g")
        of_seeds = " to ".join(f"{factor * end:{form}}" for end in spread.interval())
        others = ends(robust["accuracy"]["others"]) if score["name"] == "accuracy" else "–"
        value = f"{factor * spread.mean:{form}} {score['unit']}".rstrip()
        rows.append(f"| `{score['name']}` | {value} | {of_seeds} | {others} |")
    for name, one in zip(names, robust["classes"], strict=True):
        recall = one["recall"]
        rows.append(
            f"| `{name}` | {recall['examples']:,} | {percent(recall['share'])} | "
            f"{ends(recall['others'])} | {percent(one['precision'])} |"
        )
    counts = np.array(runs["confusion"])
    off = [(-counts[pair], pair) for pair in np.ndindex(counts.shape) if pair[0] != pair[1]]
    for count, (actual, called) in sorted(off)[:10]:
        if count:
            of_class = percent(-count / counts[actual].sum())
            rows.append(f"| `{names[actual]}` | `{names[called]}` | {-count:,} | {of_class} |")
    rows += [
        f"| `{one['name']}` | {one['right']['examples']:,} | {percent(one['right']['share'])} | "
        f"{ends(one['right']['others'])} |"
        for one in sorted(robust["slices"], key=lambda one: one["right"]["share"])[:8]
    ]
    rows += [
        f"| {one['low']:.1f} to {one['high']:.1f} | {one['predictions']:,} | "
        f"{percent(one['probability'])} | {percent(one['right'])} |"
        for one in robust["bins"]
    ]
    rows += [
        f"| {one['name']} | {percent(one['accuracy'])} | {signed(one['difference'])} | "
        f"{' to '.join(map(signed, one['interval']))} |"
        for one in robust["exported"]["changes"]
    ]
    return rows


def tables_of(text: str) -> list[str]:
    """The rows of all tables of a card, without headers and what has no number."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    headers = {before for before, line in itertools.pairwise(lines) if "| ---" in line}
    kept = [line for line in lines if line not in headers and "| ---" not in line]
    return [line for line in kept if not line.startswith(("| As params", "| Trained", "| Licence"))]


@pytest.mark.parametrize("place", ["of the tests", "of this repository"])
def test_every_number_of_a_table_is_its_sources(place, trained: Repository):
    folder = trained.folder if place == "of the tests" else ROOT
    text = (folder / "metrics/model-card.md").read_text(encoding="utf-8")
    found = [line for line in tables_of(text) if "not written" not in line]

    assert len(found) > 20
    assert found == rows_of(folder)


@pytest.mark.parametrize("place", ["of the tests", "of this repository"])
def test_every_number_of_a_sentence_is_its_sources(place, trained: Repository):
    folder = trained.folder if place == "of the tests" else ROOT
    data, robust, export, compared, runs = (
        json.loads((folder / "metrics" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("dataset", "robustness", "export", "comparison", "scores")
    )
    params = YAML(typ="safe").load((folder / "params.yaml").read_text(encoding="utf-8"))
    text = (folder / "metrics/model-card.md").read_text(encoding="utf-8")
    said = [
        f"{data['test']['examples']:,} examples (SHA-256 `{data['test']['sha256'][:12]}`)",
        f"{data['train']['examples']:,} examples (SHA-256 `{data['train']['sha256'][:12]}`)",
        f"and {data['validation']['examples']:,} by which model and seed are chosen",
        f"mean of {len(runs['seeds'])} seeds. Intervals are of 95 %",
        f"a difference below {100 * compared['margin']:.3g} pp matters",
        f"Measured: {len(data['class_names'])} classes; ",
        f"{robust['exported']['examples']:,} test examples, "
        f"{percent(robust['exported']['accuracy'])} % of them right as they are",
        f"{params['train']['epochs']} epoch", f"{params['train']['batch_size']} examples a step",
    ]  # fmt: skip
    for one in compared["differences"]:
        sides = f"{one['candidate']} - {one['baseline']}: ".replace("_", r"\_")
        interval = ", ".join(f"{100 * end:+.2f}" for end in one["images"])
        said.append(rf"- {sides}{100 * one['estimate']:+.2f} pp \[{interval}\] on other images, ")
    for lost in re.findall(r"([\w ]+) \(([−+][\d.]+) pp\)", text):
        name = lost[0].strip().removeprefix("most of all: ")
        (change,) = (one for one in robust["exported"]["changes"] if one["name"] == name)
        assert signed(change["difference"]) == lost[1]

    assert [one for one in said if one not in text] == []
    assert robust["exported"]["sha256"] == export["forms"]["model"]["sha256"]


def test_the_front_matter_is_hugging_faces_with_every_score(trained: Repository):
    text = (trained.folder / "metrics/model-card.md").read_text(encoding="utf-8")
    table = trained.json("metrics/scores.json")
    front = front_of(text)
    (model,) = front["model-index"]
    (result,) = model["results"]

    assert model["name"] == trained.json("metrics/comparison.json")["chosen"]["model"]
    assert front["library_name"] == "onnx"
    assert front["pipeline_tag"] == result["task"]["type"] == "image-classification"
    assert result["dataset"] == {"name": "tiny", "type": "tiny", "split": "test"}
    assert {one["type"]: one["value"] for one in result["metrics"]} == {
        name: spread["mean"] for name, spread in table["test"][model["name"]].items()
    }
    assert front["metrics"] == [score["name"] for score in table["scores"]]


def test_the_lines_that_load_it_work(trained: Repository, monkeypatch):
    text = (trained.folder / "metrics/model-card.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(trained.folder)

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})  # noqa: S102

    assert re.fullmatch(r"(north|east|south|west) [01]\.\d{4}\n", printed.getvalue())
    assert len(code.splitlines()) <= 15


@pytest.mark.parametrize(
    ("name", "keys", "value", "shown"),
    [
        ("robustness.json", ("exported", "changes", 0, "accuracy"), 0.1234, "| darker | 12.34 |"),
        ("robustness.json", ("accuracy", "others"), [0.1111, 0.2222], "| 11.11 to 22.22 |"),
        ("robustness.json", ("classes", 1, "precision"), 0.4567, " | 45.67 |"),
        ("export.json", ("forms", "model", "bytes"), 1_234_567, "| 1,234,567 bytes, "),
        ("dataset.json", ("test", "examples"), 12_345, "12,345 examples (SHA-256"),
    ],
)
def test_a_card_follows_its_sources(name, keys, value, shown, project):
    assert shown not in card(project)

    change(project, name, *keys, value=value)

    assert shown in card(project)


def test_what_was_not_exported_is_said(project):
    why = "ONNX has not all that the network does"
    for name, keys, value in (
        ("robustness.json", ("exported",), None), ("robustness.json", ("reason",), why),
        ("export.json", ("forms",), {}), ("export.json", ("reason",), why),
    ):  # fmt: skip
        change(project, name, *keys, value=value)

    text = card(project)

    assert f"| Exported | no: `{why}` |" in text
    assert f"Not measured, as nothing was exported: `{why}`." in text
    assert "How to load" not in text


def test_two_seeds_have_no_intervals(project):
    for key in ("seeds", "others"):
        change(project, "robustness.json", "accuracy", key, value=None)

    text = card(project)

    assert re.search(r"\| `accuracy` \| [\d.]+ % \| .* \| – \|", text)
    assert "With fewer than three seeds no interval is known." in text


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_task_without_words_has_a_card(how, project):
    path = project / words.WORDS
    path.unlink() if how == "missing" else path.write_text("", encoding="utf-8")

    text = card(project)

    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [*words.SECTIONS]
    for title in ("Intended use", "Ethical considerations"):
        assert f"Nobody has said it: write `## {title}` in `task/model.md`." in text
    assert "| Licence | not said; of the data: `cc0-1.0` |" in text
    assert "license" not in front_of(text)


def test_the_words_of_the_team_stand_in_their_sections(project):
    said = "---\nlicense: mit\ntags: [a]\n---\n\n## Factors\n\nOurs.\n\n## Intended use\n\n- None\n"
    (project / words.WORDS).write_text(said, encoding="utf-8")

    text = card(project)

    assert "## Intended use\n\n- None\n\n## Factors\n\nOurs.\n\nMeasured: " in text
    assert "| Licence | `mit` |" in text
    assert {"license": "mit", "tags": ["a"]}.items() <= front_of(text).items()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("## Use\n", "a section must be one of Model details, Intended use, .*; got Use; see docs"),
        ("## Factors\n\n## Factors\n", "and once; got Factors; see docs/cards.md"),
        ("Words.\n", "text must stand below a heading `## SECTION`; got Words.; see docs"),
        ("---\nmodel-index: []\n---\n", "model-index: is written by the stage; got it there"),
        ("---\nlicense: 1\n---\n", "license: must be text; got 1; correct it"),
        ("---\nlicense: [\n---\n", "task/model.md:2:11: not valid YAML"),
        (b"\xff", "must be UTF-8; got other bytes; save it as UTF-8"),
    ],
)
def test_a_slip_in_the_words_is_one_line(said, problem, project):
    content = said if isinstance(said, bytes) else said.encode()
    (project / words.WORDS).write_bytes(content)

    with pytest.raises(LabError, match=problem) as refused:
        card(project)

    assert str(refused.value).count("\n") == 0
    assert "task/model.md" in str(refused.value)


@pytest.mark.parametrize("name", ["robustness.json", "export.json", "scores.json", "dataset.json"])
def test_a_source_that_is_missing_or_damaged_is_one_line(name, project):
    (project / "metrics" / name).write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(name)):
        card(project)

    (project / "metrics" / name).unlink()
    with pytest.raises(DataError, match=re.escape(name)):
        card(project)
