"""`report.json`: what was measured on both sides of a comparison, and nothing that is concluded.

Everything in it may have been written by a stranger, so every field is bounded; what it means is
worked out by `lab.report.judgement` alone, from these numbers.
"""

import base64
import itertools
import math
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from lab.base.errors import DataError
from lab.base.params import MAX_MARGIN, MAX_SEED, MAX_SEEDS, Level
from lab.base.records import Record, first_problem
from lab.data.examples import Kind
from lab.results.checks import MAX_FAULTS
from lab.results.schema import BUILT_IN, LARGEST, LARGEST_SCORE, MAX_SCORES, SCORE_NAME, Score
from lab.verdict.verdicts import Verdict

Item = TypeVar("Item")

SCHEMA_VERSION: Literal[7] = 7
MAX_BYTES = 20 * 2**20
MAX_CLASSES = 1_000
MAX_CONFUSED = 100  # classes; the confusion of a thousand has a million counts a side
MAX_MOVED = 40  # pairs of classes of a model; beyond, no page shows them
MAX_EXAMPLES = 12
MAX_SIDE = 128  # pixels of an example's image, either way
MAX_EXCERPT = 240  # characters of an example's text
MAX_COLUMNS = 5  # of an example's row
MAX_LOOKS = 10
MAX_FORMS = 10  # of an export
MAX_PAST = 500  # differences of earlier versions
MAX_LISTED = 200  # entries of any list of changes; beyond, the report says how many there are

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
ScoreName = Annotated[str, StringConstraints(pattern=SCORE_NAME)]
Text = Annotated[str, StringConstraints(max_length=400)]  # free; escaped wherever it is shown
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=10**15)]
Quantity = Annotated[float, Field(ge=0, le=1e18)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
ScoreValue = Annotated[float, Field(ge=-LARGEST_SCORE, le=LARGEST_SCORE)]
Margin = Annotated[float, Field(gt=0, le=MAX_MARGIN)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


Printable = AfterValidator(_printable)  # one line, nothing hidden in it
DataName = Annotated[str, StringConstraints(min_length=1, max_length=64), Printable]
Excerpt = Annotated[str, StringConstraints(max_length=MAX_EXCERPT), Printable]
ClassNames = Annotated[list[DataName], Field(max_length=MAX_CLASSES)]


def _distinct(values: list[Item]) -> list[Item]:
    if len(set(values)) != len(values):
        raise ValueError("entries must differ")
    return values


Seeds = Annotated[list[Seed], Field(min_length=1, max_length=MAX_SEEDS), AfterValidator(_distinct)]
PerSeed = Annotated[list[ScoreValue], Field(max_length=MAX_SEEDS)]
# By name; `Evidence.scores` says what the names mean.
SeedScores = Annotated[dict[ScoreName, PerSeed], Field(max_length=MAX_SCORES)]


def _check_scores(scores: SeedScores, seeds: list[int]) -> None:
    for name, values in scores.items():
        if len(values) != len(seeds):
            raise ValueError(f"{name}: {len(seeds)} seeds, but {len(values)} values per seed")
        if values and name in LARGEST and not 0 <= min(values) <= max(values) <= LARGEST[name]:
            raise ValueError(f"{name} must be from 0 to {LARGEST[name]:g}")


class Curve(Record):
    """Means over seeds and standard deviations, one entry an epoch."""

    epoch: Annotated[list[Annotated[int, Field(ge=1, le=10**6)]], Field(max_length=10_000)]
    train_loss: list[Quantity | None]
    train_loss_sd: list[Quantity | None]
    validation_accuracy: list[Fraction | None]
    validation_accuracy_sd: list[Quantity | None]

    @model_validator(mode="after")
    def _one_value_an_epoch(self) -> "Curve":
        if {len(column) for _, column in self} != {len(self.epoch)}:
            raise ValueError("every column of a curve needs one value an epoch")
        return self


class Cost(Record):
    """What training took, all seeds together; see `lab.results.cost`."""

    wall_seconds: Annotated[Quantity, Field(gt=0)]
    cpu_seconds: Quantity
    image_steps_per_second: Quantity
    peak_memory_bytes: Count


class ClassCounts(Record):
    """Test examples of a class, over all seeds: how many there are, and how many are recognised."""

    actual: Count
    right: Count

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> Self:
        if self.right > self.actual:
            raise ValueError("right must be at most actual")
        return self


class ModelSide(Record):
    """The results of one model at one revision; `confusion` as in `lab.results.schema`.

    It is None of more than 100 classes; `Model.moved` holds what a report shows of those.
    """

    seeds: Seeds
    parameter_count: Count
    device: Text
    precision: Text
    validation: SeedScores
    test: SeedScores
    classes: Annotated[list[ClassCounts], Field(min_length=1, max_length=MAX_CLASSES)]
    confusion: Annotated[list[list[Count]], Field(max_length=MAX_CONFUSED)] | None
    curve: Curve | None
    cost: Cost | None

    @model_validator(mode="after")
    def _shapes_agree(self) -> "ModelSide":
        for scores in (self.validation, self.test):
            _check_scores(scores, self.seeds)
        if self.confusion is not None:
            sides = {len(self.confusion), *map(len, self.confusion)}
            if sides != {len(self.classes)}:
                raise ValueError(f"confusion needs {len(self.classes)} rows and columns")
            for label, (row, counts) in enumerate(zip(self.confusion, self.classes, strict=True)):
                if (sum(row), row[label]) != (counts.actual, counts.right):
                    raise ValueError("classes must be the sums and the diagonal of confusion")
        return self


class OnSeeds(Record):
    """The test scores of a model on some seeds, and nothing else of it."""

    seeds: Seeds
    test: SeedScores

    @model_validator(mode="after")
    def _one_value_a_seed(self) -> Self:
        _check_scores(self.test, self.seeds)
        return self


class Trial(Record):
    """What training on other seeds than the committed ones gave, of the models that needed it.

    In an `extended` one the models have all their seeds, the committed ones first; in a `fresh` one
    those alone that were drawn for `run`, the id of a workflow's run. `baseline` is by the
    baseline's names. `seeds_trained` and `wall_seconds` are what it took, both sides together.
    """

    kind: Literal["fresh", "extended"]
    run: Count | None
    candidate: Annotated[dict[Name, OnSeeds], Field(max_length=1_000)]
    baseline: Annotated[dict[Name, OnSeeds], Field(max_length=1_000)]
    seeds_trained: Count
    wall_seconds: Quantity

    @model_validator(mode="after")
    def _fresh_of_a_run(self) -> Self:
        if (self.kind == "fresh") != (self.run is not None):
            raise ValueError("a fresh trial, and no other, is of a run")
        return self


class ImageComponents(Record):
    """Of d[seed, example], candidate minus baseline of what is right: see `lab.verdict.images`."""

    seeds: Count
    examples: Count
    estimate: Annotated[float, Field(ge=-1, le=1)]
    ms_seeds: Quantity
    ms_examples: Quantity
    ms_residual: Quantity


class Anchor(Record):
    """The commit that nothing may fall below, by a tag's name; `missing` says why it has no say."""

    commit: Commit
    name: Text
    missing: Text | None


class Past(Record):
    """A difference between two consecutive versions of a model's results, and its error."""

    estimate: ScoreValue
    error: Quantity


class Moved(Record):
    """How many test examples of class `actual` were called `predicted`, over a side's seeds."""

    actual: Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
    predicted: Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
    baseline: Count
    candidate: Count


class Model(Record):
    """A model on both sides.

    A side that is None without a reason does not have the model at all (it is new, or removed);
    with a reason its results are missing. `stale` says why the candidate's results do not belong
    to its code, params or data. `committed` is what git holds of them at the candidate's commit,
    where that is its own and has other numbers than were made here: another machine made it.
    `moved` are the mistakes whose number a seed changed most, where the sides have too many classes
    for their confusion. `anchor` is what the anchor has of it, under the baseline's name; `images`
    are the parts of the difference of accuracy, on the seeds that are judged.
    """

    name: Name
    renamed_from: Name | None
    candidate: ModelSide | None
    baseline: ModelSide | None
    committed: ModelSide | None
    candidate_missing: Text | None
    baseline_missing: Text | None
    stale: Annotated[list[Text], Field(max_length=MAX_LISTED)]
    moved: Annotated[list[Moved], Field(max_length=MAX_MOVED)]
    anchor: OnSeeds | None
    images: ImageComponents | None

    @property
    def both(self) -> tuple[ModelSide, ModelSide] | None:
        """Candidate and baseline, where both have results."""
        if self.candidate is None or self.baseline is None:
            return None
        return self.candidate, self.baseline

    @property
    def sides(self) -> list[ModelSide]:
        """Those that there are."""
        return [side for side in (self.candidate, self.baseline, self.committed) if side]


class SplitSummary(Record):
    """One split of a data set; see `lab.data.description.SplitDescription`."""

    examples: Count
    sha256: Sha256
    examples_per_class: Annotated[list[Count], Field(max_length=MAX_CLASSES)]


class DataSummary(Record):
    """The data of one revision, as `metrics/dataset.json` describes them.

    Descriptions of schema 1 know no names of classes.
    """

    name: Name
    split_seed: Count
    kind: Kind
    class_names: ClassNames | None
    train: SplitSummary
    validation: SplitSummary
    test: SplitSummary

    @property
    def noun(self) -> str:
        """What one of the data is called."""
        return "image" if self.kind.endswith("image") else "example"

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.test.examples_per_class)

    @model_validator(mode="after")
    def _classes_agree(self) -> Self:
        counts = [part.examples_per_class for part in (self.train, self.validation, self.test)]
        if {len(names) for names in (*counts, self.class_names or counts[0])} != {self.classes}:
            raise ValueError("examples_per_class and class_names must have one entry a class")
        return self


class RuleFinding(Record):
    """What a rule about the data found, in sentences; see `lab.results.checks.Finding`."""

    rule: Name
    level: Level
    sentences: Annotated[list[Text], Field(max_length=MAX_FAULTS)]
    more: Count


class DataCheck(Record):
    """What the checks of a revision's data found; None where labels were not looked at."""

    findings: Annotated[list[RuleFinding], Field(max_length=MAX_LISTED)]
    doubtful_labels: Count | None

    @model_validator(mode="after")
    def _one_finding_a_rule(self) -> Self:
        _distinct([one.rule for one in self.findings])
        return self


class ExportedForm(Record):
    """A file of `models/export`; `reason` says why it is none, None is what was not measured.

    Over all seeds together: `flips` of `predictions` are not what training stored.
    """

    name: Name
    size: Count | None
    flips: Count | None
    predictions: Count | None
    verdict: Annotated[Verdict, Field(strict=False)] | None  # a text in JSON
    reason: Text | None


class Export(Record):
    """What became of the chosen model's export; without any form `reason` says why."""

    model: Name
    forms: Annotated[list[ExportedForm], Field(max_length=MAX_FORMS)]
    reason: Text | None


class Change(Record):
    """Something that has a value on each side; None where it does not exist."""

    key: Text
    baseline: Text | None
    candidate: Text | None


class CodeChange(Record):
    """A changed file, the lines it gained and lost, and the stages that depend on it."""

    path: Text
    added: Count
    removed: Count
    stages: Annotated[list[Text], Field(max_length=50)]


class StageState(Record):
    """What became of a stage of the candidate between the two revisions, and why."""

    name: Text
    state: Literal["ran", "ran again", "unchanged", "stale"]
    reasons: Annotated[list[Text], Field(max_length=MAX_LISTED)]


class Changes(Record):
    """What differs between the two revisions; `*_total` counts what the lists may not hold."""

    params: Annotated[list[Change], Field(max_length=MAX_LISTED)]
    params_total: Count
    code: Annotated[list[CodeChange], Field(max_length=MAX_LISTED)]
    code_total: Count
    packages: Annotated[list[Change], Field(max_length=MAX_LISTED)]
    packages_total: Count


class ImageInput(Record):
    """An image, large ones reduced; `pixels` is base64 of its bytes, row by row.

    A pixel of a grey image is one byte, of a colour image three: red, green, blue.
    """

    kind: Literal["grey image", "colour image"]
    height: Annotated[int, Field(ge=1, le=MAX_SIDE)]
    width: Annotated[int, Field(ge=1, le=MAX_SIDE)]
    pixels: Annotated[str, StringConstraints(max_length=4 * MAX_SIDE**2)]

    @property
    def shape(self) -> tuple[int, ...]:
        """`[height, width]`, or `[height, width, 3]`."""
        return (self.height, self.width, *((3,) if self.kind == "colour image" else ()))

    def pixel_bytes(self) -> bytes:
        """As many bytes as the shape says."""
        return base64.b64decode(self.pixels, validate=True)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        wanted = math.prod(self.shape)
        try:
            found = len(self.pixel_bytes())
        except ValueError:  # not ASCII, or not base64
            raise ValueError("pixels must be base64") from None
        if found != wanted:
            raise ValueError(f"pixels must be {wanted:,} bytes, but are {found:,}")
        return self


class TextInput(Record):
    """How a text begins."""

    kind: Literal["text"]
    text: Excerpt


class ColumnValue(Record):
    """A number of a row, None where it is missing.

    `deviation` counts training standard deviations from the training mean.
    """

    name: DataName
    value: float | None
    deviation: Annotated[float, Field(ge=-1e18, le=1e18)]


class RowInput(Record):
    """The columns of a row that are farthest from the training mean, of so many."""

    kind: Literal["row"]
    columns: Annotated[list[ColumnValue], Field(min_length=1, max_length=MAX_COLUMNS)]
    column_count: Count


class Example(Record):
    """A test example whose majority prediction differs between the sides.

    `index` counts from 0 in the test split; votes are seeds that agree with the majority.
    """

    model: Name
    index: Count
    label: Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
    baseline_prediction: Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
    candidate_prediction: Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
    baseline_votes: Count
    candidate_votes: Count
    baseline_seeds: Count
    candidate_seeds: Count
    input: Annotated[ImageInput | TextInput | RowInput, Field(discriminator="kind")]


class Flips(Record):
    """Test examples of one model whose majority prediction changed, by what became of them.

    `fixed` are right now, `broken` wrong now, `still_wrong` were wrong already.
    """

    model: Name
    fixed: Count
    broken: Count
    still_wrong: Count
    missing: Text | None


class Baseline(Record):
    """Where the baseline's results come from.

    `named` is the revision that was asked for; without it the baseline is the merge-base with
    `branch`, `behind` commits behind it. `models` are its own, in the order of its params.yaml.
    `reasons` say why its results are not simply those of its commit; where they are all the same
    (`committed`), why the baseline was to be reproduced, and that it could not be.
    """

    commit: Commit
    named: Text | None
    branch: Text | None
    behind: Count | None
    origin: Literal["committed", "reproduced", "none"]
    reasons: Annotated[list[Text], Field(max_length=MAX_LISTED)]
    models: Annotated[list[Name], Field(max_length=1_000), AfterValidator(_distinct)]


class Candidate(Record):
    """The revision under report: a commit, and what of the working tree is not in it.

    `committed_stale` says why results in git are not the commit's own; `inherited_stale` the same
    of stages that were stale at the baseline already, and of which the branch changed nothing.
    """

    commit: Commit
    uncommitted: Annotated[list[Text], Field(max_length=MAX_LISTED)]
    uncommitted_total: Count
    committed_stale: Annotated[list[Text], Field(max_length=MAX_LISTED)]
    inherited_stale: Annotated[list[Text], Field(max_length=MAX_LISTED)]
    machine: Text
    packages: Annotated[list[Change], Field(max_length=MAX_LISTED)]


class Evidence(Record):
    """The whole of `report.json`.

    `class_names` are the candidate's; where nobody knows them, the numbers of the classes.
    `scores` declares what the candidate measures, `metric` names the one that is judged, and
    `baseline_metric` the one that the baseline's params name. A side may lack scores;
    `scores_missing` says why, if something failed. `scores_removed` are the baseline's alone.
    `looks` are the numbers of seeds a side at which the verdict may be looked at, up to `budget`;
    `confirmation` counts the runs of a pull request, each of which draws seeds anew; None where no
    pull request is judged. `trial_missing` says why there is no trial, or why it was not gone on
    with. `past` are differences of the judged score between earlier versions of the baseline.
    """

    schema_version: Literal[7]
    scores: Annotated[list[Score], Field(min_length=1, max_length=MAX_SCORES)]
    scores_missing: Text | None
    scores_removed: Annotated[list[ScoreName], Field(max_length=MAX_SCORES)]
    metric: ScoreName
    baseline_metric: ScoreName | None
    margin: Margin
    baseline_margin: Margin | None
    looks: Annotated[
        list[Annotated[int, Field(ge=1, le=MAX_SEEDS)]], Field(min_length=1, max_length=MAX_LOOKS)
    ]
    budget: Annotated[int, Field(ge=0, le=MAX_SEEDS)]
    baseline_budget: Annotated[int, Field(ge=0, le=MAX_SEEDS)] | None
    confirmation: Annotated[int, Field(ge=1, le=10**6)] | None
    trial: Trial | None
    trial_missing: Text | None
    anchor: Anchor | None
    past: Annotated[list[Past], Field(max_length=MAX_PAST)]
    class_names: ClassNames
    candidate: Candidate
    baseline: Baseline
    candidate_data: DataSummary | None
    baseline_data: DataSummary | None
    candidate_check: DataCheck | None
    baseline_check: DataCheck | None
    candidate_export: Export | None
    models: Annotated[list[Model], Field(max_length=1_000)]
    changes: Changes
    stages: Annotated[list[StageState], Field(max_length=1_000)]
    examples: Annotated[list[Example], Field(max_length=MAX_EXAMPLES)]
    flips: Annotated[list[Flips], Field(max_length=1_000)]

    @model_validator(mode="after")
    def _classes_agree(self) -> "Evidence":
        """The baseline may have had others; then classes are not compared."""
        _distinct([model.name for model in self.models])
        classes = len(self.class_names)
        for model in self.models:
            for side in (model.candidate, model.committed):
                if side is not None and len(side.classes) != classes:
                    raise ValueError(f"classes needs {classes} entries, as class_names has")
            named = [label for one in model.moved for label in (one.actual, one.predicted)]
            if max(named, default=-1) >= classes:
                raise ValueError(f"a class of a mistake must be below {classes}")
        if self.candidate_data is not None and self.candidate_data.classes != classes:
            raise ValueError(f"examples_per_class needs {classes} entries")
        return self

    @model_validator(mode="after")
    def _examples_agree(self) -> Self:
        classes = len(self.class_names)
        for one in self.examples:
            if max(one.label, one.baseline_prediction, one.candidate_prediction) >= classes:
                raise ValueError(f"a class of an example must be below {classes}")
        if len({one.input.kind for one in self.examples}) > 1:
            raise ValueError("examples must be of one kind")
        return self

    @model_validator(mode="after")
    def _scores_are_declared(self) -> "Evidence":
        declared = _distinct([score.name for score in self.scores])
        for score in BUILT_IN:
            if score.name in declared and self.score(score.name) != score:
                raise ValueError(f"{score.name} must be in {score.unit} and of its own direction")
        if self.metric not in declared:
            raise ValueError("metric must be one of scores")
        found = [scores for model in self.models for scores in _scores_of(model)]
        if self.trial:
            found += [
                one.test
                for side in (self.trial.candidate, self.trial.baseline)
                for one in side.values()
            ]
        if not all(scores.keys() <= {*declared} for scores in found):
            raise ValueError("every score of a model must be one of scores")
        return self

    @model_validator(mode="after")
    def _looks_grow(self) -> Self:
        if any(after <= before for before, after in itertools.pairwise(self.looks)):
            raise ValueError("looks must grow")
        return self

    @model_validator(mode="after")
    def _trial_is_of_models(self) -> Self:
        if self.trial:
            new = {model.name for model in self.models}
            old = {model.renamed_from or model.name for model in self.models}
            if not (self.trial.candidate.keys() <= new and self.trial.baseline.keys() <= old):
                raise ValueError("a model of a trial must be one of models")
        if self.anchor is None and any(model.anchor for model in self.models):
            raise ValueError("without an anchor no model has one")
        return self

    @property
    def noun(self) -> str:
        """What one of the data is called: `image`, or `example` where they are none."""
        data = self.candidate_data or self.baseline_data
        return data.noun if data else "example"

    @property
    def judged(self) -> Score:
        """The score that is judged."""
        return self.score(self.metric)

    def score(self, name: str) -> Score:
        """What is declared of a score."""
        return next(score for score in self.scores if score.name == name)


def _scores_of(model: Model) -> list[SeedScores]:
    found = [scores for side in model.sides for scores in (side.validation, side.test)]
    return [*found, *([model.anchor.test] if model.anchor else [])]


def read(path: Path) -> Evidence:
    """Reads a `report.json` that nobody has to trust.

    Raises:
        DataError: it is missing, larger than 20 MiB, or breaks the schema.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `python report.py collect`") from None
    return parse(content, str(path))


def parse(content: bytes, where: str) -> Evidence:
    """Checks the bytes of a `report.json`; `where` names it in errors.

    Raises:
        DataError: they are more than 20 MiB, or break the schema.
    """
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{where}: at most {MAX_BYTES:,} bytes; got more; collect it again with fewer models"
        )
    try:
        return Evidence.model_validate_json(content)
    except ValidationError as error:
        problem = _on_one_line(first_problem(error)[:300])[:300]
        remedy = "write it with this revision's `python report.py collect`"
        if problem.startswith("schema_version:"):
            remedy = f"merge the default branch, or {remedy}"
        raise DataError(f"{where}: {problem}; {remedy}") from None


def _on_one_line(text: str) -> str:
    """Plain ASCII: a message may quote what a stranger wrote."""
    return "".join(
        letter
        if " " <= letter <= "~"
        else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in text
    )
