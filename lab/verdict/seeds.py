"""Seeds that nobody could know when a commit was made, and that anybody can work out afterwards."""

import hashlib
from collections.abc import Iterator

LOWEST, HIGHEST = 2**16, 2**31 - 1  # seeds of params.yaml are small, as a rule


def fresh(run: int, candidate: str, baseline: str, count: int) -> list[int]:
    """The seeds of a run that compares two commits; the first of a longer list are the same.

    GitHub gives a run its number after the commit was pushed. A run that is repeated keeps it.

    >>> fresh(30, "c", "b", 2)
    [2117800147, 1768914620]
    """
    found: dict[int, None] = {}
    drawn = _drawn(f"{run} {candidate} {baseline}")
    while len(found) < count:
        found[next(drawn)] = None
    return list(found)


def _drawn(key: str) -> Iterator[int]:
    """31 bits of SHA-256 at a time, without what is out of range."""
    number = 0
    while True:
        digest = hashlib.sha256(f"{key} {number}".encode()).digest()
        if (seed := int.from_bytes(digest[:4], "big") >> 1) >= LOWEST:
            yield seed
        number += 1
