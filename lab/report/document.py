"""A page as values; `lab.report.markdown` and `lab.report.hypertext` write it.

A page is made of blocks, blocks of pieces. A plain `str` is prose written in this project;
`Untrusted` is a string that somebody else chose. Each of the two writers has one function through
which every piece passes, so nothing in a pull request can become markup, a link, a mention or a
picture.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

LONGEST_SHOWN = 160  # characters of one piece of data, once escaped


@dataclass(frozen=True)
class Untrusted:
    """A string from a pull request, a file or an option: shown, never interpreted."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Prose that must not be overlooked."""

    text: str


@dataclass(frozen=True)
class Link:
    """Prose that leads to an address; the address must be one that `Notes` lets through."""

    text: str
    address: str


Piece = str | Untrusted | Strong | Link
Line = Sequence[Piece]


def prose(template: str, *pieces: Piece) -> Line:
    """A line of prose with pieces in the places of `{}`.

    >>> prose("{} is new.", Untrusted("wide"))
    [Untrusted(text='wide'), ' is new.']
    """
    texts = template.split("{}")
    mixed = [part for pair in zip(texts, [*pieces, ""], strict=True) for part in pair]
    return [part for part in mixed if part != ""]


@dataclass(frozen=True)
class Heading:
    """Opens a part of the page."""

    line: Line


@dataclass(frozen=True)
class Paragraph:
    """One line of text."""

    line: Line


@dataclass(frozen=True)
class Bullets:
    """An unordered list, an entry a line."""

    lines: Sequence[Line]


@dataclass(frozen=True)
class Table:
    """A header and rows; columns named in `numbers` stand to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[Line]]
    numbers: Sequence[str] = ()


@dataclass(frozen=True)
class Preformatted:
    """Lines whose spaces count. Only prose and validated names may stand here."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Picture:
    """A picture in a light and a dark variant, `NAME.png` and `NAME-dark.png`."""

    name: str
    alternative: str

    @property
    def files(self) -> tuple[str, str]:
        """The names of the light and the dark file."""
        return f"{self.name}.png", f"{self.name}-dark.png"


@dataclass(frozen=True)
class Folded:
    """Blocks that open on a click."""

    summary: str
    blocks: Sequence["Block"]


Block = Heading | Paragraph | Bullets | Table | Preformatted | Picture | Folded


@dataclass(frozen=True)
class Page:
    """A whole report: `marker` is a hidden line that machines find it by."""

    marker: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def truncated(page: Page, rows: int, folded: int, remark: Line) -> Page:
    """The page with at most so many entries in each list, and so many in each folded one.

    Each cut says how much is missing, and `remark` ends a page that was cut.
    """
    blocks = [_truncated(block, rows, folded) for block in page.blocks]
    if blocks == list(page.blocks):
        return page
    return Page(page.marker, page.title, [*blocks, Paragraph(remark)])


def _truncated(block: Block, rows: int, folded: int) -> Block:
    match block:
        case Bullets(lines) if len(lines) > rows:
            return Bullets([*lines[:rows], _more(len(lines) - rows)])
        case Table(header, entries) if len(entries) > rows:
            last = [_more(len(entries) - rows), *([[""]] * (len(header) - 1))]
            return Table(header, [*entries[:rows], last], block.numbers)
        case Folded(summary, blocks):
            return Folded(summary, [_truncated(child, folded, folded) for child in blocks])
        case _:
            return block


def remainder(listed: int, total: int) -> list[Block]:
    """Says how many entries a list leaves out, if any."""
    return [Paragraph([*_more(total - listed), "."])] if total > listed else []


def _more(count: int) -> Line:
    return [f"… and {count:,} more"]


def visible(text: str, escaped: frozenset[str] = frozenset()) -> str:
    r"""The text on one line with nothing hidden in it, truncated to what a reader takes in.

    Control, format (bidi, zero-width), unassigned and surrogate characters, line ends and the
    characters in `escaped` are shown as Python escapes.

    >>> visible("a|b", frozenset("|")), visible("line\nend\u202e")
    ('a\\x7cb', 'line\\nend\\u202e')
    """
    shown: list[str] = []
    length = 0
    for character in text[: LONGEST_SHOWN + 1]:
        if character in escaped or (character != " " and not _is_plain(character)):
            character = _escape(character)
        length += len(character)
        if length > LONGEST_SHOWN:
            return "".join(shown) + "…"
        shown.append(character)
    return "".join(shown)


def _is_plain(character: str) -> bool:
    # Separators other than the space, and marks without a letter, are as good as hidden.
    return character.isprintable() and unicodedata.category(character)[0] not in "CZ"


def _escape(character: str) -> str:
    if character.isprintable() and character.isascii():
        return f"\\x{ord(character):02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def plain(line: Line) -> str:
    r"""A line for a terminal: no markup, nothing hidden.

    >>> plain([Strong("improved"), ": ", Untrusted("a\x1b[31m")])
    'improved: a\\x1b[31m'
    """
    return "".join(_plain(piece) for piece in line)


def _plain(piece: Piece) -> str:
    match piece:
        case Untrusted(text):
            return visible(text)
        case Strong(text) | Link(text):
            return text
        case str():
            return piece
