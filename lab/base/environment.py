"""Whether `.venv` works where it lies, and whether one can be made there: asked by the Makefile.

A virtual environment has its place in its scripts, and the version of its Python in its folders.
One that was moved or copied with its project runs another one's scripts, or none. Nothing but the
standard library is there yet, and Python may be too old: it must be able to read this file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NEEDED = (3, 11)
REFUSED = ':"$`\\\n'  # the first ends a folder in PATH, the others mean something to `activate`


def is_made_here(folder: Path, version: str) -> bool:
    """Whether Python made the environment in this folder, or in the one that is linked here.

    Args:
        folder: of the environment.
        version: of the Python that its link leads to now, such as `3.11`.
    """
    # https://docs.python.org/3.11/library/venv.html: `pyvenv.cfg` has the command that made it.
    lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    settings = {key: value for key, _, value in (line.partition(" = ") for line in lines)}
    places = {os.path.abspath(folder), os.path.realpath(folder)}  # noqa: PTH100
    is_here = settings.get("command", "").endswith(tuple(f" {place}" for place in places))
    return is_here and settings.get("version", "").startswith(f"{version}.")


def objection(place: str, version: tuple[int, ...]) -> str:
    """Why no environment can be made in a folder by a version of Python; empty if it can.

    >>> objection("/home/me: and you/lab", (3, 11, 7))
    "the project's path must not contain ':'; got '/home/me: and you/lab'; move it"
    """
    if version < NEEDED:
        got = ".".join(map(str, version[:3]))
        return f"Python {NEEDED[0]}.{NEEDED[1]} or newer is needed; got {got}; set PYTHON="
    if any("\udc80" <= sign <= "\udcff" for sign in place):
        return f"the project's path must be UTF-8; got {os.fsencode(place)!r}; move it"
    for sign in REFUSED:
        if sign in place and not (sign in ":\\" and os.name == "nt"):
            return f"the project's path must not contain {sign!r}; got {place!r}; move it"
    return ""


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        sys.exit(objection(os.getcwd(), sys.version_info[:3]) or 0)  # noqa: PTH109
    print(is_made_here(Path(".venv"), f"{sys.version_info[0]}.{sys.version_info[1]}"))
