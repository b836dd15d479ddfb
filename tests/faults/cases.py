"""One fault on one command, and what must hold after it."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml.error import YAMLError

from tests.scratch import (
    COMMANDS,
    Bench,
    Ended,
    Project,
    Right,
    is_temporary,
    runs_of,
    stages,
    store_losses,
)


@dataclass(frozen=True)
class Case:
    """One fault: what kind, on which command, and everything drawn for it."""

    kind: str
    command: str
    fault: str
    moment: float = 0.0  # as a fraction of the undisturbed time
    number: int = 0


@dataclass
class Outcome:
    """What became of a case; `losses` is empty when nothing was lost."""

    case: Case
    code: int = 0
    line: str = ""
    seconds: float = 0.0
    losses: list[str] = field(default_factory=list)


@dataclass
class Place:
    """Where one case runs: a project of its own, and the undisturbed runs in it."""

    bench: Bench
    project: Project
    shim: Path | None
    rights: dict[str, Right]
    command: str = ""

    def begin(self, command: str) -> Right:
        """Lays out the command's start."""
        self.command = command
        self.bench.begin(self.project, command)
        return self.rights[command]

    def in_git(self) -> set[str]:
        """The files that DVC may take away, because git has them."""
        if self.command != "dvc repro":
            return set()
        return set(self.project.must("git", "ls-files", "metrics").split())


def after_the_fault(place: Place, right: Right, ended: Ended) -> Iterator[str]:
    """Nothing but whole files, old or new; whatever was said has no traceback."""
    if "Traceback" in ended.errors:
        yield f"traceback: {ended.errors.strip()[-600:]}"
    if ended.errors.endswith("\nhung"):
        yield "hung"
    found = place.project.files()
    for name, value in found.items():
        if is_temporary(name) or value in (right.start.get(name), right.files.get(name)):
            continue
        if name != "dvc.lock" or not is_a_mixture(place):
            yield f"{name}: neither the old file nor the new one"
    yield from (f"{name}: gone" for name in away(right, found) if name not in place.in_git())


def away(right: Right, found: Mapping[str, str]) -> list[str]:
    """The results for git that were there and are not.

    DVC removes a stage's before it starts the stage, which brings them back first of all. When both
    are killed in between, git still has them, and the next run brings them back.
    """
    return [
        name
        for name in right.start
        if name not in found and name.startswith(("metrics/", "dvc.lock"))
    ]


def is_a_mixture(place: Place) -> bool:
    """Whether every entry of `dvc.lock` is an old one or a new one."""
    try:
        found = stages((place.project.folder / "dvc.lock").read_text(encoding="utf-8"))
    except (YAMLError, TypeError, KeyError):
        return False
    known = [
        stages((each / "dvc.lock").read_text(encoding="utf-8"))
        for each in (place.bench.old, place.bench.new)
    ]
    return set(found) <= {entry for entries in known for entry in entries}


def in_the_end(place: Place, right: Right, command: str) -> Iterator[str]:
    """All bytes are those of an undisturbed run; every run is recorded once; nobody is left."""
    if left := place.project.await_silence():
        yield f"processes left: {sorted(left.values())}"
        place.project.kill_everything()
    found = place.project.files()
    for name in sorted({*found, *right.files}):
        if found.get(name) != right.files.get(name):
            is_new = "left behind" if name not in right.files else "other bytes"
            yield f"{name}: {'lacking' if name not in found else is_new}"
    yield from store_losses(right, runs_of(place.project.folder))


def again(place: Place, command: str, **environment: str) -> Iterator[str]:
    """The next run of the same command succeeds."""
    done = place.project.run(*COMMANDS[command].arguments, **environment)
    if done.code != 0 or "Traceback" in done.errors:
        yield f"the next run: {done.code}: {(done.errors or done.output)[-600:]}"


def recorded(place: Place) -> Iterator[str]:
    """What nobody has recorded yet is recorded as soon as somebody wants to send it."""
    place.project.await_silence()
    done = place.project.run("python", "sync.py", "--if-configured")
    if done.code != 0 or done.errors:
        yield f"recording what was left: {done.code}: {done.errors[-600:]}"


def one_line(command: str, ended: Ended, *codes: int) -> Iterator[str]:
    """A fault the user can fix is one line and exit 2."""
    if ended.code not in (codes or (2,)):
        yield f"exit {ended.code}: {ended.last_line}"
    script = COMMANDS[command].arguments[1]
    reported = [line for line in ended.errors.splitlines() if line.startswith(f"{script}: ")]
    if ended.code == 2 and len(reported) != 1:
        yield f"{len(reported)} lines tell: {ended.errors[-400:]}"


def in_turn(values: Sequence[str], count: int) -> Iterator[str]:
    """So many of them, from the first again after the last."""
    return itertools.islice(itertools.cycle(values), count)
