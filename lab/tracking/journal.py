"""What scripts record, until the local store has it: a file of messages for each script.

One process writes a journal into the store, and claims it: the script's own, or, when that was
killed, the next script's or `make sync`. To write a message twice is to write it once.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lab.base.home import home
from lab.tracking.sent import ARTIFACTS

FOLDER = ARTIFACTS / ".journals"
LEFT = ["left"]  # the last message of a script that has ended well, and did not wait

Message = tuple[Any, ...]  # kind, key of the recording, the rest


def place(name: str) -> Path:
    """The journal of that name."""
    return home() / FOLDER / f"{name}.jsonl"


def line(message: Message) -> str:
    """A message as it stands in a journal."""
    return json.dumps(message, default=str) + "\n"


def added(file: IO[str]) -> Iterator[list[Any]]:
    """The messages that are whole, from where the file was read to."""
    while True:
        here = file.tell()
        text = file.readline()
        if not text.endswith("\n"):  # it is being written, or its script was killed in it
            file.seek(here)
            return
        if (message := json.loads(text)) != LEFT:
            yield message


def leave(journal: Path) -> None:
    """Says that the script has ended well, unless all that it recorded is in the store."""
    if journal.exists():
        with journal.open("a", encoding="utf-8") as file:
            file.write(line(tuple(LEFT)))


def is_left(journal: Path) -> bool:
    """Whether its script has ended well, and what is there is on its way into the store."""
    try:
        return journal.read_text(encoding="utf-8").endswith(line(tuple(LEFT)))
    except FileNotFoundError:
        return False
