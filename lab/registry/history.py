"""What has been in production, by git's tags: the newest one decides, all else follows it."""

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab.base import gto
from lab.base.errors import DataError, LabError, shortened
from lab.base.files import write_text
from lab.base.git import GitError, git, git_bytes, git_tag
from lab.base.records import first_problem
from lab.registry.decision import Decision
from lab.registry.promotion import MAX_TEXT, How, Promotion, stamp

if sys.platform != "win32":
    import fcntl

PUSH_SECONDS = 300.0
LOCK = "promotion.lock"  # in the folder of git that all working trees have in common
FETCH = "git fetch --tags origin (in a shallow clone with --unshallow)"


def read(root: Path) -> list[Promotion]:
    """Every step, the first first.

    Raises:
        DataError: a tag that GTO takes for one of these was not written here.
        GitError: git refuses.
    """
    form = "--format=%(refname:strip=2)%00%(objecttype)%00%(object)"
    listed = [
        line.split("\0")
        for line in git(root, "for-each-ref", form, f"refs/tags/{gto.PREFIX}*").splitlines()
    ]
    found = [
        _record(root, tag, commit)
        for tag, kind, commit in listed
        if kind == "tag" and gto.ALIKE.fullmatch(tag)  # GTO leaves lightweight ones out, too
    ]
    found.sort(key=lambda one: one.number)
    before = None
    for one in found:
        if one.before != before:
            came = f"v{before}" if before else "nothing"
            wanted = f"v{one.before}" if one.before else "nothing"
            raise DataError(
                f"tag {one.tag}: must come after {wanted} in production; got {came}; "
                f"fetch all tags: {FETCH}"
            )
        before = one.version
    return found


def _record(root: Path, tag: str, commit: str) -> Promotion:
    """What a tag holds."""
    written = git_bytes(root, "cat-file", "tag", f"refs/tags/{tag}").decode(errors="replace")
    text = written.partition("\n\n")[2].partition("\n\n")[2]
    text = re.split(r"^-----BEGIN ", text, maxsplit=1, flags=re.MULTILINE)[0]  # a signature
    try:
        found = Promotion.model_validate_json(text)
    except ValidationError as error:
        problem = first_problem(error)
        raise DataError(
            f"tag {tag}: must be written by promote.py; {problem}; {_drop(tag)}"
        ) from None
    if (found.tag, found.commit) != (tag, commit):
        got = f"the record of {found.tag} at {found.commit[:12]}"
        raise DataError(f"tag {tag}: must hold its own record; got {got}; {_drop(tag)}")
    try:
        git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    except GitError:
        raise DataError(
            f"tag {tag}: its commit must be here; got none ({commit[:12]}); run {FETCH}"
        ) from None
    return found


def _drop(tag: str) -> str:
    return f"delete it: git tag --delete '{shortened(tag, 60)}', and at origin"


def in_use(steps: Sequence[Promotion]) -> list[Promotion]:
    """The versions in production, each over the one before; a step back takes away what it leaves.

    Of each the step that put it there last.
    """
    found: list[Promotion] = []
    for one in steps:
        places = [place for place, each in enumerate(found) if each.version == one.version]
        if one.how == "rolled back" and places:
            del found[places[-1] :]
        found.append(one)
    return found


def taken_back(steps: Sequence[Promotion], version: int) -> Promotion | None:
    """The step back from a version, unless somebody has put it into production again since."""
    for one in reversed(steps):
        if one.version == version:
            return None
        if one.before == version and one.how == "rolled back":
            return one
    return None


def next_step(
    root: Path,
    steps: Sequence[Promotion],
    facts: Mapping[str, Any],
    how: How,
    decision: Decision,
    reason: str | None,
    seconds: float,
) -> Promotion:
    """The record of one more step, of a new version or of one that was there.

    Args:
        root: the project's root.
        steps: all before it.
        facts: what a record keeps of a model.
        how: it came to be.
        decision: that it follows from.
        reason: that somebody gave.
        seconds: now, since 1970; later than every step before, because GTO sorts by time.

    Raises:
        GitError: git does not know who works here.
    """
    known = [one.version for one in steps if one.commit == facts["commit"]]
    now = max(int(seconds), *(one.seconds + 2 for one in steps[-1:]), 1)
    return Promotion.model_validate(
        {
            **facts,
            "schema_version": 1,
            "number": gto.next_number(root),
            "version": known[0] if known else max((one.version for one in steps), default=0) + 1,
            "how": how,
            "since": stamp(now),
            "who": somebody(root),
            "before": steps[-1].version if steps else None,
            "verdict": decision.verdict,
            "line": shortened(_printable(decision.line), MAX_TEXT),
            "reason": reason,
        }
    )


def add(root: Path, one: Promotion) -> None:
    """Puts a version into production: the one act that decides, by git whole or not at all.

    Raises:
        GitError: there is such a tag already, or git refuses.
    """
    _tag(root, one, one.tag, one.message(), one.seconds)


def require_next(steps: Sequence[Promotion], one: Promotion) -> None:
    """Stops where a step does not follow those that there are.

    Raises:
        DataError: another one has come first.
    """
    now = steps[-1] if steps else None
    versions = [each.version for each in steps]
    is_next = (one.before, one.number > (now.number if now else 0)) == (now and now.version, True)
    if not is_next or one.version > max(versions, default=0) + 1:
        got = now.title if now else "nothing"
        raise DataError(
            f"{one.tag}: must follow v{one.before}; got {got} in production; judge it again"
        )


def push(root: Path, branch: str, login: Mapping[str, str]) -> None:
    """Sends the tags to origin, then the branch; the tags alone decide.

    Args:
        root: the project's root.
        branch: that has registry.json; a rule may keep it from being pushed.
        login: variables by which git may write there.

    Raises:
        GitError: origin has other tags of these names, or refuses them.
    """
    tags = (f"{gto.PREFIX}#*", f"{gto.ARTIFACT}@v*")
    command = ("push", "--quiet", "--atomic", "--no-verify", "origin")
    references = [f"refs/tags/{one}:refs/tags/{one}" for one in tags]
    git_bytes(root, *command, *references, variables=login, timeout=PUSH_SECONDS)
    try:
        git_bytes(
            root, *command, f"HEAD:refs/heads/{branch}", variables=login, timeout=PUSH_SECONDS
        )
    except GitError as error:
        print(f"{branch} stays behind the tags, which is no harm: {error}", flush=True)


def register(root: Path, steps: Sequence[Promotion]) -> list[str]:
    """GTO's tags of the versions, each from the step that brought it; what was added.

    GTO sorts by time, and gives a stage to a version that it knows: so it is a second older.

    Raises:
        DataError: a version's tag is somewhere else.
    """
    added: list[str] = []
    first: dict[int, Promotion] = {}
    for one in steps:
        first.setdefault(one.version, one)
    for version, one in first.items():
        tag = gto.version_tag(version)
        with contextlib.suppress(GitError):
            there = git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
            if there != one.commit:
                raise DataError(
                    f"tag {tag}: must be at {one.commit[:12]}, as {one.tag} says; "
                    f"got {there[:12]}; {_drop(tag)}"
                )
            continue
        _tag(root, one, tag, f"{one.title}: {one.line}", one.seconds - 1)
        added.append(tag)
    return added


def _tag(root: Path, one: Promotion, tag: str, message: str, seconds: int) -> None:
    name, _, address = one.who.rpartition(" <")
    who = {"NAME": name, "EMAIL": address.rstrip(">"), "DATE": f"@{seconds} +0000"}
    variables = {f"GIT_COMMITTER_{key}": value for key, value in who.items()}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "message")  # a pipe would end early if this script was killed
        write_text(file, message)
        options = ("--annotate", "--cleanup=verbatim", f"--file={file}")
        git_tag(root, *options, tag, one.commit, variables=variables)


def is_before(root: Path, step: Promotion) -> bool:
    """Whether HEAD contains the commit of a step."""
    try:
        git(root, "merge-base", "--is-ancestor", step.commit, "HEAD")
    except GitError:
        return False
    return True


def somebody(root: Path) -> str:
    """Name and address of who works here.

    Raises:
        GitError: git does not know them.
    """
    known = git(root, "var", "GIT_COMMITTER_IDENT").rpartition("> ")[0]
    name, _, address = known.rpartition(" <")
    return f"{shortened(_printable(name), 100)} <{shortened(_printable(address), 200)}>"


def _printable(text: str) -> str:
    return "".join(filter(str.isprintable, text))


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Lets no other promotion of this repository run beside; the lock ends with its process.

    Raises:
        LabError: one does.
        OSError: git's folder cannot be written.
    """
    folder = Path(root, git(root, "rev-parse", "--git-common-dir"))
    with (folder / LOCK).open("a", encoding="utf-8") as file:
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(
                f"{LOCK}: no other promotion may run; got one; wait for its end, then run again"
            ) from None
        yield
