"""`params.yaml` as a typed, frozen, strict tree; its only reader."""

import difflib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from lab.base import files
from lab.base.errors import DataError, ParamsError, shortened
from lab.base.script import run_script
from lab.base.yaml import read_yaml

PARAMS_FILE = Path("params.yaml")
NETWORKS = Path(__file__).resolve().parents[2] / "task/networks"
MODEL_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$"  # no dot: DVC reads dots as nesting
MAX_FILE_BYTES = 250_000  # a thousand models have 150,000
MAX_SEED = 2**31 - 1


def _distinct(seeds: list[int]) -> list[int]:
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise ValueError(f"seeds must differ, but {repeated[0]} stands twice; remove one")
    return seeds


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Width = Annotated[int, Field(ge=1, le=65_536)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DatasetParams(_Section):
    """Which images, and how the official training images are split."""

    name: Literal["MNIST", "FashionMNIST", "KMNIST"]
    validation_size: Annotated[int, Field(ge=10, le=59_990)]
    split_seed: Seed


class TrainParams(_Section):
    """What all models share in training."""

    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1_000), AfterValidator(_distinct)]
    seeds_per_stack: Annotated[int, Field(ge=1, le=1_000)]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch_size: Annotated[int, Field(ge=1, le=60_000)]
    precision: Literal["float32", "bfloat16"]


class ModelParams(_Section):
    """One network and its optimiser."""

    network: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    hidden: Annotated[list[Width], Field(max_length=64)]
    activation: Literal["linear", "relu", "tanh", "gelu"]
    dropout: Fraction
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    schedule: Literal["constant", "linear", "cosine"]
    weight_decay: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class CompareParams(_Section):
    """When a difference matters."""

    margin: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME)]


class Params(_Section):
    """The whole of `params.yaml`."""

    dataset: DatasetParams
    train: TrainParams
    models: Annotated[dict[ModelName, ModelParams], Field(min_length=1, max_length=1_000)]
    compare: CompareParams

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
    for name, model in params.models.items():
        if not (NETWORKS / f"{model.network}.py").is_file():
            known = ", ".join(sorted(file.stem for file in NETWORKS.glob("[a-z]*.py")))
            raise ParamsError(
                f"{path}: models.{name}.network: must be a file of task/networks/; "
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
        # A misspelt key is also a missing one; only the first of the two helps.
        problems = sorted(
            error.errors(include_url=False),
            key=lambda problem: problem["type"] != "extra_forbidden",
        )
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ParamsError(f"{where}: {_describe(problems[0])}{more}") from None


_RULES = {
    "extra_forbidden": "unknown key",
    "missing": "missing key",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "finite_number": "must be a finite number",
}


def _describe(problem: ErrorDetails) -> str:
    """One problem as: key, rule, value got, what to do."""
    location = [str(part) for part in problem["loc"]]
    is_key_problem = bool(location) and location[-1] == "[key]"
    key = ".".join(location[:-1] if is_key_problem else location) or "top level"
    kind = problem["type"]
    if kind == "value_error":
        return (
            f"{key}: {problem['ctx']['error']}"
            if key != "top level"
            else str(problem["ctx"]["error"])
        )
    if is_key_problem:
        rule = "a model's name takes letters, digits, _ and - (64 at most)"
        return f"{key}: {rule}; got {shortened(repr(problem['input']), limit=60)}; rename it"
    rule = _RULES.get(kind, problem["msg"][0].lower() + problem["msg"][1:])
    if kind == "missing":
        return f"{key}: missing key; add it"
    got = shortened(repr(problem["input"]), limit=60)
    return f"{key}: {rule}; got {got}; {_advice(kind, location)}"


def _advice(kind: str, location: list[str]) -> str:
    if kind != "extra_forbidden":
        return "correct the value"
    close = difflib.get_close_matches(location[-1], _keys_beside(location), n=1)
    return f"did you mean {close[0]}?" if close else "remove it"


def _keys_beside(location: list[str]) -> list[str]:
    """The keys allowed where an unknown one was found."""
    section: type[BaseModel] = Params
    if len(location) > 1:
        sections: dict[str, type[BaseModel]] = {
            "dataset": DatasetParams,
            "train": TrainParams,
            "compare": CompareParams,
        }
        section = sections.get(location[0], ModelParams)
    return list(section.model_fields)


def main() -> None:
    """Checks `params.yaml`, so that a slip is reported before any stage runs."""
    load()


if __name__ == "__main__":
    run_script(main)
