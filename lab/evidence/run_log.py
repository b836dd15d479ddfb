"""What the log of a command that failed says: the stage, and its last lines; needs no package."""

import re
from typing import NamedTuple

MAX_LINES = 20
MAX_CHARACTERS = 400  # of a line, as `lab.evidence.schema.Text` has it
MAX_BYTES = 2**20  # of a log that are read, from its end

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\^_])"  # colours, titles
)
FAILED = "ERROR: failed to reproduce "  # DVC's own line, after what the stage said
_STAGE = re.compile(rf"{FAILED}'([^']+)'")
# Progress, what make adds to a failure, and what DVC says of all that went well.
_NOISE = re.compile(
    r".*\d+%\|.*|make(\[\d+\])?: .*|Stage '.*' (didn't change|is cached).*|\S+ lock file '.*"
    r"|Use `dvc push`.*|To track the changes with git.*|To enable auto staging.*"
    r"|\s*git add .*|\s*dvc config core\.autostage.*"
)


class Ending(NamedTuple):
    """How a log ends; `stage` is the one that DVC says it failed to reproduce."""

    stage: str | None
    lines: list[str]


def ending(log: str) -> Ending:
    r"""The failed stage, and the last lines that mean something, each on one line and bounded.

    >>> ending("\x1b[31mtrain.py: no\x1b[0m\n\n 40%|###  |\rERROR: failed to reproduce 'x': ...\n")
    Ending(stage='x', lines=['train.py: no', "ERROR: failed to reproduce 'x': ..."])
    """
    lines = [_shown(line) for line in _ESCAPES.sub("", log).split("\n")]
    kept = [line for line in lines if line.strip() and not _NOISE.fullmatch(line)]
    stages = [found[1] for line in kept if (found := _STAGE.match(line))]
    if not stages:
        return Ending(None, kept[-MAX_LINES:])
    begun = [at for at, line in enumerate(kept) if line == f"Running stage '{stages[-1]}':"]
    return Ending(stages[-1], kept[begun[-1] if begun else 0 :][-MAX_LINES:])


def _shown(line: str) -> str:
    """A line as a terminal leaves it, with an escape for what nobody can see."""
    written = [part for part in line.split("\r") if part.strip()]
    shown = "".join(
        letter
        if letter.isprintable()
        else letter.encode("unicode_escape", "surrogatepass").decode("ascii")
        for letter in (written[-1] if written else "").expandtabs().rstrip()[:MAX_CHARACTERS]
    )
    return shown if len(shown) < MAX_CHARACTERS else f"{shown[: MAX_CHARACTERS - 1]}…"
