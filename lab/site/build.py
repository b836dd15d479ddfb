"""`make site` builds the documents as a site, strictly; `make docs` shows it and follows edits.

Run by the Python of `.venv/docs`, which has zensical; of this project's packages it needs none.
"""

import argparse
import contextlib
import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab.base.errors import DataError, LabError, shortened
from lab.base.script import run_script
from lab.site.documents import TITLES, Site, address, collected
from lab.site.links import faults

SITE = Path("site")
TITLE = "fair-trial"
SETTINGS = Path(__file__).with_name("zensical.toml")
UNUSED = ("404.html", "sitemap.xml", "objects.inv")  # know the address of a site, which nobody told
MOST_NAMED = 10  # faults
MOST_SAID = 1_000  # characters
WARNING = "Warning:"
COLOURS = re.compile(r"\x1b\[[\d;]*m")
LOOK_SECONDS = 1.0  # between two looks at whether a document was edited
HOST = "127.0.0.1"


def main() -> None:
    """Builds the site, or shows it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", metavar="PORT", help="show it; 0: on a port that is free")
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments.serve)
        return
    started = time.perf_counter()
    pages = build(Path(), SITE)
    print(f"{pages} pages in {SITE}/ ({time.perf_counter() - started:.1f} s)")


def build(root: Path, target: Path) -> int:
    """Builds the site, whole or not at all, and counts its pages.

    Raises:
        DataError: a document has a link that leads nowhere, or a picture that is not there.
        LabError: zensical is not installed, or fails.
    """
    documents = collected(root, address())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(documents, root, folder)
        said = run_zensical(folder)
        built = folder / "site"
        for unused in UNUSED:
            (built / unused).unlink(missing_ok=True)
        if found := list(faults(built)):
            more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            raise DataError(
                f"{len(found)} links are dead: {'; '.join(found[:MOST_NAMED])}{more}; correct them"
            )
        if WARNING in said:  # of what is no link
            raise DataError(f"zensical: {shortened(said, MOST_SAID)}; correct it")
        put(built, target)
    return len(documents.pages)


def lay_out(documents: Site, root: Path, folder: Path) -> None:
    """Writes what zensical reads."""
    for name, text in documents.pages.items():
        place = folder / "pages" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    for name in documents.pictures:
        place = folder / "pages" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, place)
    navigation = ", ".join(
        f"{{{json.dumps(title)} = [{entries(group)}]}}" if title else entries(group)
        for title, group in documents.groups.items()
    )
    head = f"[project]\nsite_name = {json.dumps(TITLE)}\nnav = [{navigation}]\n"
    settings = head + SETTINGS.read_text(encoding="utf-8")
    (folder / "zensical.toml").write_text(settings, encoding="utf-8")


def entries(group: Sequence[str]) -> str:
    """Pages of the navigation, as TOML; without a title it is the page's first heading.

    >>> entries(["docs/export.md", "metrics/model-card.md"])
    '"docs/export.md", {"Model card" = "metrics/model-card.md"}'
    """
    return ", ".join(
        f"{{{json.dumps(TITLES[name])} = {json.dumps(name)}}}" if name in TITLES
        else json.dumps(name)
        for name in group
    )  # fmt: skip


def run_zensical(folder: Path) -> str:
    """Builds what is laid out there; returns what it says. Its strict mode ends in a traceback.

    Raises:
        LabError: it is not installed, or fails.
    """
    ran = subprocess.run(
        [sys.executable, "-m", "zensical", "build"], cwd=folder, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
    )  # fmt: skip
    said = COLOURS.sub("", ran.stdout)
    if "No module named zensical" in said:
        raise LabError("zensical: is not installed for this Python; run `make site`")
    if ran.returncode:
        raise LabError(f"zensical: cannot build the site: {shortened(said, MOST_SAID)}")
    return said


def put(built: Path, target: Path) -> None:
    """Puts a built site where the old one is; who reads sees one of them whole, or none."""
    beside, old = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    for left in (beside, old):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(built, beside)
    if target.exists():
        target.rename(old)
    beside.rename(target)
    shutil.rmtree(old, ignore_errors=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, of which none is kept by a browser, and logs no request."""

    def end_headers(self) -> None:
        """Adds that the file may be another one the next time."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def serving(folder: Path, port: int) -> Iterator[str]:
    """Serves a folder to this machine alone; yields its address.

    Raises:
        OSError: the port cannot be used.
    """
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((HOST, port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()


def serve(text: str) -> None:
    """Shows the site until interrupted, and builds it again when a document was edited.

    Raises:
        LabError: the port is none or in use, or the first build fails.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65_536):
        raise LabError(
            f"PORT: a port is a number from 0 to 65535; got {shortened(repr(text), 60)}; correct it"
        )
    seen = stamps()
    build(Path(), SITE)
    try:
        with serving(SITE.resolve(), int(text)) as page:
            print(f"the documents: {page} (Ctrl-C ends it)", flush=True)
            while True:
                time.sleep(LOOK_SECONDS)
                if (now := stamps()) != seen:
                    seen = now
                    rebuild()
    except OSError as error:
        raise LabError(
            f"PORT: port {text} cannot be used ({error.strerror}); use another: make docs PORT=0"
        ) from None


def rebuild() -> None:
    """Builds again; what is wrong is said, and the old pages stay."""
    try:
        print(f"built again: {build(Path(), SITE)} pages", flush=True)
    except LabError as error:
        print(error, file=sys.stderr, flush=True)


def stamps() -> dict[str, int]:
    """When each document, and what it shows, was last written."""
    found: dict[str, int] = {}
    for glob in ("*.md", "docs/**/*", "lab/*.md", "examples/*/*.md", "metrics/*"):
        for path in Path().glob(glob):
            with contextlib.suppress(OSError):  # it was just removed
                found[str(path)] = path.stat().st_mtime_ns
    return found


if __name__ == "__main__":
    run_script(main)
