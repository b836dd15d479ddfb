"""`metrics/check.json` and `metrics/labels.json`: what the checks of the data found."""

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from lab.base.params import CheckRules, Level
from lab.base.records import Record, read_record

CHECK = Path("metrics/check.json")
LABELS = Path("metrics/labels.json")
MAX_CHECK_BYTES = 2**21
MAX_FAULTS = 20  # of a rule
MAX_PLACES = 12  # of a fault
MAX_CANDIDATES = 200  # labels that may be mistakes
LONGEST_SENTENCE = 160  # as a report shows it

FORMAT = "format"  # of new data alone; what the pipeline reads, stage `prepare` has checked
RULES = (FORMAT, *CheckRules.model_fields)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


def _rule(name: str) -> str:
    if name not in RULES:
        raise ValueError(f"must be one of {', '.join(RULES)}")
    return name


Sentence = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_SENTENCE), AfterValidator(_printable)
]
Word = Annotated[str, StringConstraints(max_length=64), AfterValidator(_printable)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rule = Annotated[str, StringConstraints(max_length=32), AfterValidator(_rule)]


class Place(Record):
    """An example: a row of `train`, `validation`, `test` or `new`, from 0."""

    portion: Literal["train", "validation", "test", "new"]
    row: Count


Pair = Annotated[list[Place], Field(min_length=1, max_length=2)]


class Fault(Record):
    """Something that is wrong, in one sentence, and some examples of it, single or in pairs."""

    sentence: Sentence
    places: Annotated[list[Pair], Field(max_length=MAX_PLACES)] = Field(default_factory=list)


class Finding(Record):
    """What a rule found: nothing, or faults. `more` counts those that are not listed."""

    rule: Rule
    level: Level
    faults: Annotated[list[Fault], Field(max_length=MAX_FAULTS)]
    more: Count = 0

    @property
    def is_broken(self) -> bool:
        """Whether the rule found anything."""
        return bool(self.faults)


class PortionSummary(Record):
    """How many examples there are, and among how many neighbours were looked for."""

    name: Literal["train", "validation", "test", "new"]
    examples: Count
    compared: Count


class Closest(Record):
    """An example of another split and its nearest training example.

    `distance` is in medians of what lies between neighbours of that class in training.
    """

    distance: Annotated[float, Field(ge=0, le=1e9)]
    pair: Pair


class CheckResults(Record):
    """The whole of `metrics/check.json`."""

    schema_version: Literal[1]
    name: Word
    portions: Annotated[list[PortionSummary], Field(max_length=4)]
    findings: Annotated[list[Finding], Field(max_length=len(RULES))]
    closest: Annotated[list[Closest], Field(max_length=MAX_PLACES)]

    @model_validator(mode="after")
    def _one_finding_a_rule(self) -> Self:
        rules = [finding.rule for finding in self.findings]
        if len({*rules}) < len(rules):
            raise ValueError("a rule must have one finding")
        return self

    def broken(self, level: Level) -> list[Finding]:
        """The rules of a level that found something."""
        return [one for one in self.findings if one.level == level and one.is_broken]


class Candidate(Record):
    """A label that may be a mistake: what models that never saw the example say of it.

    `probability` is that of the given label, `other` that of the class they hold for more likely.
    """

    place: Place
    label: Annotated[int, Field(ge=0, lt=1_000)]
    probability: Fraction
    called: Annotated[int, Field(ge=0, lt=1_000)]
    other: Fraction


class LabelResults(Record):
    """The whole of `metrics/labels.json`; `folds` is 0 where nobody looked.

    `doubtful` counts the labels that get less than half the probability of another class.
    """

    schema_version: Literal[1]
    name: Word
    network: Word
    folds: Count
    seeds: Count
    examples: Count
    doubtful: Count
    accuracy: Fraction | None
    candidates: Annotated[list[Candidate], Field(max_length=MAX_CANDIDATES)]


Results = TypeVar("Results", CheckResults, LabelResults)


def read(path: Path, kind: type[Results]) -> Results:
    """Reads one of the two.

    Raises:
        DataError: the file is missing or breaks the schema.
    """
    return read_record(path, kind, MAX_CHECK_BYTES, "run `dvc repro`")
