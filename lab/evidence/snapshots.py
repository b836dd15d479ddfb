"""The files of a revision, read without a checkout, and what stands in a few of them."""

import contextlib
import errno
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lab.base.errors import ParamsError
from lab.base.git import git_bytes, git_entries
from lab.base.yaml import read_yaml as parse_yaml
from lab.evidence.revisions import RevisionError

MAX_YAML_BYTES = 4_000_000
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")  # wider than today's names of models
LARGEST_PRELOADED_BYTES = 2_000_000  # a revision's files up to this size are read in one go


class Snapshot(Protocol):
    """The files of one revision; paths are relative to the project's root, with slashes."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none."""


class WorkingTree:
    """Files as they lie on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none."""
        with _impossible_names():
            if ".." not in PurePosixPath(path).parts:
                file = self.root / path
                return file.read_bytes() if file.is_file() else None
        return None


@contextlib.contextmanager
def _impossible_names() -> Iterator[None]:
    """Ends the block when no file can have such a name."""
    try:
        yield
    except ValueError:  # a null character
        return
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise


class Committed:
    """Files of a commit, read by two git processes; `paths` bounds them, and `largest` each."""

    def __init__(
        self, root: Path, commit: str, paths: Sequence[str] = (), largest: int | None = None
    ) -> None:
        self._root = root
        self._objects: dict[str, str] = {}
        small = []
        for entry in git_entries(root, "ls-tree", "-r", "-l", "-z", commit, "--", *paths):
            kind, path = entry.split("\t", 1)
            _, type_, name, size = kind.split()
            if type_ == "blob" and (largest is None or int(size) <= largest):
                self._objects[path] = name
                if int(size) <= LARGEST_PRELOADED_BYTES:
                    small.append(name)
        self._contents = blobs(root, small)

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None when there is none."""
        name = self._objects.get(path)
        if name is None:
            return None
        if name not in self._contents:
            self._contents[name] = git_bytes(self._root, "cat-file", "blob", name)
        return self._contents[name]


def blobs(root: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The contents of git's objects by name.

    Raises:
        RevisionError: git lacks one.
    """
    wanted = "".join(f"{name}\n" for name in dict.fromkeys(names))
    output = git_bytes(root, "cat-file", "--batch", given=wanted.encode())
    found, position = {}, 0
    while position < len(output):
        line_end = output.index(b"\n", position)
        name, kind, *size = output[position:line_end].decode().split()
        if kind == "missing":
            raise RevisionError(
                f"git lacks the object {name} (a partial clone?); run `git fetch --refetch origin`"
            )
        end = line_end + 1 + int(size[0])
        found[name] = output[line_end + 1 : end]
        position = end + 1
    return found


def read_yaml(snapshot: Snapshot, path: str) -> Any:
    """A YAML file of a revision; None when there is none.

    Raises:
        RevisionError: it is not YAML, or absurdly large.
    """
    content = snapshot.read(path)
    if content is None:
        return None
    try:
        return parse_yaml(content, path, MAX_YAML_BYTES)
    except ParamsError as error:
        raise RevisionError(str(error)) from None


def model_params(snapshot: Snapshot) -> dict[str, Any] | None:
    """The entries of `models:` of a revision, whatever schema its params had; None without any.

    Raises:
        RevisionError: the file is damaged, or a name in it is none that files can be named after.
    """
    tree = read_yaml(snapshot, "params.yaml")
    models = tree.get("models") if isinstance(tree, dict) else None
    if not isinstance(models, dict):
        return None
    for name in models:
        if not FILE_NAME.fullmatch(str(name)):
            raise RevisionError(f"params.yaml: no name for a model: {str(name)[:80]!r}")
    return {str(name): value for name, value in models.items()}


def pins(snapshot: Snapshot) -> dict[str, str]:
    """The versions that `requirements.txt` pins, by package."""
    content = (snapshot.read("requirements.txt") or b"").decode(errors="replace")
    pinned = {}
    for line in content.splitlines():
        name, separator, rest = line.partition("==")
        if separator and name and not name.startswith((" ", "#", "-")):
            pinned[name.strip()] = rest.split()[0].rstrip(";\\") if rest.split() else ""
    return pinned
