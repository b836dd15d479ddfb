"""Processes of scripts and of Ray that tests start and watch."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support import started

PROMPT_SECONDS = 60  # two on a quiet machine


def wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"ended without saying {text!r}")


@contextlib.contextmanager
def ray_node(environment: dict[str, str], *role: str) -> Iterator["subprocess.Popen[str]"]:
    """A Ray node of one core, in a session of its own."""
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--disable-usage-stats", "--block"]
    with started(
        *ray, "--num-cpus=1", *role, env=environment, stdout=subprocess.PIPE
    ) as node:  # fmt: skip
        wait_for(node, "Ray runtime started")
        yield node
        node.terminate()
        node.communicate(timeout=PROMPT_SECONDS)
