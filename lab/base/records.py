"""Strict records: what a JSON file of this project may hold, and how a breach of it is reported."""

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.base.errors import shortened


class Record(BaseModel):
    """A piece of a file that this project writes: strict, frozen, finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def first_problem(error: ValidationError) -> str:
    """The first problem of a file that breaks its schema: key, rule and value got."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"]) or "top level"
    return f"{key}: {problem['msg'].lower()}; got {shortened(repr(problem['input']), limit=60)}"
