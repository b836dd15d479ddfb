r"""A page in GitHub's Markdown.

`Untrusted` text stands in a code span, where GitHub links, mentions and expands nothing, and what
could end the span or act elsewhere is shown as an escape such as `\x60`.
"""

import html
from collections.abc import Iterable

from lab.report import document as doc
from lab.report.document import Line, Page, Piece, visible

# In a code span: ends it, splits a table's cell, or is markup where a reader is less careful.
_ESCAPED_IN_CODE = frozenset("`|<>&$")
_ESCAPED_IN_PROSE = frozenset("\\`*_[]<>|&$#~@")


def markdown(page: Page, pictures: str | None) -> str:
    """The page in GitHub's Markdown.

    Args:
        page: what to write.
        pictures: what stands before a picture's file name (`""` beside the file, or an address);
            None leaves the pictures out.
    """
    return f"<!-- {page.marker} -->\n\n{blocks(page.blocks, pictures)}\n"


def blocks(given: Iterable[doc.Block], pictures: str | None) -> str:
    """Blocks alone, for a page that is made of several parts; `pictures` as in `markdown`."""
    return "\n\n".join(part for block in given for part in _block(block, pictures))


def paragraphs(lines: Iterable[Line]) -> str:
    """Lines alone, each a paragraph, for where a page is too much."""
    return "\n\n".join(map(_line, lines))


def _block(block: doc.Block, pictures: str | None) -> list[str]:
    match block:
        case doc.Heading(line):
            return [f"### {_line(line)}"]
        case doc.Paragraph(line):
            return [_line(line)]
        case doc.Bullets(lines):
            return ["\n".join(f"- {_line(line)}" for line in lines)]
        case doc.Table():
            return [_table(block)]
        case doc.Preformatted(lines):
            return ["\n".join(["```text", *(_fenced(line) for line in lines), "```"])]
        case doc.Picture():
            return [] if pictures is None else [_picture(block, pictures)]
        case doc.Folded(summary, blocks):
            inner = [part for child in blocks for part in _block(child, pictures)]
            opening = f"<details><summary>{html.escape(summary)}</summary>"
            return [opening, *inner, "</details>"]


def _line(line: Line) -> str:
    return "".join(_piece(piece) for piece in line)


def _piece(piece: Piece) -> str:
    """The one way of a piece into Markdown."""
    match piece:
        case doc.Untrusted(text):
            shown = visible(text, _ESCAPED_IN_CODE)
            return f"`{shown}`" if shown.strip() else "(empty)"
        case doc.Strong(text):
            return f"**{_prose(text)}**"
        case doc.Link(text, address):
            return f"[{_prose(text)}]({address})"
        case str():
            return _prose(piece)


def _prose(text: str) -> str:
    return "".join(f"\\{char}" if char in _ESCAPED_IN_PROSE else char for char in text)


def _fenced(line: str) -> str:
    return line.replace("`", "'")


def _table(table: doc.Table) -> str:
    rules = ["---:" if name in table.numbers else "---" for name in table.header]
    rows = [
        [_prose(name) for name in table.header],
        rules,
        *([_line(cell) for cell in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _picture(picture: doc.Picture, before: str) -> str:
    query = "?raw=true" if "/blob/" in before else ""  # GitHub's page of a file, on any server
    light, dark = (f"{before}{name}{query}" for name in picture.files)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="700" alt="{html.escape(picture.alternative)}"></picture>'
    )
