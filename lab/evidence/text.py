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


def excerpt(text: str, limit: int) -> str:
    r"""How a text begins, on one line: a run of white space is a space.

    Control characters, and those that nobody sees, are shown as Python escapes.

    >>> excerpt("two\nlines \u202e", 20), excerpt("cut off", 4)
    ('two lines \\u202e', 'cut…')
    """
    shown: list[str] = []
    length = 0
    for character in " ".join(text[: 4 * limit].split()):
        if not character.isprintable():
            character = character.encode("unicode_escape", "surrogatepass").decode("ascii")
        shown.append(character)
        length += len(character)
        if length > limit:
            return f"{''.join(shown)[: limit - 1]}…"
    return "".join(shown)
