"""The kinds of fault: how their cases are drawn and tried."""

import importlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.cases import Case, Outcome, Place
from tests.faults.clocks import clock, clocks
from tests.faults.disks import (
    READ_ONLY,
    flip,
    flips,
    full_disk,
    full_disks,
    power_cut,
    power_cuts,
    read_only_folder,
    read_only_folders,
)
from tests.faults.network import bad_server, servers
from tests.faults.preload import needs_a_compiler
from tests.faults.processes import (
    MEMORY,
    kill,
    kills,
    out_of_memory,
    out_of_memory_cases,
    pair,
    pairs,
)
from tests.scratch import ROOT, Bench


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its cases, how one is tried, how many by default, and what it needs."""

    cases: Callable[[random.Random, int], list[Case]]
    attempt: Callable[[Place, Case], Outcome]
    count: int
    how: str
    needs: Callable[[], str] = lambda: ""
    bench: Callable[..., Bench] = Bench  # of folder, say, whether data alone will do


def needs_root() -> str:
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "to be root, on Linux"


def needs_control_groups() -> str:
    can = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    return "" if can else f"to make control groups in {MEMORY}"


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
    "flip": Kind(flips, flip, 11, "one bit, with time and size as before"),
    "server": Kind(servers, bad_server, 17, "dead, slow or lying"),
    "pair": Kind(pairs, pair, 2, "two `make repro` on one checkout"),
}

# The task in use may have kinds of its own.
if (ROOT / "tests/task/faults.py").is_file():
    KINDS |= importlib.import_module("tests.task.faults").kinds(Kind)
