"""The model card, in the form of Mitchell et al. 2019 and of Hugging Face, from measured files.

Sources: https://arxiv.org/abs/1810.03993, section 4; https://huggingface.co/docs/hub/model-cards.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.base import front_matter, params
from lab.base.params import Params
from lab.base.records import read_record
from lab.cards import words
from lab.cards.words import SECTIONS, Words
from lab.data.description import DESCRIPTION, Description, read_description
from lab.report.document import (
    Block,
    Bullets,
    Heading,
    Line,
    Link,
    Paragraph,
    Table,
    Untrusted,
    prose,
)
from lab.report.markdown import blocks
from lab.report.wording import Scale, many
from lab.results import scores, storage
from lab.results.comparison import Comparison
from lab.results.exported import EXPORTED, EXPORTS, Exported
from lab.results.robustness import MAX_BYTES, ROBUSTNESS, Asked, Ends, Right, Robustness
from lab.results.schema import ACCURACY, ModelResults, ScoreTable

CARD = Path("metrics/model-card.md")
COMPARISON = Path("metrics/comparison.json")
DATASET_WORDS = Path("task/dataset.md")
DATASET_CARD = "dataset-card.md"  # beside this one
MATRIX = "confusion_matrix.png"
REMEDY = "run `dvc repro`"
MOST_CLASSES, MOST_MISTAKES, MOST_SLICES = 20, 10, 8  # rows
OF_IMAGES = "image-classification"
TASKS = {"row": "tabular-classification", "text": "text-classification"}  # as Hugging Face says
UNSAID = "Nobody has said it: write `## {}` in `task/model.md`."
# What only its team knows of a model.
BY_THE_TEAM = ("Intended use", "Ethical considerations")
PERCENT = Scale.of(ACCURACY)
USE = """\
import json

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{}")
about = json.loads(session.get_modelmeta().custom_metadata_map["description"])
inputs = np.zeros((1, *about["shape"]), about["dtype"])  # yours, as data/prepared stores them
(probabilities,) = session.run(None, {{"inputs": inputs}})
for row in probabilities:
    print(about["class_names"][row.argmax()], f"{{row.max():.4f}}")"""


@dataclass(frozen=True)
class Sources:
    """All that a card is made of."""

    words: Words
    tree: Params
    described: Description
    dataset_licence: str | None
    task: str
    compared: Comparison
    results: ModelResults
    table: ScoreTable
    exported: Exported
    robust: Robustness

    @classmethod
    def read(cls, root: Path) -> "Sources":
        """From the files of a project.

        Raises:
            DataError: one is missing or damaged.
        """
        described = read_description(root / DESCRIPTION)
        compared = read_record(root / COMPARISON, Comparison, MAX_BYTES, REMEDY)
        front, _, _ = front_matter.read(root / DATASET_WORDS, "say there what the data are")
        licence, tasks = front.get("license"), front.get("task_categories")
        first = tasks[0] if isinstance(tasks, list) and tasks else None
        return cls(
            words=words.read(root / words.WORDS),
            tree=params.load(root / params.PARAMS_FILE),
            described=described,
            dataset_licence=licence if isinstance(licence, str) else None,
            task=first if isinstance(first, str) else TASKS.get(described.kind, OF_IMAGES),
            compared=compared,
            results=storage.read(root / storage.tracked(compared.chosen.model)[0]),
            table=read_record(root / scores.SCORES, ScoreTable, MAX_BYTES, REMEDY),
            exported=read_record(root / EXPORTED, Exported, MAX_BYTES, REMEDY),
            robust=read_record(root / ROBUSTNESS, Robustness, MAX_BYTES, REMEDY),
        )


def card(root: Path) -> str:
    """The whole card.

    Raises:
        DataError: the team's words or a result is missing or damaged.
    """
    found = Sources.read(root)
    measured = {
        "Model details": _details(found),
        "Factors": _factors(found),
        "Metrics": _metrics(found),
        "Evaluation data": _evaluation(found.described),
        "Training data": _training(found),
        "Quantitative analyses": [
            *_scores(found), *_others(found), *_classes(found), *_mistakes(found),
            *_slices(found.robust), *_calibration(found), *_changes(found.robust),
        ],
        "Caveats and recommendations": _caveats(found),
    }  # fmt: skip
    parts = [
        _front(found),
        f"# {found.results.model}",
        f"<!-- written by stage model_card; edit {words.WORDS.as_posix()} -->",
    ]
    for title in SECTIONS:
        said = found.words.sections.get(title, "")
        unsaid = UNSAID.format(title) if title in BY_THE_TEAM and not said else ""
        text = blocks(measured.get(title, []), None)
        parts += [part for part in (f"## {title}", said or unsaid, text) if part]
        if title == "Model details" and found.robust.exported:
            use = USE.format((EXPORTS / "model.onnx").as_posix())
            parts += ["### How to load", f"```python\n{use}\n```"]
    return "\n\n".join(parts) + "\n"


def _front(found: Sources) -> str:
    """The front matter; text as JSON has it is YAML too."""
    spreads = found.table.test[found.results.model]
    lines = [found.words.front] if found.words.front else []
    lines += ["library_name: onnx", f"pipeline_tag: {json.dumps(found.task)}", "metrics:"]
    lines += [f"- {score.name}" for score in found.table.scores]
    lines += [
        "model-index:", f"- name: {json.dumps(found.results.model)}", "  results:",
        "  - task:", f"      type: {json.dumps(found.task)}", "    dataset:",
        f"      name: {json.dumps(found.described.name)}",
        f"      type: {json.dumps(found.described.name)}", "      split: test", "    metrics:",
    ]  # fmt: skip
    of = f"mean of {many(len(found.table.seeds), 'seed')}"
    for score in found.table.scores:
        lines += [
            f"    - type: {score.name}",
            f"      name: {json.dumps(f'{score.name} ({of})')}",
            f"      value: {spreads[score.name].mean!r}",
        ]
    return "---\n" + "\n".join(lines) + "\n---"


def _details(found: Sources) -> list[Block]:
    results, chosen = found.results, found.compared.chosen
    settings = found.tree.models[results.model].settings()
    said = ", ".join(f"{key} {_written(value)}" for key, value in settings.items())
    own, data = found.words.licence, found.dataset_licence or "not said"
    rows: list[list[Line]] = [
        [["Model"], [Untrusted(results.model), f", seed {chosen.seed} of {len(results.seeds)}"]],
        [["As params.yaml has it"], [Untrusted(said)]],
        [["Numbers learned"], [f"{results.parameter_count:,}"]],
        [["Trained in"], [f"{results.precision}, on {results.device}"]],
        [["Licence"], [Untrusted(own)] if own else ["not said; of the data: ", Untrusted(data)]],
    ]
    if found.exported.reason:
        rows.append([["Exported"], ["no: ", Untrusted(found.exported.reason)]])
    for name, form in found.exported.forms.items():
        where: Line = ["not written: ", Untrusted(form.reason or "")]
        if form.sha256 and not form.reason:
            where = [f"{form.bytes or 0:,} bytes, SHA-256 ", Untrusted(form.sha256[:12])]
        rows.append([[Untrusted(f"{name}.onnx")], where])
    return [Table(("What", ""), rows)]


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _factors(found: Sources) -> list[Block]:
    asked = found.robust.exported
    names = ", ".join(change.name for change in asked.changes) if asked else "none"
    return [
        Paragraph([
            f"Measured: {len(found.described.class_names)} classes; the quarters of the test "
            f"examples with the lowest and the highest {_statistic_of(found.described)}; "
            f"inputs that were changed ({names}). What else tells examples apart (who made them, "
            "with what, when) is not in the data, or not looked at.",
        ]),
    ]  # fmt: skip


def _statistic_of(described: Description) -> str:
    return {"row": "value of each column", "text": "number of tokens"}.get(
        described.kind, "brightness and contrast"
    )


def _metrics(found: Sources) -> list[Block]:
    judged = found.compared.metric
    others = [score.name for score in found.table.scores if score.name != judged.name]
    return [
        Paragraph([
            "Models are compared and chosen by ", Untrusted(judged.name),
            f"; a difference below {Scale.of(judged).margin(found.compared.margin)} matters to "
            "nobody. Beside it: ", Untrusted(", ".join(others)), ".",
        ]),
        Paragraph([
            f"Every score is the mean of {many(len(found.table.seeds), 'seed')}. Intervals are of "
            "95 %: over seeds (other trainings, these test examples), and over seeds and test "
            "examples (other examples of the same kind, too).",
        ]),
    ]  # fmt: skip


def _evaluation(described: Description) -> list[Block]:
    part = described.test
    return [
        Paragraph([
            "The test split of ", Untrusted(described.name), f": {part.examples:,} examples "
            "(SHA-256 ", Untrusted(part.sha256[:12]), "), read once per run; they choose nothing. ",
            Link("The dataset card", DATASET_CARD), " says where they come from.",
        ]),
    ]  # fmt: skip


def _training(found: Sources) -> list[Block]:
    train, validation = found.described.train, found.described.validation
    shared = found.tree.train
    return [
        Paragraph([
            f"{train.examples:,} examples (SHA-256 ", Untrusted(train.sha256[:12]),
            f"), and {validation.examples:,} by which model and seed are chosen. "
            f"{many(shared.epochs, 'epoch')} at most, {many(shared.batch_size, 'example')} a step.",
        ]),
    ]  # fmt: skip


def _scores(found: Sources) -> list[Block]:
    rows: list[list[Line]] = []
    for score in found.table.scores:
        scale = Scale.of(score)
        spread = found.table.test[found.results.model][score.name]
        others = found.robust.accuracy.others if score == ACCURACY else None
        rows.append([
            [Untrusted(score.name)], [f"{scale.value(spread.mean)} {scale.unit}".rstrip()],
            [_ends(spread.interval(), scale)], [_ends(others, scale)],
        ])  # fmt: skip
    header = ("Score", "Test", "Over seeds", "Over seeds and examples")
    return [Heading(["Scores"]), Table(header, rows, header[1:])]


def _ends(ends: Ends | None, scale: Scale) -> str:
    return "–" if ends is None else " to ".join(map(scale.value, ends))


def _others(found: Sources) -> list[Block]:
    unit = found.compared.metric.unit
    lines = [[one.sentence(unit)] for one in found.compared.differences]
    if not lines:
        return []
    return [Heading(["Beside the other models"]), Bullets(lines)]


def _classes(found: Sources) -> list[Block]:
    names, each = found.described.class_names, found.robust.classes
    order = list(range(len(each)))
    if len(each) > MOST_CLASSES:
        order.sort(key=lambda number: _recall(each[number].recall))
    rows: list[list[Line]] = []
    for number in order[:MOST_CLASSES]:
        recall, precision = each[number].recall, each[number].precision
        rows.append([
            [Untrusted(names[number])], [f"{recall.examples if recall else 0:,}"],
            [_share(recall.share if recall else None)],
                [_ends(recall.others if recall else None, PERCENT)],
            [_share(precision)],
        ])  # fmt: skip
    header = ("Class", "Test examples", "Recall, %", "Over seeds and examples", "Precision, %")
    title = f"The {MOST_CLASSES} classes of the lowest recall"
    return [
        Heading([title if len(each) > MOST_CLASSES else "Per class"]),
        Table(header, rows, header[1:]),
    ]


def _recall(found: Right | None) -> float:
    return 2.0 if found is None else found.share


def _share(value: float | None) -> str:
    return "–" if value is None else PERCENT.value(value)


def _mistakes(found: Sources) -> list[Block]:
    """The most frequent ones of all seeds; the picture is of the exported one."""
    counts, names = found.results.confusion, found.described.class_names
    off = [
        (count, actual, predicted)
        for actual, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if actual != predicted and count
    ]
    worst = sorted(off, key=lambda one: (-one[0], one[1:]))[:MOST_MISTAKES]
    rows: list[list[Line]] = [
        [[Untrusted(names[actual])], [Untrusted(names[predicted])], [f"{count:,}"],
         [PERCENT.value(count / sum(counts[actual]))]]
        for count, actual, predicted in worst
    ]  # fmt: skip
    header = ("Class", "Called", "Times, over all seeds", "Of the class, %")
    of_seed: Line = ["Of the exported seed: ", Link("the confusion matrix", MATRIX), "."]
    if not rows:
        return [Heading(["Confusion"]), Paragraph(["No seed mistakes any."]), Paragraph(of_seed)]
    return [Heading(["Confusion"]), Table(header, rows, header[2:]), Paragraph(of_seed)]


def _slices(robust: Robustness) -> list[Block]:
    if not robust.slices:
        return []
    worst = sorted(robust.slices, key=lambda one: one.right.share)[:MOST_SLICES]
    rows: list[list[Line]] = [
        [[Untrusted(one.name)], [f"{one.right.examples:,}"], [_share(one.right.share)],
         [_ends(one.right.others, PERCENT)]]
        for one in worst
    ]  # fmt: skip
    header = ("Test examples with", "Examples", "Accuracy, %", "Over seeds and examples")
    more = len(robust.slices) > len(rows)
    title = "Slices, the worst first" if more else "Slices"
    return [Heading([title]), Table(header, rows, header[1:])]


def _calibration(found: Sources) -> list[Block]:
    rows: list[list[Line]] = [
        [[f"{one.low:.1f} to {one.high:.1f}"], [f"{one.predictions:,}"], [_share(one.probability)],
         [_share(one.right)]]
        for one in found.robust.bins
    ]  # fmt: skip
    header = ("Probability", "Predictions", "Its mean, %", "Right, %")
    error = found.results.test.calibration_error.mean
    return [
        Heading(["Calibration"]),
        Paragraph([f"Expected calibration error: {PERCENT.value(error)} %, mean over seeds."]),
        Table(header, rows, header[1:]),
    ]


def _changes(robust: Robustness) -> list[Block]:
    heading = Heading(["Changed inputs"])
    if robust.exported is None:
        return [heading, prose_of("Not measured, as nothing was exported: {}.", robust.reason)]
    asked = robust.exported
    rows: list[list[Line]] = [
        [[one.name], [_share(one.accuracy)], [PERCENT.difference(one.difference)],
         ["–" if one.interval is None else PERCENT.ends(one.interval)]]
        for one in asked.changes
    ]  # fmt: skip
    header = ("Change", "Accuracy, %", "Difference, pp", "Over examples")
    return [
        heading,
        Paragraph([
            f"The exported seed on {asked.examples:,} test examples, {_share(asked.accuracy)} % of "
            "them right as they are:",
        ]),
        Table(header, rows, header[1:]),
    ]  # fmt: skip


def prose_of(template: str, text: str | None) -> Paragraph:
    """A paragraph with one piece of somebody's text."""
    return Paragraph(prose(template, Untrusted(text or "")))


def _caveats(found: Sources) -> list[Block]:
    lines: list[Line] = []
    if asked := found.robust.exported:
        lines += _losses(asked, found.compared.margin if _is_accuracy(found) else 0.0)
    if found.robust.accuracy.others is None:
        lines.append(["With fewer than three seeds no interval is known."])
    lines.append(["Of inputs of another kind nothing is known: it names a class all the same."])
    return [Bullets(lines)]


def _is_accuracy(found: Sources) -> bool:
    return found.compared.metric == ACCURACY


def _losses(asked: Asked, margin: float) -> Iterable[Line]:
    """What costs more than matters to nobody, beyond doubt."""
    lost = [one for one in asked.changes if one.interval is not None and one.interval[1] < -margin]
    worst = sorted(lost, key=lambda one: one.difference)[:3]
    if worst:
        said: Sequence[str] = [
            f"{one.name} ({PERCENT.difference(one.difference)} pp)" for one in worst
        ]
        yield [f"Inputs that are changed cost accuracy, most of all: {', '.join(said)}."]
    harmless = [one.name for one in asked.changes if one not in lost]
    if harmless:
        yield [f"No loss of more than the margin is certain: {', '.join(harmless)}."]
