"""The command line of CML (https://cml.dev), where it is installed, and what it would do.

CML edits the last of the first 30 comments that carries its watermark, whoever wrote that comment.
So the caller asks `choice` beforehand, and lets CML write only where that is the right comment.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.base.errors import LabError, shortened

TITLE = "fair trial"  # no underscore: CML escapes it and then does not find its own comment
SEEN_COMMENTS = 30  # one page; CML never asks for the second
TIMEOUT_SECONDS = 120.0
_WATERMARK = re.compile(
    rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {TITLE}"\)'
)


class CmlError(LabError):
    """CML failed or took too long."""


def is_installed() -> bool:
    """Whether there is a `cml` to call."""
    return shutil.which("cml") is not None


def choice(comments: Iterable[Mapping[str, Any]]) -> int | None:
    """The comment that CML would edit, by its id; None when it would make a new one."""
    seen = list(comments)[:SEEN_COMMENTS]
    marked = [int(one["id"]) for one in seen if _WATERMARK.search(one.get("body") or "")]
    return marked[-1] if marked else None


def comment(repository_url: str, token: str, number: int, markdown: str) -> None:
    """Makes or edits the one comment on a pull request.

    Raises:
        CmlError: CML failed; whether the comment arrived is unknown.
    """
    target = ["--target", f"pr/{number}", "--publish=false", "--watermark-title", TITLE]
    _run(["comment", "update", *target], repository_url, token, markdown)


def _run(arguments: list[str], repository_url: str, token: str, markdown: str) -> None:
    with tempfile.TemporaryDirectory(prefix="cml-") as folder:
        file = Path(folder) / "report.md"
        file.write_text(markdown, encoding="utf-8", newline="\n")
        environment = {
            **os.environ,
            "REPO_TOKEN": token,
            "ITERATIVE_DO_NOT_TRACK": "1",
            # CML writes `safe.directory=*` into the git configuration: not into the real one.
            "GIT_CONFIG_GLOBAL": str(Path(folder) / "gitconfig"),
        }
        command = ["cml", *arguments, "--driver", "github", "--repo", repository_url, str(file)]
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise CmlError(f"cml {arguments[0]}: no end after {TIMEOUT_SECONDS:.0f} s") from None
        except OSError as error:
            raise CmlError(f"cml {arguments[0]}: cannot be run ({error.strerror})") from None
    if done.returncode:
        output = (done.stderr or done.stdout).replace(token, "***")
        raise CmlError(f"cml {arguments[0]}: exit {done.returncode} ({shortened(output, 160)})")
