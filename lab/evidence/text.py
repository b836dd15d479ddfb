"""Free text as report.json takes it."""

from collections.abc import Sequence

from lab.evidence.schema import MAX_LISTED

MAX_CHARACTERS = 400


def bounded(text: str) -> str:
    """Valid Unicode, 400 characters at most."""
    clean = text.encode(errors="backslashreplace").decode()
    return clean if len(clean) <= MAX_CHARACTERS else f"{clean[: MAX_CHARACTERS - 1]}…"


def all_bounded(texts: Sequence[str], limit: int = MAX_LISTED) -> list[str]:
    """The first `limit` of some texts."""
    return [bounded(text) for text in texts[:limit]]
