"""`params.yaml` as a typed, frozen, strict tree, which is how stages and scripts read it.

A data set and a network may have keys of their own, beside those that are defined here. They are
checked against the signatures in `task/` by who uses them: `lab.data.datasets` and
`lab.training.networks`.
"""

import difflib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    model_validator,
)

from lab.base import files
from lab.base.errors import DataError, ParamsError, shortened
from lab.base.problems import advice_on_unknown, described
from lab.base.serve_params import OFF, ServeParams
from lab.base.yaml import read_yaml

PARAMS_FILE = Path("params.yaml")
NETWORKS = Path(__file__).resolve().parents[2] / "task/networks"
MODEL_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"  # no dot: DVC reads dots as nesting
MAX_FILE_BYTES = 250_000  # a thousand models have 150,000
MAX_SEED = 2**31 - 1
MAX_SEEDS = 1_000  # a side
MAX_MARGIN = 1e9
MAX_END = 1e9  # of a range that is searched

Precision = Literal["float32", "bfloat16"]
Level = Literal["stop", "warn", "off"]


def _distinct(seeds: list[int]) -> list[int]:
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise ValueError(f"seeds must differ, but {repeated[0]} stands twice; remove one")
    return seeds


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _OpenSection(BaseModel):
    """A section with keys of its own beside the fields."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    @property
    def own(self) -> dict[str, Any]:
        """The keys that are no fields, unchecked."""
        return dict(self.model_extra or {})


class DatasetParams(_OpenSection):
    """Which examples, and how they are split; other keys are options of the data set."""

    name: Name
    validation_size: Annotated[int, Field(ge=1, le=10**9)]
    split_seed: Seed
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None  # without an official test


class TrainParams(_Section):
    """What all models share in training."""

    seeds: Annotated[
        list[Seed], Field(min_length=1, max_length=MAX_SEEDS), AfterValidator(_distinct)
    ]
    seeds_per_stack: Annotated[int, Field(ge=1, le=MAX_SEEDS)]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch_size: Annotated[int, Field(ge=1, le=10**6)]
    precision: Precision


class ModelParams(_OpenSection):
    """One network and its optimiser; other keys are arguments of the network."""

    network: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    schedule: Literal["constant", "linear", "cosine"]
    weight_decay: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    # What may be left out; docs/own-task.md says what each does.
    precision: Precision | None = None
    warmup_epochs: Factor | None = None
    clip_norm: Positive | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = None
    class_weights: Literal["balanced"] | None = None
    augmentation: Name | None = None
    patience: Annotated[int, Field(ge=1, le=10_000)] | None = None
    learning_rate_factors: dict[str, Factor] | None = None

    def settings(self) -> dict[str, Any]:
        """What the entry says, without what it leaves out."""
        return self.model_dump(exclude_none=True)


ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME)]
FormerName = Annotated[str, StringConstraints(min_length=1, max_length=64)]  # of any baseline


class CompareParams(_Section):
    """By which score changes are judged and the best is chosen, and when a difference matters.

    The margin is in the score's own unit; of a score in percent it is a fraction. `was` says which
    models had another name before, so that they are compared with what they were. Up to `budget`
    seeds a side are trained where a comparison cannot tell.
    """

    margin: Annotated[float, Field(gt=0, le=MAX_MARGIN, allow_inf_nan=False)]
    metric: Annotated[str, StringConstraints(max_length=200)] = "accuracy"  # older files lack it
    was: Annotated[dict[ModelName, FormerName], Field(max_length=1_000)] = Field(  # and it
        default_factory=dict
    )
    budget: Annotated[int, Field(ge=0, le=MAX_SEEDS)] = 0  # and it

    @model_validator(mode="after")
    def _margin_of_a_fraction(self) -> "CompareParams":
        if self.metric == "accuracy" and self.margin >= 1:  # of others lab.results.scores knows
            raise ValueError(
                f"margin: must be a fraction below 1; got {self.margin:g}; correct the value"
            )
        return self

    @model_validator(mode="after")
    def _former_names_differ(self) -> "CompareParams":
        claimed: dict[str, str] = {}
        for name, former in self.was.items():
            other = claimed.setdefault(former, name)
            if other != name:
                raise ValueError(
                    f"was: {other} and {name} cannot both have been {former}; remove one"
                )
        return self


class CheckRules(_Section):
    """What becomes of a broken rule: it stops the pipeline, warns, or is not looked at.

    docs/data-checks.md says what each rule asks.
    """

    values: Level = "stop"
    leakage: Level = "warn"  # into the test split stage `prepare` lets nothing, where it must not
    constant: Level = "warn"
    missing_classes: Level = "warn"
    class_balance: Level = "warn"
    duplicates: Level = "warn"
    contradictions: Level = "warn"
    near_duplicates: Level = "warn"
    shortcuts: Level = "warn"
    drift: Level = "warn"


class LabelParams(_Section):
    """By which model labels are judged, and in how many folds.

    A model of its own: the judge stays the same while the models of the experiment change.
    """

    folds: Annotated[int, Field(ge=0, le=100)]  # 0: labels are not looked at
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS)]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    model: ModelParams

    @model_validator(mode="after")
    def _more_than_one_fold(self) -> "LabelParams":
        if self.folds == 1:
            raise ValueError("folds: must be at least 2, or 0 to leave labels alone; got 1")
        return self


class CheckParams(_Section):
    """Which rules the data must keep, and how labels are looked at."""

    rules: CheckRules = CheckRules()
    labels: LabelParams | None = None


class Range(NamedTuple):
    """Numbers from `low` to `high`, whole ones if both are; with `log` every tenfold alike."""

    low: float
    high: float
    log: bool = False


MAX_CHOICES = 100
_SEARCHED = "must be a list of choices, or a range {low: 0.001, high: 0.01, log: true}"


def _searched(value: Any) -> Range | tuple[Any, ...]:
    """What `make tune` may try for a key: a range or choices."""
    if isinstance(value, list):
        if not 2 <= len(value) <= MAX_CHOICES:
            raise ValueError(
                f"must have 2 to {MAX_CHOICES} choices; got {len(value)}; correct the list"
            )
        if len({repr(choice) for choice in value}) < len(value):
            raise ValueError("a choice stands twice; remove one")
        return tuple(value)
    if not isinstance(value, dict) or not {"low", "high"} <= set(value) <= set(Range._fields):
        raise ValueError(f"{_SEARCHED}; got {shortened(repr(value), limit=60)}; correct it")
    for end in ("low", "high"):
        got = value[end]
        is_number = isinstance(got, int | float) and not isinstance(got, bool)
        if not is_number or abs(got) > MAX_END or not math.isfinite(got):
            raise ValueError(
                f"{end} must be a finite number; got {shortened(repr(got), limit=60)}; correct it"
            )
    found = Range(**value)
    if not isinstance(found.log, bool):
        raise ValueError(f"log must be true or false; got {found.log!r}; correct it")
    if found.low >= found.high:
        raise ValueError(f"low must be below high; got {found.low} and {found.high}; correct them")
    if found.log and found.low <= 0:
        raise ValueError(
            f"with log, low must be above 0; got {found.low}; correct it, or leave log out"
        )
    return found


Searched = Annotated[Range | tuple[Any, ...], PlainValidator(_searched)]


def service_address(value: str) -> str:
    """An address of a service, or `off`; without a password, for others read it, or a last slash.

    Raises:
        ValueError: it is neither.
    """
    if value != OFF and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise ValueError(
            f"must be {OFF} or the address of a service; got {shortened(value)}; "
            "write it like http://127.0.0.1:8000"
        )
    return value.rstrip("/")


class MonitorParams(_Section):
    """How what a service recorded is watched; docs/monitoring.md says what each does.

    Attributes:
        window: answers that are looked at together; four and sixteen of these, too.
        false_alarms: a month, at most, as an expectation.
        least: the smallest difference between two shares that alarms, however sure it is.
        feedback: labels that are looked at together; four and sixteen times as many, too.
        service: the address of the service whose /metrics are read, or `off`.
        answered: the share of its requests that must not fail.
        in_time: the share of its answers that must not take longer than `seconds`.
        seconds: of these; a bound of its histogram.
    """

    window: Annotated[int, Field(ge=50, le=100_000)] = 500
    false_alarms: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.1
    least: Annotated[float, Field(gt=0, lt=1)] = 0.05
    feedback: Annotated[int, Field(ge=20, le=100_000)] = 100
    service: Annotated[str, AfterValidator(service_address)] = OFF
    answered: Annotated[float, Field(gt=0, lt=1)] = 0.999
    in_time: Annotated[float, Field(gt=0, lt=1)] = 0.99
    seconds: Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)] = 0.25


class Params(_Section):
    """The whole of `params.yaml`."""

    dataset: DatasetParams
    train: TrainParams
    models: Annotated[dict[ModelName, ModelParams], Field(min_length=1, max_length=1_000)]
    compare: CompareParams
    check: CheckParams = CheckParams()  # older files lack it
    # What `make tune` may change of a model; no stage reads it, and older files lack it.
    tune: Annotated[dict[Name, Searched], Field(max_length=100)] = Field(default_factory=dict)
    serve: ServeParams = ServeParams()  # no stage reads it, and older files lack it
    monitor: MonitorParams = MonitorParams()  # nor this

    @model_validator(mode="after")
    def _names_differ_beyond_case(self) -> "Params":
        # Files are named after models, and macOS and Windows do not tell `A` from `a`.
        lowered: dict[str, str] = {}
        for name in self.models:
            other = lowered.setdefault(name.lower(), name)
            if other != name:
                raise ValueError(
                    f"models {other} and {name} differ only in upper and lower case; rename one"
                )
        return self

    @model_validator(mode="after")
    def _renamed_models_are_there(self) -> "Params":
        for name in self.compare.was:
            if name not in self.models:
                advice = advice_on_unknown(name, self.models)
                raise ValueError(
                    f"compare.was.{name}: must be a model of this file, its former name behind "
                    f"the colon; got {name}; {advice}"
                )
        return self

    def precision(self, model: str) -> Precision:
        """In which a model trains: its own, else that of all."""
        return self.models[model].precision or self.train.precision

    def model(self, name: str) -> ModelParams:
        """The params of one model.

        Raises:
            ParamsError: `params.yaml` has no such model.
        """
        if name not in self.models:
            raise ParamsError(
                f"{PARAMS_FILE}: models: unknown model; got {name!r}; "
                f"use one of {', '.join(self.models)}"
            )
        return self.models[name]


def load(path: Path = PARAMS_FILE) -> Params:
    """Reads and checks `params.yaml`.

    Raises:
        ParamsError: the file is missing, not YAML, or breaks a rule of the tree.
    """
    try:
        content = files.read_bytes(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the repository's root") from None
    except DataError as error:
        raise ParamsError(str(error)) from None
    params = parse(content, str(path))
    models = {f"models.{name}": model for name, model in params.models.items()}
    if params.check.labels is not None:
        models["check.labels.model"] = params.check.labels.model
    for name, model in models.items():
        if not (NETWORKS / f"{model.network}.py").is_file():
            known = ", ".join(sorted(file.stem for file in NETWORKS.glob("[a-z]*.py")))
            raise ParamsError(
                f"{path}: {name}.network: must be a file of task/networks/; "
                f"got {model.network}; use {known}, or add task/networks/{model.network}.py"
            )
    return params


def parse(content: bytes, where: str) -> Params:
    """Checks the bytes of a `params.yaml`; `where` names it in errors.

    Raises:
        ParamsError: the bytes are not YAML, or break a rule of the tree.
    """
    tree = read_yaml(content, where, MAX_FILE_BYTES)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        problem = _misspelt(tree, error) or described(error, _keys_beside)
        raise ParamsError(f"{where}: {problem}") from None


def _misspelt(tree: Any, error: ValidationError) -> str | None:
    """A required key of a section with keys of its own that is there under nearly its name."""
    for problem in error.errors(include_url=False):
        *path, name = problem["loc"] or ("",)
        section = tree
        for part in path:
            section = section.get(part) if isinstance(section, dict) else None
        if problem["type"] == "missing" and isinstance(section, dict):
            known = {*DatasetParams.model_fields, *ModelParams.model_fields}
            others = [str(key) for key in section if key not in known]
            for close in difflib.get_close_matches(str(name), others, n=1):
                key = ".".join(map(str, [*path, close]))
                got = shortened(repr(section[close]), limit=60)
                return f"{key}: unknown key; got {got}; did you mean {name}?"
    return None


def _keys_beside(location: Sequence[str]) -> list[str]:
    """The keys allowed where an unknown one was found."""
    sections: dict[str, type[BaseModel]] = {
        "train": TrainParams,
        "compare": CompareParams,
        "check": CheckParams,
        "check.rules": CheckRules,
        "check.labels": LabelParams,
        "serve": ServeParams,
        "monitor": MonitorParams,
    }
    section = sections.get(".".join(location[:-1])) or sections.get(location[0], Params)
    return list((section if len(location) > 1 else Params).model_fields)
