"""`failure.json`: why a run has no report, as far as its log tells.

Like `report.json` it may have been written by a stranger.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from lab.base.errors import DataError, shortened
from lab.base.records import Record, first_problem
from lab.evidence.run_log import MAX_LINES
from lab.evidence.schema import Commit, Printable, Text

MAX_BYTES = 2**16


class Failure(Record):
    """The commit that failed against a baseline, the stage that did, and its last lines."""

    schema_version: Literal[1]
    commit: Commit
    baseline: Commit | None  # None when the run did not come so far as to find it
    stage: Annotated[Text, Printable] | None
    lines: Annotated[list[Annotated[Text, Printable]], Field(max_length=MAX_LINES)]


def parse(content: bytes, name: str) -> Failure:
    """Checks the bytes of a `failure.json`; `name` says in errors which it is.

    Raises:
        DataError: they are more than 64 KiB, or break the schema.
    """
    if len(content) > MAX_BYTES:
        raise DataError(f"{name}: at most {MAX_BYTES:,} bytes; got more; run the job again")
    try:
        return Failure.model_validate_json(content)
    except ValidationError as error:
        problem = shortened(first_problem(error), 300).encode("ascii", "backslashreplace").decode()
        raise DataError(f"{name}: {problem}; run the job again") from None
