"""The scores of task/metrics.py on both sides, computed by one and the same file.

A side's come from its `metrics/scores.json` where the candidate's task/metrics.py wrote it for
these results; else from the probabilities that DVC keeps; else that side has none. This runs the
candidate's own code, so nothing that renders or posts may import it.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lab.base.dvc import Cache
from lab.base.errors import DataError, LabError
from lab.data.prepared import Prepared, load_prepared
from lab.evidence.revision_results import RevisionResults, kept_file
from lab.evidence.schema import ModelSide
from lab.results import probabilities, scores
from lab.results.schema import BUILT_IN, ModelResults, ScoreTable
from lab.results.scores import Metric, Scored

SPLITS = ("validation", "test")

PerSeed = dict[str, dict[str, list[float]]]  # by split and score


@dataclasses.dataclass(frozen=True)
class Place:
    """Where scores are computed: labels, DVC's cache, the candidate's data and its metrics."""

    own: Sequence[Metric]
    candidate: RevisionResults
    prepared: Prepared
    cache: Cache


def with_own_scores(
    root: Path, own: Sequence[Metric], candidate: RevisionResults, baseline: RevisionResults
) -> tuple[RevisionResults, RevisionResults, str | None]:
    """Both sides with the scores of `own`, as far as they have them, and why the candidate's lack.

    A baseline that has none needs no reason: it may be older than the score.
    """
    if not own:
        return candidate, baseline, None
    try:
        place = Place(own, candidate, load_prepared(root), Cache(root))
    except LabError as error:
        return candidate, baseline, str(error)
    new, missing = _filled(candidate, place)
    old, failed = _filled(baseline, place)
    return new, old, missing or failed


def scorer(
    root: Path, own: Sequence[Metric], candidate: RevisionResults
) -> Callable[[RevisionResults], RevisionResults]:
    """What adds the scores of `own` to results, as far as their files are there."""
    if own:
        with contextlib.suppress(LabError):
            place = Place(own, candidate, load_prepared(root), Cache(root))
            return lambda results: _filled(results, place)[0]
    return lambda results: results


def removed(own: Sequence[Metric], baseline: RevisionResults) -> list[str]:
    """The names of scores that the baseline alone has."""
    table = table_of(baseline)
    known = {score.name for score in scores.declared(own)}
    return [score.name for score in table.scores if score.name not in known] if table else []


def table_of(results: RevisionResults) -> ScoreTable | None:
    """A revision's `metrics/scores.json`; None where there is none of this schema."""
    content = results.snapshot.read(scores.SCORES.as_posix())
    try:
        return scores.parse(content, scores.SCORES.as_posix()) if content else None
    except DataError:
        return None


def _filled(results: RevisionResults, place: Place) -> tuple[RevisionResults, str | None]:
    """A revision's results with own scores, and the first reason why some cannot be had."""
    table = table_of(results)
    if table is not None and not _is_made_by(place.own, table):
        table = None
    sides, reason = dict(results.sides), None
    for name, run in results.runs.items():
        try:
            found = _stored(table, run) if table else None
            found = found or _computed(results, name, place)
        except LabError as error:
            reason = reason or str(error)
        else:
            sides[name] = _with(sides[name], found)
    return dataclasses.replace(results, sides=sides), reason


def _is_made_by(own: Sequence[Metric], table: ScoreTable) -> bool:
    """Whether these functions made it; others may have the same names."""
    return scores.own_sources() == table.sources and table.scores == scores.declared(own)


def _with(side: ModelSide, found: PerSeed) -> ModelSide:
    new = {split: {**getattr(side, split), **found.get(split, {})} for split in SPLITS}
    return side.model_copy(update=new)


def _stored(table: ScoreTable, run: ModelResults) -> PerSeed | None:
    """What the table says of a model; None where it was written for other results."""
    found: PerSeed = {}
    for split in SPLITS:
        spreads = getattr(table, split).get(run.model, {})
        trained = dict(getattr(run, split))
        if table.seeds != run.seeds or any(
            spreads.get(s.name) != trained[s.name] for s in BUILT_IN
        ):
            return None
        found[split] = {name: spread.per_seed for name, spread in spreads.items()}
    return found


def _computed(results: RevisionResults, name: str, place: Place) -> PerSeed:
    """The scores from stored probabilities, of the splits that are the candidate's too.

    Raises:
        DataError: the candidate's are gone, some do not belong to the results, or a function fails.
    """
    found: PerSeed = {}
    is_candidate = results is place.candidate
    for split in SPLITS:
        path = kept_file(results, name, f"{split}_probabilities.npy", place.cache)
        what = (
            f"the {'candidate' if is_candidate else 'baseline'}'s {split} probabilities of {name}"
        )
        if path is None and is_candidate:
            raise DataError(f"{what} are not here; run `dvc repro`")
        if path is None or not _has_same(split, results, place.candidate):
            continue
        run = results.runs[name]
        given = _read(path, what, run, split, getattr(place.prepared, split).labels)
        spreads = scores.spreads(place.own, f"{name}, {split}", run.seeds, given)
        found[split] = {score: spread.per_seed for score, spread in spreads.items()}
    return found


def _has_same(split: str, results: RevisionResults, candidate: RevisionResults) -> bool:
    if results.data is None or candidate.data is None:
        return False
    sides = (getattr(each, split) for each in (results.data, candidate.data))
    return len({side.sha256 for side in sides}) == 1


def _read(path: Path, what: str, run: ModelResults, split: str, labels_N: scores.Labels) -> Scored:
    """Probabilities that are as accurate as the results say.

    Raises:
        DataError: they are damaged, or belong to other results.
    """
    try:
        found_SNC = probabilities.read(path, run.seeds, len(labels_N))
    except DataError:
        raise DataError(f"{what} are damaged; run `dvc repro`") from None
    accuracy_S = [(found_NC.argmax(axis=1) == labels_N).mean() for found_NC in found_SNC]
    wanted_S, less_than_one = getattr(run, split).accuracy.per_seed, 0.5 / len(labels_N)
    if not np.allclose(accuracy_S, wanted_S, rtol=0, atol=less_than_one):
        raise DataError(f"{what} do not belong to its results; run `dvc repro`")
    if found_SNC.shape[2] != len(run.confusion):
        raise DataError(f"{what} are of another number of classes; run `dvc repro`")
    return Scored(found_SNC, labels_N)
