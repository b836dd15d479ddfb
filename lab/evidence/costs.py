"""What results cost, remembered by the results' own bytes for the day they are a baseline's."""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from lab.base.files import sha256, write_bytes
from lab.evidence.schema import Cost
from lab.results.cost import COSTS

SEEN_COSTS = COSTS / "seen"  # by the SHA-256 of their results


def cost_of(results: bytes, name: str) -> Cost | None:
    """What these very results cost, if they were made in this checkout once."""
    digest = sha256(results)
    for path in (COSTS / f"{name}.json", SEEN_COSTS / f"{digest}.json"):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
            content = path.read_bytes()
            entries = dict(json.loads(content))
            if entries.pop("results_sha256") == digest:
                cost = Cost.model_validate(entries)
                _remember(digest, content)
                return cost
    return None


def remember(root: Path, names: Iterable[str]) -> None:
    """Keeps here what the models of another checkout cost."""
    for name in names:
        with contextlib.suppress(OSError, ValueError, KeyError):
            content = (root / COSTS / f"{name}.json").read_bytes()
            _remember(json.loads(content)["results_sha256"], content)


def _remember(digest: str, content: bytes) -> None:
    path = SEEN_COSTS / f"{digest}.json"
    if not path.exists():
        write_bytes(path, content)
