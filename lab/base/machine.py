"""On what a run was made: the code's commit, the versions, the processor."""

import contextlib
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from lab.base.git import git_or_nothing
from lab.base.source import source_tags


def environment_tags(device: str = "cpu") -> dict[str, str]:
    """Where a run was made: commit, branch, versions, processor. No user, no host, no path."""
    tags = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": Path(sys.argv[0]).name,
        "python": platform.python_version(),
        "torch": version("torch"),
        "device": device,
        "cpu": _processor(),
        "cpu_count": str(os.cpu_count()),
    }
    tags |= source_tags()
    if "git_commit" in tags:
        # The pipeline rewrites these while it runs; they do not make the code another one.
        changed = git_or_nothing(
            "status", "--porcelain", "-uno", "--", ".", ":!metrics", ":!dvc.lock"
        )
        tags["git_dirty"] = str(bool(changed)).lower()
    return tags


def _processor() -> str:
    """The processor's trade name, which `platform` does not know on Linux."""
    with contextlib.suppress(OSError, IndexError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
        return names[0].strip()
    return platform.processor() or platform.machine()
