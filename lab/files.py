"""Files that are whole or absent: written beside their place, then renamed into it."""

import contextlib
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder that becomes `path` when the block succeeds.

    A reader sees the old file or the new one, never a part; a failure leaves the old one.
    The bytes are on disk before the rename, so a power cut cannot leave an empty file.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:  # names the temporary file, which nobody knows
        raise type(error)(error.errno, error.strerror, str(path)) from error
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename2 = None
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces `path` by `content`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8 with Unix line ends, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by `value` as JSON, a list of numbers on one line; NaN is refused."""
    text = json.dumps(value, indent=2, allow_nan=False)
    text = re.sub(r"\[[-+\d.,e\s]+\]", lambda numbers: " ".join(numbers[0].split()), text)
    write_text(path, text.replace("[ ", "[").replace(" ]", "]") + "\n")


def put_back(*paths: Path) -> None:
    """Brings back what git tracks of these files, where they are gone; other files stay.

    DVC removes a stage's outputs before it runs. A stage that fails shall leave the previous
    results, not gaps.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        with contextlib.suppress(OSError):  # no git here
            command = ["git", "checkout-index", "--quiet", "--", *missing]
            subprocess.run(command, stderr=subprocess.DEVNULL, check=False)


def sha256(content: bytes | memoryview) -> str:
    """Hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def _umask() -> int:
    """The process's umask, which `mkstemp` ignores; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
