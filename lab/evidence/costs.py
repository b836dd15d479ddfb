"""What results cost, looked up by the results' own bytes."""

import contextlib
import json
from pathlib import Path
from typing import Any

from lab.base.files import sha256, write_bytes
from lab.evidence.schema import Cost
from lab.results.cost import COSTS, cost_file

# What a file may be that anybody may have written, or a full disk cut off.
DAMAGED = (OSError, ValueError, LookupError, TypeError, RecursionError)


def cost_of(results: bytes) -> Cost | None:
    """What these very results cost, if they were made here once: in this project or a copy of it.

    None as well where the note of it is damaged.
    """
    with contextlib.suppress(*DAMAGED):
        entries: dict[str, Any] = dict(json.loads(cost_file(sha256(results)).read_bytes()))
        del entries["results_sha256"]
        return Cost.model_validate(entries)
    return None


def remember(checkout: Path) -> None:
    """Keeps what was made in a checkout of its own, which is about to go, by whatever code."""
    for path in (checkout / COSTS).glob("*.json"):
        with contextlib.suppress(*DAMAGED):
            content = path.read_bytes()
            write_bytes(cost_file(json.loads(content)["results_sha256"]), content)
