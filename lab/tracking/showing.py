"""What a reader sees of a trained model in its run: pictures, a page, the model itself.

Drawn from the files that training wrote, in the process that writes runs: training waits for none
of it but the end.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lab.base import params
from lab.base.files import write_bytes, write_text
from lab.data.prepared import Prepared, load_prepared
from lab.evidence import inputs
from lab.evidence.flips import majority
from lab.evidence.schema import ImageInput, RowInput, TextInput
from lab.report import plots
from lab.report.document import Block, Heading, Line, Page, Paragraph, Picture, Table, Untrusted
from lab.report.hypertext import hypertext
from lab.results import best, predictions, storage
from lab.results.schema import BUILT_IN, ModelResults
from lab.tracking.words import percent, plain, with_interval

MOST_MISTAKES = 18  # examples shown
COLUMNS = 6  # of pictures of them
CURVES = (("accuracy", ("validation_accuracy",)), ("loss", ("train_loss", "validation_loss")))
COLOURS = {"train": plots.NEUTRAL, "validation": plots.CANDIDATE}


class Mistake(NamedTuple):
    """A test example that most seeds call another class; `votes` of them this one."""

    row: int
    label: int
    predicted: int
    votes: int


def show(model: str, root: Path, folder: Path) -> None:
    """Writes `confusion_matrix.png`, `learning_curves.png`, `mistakes.png` and `report.html`.

    Of a model that the project `root` trained.

    There is no picture of mistakes where examples are no images, or none is wrong.

    Raises:
        LabError: a file of the model or of the data is missing or damaged.
    """
    data = load_prepared(root)
    results_file, curve_file = (root / path for path in storage.tracked(model))
    results = storage.read(results_file)
    classes = data.description.class_names
    found = mistakes(model, data, root)
    drawn = {
        "learning_curves.png": plots.png(learning_curves(model, _columns(curve_file))),
        "confusion_matrix.png": plots.png(_confusion(results, classes)),
    }
    given = inputs.shown(root, data, [one.row for one in found]) if found else []
    if images := [one for one in given if isinstance(one, ImageInput)]:
        drawn["mistakes.png"] = plots.png(
            _gallery(model, found, images, classes, len(results.seeds))
        )
    for name, content in drawn.items():
        write_bytes(folder / name, content)
    report = hypertext(page(results, found, given, classes), drawn)
    write_text(folder / "report.html", report)


def warm_up() -> None:
    """Draws something, so that fonts are loaded before the end of a training waits for pictures."""
    epochs = np.array([1.0, 2.0])
    names = [name for _, of_axes in CURVES for name in of_axes]
    columns = dict.fromkeys(("epoch", *names, *(f"{name}_sd" for name in names)), epochs)
    plots.png(learning_curves("", columns))


def write_model(model: str, root: Path, folder: Path) -> int:
    """Writes the model's best seed by validation accuracy as `models/best` is written; the seed.

    A network that is more than dense layers loads by its class, where this repository is: to
    follow it with torch.export takes seconds, which `compare.py` spends on the chosen model.

    Raises:
        LabError: a file of the model or of the data is missing or damaged.
    """
    results = storage.read(root / storage.tracked(model)[0])
    seed = results.seeds[int(np.argmax(results.validation.accuracy.per_seed))]
    described = params.load(root / params.PARAMS_FILE).model(model)
    data = load_prepared(root)
    best.write(folder, model, seed, described, data, lambda *_: ({"form": "class"}, None), root)
    return seed


def mistakes(model: str, data: Prepared, root: Path) -> list[Mistake]:
    """The test examples that most seeds get wrong in the same way, most agreement first."""
    classes = len(data.description.class_names)
    path = root / storage.TRAINED / model / "predictions.npz"
    predicted_SN = predictions.read_predictions(path, classes).predictions
    majority_N, most_N = majority(predicted_SN)
    wrong = np.flatnonzero(majority_N != data.test.labels)
    order = wrong[np.argsort(-most_N[wrong], kind="stable")][:MOST_MISTAKES]
    return [
        Mistake(int(row), int(data.test.labels[row]), int(majority_N[row]), int(most_N[row]))
        for row in order
    ]


# --- pictures ------------------------------------------------------------------------------------


def learning_curves(model: str, columns: dict[str, npt.NDArray[np.float64]]) -> Figure:
    """Means over seeds by epoch; the band is one standard deviation of the seeds to each side."""
    with plots.style():
        figure = Figure(figsize=(plots.WIDTH, 3.2))
        figure.suptitle(f"{model}: mean over seeds, and their standard deviation", fontsize=10)
        figure.subplots_adjust(left=0.1, right=0.98, bottom=0.15, top=0.9, wspace=0.25)
        for axes, (title, names) in zip(figure.subplots(1, 2), CURVES, strict=True):
            for name in names:
                _curve(axes, name, columns)
            axes.set(xlabel="epoch", ylabel=title)
            axes.legend(frameon=False)
    return figure


def _curve(axes: Axes, name: str, columns: dict[str, npt.NDArray[np.float64]]) -> None:
    split = name.partition("_")[0]
    epoch, mean, sd = columns["epoch"], columns[name], columns[f"{name}_sd"]
    axes.plot(epoch, mean, marker=".", color=COLOURS[split], label=split)
    axes.fill_between(epoch, mean - sd, mean + sd, color=COLOURS[split], alpha=0.2, lw=0)


def _columns(file: Path) -> dict[str, npt.NDArray[np.float64]]:
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def _confusion(results: ModelResults, classes: Sequence[str]) -> Figure:
    accuracy, count = results.test.accuracy, len(results.seeds)
    title = f"{results.model}, all {count} seeds: {percent(accuracy.mean)} of the test examples"
    figure = plots.confusion_matrix(np.array(results.confusion), classes, title)
    if max(map(len, classes)) < 3 and len(classes) <= plots.MOST_NUMBERED:
        figure.set_layout_engine("none")  # which takes longer than to draw; short labels fit
        figure.axes[0].set_position((0.08, 0.08, 0.9, 0.85))
    return figure


def _gallery(
    model: str,
    found: Sequence[Mistake],
    images: Sequence[ImageInput],
    classes: Sequence[str],
    seeds: int,
) -> Figure:
    rows = -(-len(images) // COLUMNS)
    with plots.style():
        figure = Figure(figsize=(plots.WIDTH, 0.3 + 1.5 * rows))
        figure.suptitle(f"{model}: what most seeds get wrong, and how many agree", fontsize=10)
        # One pair of axes for all: to lay out eighteen takes longer than to draw them.
        axes = figure.add_axes((0, 0, 1, 1 - 0.3 / (0.3 + 1.5 * rows)))
        axes.set(xlim=(0, COLUMNS), ylim=(rows, 0), xticks=[], yticks=[])
        axes.set_axis_off()
        for position, (one, image) in enumerate(zip(found, images, strict=True)):
            row, column = divmod(position, COLUMNS)
            pixels = np.frombuffer(image.pixel_bytes(), dtype=np.uint8).reshape(image.shape)
            longer = max(image.height, image.width)
            width, height = 0.45 * image.width / longer, 0.36 * image.height / longer
            middle = column + 0.5, row + 0.63
            extent = (middle[0] - width, middle[0] + width, middle[1] + height, middle[1] - height)
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
            label, predicted = (
                plots.drawable(classes[label], 14) for label in (one.label, one.predicted)
            )
            text = f"is {label}\ncalled {predicted}, {one.votes}/{seeds}"
            axes.text(column + 0.5, row + 0.14, text, fontsize=7.5, ha="center", va="center")
    return figure


# --- page ----------------------------------------------------------------------------------------


def page(
    results: ModelResults,
    found: Sequence[Mistake],
    given: Sequence[ImageInput | TextInput | RowInput],
    classes: Sequence[str],
) -> Page:
    """The report: scores, pictures, and those mistakes that are no images."""
    blocks: list[Block] = [
        Paragraph([f"{len(results.seeds)} seeds, {results.parameter_count:,} parameters."]),
        Table(("Score", "Validation", "Test", "Test, sd over seeds"), list(_scores(results))),
        Picture("learning_curves", "Learning curves"),
        Picture("confusion_matrix", "Confusion matrix over all seeds"),
    ]
    if found:
        blocks += [Heading(["What most seeds get wrong"]), Picture("mistakes", "Mistakes")]
    pairs = zip(found, given, strict=True)
    rows = [_row(one, classes, shown) for one, shown in pairs if not isinstance(shown, ImageInput)]
    if rows:
        blocks.append(Table(("Example", "Is", "Called", "Seeds", "Input"), rows))
    return Page("model", results.model, blocks)


def _scores(results: ModelResults) -> Iterator[list[Line]]:
    for score in BUILT_IN:
        validation, test = (
            getattr(split, score.name) for split in (results.validation, results.test)
        )
        form = percent if score.unit == "%" else plain
        yield [
            [score.name.replace("_", " ")],
            [with_interval(validation, form)],
            [with_interval(test, form)],
            ["" if test.sd is None else form(test.sd)],
        ]


def _row(one: Mistake, classes: Sequence[str], shown: TextInput | RowInput) -> list[Line]:
    if isinstance(shown, TextInput):
        text = shown.text
    else:
        text = "; ".join(
            f"{column.name} {'missing' if column.value is None else column.value}"
            for column in shown.columns
        )
    names = [[Untrusted(classes[label])] for label in (one.label, one.predicted)]
    return [[f"{one.row:,}"], *names, [str(one.votes)], [Untrusted(text)]]
