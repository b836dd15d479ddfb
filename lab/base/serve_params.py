"""What bounds the service and what it keeps: section `serve` of params.yaml; and its token.

Apart from the other sections, because an image of the service has no YAML to read.
"""

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lab.base.errors import ParamsError

OFF = "off"
TOKEN = "SERVE_TOKEN"  # noqa: S105 — the name of a variable
LEAST_RECORD_BYTES = 2**25  # the files that are being written have half of it


class ServeParams(BaseModel):
    """Limits of the service; docs/serving.md says what a client hears at each.

    Attributes:
        record: the folder that keeps inputs, answers and feedback, or `off`.
        record_bytes: of that folder; the oldest records go first.
        most_bytes: of a request's body; of all bodies at once sixteen times as many.
        most_examples: of a request.
        most_waiting: examples of all clients.
        body_seconds: that a head may take to arrive, and a body.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    record: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] = OFF
    record_bytes: Annotated[int, Field(ge=LEAST_RECORD_BYTES, le=2**50)] = 2**30
    most_bytes: Annotated[int, Field(ge=1_000, le=2**30)] = 2**22
    most_examples: Annotated[int, Field(ge=1, le=100_000)] = 1_024
    most_waiting: Annotated[int, Field(ge=1, le=10**7)] = 4_096
    body_seconds: Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)] = 10.0


def checked_token() -> str:
    """The token of the environment; empty: none.

    Raises:
        ParamsError: no header could hold it.
    """
    token = os.environ.get(TOKEN, "")
    if not token.isascii() or not token.isprintable() or token != token.strip():
        raise ParamsError(f"{TOKEN}: must be printable ASCII without spaces around; set another")
    return token
