"""What lies among the results and is of no model of params.yaml.

`compare` depends on folders, so that another model is an edit of params.yaml alone. A model that
was removed, renamed, or is another branch's would leave its files in them, `dvc.lock` would name
what no other clone has, and every clone would compare again.
"""

import hashlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from lab.base import params
from lab.base.dvc import Cache, DVCError
from lab.base.errors import DataError
from lab.base.git import GitError, git
from lab.base.script import run_script
from lab.results.storage import CURVES, MODEL_RESULTS, TRAINED

READ = (MODEL_RESULTS, TRAINED)  # by `compare`, whole


def remove(names: Collection[str], root: Path = Path()) -> None:
    """Removes the files of models with other names that stages wrote and that can be had again.

    That is what DVC's cache or git has, byte for byte: nothing is lost with it, and a model that
    comes back is laid out from there.

    Raises:
        DataError: something else lies there; then nothing is removed.
    """
    if not (found := list(_leftovers(names, root))):
        return
    cache = _cache(root)
    kept = [path for path in found if all(_is_kept(file, cache, root) for file in _files(path))]
    for path in found:
        if path not in kept and path.parent != root / CURVES:  # which nothing depends on
            shown = path.relative_to(root)
            raise DataError(
                f"{shown}: of no model of params.yaml, and neither git nor DVC's cache has a copy; "
                f"results would depend on it: move it out of {shown.parent}, or remove it"
            )
    for path in kept:
        _remove(path)


def _leftovers(names: Collection[str], root: Path) -> Iterator[Path]:
    """What models with other names left; hidden files are no dependency (.dvcignore)."""
    named = {
        root / path
        for name in names
        for path in (MODEL_RESULTS / f"{name}.json", CURVES / f"{name}.csv", TRAINED / name)
    }
    for folder in (*READ, CURVES):
        for path in sorted((root / folder).glob("*")):
            if path not in named and not path.name.startswith("."):
                yield path


def _files(path: Path) -> list[Path]:
    if path.is_dir() and not path.is_symlink():
        return [file for file in path.rglob("*") if file.is_symlink() or not file.is_dir()]
    return [path]


def _cache(root: Path) -> Cache | None:
    try:
        return Cache(root)
    except DVCError:
        return None


def _is_kept(file: Path, cache: Cache | None, root: Path) -> bool:
    """Whether DVC's cache or git has these bytes."""
    if not file.is_file():  # a link to nothing, a pipe
        return False
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False))
    if cache and cache.holds(digest.hexdigest()):
        return True
    name = file.relative_to(root).as_posix()
    try:
        git(root, "cat-file", "-e", git(root, "hash-object", "--", name))
    except GitError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def main() -> None:
    """Clears the way for `dvc repro`: `make repro`.

    Raises:
        LabError: params.yaml cannot be read, or something lies there that no stage wrote.
    """
    remove(params.load().models)


if __name__ == "__main__":
    run_script(main)
