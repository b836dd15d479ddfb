"""How large the differences between earlier versions of this repository's results were.

They are what a change is expected to do before anybody measured it: see `lab.verdict.shrinkage`.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from lab.base.errors import LabError
from lab.base.git import git_entries
from lab.data.description import DESCRIPTION
from lab.evidence.schema import MAX_PAST, Past
from lab.evidence.snapshots import blobs
from lab.results.schema import BUILT_IN, LARGEST_SCORE, Score
from lab.results.storage import MODEL_RESULTS
from lab.verdict.differences import Sample, difference

MOST_COMMITS = 200


class Version(NamedTuple):
    """The file of a model's results before and after a commit, as git's objects."""

    before: str
    after: str


def past(root: Path, base: str, score: Score) -> list[Past]:
    """The differences between consecutive versions of the baseline's models, the newest first.

    What has no error (too few seeds), or changed nothing, is left out; so are scores that are not
    built in, and commits that also changed the data.

    Args:
        root: the project's root.
        base: the baseline, whose first parents are its past.
        score: the one that is judged.
    """
    if score not in BUILT_IN:
        return []
    try:
        versions = [*_versions(root, base)]
        samples = _samples(root, {name for version in versions for name in version}, score.name)
    except LabError:  # a clone that lacks its past
        return []
    found = []
    for version in versions:
        if version.before in samples and version.after in samples:
            one = difference(samples[version.after], samples[version.before])
            if one.error:
                found.append(Past(estimate=one.estimate, error=one.error))
    return found[:MAX_PAST]


def _versions(root: Path, base: str) -> Iterator[Version]:
    log = (
        "log",
        "--first-parent",
        "-m",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "--relative",
        "-z",
    )
    paths = (f"{MODEL_RESULTS.as_posix()}/", DESCRIPTION.as_posix())
    entries = iter(git_entries(root, *log, "--format=%x01", f"-{MOST_COMMITS}", base, "--", *paths))
    of_commit: list[Version] = []
    is_of_same_data = True
    for entry in entries:
        if entry.startswith("\1"):
            yield from of_commit if is_of_same_data else ()
            of_commit, is_of_same_data = [], True
        if ":" in entry:
            _, _, before, after, state = entry.split(":", 1)[1].split()
            if next(entries) == DESCRIPTION.as_posix():
                is_of_same_data = False
            elif state == "M":
                of_commit.append(Version(before, after))
    yield from of_commit if is_of_same_data else ()


def _samples(root: Path, names: set[str], score: str) -> Mapping[str, Sample]:
    """A score by seed of the results that can be read, by the name of their object."""
    found = {}
    for name, content in blobs(root, sorted(names)).items():
        with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
            results = json.loads(content)
            values = [float(value) for value in results["test"][score]["per_seed"]]
            if len(values) == len(results["seeds"]) and max(map(abs, values)) <= LARGEST_SCORE:
                found[name] = Sample(results["seeds"], values)
    return found
