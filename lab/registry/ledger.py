"""`registry.json`: what the tags say, as a file that git keeps, in commits of this file alone."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lab.base import gto
from lab.base.errors import DataError
from lab.base.files import write_text
from lab.base.git import GitError, git, git_bytes
from lab.base.records import Record, read_record
from lab.registry.history import FETCH
from lab.registry.promotion import Promotion

LEDGER = Path(gto.LEDGER)
MAX_BYTES = 2**26
REMEDY = f"it is written by promote.py: `git checkout {LEDGER}`"


class Ledger(Record):
    """The whole file."""

    schema_version: Literal[1]
    steps: list[Promotion]


def text(steps: Sequence[Promotion]) -> str:
    """The file's content."""
    tree = {"schema_version": 1, "steps": [one.model_dump() for one in steps]}
    return json.dumps(tree, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def check(root: Path, steps: Sequence[Promotion]) -> None:
    """Holds the file against the tags; it may be behind them.

    Raises:
        DataError: it is damaged, was edited, or knows more than the tags that are here.
    """
    if not (root / LEDGER).exists():
        return
    said = read_record(root / LEDGER, Ledger, MAX_BYTES, REMEDY).steps
    for place, one in enumerate(said):
        if place == len(steps):
            raise DataError(
                f"{LEDGER}: steps.{place}: must have its tag; got no {one.tag}; run {FETCH}"
            )
        if one != steps[place]:
            raise DataError(f"{LEDGER}: steps.{place}: must be as tag {one.tag} says; got "
                            f"something else; {REMEDY}")  # fmt: skip


def branch(root: Path) -> str:
    """The branch that HEAD is on.

    Raises:
        DataError: it is on none.
    """
    try:
        return git(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    except GitError:
        raise DataError(
            f"HEAD: must be on a branch, where {LEDGER} is committed; got a detached one; "
            "run `git switch`"
        ) from None


def commit(root: Path, steps: Sequence[Promotion]) -> str:
    """Commits the file on this branch, if that lacks some of it; the commit, or nothing.

    Nothing else is committed, and what is staged stays staged.

    Raises:
        DataError: HEAD is on no branch.
        GitError: git refuses.
    """
    content, name = text(steps), git(root, "rev-parse", "--show-prefix") + LEDGER.as_posix()
    blob = _said(git_bytes(root, "hash-object", "-w", "--stdin", given=content.encode()))
    made = ""
    if _at(root, f"HEAD:{name}") != blob:
        branch(root)
        made = _committed(root, name, blob, f"{steps[-1].title} in production")
    if _at(root, f":{name}") != blob:
        entry = ("--add", "--cacheinfo", f"100644,{blob},{name}")
        git_bytes(root, "update-index", *entry, is_act=True)
    if not (root / LEDGER).is_file() or (root / LEDGER).read_bytes() != content.encode():
        write_text(root / LEDGER, content)
    return made


def _at(root: Path, name: str) -> str:
    try:
        return git(root, "rev-parse", "--verify", "--quiet", name)
    except GitError:
        return ""


def _committed(root: Path, name: str, blob: str, message: str) -> str:
    head = git(root, "rev-parse", "HEAD")
    with tempfile.TemporaryDirectory() as temporary:
        variables = {"GIT_INDEX_FILE": str(Path(temporary, "index"))}
        for command in (
            ("read-tree", head),
            ("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}"),
        ):
            git_bytes(root, *command, variables=variables)
        tree = _said(git_bytes(root, "write-tree", variables=variables))
    made = git(root, "commit-tree", tree, "-p", head, "-m", message)
    act = ("update-ref", "-m", f"promote: {message}", "HEAD", made, head)
    git_bytes(root, *act, is_act=True)
    return made


def _said(output: bytes) -> str:
    return output.decode().strip()
