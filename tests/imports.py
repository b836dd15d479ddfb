"""Which files of this repository a file imports, read from its syntax."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support import ROOT


def imported(file: Path) -> set[Path]:
    """The files of ours that a file imports itself, at its top or inside functions."""
    return {found for name in _names(file) if (found := _file(name))}


def reached(files: set[Path]) -> set[Path]:
    """The files of ours that some files import, directly or through others."""
    found: set[Path] = set()
    new = files
    while new:
        new = {each for file in new for each in imported(file)} - found
        found |= new
    return found


def _names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(name: str) -> Path | None:
    """The module's file, or its package's; None of what is not ours."""
    place = ROOT.joinpath(*name.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None
