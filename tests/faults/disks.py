"""Disks that are full, read-only, without power or decaying."""

import hashlib
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.cases import (
    Case,
    Outcome,
    Place,
    after_the_fault,
    again,
    in_the_end,
    in_turn,
    one_line,
)
from tests.faults.preload import fresh_state, preloaded
from tests.scratch import (
    COMMANDS,
    LEAVE_SECONDS,
    Ended,
    Project,
    is_temporary,
    own,
    remove,
)

STORE = "mlflow.db:mlruns"  # MLflow's files, of which nothing else depends
BESIDES = f"{STORE}:__pycache__:/.dvc/:/.git/"


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
    shown = f"operation {number} of {total}: {ended.last_line}"
    outcome = Outcome(case, ended.code, shown, ended.seconds)
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
    ("prepare", "data/raw/tiny"),
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


# --- flipped bits --------------------------------------------------------------------------------
PREPARED_FILES = tuple(
    f"data/prepared/{split}_{what}.npy"
    for split in ("train", "validation", "test")
    for what in ("inputs", "labels")
)
MODEL_FILES = (
    "models/runs/relu_8/weights.safetensors",
    "models/runs/relu_8/predictions.npz",
)


def flips(random: random.Random, count: int) -> list[Case]:
    """One bit of each file of data, and of what DVC's cache has of it; times stay as they were."""
    prepared = [("train", name) for name in PREPARED_FILES]
    parallel = [("train_parallel", PREPARED_FILES[0])]
    cached = [("train", f"cache of {random.choice(PREPARED_FILES)}") for _ in range(2)]
    models = [("compare", name) for name in MODEL_FILES]
    drawn = [*prepared, *parallel, *cached, *models][: max(1, count)]
    return [Case("flipped bit", command, fault, random.random()) for command, fault in drawn]


def flip(place: Place, case: Case) -> Outcome:
    right = place.begin(case.command)
    name = case.fault.removeprefix("cache of ")
    path = place.project.folder / name
    if name != case.fault:
        corrupt(cached(place, path), case.moment)
        remove(path.parent)
        place.project.run("dvc", "checkout", "--force", str(path.parent))
    else:
        corrupt(path, case.moment)
    ended = place.project.run(*COMMANDS[case.command].arguments)
    outcome = Outcome(case, ended.code, ended.last_line, ended.seconds)
    outcome.losses += one_line(case.command, ended)
    advice = re.search("`(dvc .+?)`", ended.last_line)
    advised = place.project.run(*advice[1].split()) if advice else ended
    if advised.code != 0:
        outcome.losses.append(f"the advice: {ended.last_line}: {advised.code}: {advised.last_line}")
    place.bench.begin_store(place.project)  # the advice may train, which is recorded
    outcome.losses += again(place, case.command)
    outcome.losses += in_the_end(place, right, case.command)
    return outcome


def corrupt(path: Path, where: float) -> None:
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
