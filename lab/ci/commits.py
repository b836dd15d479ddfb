"""Commits at GitHub, made without a checkout."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from lab.ci.github import Api, GitHubError

FILE_MODE = "100644"  # of git's trees: a plain file


def reference(api: Api, branch: str) -> str | None:
    """The commit a branch is at; None when there is no such branch.

    Raises:
        GitHubError: branches may not be read.
    """
    try:
        return str(api.get(f"git/ref/heads/{quote(branch)}")["object"]["sha"])
    except GitHubError as error:
        if error.status == 404:
            return None
        raise


def tree_of(api: Api, commit: str) -> str:
    """The tree of a commit."""
    return str(api.get(f"git/commits/{commit}")["tree"]["sha"])


def entries(api: Api, files: Mapping[str, bytes | None]) -> list[dict[str, Any]]:
    """Entries of a git tree for files by path, whose contents are stored; None removes a file."""
    return [
        {"path": path, "mode": FILE_MODE, "type": "blob", "sha": _blob(api, content)}
        for path, content in files.items()
    ]


def _blob(api: Api, content: bytes | None) -> str | None:
    if content is None:
        return None
    body = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
    return str(api.send("POST", "git/blobs", body)["sha"])


def commit(
    api: Api, message: str, tree_entries: Sequence[Mapping[str, Any]], parent: str | None
) -> str:
    """Makes a commit with some files of its parent replaced; the parent, when nothing differs."""
    base = tree_of(api, parent) if parent else None
    body: dict[str, Any] = {"tree": tree_entries}
    if base:
        body["base_tree"] = base
    tree = api.send("POST", "git/trees", body)["sha"]
    if parent and tree == base:
        return parent
    parents = [parent] if parent else []
    made = api.send("POST", "git/commits", {"message": message, "tree": tree, "parents": parents})
    return str(made["sha"])


def move(api: Api, branch: str, old: str | None, new: str, *, force: bool = False) -> None:
    """Lets a branch point at a commit, creating it where `old` is None.

    Raises:
        GitHubError: status 422 when somebody else moved it meanwhile.
    """
    if old is None:
        api.send("POST", "git/refs", {"ref": f"refs/heads/{branch}", "sha": new})
    elif old != new:
        api.send("PATCH", f"git/refs/heads/{quote(branch)}", {"sha": new, "force": force})
