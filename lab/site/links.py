"""What is wrong with a built site: dead links and anchors, missing files, files of other sites."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = ("src", "srcset", "poster", "data")  # a browser fetches these by itself
FETCHED = ("stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch")
_CSS_ADDRESS = re.compile(r"(?:url\(|@import)\s*[\"']?\s*((?:https?:)?//[^\"')\s]+)")


@dataclass
class Read:
    """What a page has: names that anchors lead to, links, and what it loads."""

    names: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.read = Read()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.read.names |= {given[name] for name in ("id", "name") if name in given}
        if "href" in given:
            is_fetched = tag == "link" and any(word in given.get("rel", "") for word in FETCHED)
            (self.read.loaded if is_fetched else self.read.links).append(given["href"])
        for name in LOADED:
            if name in given and (name != "data" or tag == "object"):
                self.read.loaded += [
                    part.split()[0]
                    for part in (given[name].split(",") if name == "srcset" else [given[name]])
                    if part.split()
                ]
        self.read.loaded += _CSS_ADDRESS.findall(given.get("style", ""))


def read_page(text: str) -> Read:
    """What an HTML page has.

    >>> read_page('<h1 id="a">A</h1><a href="b.html#c">B</a><img src="d.png">')
    Read(names={'a'}, links=['b.html#c'], loaded=['d.png'])
    """
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.read


def faults(site: Path) -> Iterator[str]:
    """Each thing that is wrong with a built site, in a line that names the page."""
    pages = {
        path.relative_to(site).as_posix(): read_page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }
    for name, page in pages.items():
        for target in dict.fromkeys(page.loaded):
            if urlsplit(target).scheme == "data":
                continue
            if urlsplit(target).netloc:
                yield f"{name}: loads {target} from another site"
            elif not (site / _path(name, target)).is_file():
                yield f"{name}: {target} is missing"
        for target in dict.fromkeys(page.links):
            yield from _dead(site, pages, name, target)
    for path in sorted(site.rglob("*.css")):
        for target in _CSS_ADDRESS.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site).as_posix()}: loads {target} from another site"


def _dead(site: Path, pages: dict[str, Read], name: str, target: str) -> Iterator[str]:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return
    path = _path(name, target)
    if (site / path).is_dir():
        path = posixpath.join(path, "index.html").removeprefix("./")
    anchor = unquote(parts.fragment)
    if not (site / path).is_file():
        yield f"{name}: a link to {target}, which is not there"
    elif anchor and path in pages and anchor not in pages[path].names:
        yield f"{name}: a link to {target}, where nothing is called #{anchor}"


def _path(name: str, target: str) -> str:
    """Where a link of a page leads, below the site's root.

    >>> _path("docs/a.html", "../b.html#c"), _path("docs/a.html", "#c"), _path("a.html", ".")
    ('b.html', 'docs/a.html', '.')
    """
    path = unquote(urlsplit(target).path)
    if not path:
        return name
    if path.startswith("/"):  # of the server, where the site may lie in a folder
        return f"../{path}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
