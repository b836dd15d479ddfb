"""git's own answers, by its command line."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.base.errors import LabError, shortened

TAG_SECONDS = 10.0  # that nothing waits longer for a run's tags
LARGEST_NEW_FILE = 50_000_000  # bytes; code is smaller, and git would keep a copy
SOMEBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "lab"), ("EMAIL", "lab@localhost"), ("DATE", "@0 +0000"))
}


# Whatever is configured: no program is asked for changes, no signature is printed, and line ends
# that git would change are none of our concern.
ALWAYS = (
    "--no-optional-locks", "-c", "core.quotepath=off", "-c", "core.fsmonitor=false",
    "-c", "log.showSignature=false", "-c", "core.safecrlf=false",
)  # fmt: skip
WITHOUT_HOOKS = ("-c", f"core.hooksPath={os.devnull}")
# git hands these to its hooks and aliases. They would lead it to another repository, index or paths
# than those of the folder it is asked in; DVC knows none of them.
ELSEWHERE = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_NAMESPACE",
    "GIT_PREFIX", "GIT_INTERNAL_SUPER_PREFIX", "GIT_INDEX_FILE", "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
)  # fmt: skip


class GitError(LabError):
    """git is missing, or refuses."""


class NoRepositoryError(GitError):
    """A folder is in no repository of git."""


def git(root: Path, *arguments: str) -> str:
    """The output of a git command, without the last line end.

    Raises:
        GitError: git is missing, or refuses; the message ends with its last line.
    """
    return git_bytes(root, *arguments).decode(errors="replace").rstrip("\n")


def git_bytes(
    root: Path,
    *arguments: str,
    given: bytes = b"",
    variables: Mapping[str, str] | None = None,
    timeout: float | None = None,
    is_act: bool = False,
) -> bytes:
    """The output of a git command as it is.

    Args:
        root: where it runs.
        arguments: of git.
        given: its input; whoever is killed may have sent a part of it.
        variables: that join those here.
        timeout: in seconds.
        is_act: it changes references or the index, so what kills this script and its group, or
            interrupts it, lets git come to an end: its locks would stay.

    Raises:
        GitError: as for `git`, or it takes longer than `timeout` seconds.
    """
    environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
    try:
        with subprocess.Popen(
            ["git", *ALWAYS, *arguments],
            cwd=root,
            env={**environment, "LANGUAGE": "en", **(variables or {})},  # for `_refusal` to read
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=is_act,
        ) as process:
            try:
                output, said = process.communicate(given, timeout)
            except BaseException:
                if not is_act:
                    process.kill()
                raise
    except FileNotFoundError:
        raise GitError("git is not installed; install it, then run again") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {_name(arguments)}: no end after {timeout:.0f} s") from None
    if process.returncode:
        raise _refusal(root, _name(arguments), said.decode(errors="replace"))
    return output


def git_tag(root: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
    """Writes a tag. Who signs it may be asked for a passphrase, for which git needs the terminal.

    Raises:
        GitError: as for `git`.
    """
    is_signed = git(root, "config", "--type=bool", "--default=false", "tag.gpgSign") == "true"
    git_bytes(root, "tag", *arguments, variables=variables, is_act=not is_signed)


def _name(arguments: Sequence[str]) -> str:
    """The command of git that comes after its own options."""
    options = iter(arguments)
    for option in options:
        if option == "-c":
            next(options)
        elif not option.startswith("-"):
            return option
    return ""


def _refusal(root: Path, command: str, said: str) -> GitError:
    """What git said of a failure, by its last line that says it; hints and hooks come after it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["no reason given"]
    for line in lines:
        if line.startswith("git config ") and "safe.directory" in line:
            return GitError(
                f"git {command}: the folder belongs to another user, whom git does not trust; "
                f"if you do, run `{line}`"
            )
    reasons = [line for line in lines if line.startswith(("fatal: ", "error: "))] or lines
    reason = f"git {command}: {shortened(reasons[-1])}"
    if ".lock': File exists" in reason:
        return GitError(f"{reason.rstrip('.')}; if no git is at work, one that was killed left it: "
                        "remove it, then run again")  # fmt: skip
    if not any(line.startswith("fatal: not a git repository") for line in lines):
        return GitError(reason)
    if not is_in_git(root):
        return NoRepositoryError(reason)
    return GitError(
        f"{reason}; its .git is damaged, or a folder was moved: see `git worktree repair`"
    )


def is_in_git(folder: Path) -> bool:
    """Whether a folder is meant to be in a repository, though git may be missing or refuse it."""
    here = folder.absolute()
    return any((each / ".git").exists() for each in (here, *here.parents))


def git_or_nothing(*arguments: str) -> str:
    """What git says here; nothing where there is no git, no repository or no commit."""
    try:
        said = git_bytes(Path(), *arguments, timeout=TAG_SECONDS)
    except GitError:
        return ""
    return said.decode(errors="replace").strip()


def git_entries(root: Path, *arguments: str) -> list[str]:
    """What a git command lists with `-z`."""
    return [entry for entry in git(root, *arguments).split("\0") if entry]


def commit_of_working_tree(root: Path) -> str:
    """A commit of all that lies in the working tree and is not ignored, large new files left out.

    It is on no branch, and the index stays as it is; the same tree on the same HEAD is the same
    commit.

    Raises:
        GitError: git is missing, or refuses.
    """
    others = git_entries(root, "ls-files", "-z", "--others", "--exclude-standard")
    new = [path for path in others if _is_small_file(root / path)]
    with tempfile.TemporaryDirectory() as temporary:
        index, copy = root / git(root, "rev-parse", "--git-path", "index"), Path(temporary, "index")
        if index.exists():
            shutil.copy2(index, copy)  # its time tells git which edits it could not see
        variables = {**SOMEBODY, "GIT_INDEX_FILE": str(copy)}

        def write(*arguments: str, given: str = "") -> str:
            done = git_bytes(root, *arguments, given=given.encode(), variables=variables)
            return done.decode().strip()

        write(*WITHOUT_HOOKS, "add", "--update", ":/")
        if new:
            from_input = ("--pathspec-from-file=-", "--pathspec-file-nul")
            write(*WITHOUT_HOOKS, "--literal-pathspecs", "add", *from_input, given="\0".join(new))
        tree = write("write-tree")
        return write("commit-tree", tree, "-p", "HEAD", "-m", "What lies in the working tree")


def _is_small_file(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= LARGEST_NEW_FILE
    except OSError:
        return False
