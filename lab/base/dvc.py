"""DVC: opened for what it knows, asked for its cache, configured and run.

Most of its Python interface is not promised to stay as it is. All calls into it stand in
`lab.base`; they were tried with DVC 3.67.1, and their tests compare them with what DVC's commands
say.
"""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lab.base.errors import LabError, shortened
from lab.base.script import run_script

MD5 = re.compile(r"[0-9a-f]{32}")
UNSAVED = "unsaved files"  # in what DVC says where it would delete some
UNLOCKABLE = "Unable to acquire lock"  # as DVC puts it
LOCKED = (
    "wait for the other DVC to end; where none runs, on no machine that has this folder, one was "
    "killed with core.hardlink_lock: remove .dvc/tmp/lock and .dvc/tmp/rwlock.lock"
)
INTERRUPT_SECONDS = 2.0  # that a DVC which was interrupted is given to end by itself


class DVCError(LabError):
    """DVC refuses, or cannot read a project."""


@contextlib.contextmanager
def opened(root: Path, commit: str | None = None) -> Iterator[Any]:
    """DVC's view of the working tree or of a commit, with this working tree's cache.

    Raises:
        DVCError: there is no DVC project, or its history is damaged.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with contextlib.ExitStack() as stack:
        try:
            repo = stack.enter_context(Repo(str(root)))
            if commit:
                stack.enter_context(repo.switch(commit))
        except (DvcException, OSError, LookupError) as error:  # the last: git lacks an object
            raise DVCError(f"DVC cannot open the project: {shortened(str(error))}") from None
        yield repo


# --- cache and configuration ---------------------------------------------------------------------


class Cache:
    """DVC's cache, wherever its configuration (of the project, the user, the machine) puts it."""

    def __init__(self, root: Path) -> None:
        with opened(root) as repo:
            self._objects = repo.cache.local
            self.folder = Path(repo.cache.local_cache_dir)

    def file(self, folder_hash: str, name: str) -> Path | None:
        """A file of a folder that DVC keeps by this hash; None when the cache lacks it."""
        try:
            return self._path(self._entries(folder_hash)[name])
        except Exception:  # a damaged cache: DVC raises what the damage leads it to
            return None

    def holds(self, recorded: str) -> bool:
        """Whether all of a file or folder that DVC keeps by this hash is there."""
        try:
            hashes = [recorded]
            if recorded.endswith(".dir"):
                hashes = [*self._entries(recorded).values()]
            return all(self._path(each) for each in hashes)
        except Exception:  # as above
            return False

    def _entries(self, folder_hash: str) -> dict[str, str]:
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree

        tree = Tree.load(self._objects, HashInfo("md5", folder_hash))
        return {"/".join(key): entry.value for key, _, entry in tree}

    def _path(self, file_hash: str) -> Path | None:
        path = Path(self._objects.oid_to_path(file_hash))
        return path if MD5.fullmatch(file_hash) and path.is_file() else None


def share_cache(cache: Path, project: Path) -> None:
    """Lets a project keep its data in the cache of another one.

    DVC's configuration cannot hold every path (it writes ASCII only and takes % for a reference),
    so it names a link. Where no link can be made the project has a cache of its own.
    """
    (project / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n", encoding="ascii")
    with contextlib.suppress(OSError):  # on Windows not everybody may; a disk may be read-only
        cache.mkdir(parents=True, exist_ok=True)
        (project / ".dvc" / "cache").symlink_to(cache.resolve(), target_is_directory=True)


def forget(project: Path, stages: Sequence[str]) -> None:
    """Lets DVC take stages for ones that never ran.

    Where `dvc.lock` names outputs that its cache lacks, DVC runs a stage again although its cache
    of runs knows what the stage made here of the same inputs.
    """
    if not stages:
        return
    yaml, file = YAML(), project / "dvc.lock"
    lock = yaml.load(file)
    for name in stages:
        lock["stages"].pop(name, None)
    with file.open("w", encoding="utf-8") as written:
        yaml.dump(lock, written)


# --- commands ------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    """What a DVC command printed. Never pass `--quiet`: it hides why a command fails.

    Raises:
        DVCError: it failed; the message is the line in which it says why.
    """
    done = subprocess.run(
        _command(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise DVCError(f"dvc {arguments[0]}: {reason(done.stderr) or f'exit {done.returncode}'}")
    return done.stdout


def reason(said: str) -> str:
    """Why a DVC command failed, out of all that it printed to standard error, on one line.

    What DVC's page about a lock that it cannot take leaves open is whose it is. Nobody can tell
    with `core.hardlink_lock`: that lock is a file, and outlives a DVC that was killed.
    """
    lines = [line for line in said.strip().splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if line.startswith("ERROR: ")]
    found = lines[errors[-1] :] if errors else lines[-1:]
    text = " ".join(found)
    return f"{text.partition('. ')[0]}; {LOCKED}" if UNLOCKABLE in text else shortened(text)


def follow(
    root: Path, environment: Mapping[str, str], show: Callable[[str], None], *arguments: str
) -> None:
    """Runs a DVC command elsewhere and shows its lines as they come.

    Raises:
        DVCError: it failed; the message is its last line.
    """
    last = ""
    with subprocess.Popen(
        _command(*arguments), cwd=root, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        try:
            for line in process.stdout or ():
                if line.strip():
                    last = line.strip()
                    show(line.rstrip())
        except BaseException:
            with contextlib.suppress(subprocess.TimeoutExpired):  # Ctrl-C reaches DVC as well
                process.wait(INTERRUPT_SECONDS)
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise DVCError(f"`dvc {' '.join(arguments)}` failed: {shortened(last)}")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *arguments]


# --- results ----------------------------------------------------------------------------------


def restore(root: Path = Path()) -> None:
    """Lays out what the cache holds of the recorded results; what it lacks is left out.

    Where files lie that no cache has, as a user may have put them there, an output stays as it is:
    nothing is deleted that no stage made. So do outputs that persist (raw data), for what no run
    has recorded yet is the next run's input. Stages whose results were made on
    another machine are forgotten, for this one may have made them too.

    Raises:
        DVCError: DVC cannot read the project, or fails.
    """
    with opened(root) as repo:
        outputs = [out for out in repo.index.outs if out.use_cache]
        targets = [str(out) for out in outputs if not (out.persist and out.exists)]
    if targets:
        _check_out(targets)
    cache = Cache(root)
    with opened(root) as repo:
        lost = [stage.name for stage in repo.index.stages if _is_lost(cache, stage)]
    forget(root, lost)


def _check_out(targets: Sequence[str]) -> None:
    """Lays out outputs from the cache; those that DVC would lose files of stay, with a line.

    Raises:
        DVCError: another DVC is at work.
    """
    for wanted in (targets, *([target] for target in targets)):  # one by one where all fail
        try:
            run("checkout", "--allow-missing", *wanted)
        except DVCError as error:
            if UNLOCKABLE in str(error):
                raise
            if wanted is not targets:
                why = "files lie there that no cache has" if UNSAVED in str(error) else error
                print(f"{wanted[0]} stays as it is: {why}", flush=True)
        else:
            if wanted is targets:
                return


def _is_lost(cache: Cache, stage: Any) -> bool:
    """Whether what a stage recorded is neither here nor in the cache."""
    return any(
        out.use_cache and out.hash_info and not out.exists and not cache.holds(out.hash_info.value)
        for out in stage.outs
    )


def main() -> None:
    """Lays out results: `make restore`.

    Raises:
        DVCError: another command is given, or DVC fails.
    """
    if sys.argv[1:] != ["restore"]:
        raise DVCError("usage: python -m lab.base.dvc restore")
    restore()


if __name__ == "__main__":
    run_script(main)
