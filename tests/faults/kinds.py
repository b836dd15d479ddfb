"""The kinds of fault: how their cases are drawn and tried."""

import os
import random
import shutil
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
from tests.faults.network import bad_server, cut_download, downloads, servers
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


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its cases, how one is tried, how many by default, and what it needs."""

    cases: Callable[[random.Random, int], list[Case]]
    attempt: Callable[[Place, Case], Outcome]
    count: int
    how: str
    needs: Callable[[], str] = lambda: ""


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
