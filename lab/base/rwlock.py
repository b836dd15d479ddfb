"""Removes what a DVC that was killed while it wrote its lock file left of it.

DVC writes `.dvc/tmp/rwlock` in place, refuses to run with half of one, and never repairs it.
"""

import json
import time
from pathlib import Path

from lab.base.script import run_script

FILE = Path(".dvc/tmp/rwlock")
WRITING_SECONDS = 0.5  # that a DVC which runs just now may take to write it


def mend(file: Path = FILE) -> None:
    """Removes the file if it is no JSON and nobody is writing it."""
    damaged = _damaged(file)
    if damaged:
        time.sleep(WRITING_SECONDS)
        if _damaged(file) == damaged:
            file.unlink(missing_ok=True)


def _damaged(file: Path) -> tuple[int, bytes] | None:
    """When it was written, and what, if it is no JSON."""
    try:
        content = file.read_bytes()
        json.loads(content)
    except FileNotFoundError:
        return None
    except ValueError:
        return file.stat().st_mtime_ns, content
    return None


if __name__ == "__main__":
    run_script(mend)
