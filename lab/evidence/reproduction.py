"""Makes a revision's results again, in a temporary checkout."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lab.base import dvc
from lab.base.checkouts import checked_out
from lab.base.dvc import DVCError
from lab.evidence.revisions import RevisionError

Show = Callable[[str], None]  # takes a line of progress


@contextlib.contextmanager
def reproduced(root: Path, commit: str, show: Show, stages: Sequence[str] = ()) -> Iterator[Path]:
    """Runs a revision's own pipeline in a temporary checkout that shares this one's DVC cache.

    It runs with the packages that are installed now. What is in the cache is not computed again.

    Args:
        root: the project's root.
        commit: the revision.
        show: takes a line of progress at a time.
        stages: whose results must be from this machine, whatever `dvc.lock` says of them; those of
            all others stay as git has them. Without any it is DVC that knows what is to be run.

    Yields:
        The root of the project in that checkout.

    Raises:
        RevisionError: the revision has no pipeline.
        DVCError: its pipeline fails.
        GitError: git lacks the commit, or cannot lay it out.
    """
    with checkout(root, commit) as place:
        dvc.forget(place, stages)
        repro(place, show, *(stages or ["train"]))
        yield place


@contextlib.contextmanager
def checkout(root: Path, commit: str) -> Iterator[Path]:
    """The project as a commit has it, in a temporary checkout that shares this one's DVC cache.

    Raises:
        RevisionError: the revision has no pipeline.
        GitError: git lacks the commit, or cannot lay it out.
    """
    with checked_out(root, commit) as place:
        if not (place / "dvc.yaml").is_file() or not (place / ".dvc").is_dir():
            raise RevisionError("this revision has no pipeline (dvc.yaml) to reproduce")
        _share(root, place)
        yield place


def repro(place: Path, show: Show, *stages: str) -> None:
    """Runs stages of a checkout, with all that they need.

    Raises:
        DVCError: one fails.
    """
    dvc.follow(place, _environment(), lambda line: show(f"  {line}"), "repro", *stages)


def lay_out(place: Path) -> None:
    """Puts what the cache holds of a checkout's results there, so that nothing has to run for it.

    Of a stage whose outputs persist (raw data) DVC's cache of runs knows nothing.
    """
    with contextlib.suppress(DVCError):  # what is not laid out is made
        options = ("--quiet", "--force", "--allow-missing")
        dvc.follow(place, _environment(), lambda _: None, "checkout", *options)


def _share(root: Path, place: Path) -> None:
    """Lets the checkout use this one's cache and raw files, so that nothing is fetched twice."""
    dvc.share_cache(dvc.Cache(root).folder, place)
    with contextlib.suppress(OSError):  # what is missing is fetched; the stage verifies all of it
        shutil.copytree(root / "data" / "raw", place / "data" / "raw")


def _environment() -> dict[str, str]:
    """This one's, without what would lead git, Python, DVC or MLflow back to this project.

    Where DVC's configuration and caches are (`DVC_*_DIR`) stays. No run is recorded, as nobody will
    look for it; older code records it in the checkout.
    """
    left_out = ("GIT_", "PYTHONPATH", "PYTHONHOME", "DVC_", "MLFLOW_", "DAGSHUB_")
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(left_out) or (key.startswith("DVC_") and key.endswith("_DIR"))
    }
    programs = str(Path(sys.executable).parent)
    environment["RECORD_RUNS"] = "0"
    environment["PATH"] = os.pathsep.join([programs, environment.get("PATH", "")])
    return environment
