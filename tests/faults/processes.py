"""Processes that are killed, run out of memory, or run beside another one."""

import contextlib
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.faults.cases import (
    Case,
    Outcome,
    Place,
    after_the_fault,
    again,
    away,
    in_the_end,
    in_turn,
    one_line,
    recorded,
)
from tests.faults.network import served
from tests.scratch import COMMANDS, ROOT, Ended, Project, remove

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


VICTIMS = ("everything", "group", "script", "worker", "writer", "SIGTERM", "SIGINT")


def kills(random: random.Random, count: int) -> list[Case]:
    cases = []
    for command, share in SHARES.items():
        victims = [
            victim
            for victim in VICTIMS
            if (victim != "worker" or command in ("train_parallel", "dvc repro"))
            and (victim != "writer" or command in ("train", "train_parallel", "compare"))
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
        reported = f"{len(away(right, place.project.files()))} files away; {ended.last_line}"
        outcome = Outcome(case, ended.code, reported, ended.seconds)
        outcome.losses += after_the_fault(place, right, ended)
        outcome.losses += said_of_a_kill(case, ended)
        outcome.losses += recorded(place)
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
        # Before `begin` is called Python itself reports an interrupt.
        if ended.code not in (INTERRUPTED, -signal.SIGINT):
            yield f"Ctrl-C: exit {ended.code}: {ended.last_line}"
    elif case.fault == "SIGTERM":
        if ended.code != TERMINATED:
            yield f"SIGTERM: exit {ended.code}: {ended.last_line}"
    elif case.fault in ("worker", "writer"):
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
            for number, line in sorted(project.processes().items(), reverse=True):
                if ("lab.tracking." in line) == (victim == "writer") and number != process.pid:
                    os.kill(number, signal.SIGKILL)
                    break


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
    reported = f"{limit / 1e6:.0f} of {peak / 1e6:.0f} MB: {ended.last_line}"
    outcome = Outcome(case, ended.code, reported, ended.seconds)
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
        (group / "memory.limit_in_bytes").write_text(str(limit), encoding="utf-8")
        join = 'echo $$ > "$0" && exec "$@"'
        enter = ("sh", "-c", join, str(group / "cgroup.procs"))
        ended = place.project.run(*enter, *COMMANDS[command].arguments)
        place.project.await_silence()
        return ended, int((group / "memory.max_usage_in_bytes").read_text(encoding="utf-8"))
    finally:
        place.project.kill_everything()
        while (group / "cgroup.procs").read_text(
            encoding="utf-8"
        ):  # the killed take a moment to go
            time.sleep(0.05)
        group.rmdir()


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
