"""What git leaves in a file that two sides changed, and the command that ends it.

It needs Python and git alone: a conflict in requirements.txt comes before anything is installed.
"""

import re
import sys
from pathlib import Path

from lab.base.errors import LabError
from lab.base.git import GitError, git
from lab.base.script import run_script

MARKER = re.compile(rb"^(?:<{7}|>{7}) .*$", re.MULTILINE)
PINS = "requirements.txt"
BY_PEOPLE = (PINS, "params.yaml", "dvc.yaml")
RESULTS = ("dvc.lock", "metrics")
MAX_BYTES = 2**24  # of a file that is looked through
OPERATIONS = {  # what git keeps while one is under way, and the command that goes on with it
    "rebase-merge": "git rebase --continue",
    "rebase-apply/applying": "git am --continue",
    "rebase-apply": "git rebase --continue",
    "CHERRY_PICK_HEAD": "git cherry-pick --continue",
    "REVERT_HEAD": "git revert --continue",
    "MERGE_HEAD": "make merge",
}


class ConflictError(LabError):
    """Two sides of a file stand in it."""


def require_none(root: Path = Path(), names: tuple[str, ...] = (*BY_PEOPLE, *RESULTS)) -> None:
    """Stops where a file of the project holds a conflict; folders stand for their files.

    Raises:
        ConflictError: one does.
    """
    for name in names:
        place = root / name
        for file in sorted(place.rglob("*.*")) if place.is_dir() else [place]:
            if file.is_file() and file.stat().st_size <= MAX_BYTES:
                require_none_in(file.read_bytes(), file.relative_to(root).as_posix(), root)


def require_none_in(content: bytes, name: str, root: Path = Path()) -> None:
    """As `require_none`, of a file that was read.

    Args:
        content: its bytes.
        name: its path, from the project's root.
        root: the project's root.

    Raises:
        ConflictError: it holds a conflict; the message says which commands end it.
    """
    if found := MARKER.search(content):
        line = content.count(b"\n", 0, found.start()) + 1
        raise ConflictError(f"{name}:{line}: git left a conflict here: {way_out(name, root)}")


def way_out(name: str, root: Path = Path()) -> str:
    """The commands that end a conflict in a file, by what git is doing."""
    if not (root / name).is_file():  # `name` is that of a file of a commit
        return "it was committed with it: commit it without"
    go_on = _under_way(root)
    is_result = name.split("/")[0] in RESULTS
    if is_result and go_on == "make merge":
        return "run `make merge`, which puts the results of both branches together"
    end = f", then `{go_on}`" if go_on else ""
    if is_result:
        side = "--ours" if go_on else "HEAD"
        add = ", `git add dvc.lock metrics`" if go_on else ""
        return (
            f"take one side of all results, `git checkout {side} -- dvc.lock metrics`; "
            f"`make repro` makes what it lacks{add}{end}"
        )
    add = f", `git add {name}`" if go_on or _is_unmerged(name, root) else ""
    if name == PINS:
        side = "--ours" if add else "HEAD"
        return f"`git checkout {side} -- {name}` and `make requirements` compile it anew{add}{end}"
    return f"keep the lines that shall hold, without git's marks{add}{end}"


def _under_way(root: Path) -> str | None:
    """The command that goes on with what git began; None where nothing is under way."""
    try:
        wanted = (word for name in OPERATIONS for word in ("--git-path", name))
        places = git(root, "rev-parse", *wanted)
    except GitError:
        return None
    for place, command in zip(places.splitlines(), OPERATIONS.values(), strict=True):
        if (root / place).exists():
            return command
    return None


def _is_unmerged(name: str, root: Path) -> bool:
    try:
        return bool(git(root, "ls-files", "--unmerged", "--", name))
    except GitError:
        return False


def main() -> None:
    """Looks through the files that are named, or through all that commands read.

    Raises:
        ConflictError: one holds a conflict.
    """
    names = tuple(sys.argv[1:])
    require_none(names=names) if names else require_none()


if __name__ == "__main__":
    run_script(main)
