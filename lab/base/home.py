"""Where a project keeps what it remembers: in one place for all its copies that git or DVC make."""

import os
from pathlib import Path

from lab.base.git import GitError, git

EXPERIMENTS = (".dvc", "tmp", "exps")  # below it DVC 3 makes the copies that experiments run in


def home(place: Path = Path()) -> Path:
    """The project that keeps the MLflow runs and the costs of `place`, a project too; absolute.

    That is `place` itself, except in a copy that is gone some day: one that DVC makes for an
    experiment (`--temp`, `--queue`) belongs to the project that owns its `.dvc`, and a linked git
    worktree to the same project in the main working tree, if there is one that can be written.
    """
    project = place.resolve()
    for folder in project.parents:
        if folder.parts[-len(EXPERIMENTS) :] == EXPERIMENTS:
            return home(folder.parents[len(EXPERIMENTS) - 1])
    return _in_main_working_tree(project) or project


def _in_main_working_tree(project: Path) -> Path | None:
    """The same project there; None if it is there already, or git has no such working tree.

    Read from git's files: this is asked at each start of a script.
    """
    top = next((each for each in (project, *project.parents) if (each / ".git").exists()), None)
    if top is None or (top / ".git").is_dir():
        return None
    try:
        git_folder = top / _content(top / ".git").removeprefix("gitdir: ")
        common = (git_folder / _content(git_folder / "commondir")).resolve()
        main = _working_tree(common) / project.relative_to(top)
    except (OSError, GitError):  # no `commondir`: a submodule, or git's folder lies apart
        return None
    return main if (main / ".dvc").is_dir() and os.access(main, os.W_OK) else None


def _working_tree(common: Path) -> Path:
    """The main working tree of a git folder; a folder of some other kind if it is bare."""
    for name in ("config.worktree", "config"):
        if (common / name).is_file() and b"worktree" in (common / name).read_bytes().lower():
            command = ("config", "--file", name, "--default", "", "core.worktree")
            if told := git(common, *command):
                return (common / told).resolve()
    return common.parent


def _content(file: Path) -> str:
    return os.fsdecode(file.read_bytes()).rstrip("\r\n")
