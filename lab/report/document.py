r"""A page as values, and its two writings: GitHub's Markdown and self-contained HTML.

A page is made of blocks, blocks of pieces. A plain `str` is prose written in this project; `Data`
is a string that somebody else chose. Each writing has one function through which every piece
passes, so nothing in a pull request can become markup, a link, a mention or a picture:

- Markdown: `Data` stands in a code span, where GitHub links, mentions and expands nothing, and
  what could end the span or act elsewhere is shown as an escape such as `\x60`.
- HTML: the five special characters become entities.
"""

import base64
import html
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LONGEST_SHOWN = 160  # characters of one piece of data, once escaped

# In a code span: ends it, splits a table's cell, or is markup where a reader is less careful.
_ESCAPED_IN_DATA = frozenset("`|<>&$")
_ESCAPED_IN_PROSE = frozenset("\\`*_[]<>|&$#~@")


@dataclass(frozen=True)
class Data:
    """A string from a pull request, a file or an option: shown, never interpreted."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Prose that must not be overlooked."""

    text: str


@dataclass(frozen=True)
class Link:
    """Prose that leads to an address; the address must have passed `notes`' pattern."""

    text: str
    address: str


Piece = str | Data | Strong | Link
Line = Sequence[Piece]


def say(template: str, *pieces: Piece) -> Line:
    """A line of prose with pieces in the places of `{}`.

    >>> say("{} is new.", Data("wide"))
    [Data(text='wide'), ' is new.']
    """
    texts = template.split("{}")
    mixed = [part for pair in zip(texts, [*pieces, ""], strict=True) for part in pair]
    return [part for part in mixed if part != ""]


@dataclass(frozen=True)
class Heading:
    """Opens a part of the page."""

    text: str


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


def shortened(page: Page, rows: int, folded: int, remark: Line) -> Page:
    """The page with at most so many entries in each list, and so many in each folded one.

    Each cut says how much is missing, and `remark` ends a page that was cut.
    """
    blocks = [_shortened(block, rows, folded) for block in page.blocks]
    if blocks == list(page.blocks):
        return page
    return Page(page.marker, page.title, [*blocks, Paragraph(remark)])


def _shortened(block: Block, rows: int, folded: int) -> Block:
    match block:
        case Bullets(lines) if len(lines) > rows:
            return Bullets([*lines[:rows], _more(len(lines) - rows)])
        case Table(header, entries) if len(entries) > rows:
            last = [_more(len(entries) - rows), *([[""]] * (len(header) - 1))]
            return Table(header, [*entries[:rows], last], block.numbers)
        case Folded(summary, blocks):
            return Folded(summary, [_shortened(child, folded, folded) for child in blocks])
        case _:
            return block


def _more(count: int) -> Line:
    return [f"… and {count:,} more"]


def visible(text: str, escaped: frozenset[str] = frozenset()) -> str:
    r"""The text on one line with nothing hidden in it, shortened to what a reader takes in.

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

    >>> plain([Strong("improved"), ": ", Data("a\x1b[31m")])
    'improved: a\\x1b[31m'
    """
    return "".join(
        visible(piece.text)
        if isinstance(piece, Data)
        else piece
        if isinstance(piece, str)
        else piece.text
        for piece in line
    )


# --- Markdown ------------------------------------------------------------------------------------


def markdown(page: Page, pictures: str | None) -> str:
    """The page in GitHub's Markdown.

    Args:
        page: what to write.
        pictures: what stands before a picture's file name (`""` beside the file, or an address);
            None leaves the pictures out.
    """
    parts = [f"<!-- {page.marker} -->"]
    for block in page.blocks:
        parts += _markdown_block(block, pictures)
    return "\n\n".join(parts) + "\n"


def _markdown_block(block: Block, pictures: str | None) -> list[str]:
    match block:
        case Heading(text):
            return [f"### {_markdown_prose(text)}"]
        case Paragraph(line):
            return [_markdown_line(line)]
        case Bullets(lines):
            return ["\n".join(f"- {_markdown_line(line)}" for line in lines)]
        case Table():
            return [_markdown_table(block)]
        case Preformatted(lines):
            return ["\n".join(["```text", *(_fenced(line) for line in lines), "```"])]
        case Picture():
            return [] if pictures is None else [_markdown_picture(block, pictures)]
        case Folded(summary, blocks):
            inner = [part for child in blocks for part in _markdown_block(child, pictures)]
            opening = f"<details><summary>{html.escape(summary)}</summary>"
            return [opening, *inner, "</details>"]


def _markdown_line(line: Line) -> str:
    return "".join(_markdown_piece(piece) for piece in line)


def _markdown_piece(piece: Piece) -> str:
    """The one way of a piece into Markdown."""
    match piece:
        case Data(text):
            shown = visible(text, _ESCAPED_IN_DATA)
            return f"`{shown}`" if shown.strip() else "(empty)"
        case Strong(text):
            return f"**{_markdown_prose(text)}**"
        case Link(text, address):
            return f"[{_markdown_prose(text)}]({address})"
        case str():
            return _markdown_prose(piece)


def _markdown_prose(text: str) -> str:
    return "".join(f"\\{char}" if char in _ESCAPED_IN_PROSE else char for char in text)


def _fenced(line: str) -> str:
    return line.replace("`", "'")


def _markdown_table(table: Table) -> str:
    rules = ["---:" if name in table.numbers else "---" for name in table.header]
    rows = [
        [_markdown_prose(name) for name in table.header],
        rules,
        *([_markdown_line(cell) for cell in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _markdown_picture(picture: Picture, before: str) -> str:
    query = "?raw=true" if before.startswith("https://github.com/") else ""
    light, dark = (f"{before}{name}{query}" for name in file_names(picture.name))
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="700" alt="{html.escape(picture.alternative)}"></picture>'
    )


def file_names(picture: str) -> tuple[str, str]:
    """The files of a picture's light and dark variants."""
    return f"{picture}.png", f"{picture}-dark.png"


# --- HTML ----------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --page: #ffffff; --line: #d1d9e0;
  --soft: #59636e; --code: #f6f8fa; --link: #0969da; }
@media (prefers-color-scheme: dark) { :root { --text: #f0f6fc; --page: #0d1117; --line: #3d444d;
  --soft: #9198a1; --code: #151b23; --link: #4493f8; } }
body { color: var(--text); background: var(--page); max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 1.8rem 0 .6rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left;
  vertical-align: top; }
th { background: var(--code); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
code, pre { font: .88rem/1.35 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  background: var(--code); border-radius: 4px; }
code { padding: .1rem .3rem; overflow-wrap: anywhere; }
td code { overflow-wrap: normal; }
pre { padding: .7rem 1rem; overflow-x: auto; }
img { max-width: 100%; width: 700px; height: auto; display: block; margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; }
details { margin: .6rem 0; padding: .3rem .8rem; border: 1px solid var(--line);
  border-radius: 6px; }
a { color: var(--link); }
"""


def hypertext(page: Page, pictures: Mapping[str, bytes]) -> str:
    """The page as one HTML file that needs no other: no script, no address but its links.

    Args:
        page: what to write.
        pictures: PNG bytes by file name; a picture that is not among them is left out.
    """
    body = "\n".join(_html_block(block, pictures) for block in page.blocks)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        "<!doctype html>\n"
        f"<!-- {page.marker} -->\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(page.title)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body>\n<h1>{html.escape(page.title)}</h1>\n{body}\n</body></html>\n"
    )


def _html_block(block: Block, pictures: Mapping[str, bytes]) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Paragraph(line):
            return f"<p>{_html_line(line)}</p>"
        case Bullets(lines):
            return f"<ul>{''.join(f'<li>{_html_line(line)}</li>' for line in lines)}</ul>"
        case Table():
            return _html_table(block)
        case Preformatted(lines):
            return f"<pre>{html.escape(chr(10).join(lines))}</pre>"
        case Picture():
            return _html_picture(block, pictures)
        case Folded(summary, blocks):
            inner = "\n".join(_html_block(child, pictures) for child in blocks)
            return f"<details><summary>{html.escape(summary)}</summary>\n{inner}\n</details>"


def _html_line(line: Line) -> str:
    return "".join(_html_piece(piece) for piece in line)


def _html_piece(piece: Piece) -> str:
    """The one way of a piece into HTML."""
    match piece:
        case Data(text):
            shown = visible(text)
            return f"<code>{html.escape(shown)}</code>" if shown.strip() else "(empty)"
        case Strong(text):
            return f"<strong>{html.escape(text)}</strong>"
        case Link(text, address):
            return f'<a href="{html.escape(address)}">{html.escape(text)}</a>'
        case str():
            return html.escape(piece)


def _html_table(table: Table) -> str:
    def row(tag: str, cells: Iterable[str]) -> str:
        written = []
        for name, cell in zip(table.header, cells, strict=True):
            kind = ' class="number"' if name in table.numbers else ""
            written.append(f"<{tag}{kind}>{cell}</{tag}>")
        return f"<tr>{''.join(written)}</tr>"

    head = row("th", map(html.escape, table.header))
    body = "\n".join(row("td", map(_html_line, cells)) for cells in table.rows)
    return f'<div class="table"><table><thead>{head}</thead>\n<tbody>{body}</tbody></table></div>'


def _html_picture(picture: Picture, pictures: Mapping[str, bytes]) -> str:
    files = [pictures.get(name) for name in file_names(picture.name)]
    if None in files:
        return ""
    light, dark = (
        f"data:image/png;base64,{base64.b64encode(content or b'').decode()}" for content in files
    )
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{html.escape(picture.alternative)}"></picture>'
    )
