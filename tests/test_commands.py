"""Every command that a document or a message of this project names is one that can be given."""

import ast
import functools
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.cli import parse_args
from support import PATIENCE_SECONDS, ROOT, tracked_files

SHELL = {"cd", "export", "openssl", "rm", "sed", "umask"}
ELSEWHERE = {"cml", "hf", "ray"}  # not installed with this project
KNOWN = {"dvc", "git", "make", "mlflow", "pre-commit", "python", "source"} | SHELL | ELSEWHERE
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def texts() -> Iterator[str]:
    """The documents, and what the code says; the changelog names what was."""
    for name in tracked_files():
        if name.endswith(".md") and not name.startswith(("CHANGELOG", "tests/")):
            yield (ROOT / name).read_text(encoding="utf-8")
        elif re.fullmatch(r"((lab|benchmarks)/.*|\w+)\.py", name):
            yield from strings(ast.parse((ROOT / name).read_bytes()))


def strings(tree: ast.AST) -> Iterator[str]:
    """Docstrings and messages; what a program puts into one is an X."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                getattr(part, "value", "X") if is_text(part) else "X" for part in node.values
            )
        elif is_text(node):
            yield node.value


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def commands(text: str) -> Iterator[str]:
    """What stands in consoles and scripts, and in `code` that begins with a program."""
    for language, block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if language == "bash" or (language == "console" and line.startswith("$ ")):
                yield from re.split(r" && |; ", line.partition("  #")[0].removeprefix("$ "))
    for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)):
        words = " ".join(code.split()).removeprefix("time ")
        if " " in words and words.split()[0] in KNOWN:
            yield from words.split(" && ")


def given() -> list[str]:
    found = {" ".join(one.strip("() ").split()) for text in texts() for one in commands(text)}
    return sorted(one for one in found if one)


@functools.cache
def said(*command: str) -> str:
    """What a command prints that only shows how it is used."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PATH": path, "COLUMNS": "200"}, encoding="utf-8",
        capture_output=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 129), done.stdout + done.stderr  # git's, of -h
    return done.stdout + done.stderr


def has_options(words: list[str], help_text: str) -> None:
    for word in words:
        if word.startswith("--"):
            name = word.partition("=")[0].removeprefix("--")
            assert re.search(rf"--(\[no-\])?{name}\b", help_text), (word, help_text)


@pytest.mark.parametrize("command", given())
def test_a_command_that_is_named_can_be_given(command):
    program, *words = shlex.split(re.sub(r" >.*|<\w+>", "", command))
    match program:
        case "make":
            said("make", "--dry-run", *(word for word in words if word != "NAME=..."))
        case "dvc" if words != ["X"]:
            with pytest.raises(SystemExit, match=r"^0$"):
                parse_args([*words[:1], "--help"])
            if words != ["plots"]:  # a group of commands
                parse_args(words)
        case "git":
            assert words[0] in said("git", "--list-cmds=main").split()
            if words[0] != "log":  # which tells of the fewest of its options
                has_options(words, said("git", words[0], "-h"))
        case "python":
            assert words[0] == "-m" or (ROOT / words[0]).is_file()
        case "source":
            assert words == [".venv/bin/activate"]


PROGRAMS = sorted(
    {
        command
        for command in given()
        if command.startswith(("python ", "mlflow ", "pre-commit ")) and "NAME" not in command
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("command", PROGRAMS)
def test_a_program_knows_the_options_that_are_named(command):
    """Scripts, modules and benchmarks start, and say how they are used."""
    program, *words = shlex.split(re.sub(r" >.*|<\w+>", "", command))
    parts = list(itertools.takewhile(lambda word: not word.startswith("--"), words))
    named = {"python": 2 if words[0] == "-m" else 1, "mlflow": 2, "pre-commit": 1}[program]
    if parts[1:2] == ["tests.module_list"]:
        return
    has_options(words, said(program, *parts[:named], "--help"))


def test_a_dry_run_of_make_runs_nothing():
    """A line of a recipe that has $(MAKE) in it is run all the same."""
    recipes = (ROOT / "Makefile").read_text(encoding="utf-8")
    run = [line for line in recipes.splitlines() if line.startswith("\t") and "$(MAKE)" in line]

    assert all(re.match(r"\t@\$\(MAKE\) [^&|;]*$", line) for line in run), run
