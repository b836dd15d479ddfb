"""Which model of the candidate was another one at the baseline: by its user's word, or the diff."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.evidence.revision_results import RevisionResults
from lab.evidence.snapshots import model_params
from lab.results.schema import ModelResults


def renamed(
    was: Mapping[str, str], candidate: RevisionResults, baseline: RevisionResults
) -> dict[str, str]:
    """New names of models that are gone, and the names that they had.

    `compare.was` of params.yaml counts first, where it names a new model and one that is gone, so
    it may stay there after a merge. Else a new model is one that is gone with the same params,
    whatever became of its results; among several the one with the same results.
    """
    gone = [name for name in baseline.names if name not in candidate.names]
    new = [name for name in candidate.names if name not in baseline.names]
    found = {name: was[name] for name in new if was.get(name) in gone}
    if len(found) == min(len(new), len(gone)):
        return found
    alike = sorted(
        _same_params(new, gone, candidate, baseline),
        key=lambda pair: not _has_same_results(pair[0], pair[1], candidate, baseline),
    )
    for name, old in alike:
        if name not in found and old not in found.values():
            found[name] = old
    return found


def names_on_both(
    renamed_from: Mapping[str, str], candidate: RevisionResults, baseline: RevisionResults
) -> dict[str, str]:
    """The candidate's and the baseline's name of every model that is on both sides."""
    names = {name: renamed_from.get(name, name) for name in candidate.names}
    return {name: old for name, old in names.items() if old in baseline.names}


def _same_params(
    new: Sequence[str], gone: Sequence[str], candidate: RevisionResults, baseline: RevisionResults
) -> Iterator[tuple[str, str]]:
    after, before = (model_params(side.snapshot) or {} for side in (candidate, baseline))
    for name in new:
        for old in gone:
            if old in before and after.get(name) == before[old]:
                yield name, old


def _has_same_results(
    name: str, old: str, candidate: RevisionResults, baseline: RevisionResults
) -> bool:
    after, before = candidate.runs.get(name), baseline.runs.get(old)
    return after is not None and before is not None and _unnamed(after) == _unnamed(before)


def _unnamed(run: ModelResults) -> dict[str, Any]:
    return run.model_dump(exclude={"model"})
