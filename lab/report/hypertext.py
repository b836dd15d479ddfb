"""A page as one HTML file that needs no other; special characters become entities."""

import base64
import html
from collections.abc import Iterable, Mapping

from lab.report import document as doc
from lab.report.document import Line, Page, Piece, visible

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
        pictures: PNG bytes by file name; a picture whose light variant is missing is left out.
    """
    body = "\n".join(_block(block, pictures) for block in page.blocks)
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


def _block(block: doc.Block, pictures: Mapping[str, bytes]) -> str:
    match block:
        case doc.Heading(line):
            return f"<h2>{_line(line)}</h2>"
        case doc.Paragraph(line):
            return f"<p>{_line(line)}</p>"
        case doc.Bullets(lines):
            return f"<ul>{''.join(f'<li>{_line(line)}</li>' for line in lines)}</ul>"
        case doc.Table():
            return _table(block)
        case doc.Preformatted(lines):
            return f"<pre>{html.escape(chr(10).join(lines))}</pre>"
        case doc.Picture():
            return _picture(block, pictures)
        case doc.Folded(summary, blocks):
            inner = "\n".join(_block(child, pictures) for child in blocks)
            return f"<details><summary>{html.escape(summary)}</summary>\n{inner}\n</details>"


def _line(line: Line) -> str:
    return "".join(_piece(piece) for piece in line)


def _piece(piece: Piece) -> str:
    """The one way of a piece into HTML."""
    match piece:
        case doc.Untrusted(text):
            shown = visible(text)
            return f"<code>{html.escape(shown)}</code>" if shown.strip() else "(empty)"
        case doc.Strong(text):
            return f"<strong>{html.escape(text)}</strong>"
        case doc.Link(text, address):
            return f'<a href="{html.escape(address)}">{html.escape(text)}</a>'
        case str():
            return html.escape(piece)


def _table(table: doc.Table) -> str:
    def row(tag: str, cells: Iterable[str]) -> str:
        written = []
        for name, cell in zip(table.header, cells, strict=True):
            kind = ' class="number"' if name in table.numbers else ""
            written.append(f"<{tag}{kind}>{cell}</{tag}>")
        return f"<tr>{''.join(written)}</tr>"

    head = row("th", map(html.escape, table.header))
    body = "\n".join(row("td", map(_line, cells)) for cells in table.rows)
    return f'<div class="table"><table><thead>{head}</thead>\n<tbody>{body}</tbody></table></div>'


def _picture(picture: doc.Picture, pictures: Mapping[str, bytes]) -> str:
    light, dark = (
        f"data:image/png;base64,{base64.b64encode(pictures[name]).decode()}"
        if name in pictures
        else ""
        for name in picture.files
    )
    if not light:
        return ""
    image = f'<img src="{light}" alt="{html.escape(picture.alternative)}">'
    if not dark:
        return image
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
    return f"<picture>{source}{image}</picture>"
