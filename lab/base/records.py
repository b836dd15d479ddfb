"""Strict records: what a JSON file of this project may hold, and how a breach of it is reported."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.base.errors import DataError, shortened
from lab.base.files import read_bytes

Kind = TypeVar("Kind", bound=BaseModel)


class Record(BaseModel):
    """A piece of a file that this project writes: strict, frozen, finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def read_record(path: Path, kind: type[Kind], most_bytes: int, remedy: str) -> Kind:
    """Reads a file that holds one record, of so many bytes at most.

    Raises:
        DataError: it is missing, too large, or breaks the schema; `remedy` says what to do.
    """
    try:
        return kind.model_validate_json(read_bytes(path, most_bytes))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {remedy}") from None
    except ValidationError as error:
        raise DataError(f"{path}: {first_problem(error)}; {remedy}") from None


def first_problem(error: ValidationError) -> str:
    """The first problem of a file that breaks its schema: key, rule and value got."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"]) or "top level"
    return f"{key}: {problem['msg'].lower()}; got {shortened(repr(problem['input']), limit=60)}"
