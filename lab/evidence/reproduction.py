"""Makes a revision's results again, in a temporary worktree."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lab.base import dvc
from lab.base.git import GitError, git
from lab.evidence.revisions import RevisionError

Show = Callable[[str], None]  # takes a line of progress


@contextlib.contextmanager
def reproduced(root: Path, commit: str, show: Show, stages: Sequence[str] = ()) -> Iterator[Path]:
    """Runs a revision's own pipeline in a temporary worktree that shares this one's DVC cache.

    It runs with the packages that are installed now. What is in the cache is not computed again.

    Args:
        root: the project's root.
        commit: the revision.
        show: takes a line of progress at a time.
        stages: whose results must be from this machine, whatever `dvc.lock` says of them; those of
            all others stay as git has them. Without any it is DVC that knows what is to be run.

    Yields:
        The root of the project in that worktree.

    Raises:
        RevisionError: the revision has no pipeline.
        DVCError: its pipeline fails.
        GitError: git makes no worktree.
    """
    with tempfile.TemporaryDirectory(prefix="baseline-", ignore_cleanup_errors=True) as temporary:
        worktree = Path(temporary).resolve() / "worktree"
        git(root, "worktree", "add", "--detach", "--quiet", str(worktree), commit)
        try:
            place = worktree / git(root, "rev-parse", "--show-prefix")
            if not (place / "dvc.yaml").is_file() or not (place / ".dvc").is_dir():
                raise RevisionError("this revision has no pipeline (dvc.yaml) to reproduce")
            _share(root, place)
            dvc.forget(place, stages)
            dvc.follow(
                place,
                _environment(),
                lambda line: show(f"  {line}"),
                "repro",
                *(stages or ["train"]),
            )
            yield place
        finally:
            with contextlib.suppress(GitError):  # the folder itself goes in any case
                git(root, "worktree", "remove", "--force", str(worktree))


def _share(root: Path, place: Path) -> None:
    """Lets the worktree use this one's cache and raw files, so that nothing is fetched twice."""
    cache = dvc.Cache(root).folder
    cache.mkdir(parents=True, exist_ok=True)
    dvc.share_cache(cache, place)
    if (root / "data" / "raw").is_dir():  # the stage verifies them by checksum
        shutil.copytree(root / "data" / "raw", place / "data" / "raw")


def _environment() -> dict[str, str]:
    """This one's, without what would lead git, Python, DVC or MLflow back to this project.

    Where DVC's configuration and caches are (`DVC_*_DIR`) stays.
    """
    left_out = ("GIT_", "PYTHONPATH", "PYTHONHOME", "DVC_", "MLFLOW_")
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(left_out) or (key.startswith("DVC_") and key.endswith("_DIR"))
    }
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([programs, environment.get("PATH", "")])
    return environment
