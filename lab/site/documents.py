"""The documents as a site has them: the same Markdown, but for links that lead out of it.

The files keep their places, so that a link from one to another is the same at GitHub and here. What
is in the repository and no page becomes a link to the repository, where its address is known, and
text where it is not.
"""

import os
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.base.errors import DataError
from lab.base.files import read_bytes
from lab.base.git import git_entries, git_or_nothing

MAX_BYTES = 2**24
PAGES = ("*.md", "docs/*.md", "lab/README.md", "examples/*/README.md", "metrics/*-card.md")
PICTURES = (".png", ".svg", ".jpg", ".gif", ".webp")
# Pages of docs/ that no group names come last, so that a new one is there without an edit.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Use": ("own-task", "data-checks", "tuning", "tracking", "scaling", "pull-requests"),
    "Read": ("statistics", "glossary"),
    "In use": ("export", "serving", "image", "monitoring", "promotion", "cards"),
    "Measured": ("fair_trial", "speed", "serving-speed", "reliability"),
}
TITLES = {  # where the heading, which is the subject's name, says too little
    "metrics/dataset-card.md": "Dataset card",
    "metrics/model-card.md": "Model card",
}
_AT_GITHUB = "../../"  # of OWNER/NAME/blob/BRANCH: what climbs there is a page of GitHub's
_FENCE = re.compile(r"^ *(```+|~~~+)[^\n]*\n.*?^ *\1[`~]*[ \t]*(?:\n|\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<badge>\[!\[[^\]]*\]\([^)\s]*\)\]\([^)\s]*\)\n?)"
    r"|(?P<bang>!?)\[(?P<text>(?:[^\[\]`]|`[^`]*`)*)\]\((?P<target>[^)\s]+)\)"
    r"|(?P<tag><img [^>]*?src=\")(?P<source>[^\"]+)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Site:
    """What a site is made of, by paths below the repository's root.

    Args:
        pages: Markdown, as the site has it.
        pictures: that the pages show or lead to.
        groups: the pages in the order of the navigation, by title.
    """

    pages: Mapping[str, str]
    pictures: frozenset[str]
    groups: Mapping[str, list[str]]


@dataclass
class _Links:
    """Rewrites the links of one page, and remembers the pictures that it shows."""

    root: Path
    place: str
    pages: frozenset[str]
    address: str
    pictures: set[str] = field(default_factory=set)

    def replaced(self, found: re.Match[str]) -> str:
        if found["code"] or found["badge"]:
            is_from_github = found["badge"] and f"]({_AT_GITHUB}" in found["badge"]
            return "" if is_from_github else found[0]  # a badge is loaded from another site
        if found["tag"]:
            self._picture(found["source"])
            return found[0]
        if found["bang"]:
            self._picture(found["target"])
            return found[0]
        if _is_absolute(found["target"]):
            return found[0]
        target, _, anchor = found["target"].partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.place), target))
        if not target or path in self.pages:
            return found[0]
        if path.lower().endswith(PICTURES) and (self.root / path).is_file():
            self.pictures.add(path)
            return found[0]
        outside = self._outside(path, target)
        hash_anchor = f"#{anchor}" if anchor else ""
        return f"[{found['text']}]({outside}{hash_anchor})" if outside else found["text"]

    def _outside(self, path: str, target: str) -> str:
        """The address of what is no page; nothing where the repository's is not known."""
        if path.startswith(_AT_GITHUB):
            return f"{self.address}/{path.removeprefix(_AT_GITHUB)}" if self.address else ""
        if path.startswith("..") or not (self.root / path).exists():
            raise self._dead(target)
        kind = "tree" if (self.root / path).is_dir() else "blob"
        return f"{self.address}/{kind}/HEAD/{path}" if self.address else ""

    def _picture(self, source: str) -> None:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.place), source))
        is_there = not path.startswith("..") and (self.root / path).is_file()
        if _is_absolute(source) or not is_there or not path.lower().endswith(PICTURES):
            raise self._dead(source)
        self.pictures.add(path)

    def _dead(self, target: str) -> DataError:
        return DataError(
            f"{self.place}: a link must lead to a file of the repository, a picture to one of its "
            f"pictures; got {target}; correct it"
        )


def collected(root: Path, address: str) -> Site:
    """The documents of a repository, read and their links rewritten.

    Args:
        root: of the repository; of a folder without git, all files that are there.
        address: of the repository at GitHub, such as https://github.com/o/n; empty: not known.

    Raises:
        DataError: a link leads nowhere, or a document is no UTF-8.
    """
    names = frozenset(_names(root))
    pages, pictures = {}, set[str]()
    for name in sorted(names):
        links = _Links(root, name, names, address)
        pages[name] = rewritten(_text(root / name), links.replaced)
        pictures |= links.pictures
    return Site(pages, frozenset(pictures), grouped(names))


def rewritten(text: str, replaced: Callable[[re.Match[str]], str]) -> str:
    r"""Markdown with its links replaced; what stands in code stays.

    >>> rewritten("[a](b) `[c](d)`\n```\n[e](f)\n```\n", lambda found: found["code"] or "LINK")
    'LINK `[c](d)`\n```\n[e](f)\n```\n'
    """
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(replaced, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(replaced, text[end:])])


def grouped(names: frozenset[str]) -> dict[str, list[str]]:
    """The pages by the titles of the navigation, each in one place.

    >>> grouped(frozenset({"README.md", "docs/export.md", "docs/new.md", "SECURITY.md"}))
    {'': ['README.md'], 'In use': ['docs/export.md'], 'Project': ['SECURITY.md', 'docs/new.md']}
    """
    places = {title: [f"docs/{name}.md" for name in group] for title, group in GROUPS.items()}
    places["Cards"] = sorted(name for name in names if name.startswith("metrics/"))
    places["Examples"] = sorted(name for name in names if name.startswith("examples/"))
    named = {"README.md", *(name for group in places.values() for name in group)}
    places["Project"] = sorted(names - named)
    places = {"": ["README.md"], **places}
    kept = {title: [name for name in group if name in names] for title, group in places.items()}
    return {title: group for title, group in kept.items() if group}


def address(environment: Mapping[str, str] = os.environ) -> str:
    """Of this repository at GitHub: as a workflow has it, else as git's `origin` does; or nothing.

    >>> address({"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/n"})
    'https://github.com/o/n'
    """
    server, name = (environment.get(f"GITHUB_{n}", "") for n in ("SERVER_URL", "REPOSITORY"))
    if server and name:
        return f"{server}/{name}"
    return _at_github(git_or_nothing("remote", "get-url", "origin"))


def _at_github(remote: str) -> str:
    """As a browser opens it.

    >>> _at_github("git@github.com:o/n.git"), _at_github("https://user:secret@github.com/o/n")
    ('https://github.com/o/n', 'https://github.com/o/n')
    >>> _at_github("/srv/git/project")
    ''
    """
    found = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", remote.strip())
    return f"https://github.com/{found[1]}" if found else ""


def _names(root: Path) -> list[str]:
    """The pages; in a clone those that git has or could have, so that no note becomes public."""
    found = [path.relative_to(root).as_posix() for glob in PAGES for path in root.glob(glob)]
    if not (root / ".git").exists():
        return found
    known = {*git_entries(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")}
    return [name for name in found if name in known]


def _text(path: Path) -> str:
    try:
        return read_bytes(path, MAX_BYTES).decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: must be UTF-8; got other bytes; save it as UTF-8") from None


def _is_absolute(target: str) -> bool:
    return re.match(r"[a-z][a-z+.-]*:|//", target) is not None
