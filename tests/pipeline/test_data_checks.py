"""Stages `check`, `labels` and `card` as DVC runs them: what stops, what waits, what runs again."""

import json
from pathlib import Path

import pytest
from repository import Repository

from lab.base.errors import LabError
from lab.checking.card import card, size_category
from lab.results.checks import CHECK, LABELS, CheckResults, LabelResults, read

PASSED = "data/passed"
DRAWN = "    return Examples(pixels, labels)"
BLANK = (DRAWN, f"    if count == TRAIN:\n        pixels[5] = 0\n{DRAWN}")
TASK = "task/data/__init__.py"


def test_what_stops_the_data_stops_training_and_can_be_read(repository: Repository):
    before = repository.json("metrics/runs/relu_8.json")
    repository.edit(*BLANK, path=TASK)
    repository.edit("rules: {}", "rules: {constant: stop}")

    output = repository.dvc("repro", code=255)

    assert (
        "check.py: constant: 1 blank image in training: every number is the same, first in row "
        in output
    )
    assert "see metrics/check.md; correct the data, or let check.rules.constant warn" in output
    assert "Running stage 'train" not in output
    assert "Traceback" not in output
    found = read(repository.folder / CHECK, CheckResults)
    assert [one.rule for one in found.broken("stop")] == ["constant"]
    assert "blank image" in (repository.folder / "metrics/check.md").read_text(encoding="utf-8")
    assert not (repository.folder / PASSED).exists()
    assert repository.json("metrics/runs/relu_8.json") == before

    repository.edit("constant: stop", "constant: warn")
    ran = repository.repro()

    assert ran == [
        "check",
        "train@relu_8",
        "train@linear_4",
        "compare",
        "export",
        "model_card",
        "labels",
        "card",
    ]
    assert read(repository.folder / CHECK, CheckResults).broken("stop") == []


def test_another_check_of_the_same_data_trains_nothing_again(repository: Repository):
    repository.edit("rules: {}", "rules: {drift: off}")

    assert repository.repro() == ["check", "card"]


def test_labels_are_looked_at_where_there_are_folds_and_come_out_the_same(repository: Repository):
    repository.edit("folds: 0", "folds: 3")
    assert repository.repro() == ["labels", "card"]
    found = read(repository.folder / LABELS, LabelResults)
    written = repository.tracked()

    assert (found.folds, found.seeds, found.examples) == (3, 1, 1_300)
    assert 0.5 < (found.accuracy or 0) <= 1
    assert found.doubtful >= len(found.candidates) > 0
    chances = [one.probability for one in found.candidates]
    assert chances == sorted(chances)
    assert all(one.probability < one.other / 2 for one in found.candidates)
    assert (repository.folder / "data/labels/candidates.png").is_file()
    name, status = repository.recorded()[-1]
    assert (name, status) == ("labels: tiny", "FINISHED")

    repository.dvc("repro", "--force", "--single-item", "labels")
    assert repository.tracked() == written


def test_flipped_labels_come_first(repository: Repository):
    """Thirty flips among 1,000 labels of an easy task: all of the first 27 are among them."""
    repository.edit("NOISE = 60.0", "NOISE = 20.0", path=TASK)
    flips = "    if count == TRAIN:\n        labels[:120:4] = (labels[:120:4] + 1) % 4\n"
    repository.edit(DRAWN, flips + DRAWN, path=TASK)
    repository.edit("folds: 0", "folds: 3")
    repository.edit("    epochs: 1\n    model:", "    epochs: 4\n    model:")
    repository.dvc("repro", "labels")

    found = read(repository.folder / LABELS, LabelResults)

    first = found.candidates[:27]
    assert len(first) == 27
    assert all((one.label - one.called) % 4 == 1 for one in first)


def numbers_of(repository: Repository) -> list[str]:
    """Every number that a dataset card may show, from the files it is made of."""
    described = repository.json("metrics/dataset.json")
    check, labels = repository.json(str(CHECK)), repository.json(str(LABELS))
    splits = [described[name] for name in ("train", "validation", "test")]
    counts = [split["examples_per_class"] for split in splits]
    return [
        *(f"{split['examples']:,}" for split in splits),
        *(f"{min(of_class):,} to {max(of_class):,}" for of_class in counts),
        *(split["sha256"][:12] for split in splits),
        *(fault["sentence"] for one in check["findings"] for fault in one["faults"]),
        f"- {size_category(sum(split['examples'] for split in splits))}",
        *(["labels were not looked at"] if not labels["folds"] else [f"{labels['doubtful']:,} of"]),
    ]


def test_the_card_shows_what_its_sources_say(trained: Repository):
    written = (trained.folder / "metrics/dataset-card.md").read_text(encoding="utf-8")

    assert written.startswith(
        "---\npretty_name: Tiny\nlicense: cc0-1.0\nsize_categories:\n- 1K<n<10K"
    )
    assert [text for text in numbers_of(trained) if text not in written] == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (None, "no such file"),
        ("# Tiny\n", "must begin with YAML between two lines ---"),
        ("---\nlicense: mit\n---\n", "pretty_name: must be text; got None"),
        ("---\nlicense: 1\npretty_name: x\n---\n", "license: must be text; got 1"),
        (
            "---\nlicense: mit\npretty_name: x\nsize_categories: [1]\n---\n",
            "is counted by the stage",
        ),
        ("---\nlicense: [\n---\n", "task/dataset.md:2:11: not valid YAML"),
    ],
)
def test_a_card_without_words_is_one_line(words, problem, trained: Repository, tmp_path: Path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "task").mkdir()
    for name in ("dataset.json", "check.json", "labels.json"):
        content = (trained.folder / "metrics" / name).read_bytes()
        (tmp_path / "metrics" / name).write_bytes(content)
    if words is not None:
        (tmp_path / "task/dataset.md").write_text(words, encoding="utf-8")

    with pytest.raises(LabError, match=r"task/dataset\.md") as refused:
        card(tmp_path)

    assert problem in str(refused.value)


def test_training_elsewhere_waits_for_the_check_too(repository: Repository):
    repository.edit("rules: {}", "rules: {drift: off}")

    output = repository.run("python", "train_parallel.py", "--workers", "2", code=2)

    assert "the check of the data is out of date; run `dvc repro check`" in output


def test_results_of_checks_are_strict_records(trained: Repository):
    for path, kind in ((CHECK, CheckResults), (LABELS, LabelResults)):
        content = json.loads((trained.folder / path).read_text(encoding="utf-8"))
        with pytest.raises(ValueError, match="schema_version"):
            kind.model_validate_json(json.dumps({**content, "schema_version": 2}))
