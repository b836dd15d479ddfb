"""The tags in which GTO keeps a registry of models, and this project's own words in them.

`model@v3.0.0` is a version, `model#production#5` says what is in production since. `gto show` reads
them; GTO goes by a tag's name, and leaves lightweight tags out.
Source: gto 1.10.1, `gto/constants.py` and `gto/tag.py`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lab.base.git import git

ARTIFACT, STAGE = "model", "production"
LEDGER = "registry.json"  # what the tags say, as a file; `make promote` writes what is so
PREFIX = f"{ARTIFACT}#{STAGE}"
ASSIGNED = re.compile(rf"{PREFIX}#([1-9][0-9]{{0,8}})")
# What GTO reads as the same stage: one that ends, that has no number, or one that is written oddly.
ALIKE = re.compile(rf"{PREFIX}!?(#[0-9]+)?")
COUNTED = re.compile(rf"{ARTIFACT}[#@].*#([0-9]{{1,9}})")  # a number is of all its stages together
SUBJECT = re.compile(r"v([1-9][0-9]{0,5}) in production")
FIELDS = ("refname:strip=2", "objecttype", "*objecttype", "*objectname", "taggerdate:short",
          "contents:subject")  # fmt: skip


@dataclass(frozen=True)
class Assigned:
    """An annotated tag that puts a commit into production; `version` is None in foreign words."""

    tag: str
    number: int
    commit: str
    day: str
    version: int | None

    @property
    def title(self) -> str:
        """As a report calls it: `v3, in production since 2026-11-29`."""
        name = self.tag if self.version is None else f"v{self.version}"
        return f"{name}, in production since {self.day}"


def version_tag(version: int) -> str:
    """GTO's tag of a version: its number, and two that it asks for and nothing here tells apart."""
    return f"{ARTIFACT}@v{version}.0.0"


def stage_tag(number: int) -> str:
    """GTO's tag of what is in production."""
    return f"{PREFIX}#{number}"


def assigned(root: Path, base: str = "") -> list[Assigned]:
    """What has been put into production, the first first.

    Args:
        root: the project's root.
        base: a commit; what it does not contain is left out.

    Raises:
        GitError: git refuses.
    """
    merged = ["--merged", base] if base else []
    form = "%00".join(f"%({field})" for field in FIELDS)
    listed = git(root, "for-each-ref", f"--format={form}", *merged, f"refs/tags/{PREFIX}#*")
    found = []
    for line in listed.split("\n") if listed else ():
        tag, kind, of, commit, day, subject = line.split("\0", len(FIELDS) - 1)
        named, said = ASSIGNED.fullmatch(tag), SUBJECT.fullmatch(subject)
        if named and (kind, of) == ("tag", "commit"):
            version = int(said[1]) if said else None
            found.append(Assigned(tag, int(named[1]), commit, day, version))
    return sorted(found, key=lambda one: one.number)


def next_number(root: Path) -> int:
    """The number that GTO would give the next tag of a stage.

    Raises:
        GitError: git refuses.
    """
    tags = git(root, "tag", "--list", f"{ARTIFACT}[#@]*").splitlines()
    return max((int(one[1]) for tag in tags if (one := COUNTED.fullmatch(tag))), default=0) + 1
