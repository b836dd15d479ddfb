"""`make example`: puts a task of `examples/` in the place of the one that is there.

It needs Python and git alone, so that it works in a fresh clone.
"""

import shutil
import sys
from pathlib import Path

from lab.base.errors import LabError, shortened
from lab.base.git import git_entries
from lab.base.script import run_script

EXAMPLES = Path("examples")
REPLACED = ("task", "params.yaml", "tests/task")
RESULTS = ("dvc.lock", "metrics")  # of the old task; `compare` clears what it left in models/


def apply(root: Path, name: str) -> None:
    """Replaces the task of the clone at `root`, and removes the results of the old one.

    Files of the old task do not stay. What DVC knows of it goes too: it would find results of
    models that are gone. Nothing goes that git has not, and nothing that git ignores.

    Raises:
        LabError: there is no such example, or the old task and its results are not in git as they
            stand.
    """
    known = names(root)
    if name not in known:
        got = f"got {shortened(repr(name), 60)}" if name else "got none"
        raise LabError(
            f"make example: NAME must be a folder of examples/; {got}; use {', '.join(known)}"
        )
    changed = [
        entry[3:]
        for entry in git_entries(
            root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all",
            "--", *REPLACED, *RESULTS,
        )
    ]  # fmt: skip
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise LabError(
            f"make example: {', '.join((*REPLACED, *RESULTS))} must be as committed, because they "
            "are replaced; "
            f"got changes of {shortened(changed[0], 100)}{more}; commit them, or `git stash -u`"
        )
    for file in git_entries(root, "ls-files", "-z", "--", *RESULTS):
        (root / file).unlink()
    for place in REPLACED:
        _remove(root / place)
    for place in REPLACED:
        _copy(root / EXAMPLES / name / place, root / place)


def names(root: Path) -> list[str]:
    """The examples that there are."""
    return sorted(path.name for path in (root / EXAMPLES).glob("*") if (path / "task").is_dir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def main() -> None:
    """Puts the example of the command line in place, and says what comes next."""
    name = " ".join(sys.argv[1:])
    apply(Path(), name)
    print(f"{', '.join(REPLACED)} are those of examples/{name}; `make repro` gets its results")


if __name__ == "__main__":
    run_script(main)
