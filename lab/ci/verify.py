"""Rebuilds the results from nothing, to find what makes numbers and is missing in `dvc.yaml`.

DVC runs a stage again when a dependency of it changed. Code that alters a byte without being one
goes unnoticed, for the results of before are kept. Here every stage runs again, in a checkout with
an empty cache. Where that gives the bytes that git has, nothing is missing. Processors differ in
the last bits of their sums, so where it gives others, each stage is compared with what the commit
that made its results makes on this same machine.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.base.checkouts import checked_out
from lab.base.errors import LabError
from lab.base.git import git
from lab.base.script import run_script
from lab.base.yaml import read_yaml

LOCK = "dvc.lock"  # has the MD5 of every result, those under metrics/ included
RAW = Path("data/raw")  # verified by checksum, so it need not be fetched once a commit
LEFT_OUT = ("GIT_", "DVC_", "MLFLOW_", "DAGSHUB_")  # variables: a rebuild is nobody else's concern

LockedStages = dict[str, dict[str, Any]]  # those of a dvc.lock


def main() -> None:
    """Verifies the commit that is checked out; exits with 1 when a byte differs."""
    if found := verify(Path.cwd()):
        sys.exit("\n".join(found))


def verify(root: Path) -> list[str]:
    """Rebuilds HEAD, and where needed the commits that made its results.

    Returns:
        A line for each stage whose results are not what its dependencies make; none is success.

    Raises:
        LabError: the history is not here, or a commit cannot be rebuilt.
    """
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise LabError("verify needs the history; got a shallow clone; run `git fetch --unshallow`")
    head = git(root, "rev-parse", "HEAD")
    committed = locked(root, head)
    with rebuilt(root, head) as checkout:
        status = git(checkout, "status", "--porcelain", "--", LOCK, "metrics")
        built = stages((checkout / LOCK).read_bytes())
    if not status:
        print(f"{head[:12]}: verified, every result is made again byte for byte")
        return []
    if built == committed:
        return [f"{line.split()[1]}: not what {LOCK} says" for line in status.splitlines()]
    if stale := [name for name in built if inputs(built, name) != inputs(committed, name)]:
        return [f"{name}: {LOCK} is of other code or params; run `make repro`" for name in stale]
    print(f"{head[:12]}: this machine makes other bytes than git has, so what did git's make here?")
    found = []
    for commit, names in makers(root, committed).items():
        if commit != head:
            found += compare(root, commit, names, built)
    if not found:
        print(f"{head[:12]}: verified, every result is what the commit that made it makes")
    return found


def compare(root: Path, commit: str, names: list[str], built: LockedStages) -> list[str]:
    """Rebuilds these stages of a commit; a line for each whose results are other bytes."""
    with rebuilt(root, commit, *names) as checkout:
        older = stages((checkout / LOCK).read_bytes())
    return [
        f"{name}: its dependencies are those of {commit[:12]}, and its results are not; "
        "something that makes numbers is missing in dvc.yaml"
        for name in names
        if outputs(built, name) != outputs(older, name)
    ]


def makers(root: Path, committed: LockedStages) -> dict[str, list[str]]:
    """The oldest commit that has each stage as it is locked now: where DVC's results are from."""
    made: dict[str, str] = {}
    for commit in git(root, "log", "--format=%H", "--topo-order", "--", LOCK).splitlines():
        with contextlib.suppress(LabError):  # some commit had none
            then = locked(root, commit)
            made |= {name: commit for name in committed if then.get(name) == committed[name]}
    stages_of = defaultdict(list)
    for name, commit in made.items():
        stages_of[commit].append(name)
    return stages_of


@contextlib.contextmanager
def rebuilt(root: Path, commit: str, *names: str) -> Iterator[Path]:
    """A checkout of a commit in which DVC ran these stages, or all, and those before them.

    Raises:
        LabError: a stage fails.
    """
    print(f"{commit[:12]}: rebuilding {', '.join(names) or 'everything'} from nothing", flush=True)
    with checked_out(root, commit) as checkout:
        if (root / RAW).is_dir():
            shutil.copytree(root / RAW, checkout / RAW)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        command = [sys.executable, "-m", "dvc", "repro", "--force", *names]
        if subprocess.run(command, cwd=checkout, env={**environment(), "PATH": path}).returncode:
            raise LabError(f"{commit}: cannot be rebuilt with these packages; see above")
        yield checkout


def environment() -> dict[str, str]:
    """The variables of this process, without those of other work of git, DVC and MLflow."""
    return {key: value for key, value in os.environ.items() if not key.startswith(LEFT_OUT)}


def locked(root: Path, commit: str) -> LockedStages:
    """What a commit's `dvc.lock` says."""
    return stages(git(root, "show", f"{commit}:./{LOCK}").encode())


def stages(content: bytes) -> LockedStages:
    """The entries of a `dvc.lock`, by name."""
    found: LockedStages = read_yaml(content, LOCK, len(content))["stages"]
    return found


def inputs(lock: LockedStages, name: str) -> object:
    """A stage's command, params and dependencies, without what other stages make."""
    stage = lock.get(name, {})
    made = [path for other in lock for path in outputs(lock, other)]
    read = {
        one["path"]: one["md5"]
        for one in stage.get("deps", [])
        if not any(path == one["path"] or path.startswith(f"{one['path']}/") for path in made)
    }
    return stage.get("cmd"), stage.get("params"), read


def outputs(lock: LockedStages, name: str) -> dict[str, str]:
    """The MD5 of each file or folder that a stage makes."""
    return {one["path"]: one["md5"] for one in lock.get(name, {}).get("outs", [])}


if __name__ == "__main__":
    run_script(main)
