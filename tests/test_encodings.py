"""Text is UTF-8 wherever this project reads or writes it, whatever the machine's language is."""

import ast
import re

import pytest
from support import ROOT, tracked_files

OTHERS = ("os", "tarfile", "zipfile", "opened", "Image")  # whose `open` takes no encoding
MODES = {"open": "r", "fdopen": "r", "NamedTemporaryFile": "w+b", "TemporaryFile": "w+b"}


def leaves_it_open(call: ast.Call) -> bool:
    """Whether Python takes the encoding of the user's locale for what a call reads or writes.

    It sees what ruff's PLW1514 does not: paths whose type nobody told, and the output of programs.
    """
    given = {one.arg: one.value for one in call.keywords}
    is_method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if is_method else getattr(call.func, "id", "")
    owner = getattr(call.func.value, "id", "") if is_method else ""
    if "encoding" in given:
        return False
    if name in ("read_text", "write_text"):
        before = ("read_text", "write_text").index(name)  # arguments before the encoding
        return is_method and owner != "files" and len(call.args) <= before  # lab.base.files
    if name in MODES and not (name == "open" and owner in OTHERS):
        place = 1 if name == "fdopen" or (name == "open" and not is_method) else 0
        by_place = call.args[place] if len(call.args) > place else ast.Constant(MODES[name])
        mode = ast.unparse(given.get("mode", by_place)).strip("'")
        return bool(re.fullmatch(r"[rwax+t]+", mode))  # what else can be opened has other arguments
    return ast.unparse(given.get("text", ast.Constant(False))) == "True"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(text)", True),
        ("path.write_text(text, encoding='utf-8')", False),
        ("write_text(path, text)", False),  # lab.base.files
        ("open(path)", True),
        ("path.open('w')", True),
        ("path.open('rb')", False),
        ("open(path, 'wb')", False),
        ("os.open(path, flags)", False),
        ("os.fdopen(number, 'w')", True),
        ("NamedTemporaryFile()", False),
        ("NamedTemporaryFile('w')", True),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, capture_output=True)", False),
    ],
)
def test_what_leaves_the_encoding_open(code: str, expected: bool) -> None:
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    assert leaves_it_open(call) == expected


def test_every_text_names_its_encoding() -> None:
    left = [
        f"{name}:{call.lineno}"
        for name in tracked_files()
        if name.endswith(".py")
        for call in ast.walk(ast.parse((ROOT / name).read_bytes()))
        if isinstance(call, ast.Call) and leaves_it_open(call)
    ]

    assert left == []
