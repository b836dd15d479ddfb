"""On what a run was made: the code's commit, the versions, the processor."""

import contextlib
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


def environment_tags(device: str = "cpu") -> dict[str, str]:
    """Where a run was made: commit, versions, processor. No user name, no host name, no path."""
    tags = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": Path(sys.argv[0]).name,
        "python": platform.python_version(),
        "torch": version("torch"),
        "device": device,
        "cpu": _processor(),
        "cpu_count": str(os.cpu_count()),
    }
    commit = _git("rev-parse", "HEAD")
    if commit:
        # The pipeline rewrites these while it runs; they do not make the code another one.
        changed = _git("status", "--porcelain", "-uno", "--", ".", ":!metrics", ":!dvc.lock")
        tags |= {
            "mlflow.source.git.commit": commit,
            "git_commit": commit[:12],
            "git_dirty": str(bool(changed)).lower(),
        }
    return tags


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _processor() -> str:
    """The processor's trade name, which `platform` does not know on Linux."""
    with contextlib.suppress(OSError, IndexError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
        return names[0].strip()
    return platform.processor() or platform.machine()
