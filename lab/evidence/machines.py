"""Whether the two sides of a trial were made on one kind of machine, in one precision.

Another processor gives other bits for the same code; of a difference of a few hundredths nobody
could say whether the change or the machine made it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lab.base.dvc import Cache
from lab.base.stages import Stage
from lab.evidence.changes import is_written_by_pipeline, params_of
from lab.evidence.revision_results import RevisionResults
from lab.evidence.snapshots import Snapshot
from lab.evidence.staleness import stage_changes
from lab.results.schema import Score

MADE_ELSEWHERE = "its results were made on another machine"


def made_elsewhere(
    root: Path, candidate: RevisionResults, baseline: RevisionResults, names: Mapping[str, str]
) -> str | None:
    """Why the baseline's results are not from the kind of machine that made the candidate's.

    Args:
        root: the project's root.
        candidate: the results of the working tree.
        baseline: those that git holds of the baseline.
        names: of the models on both sides: the candidate's, and the baseline's.

    Returns:
        What tells it; None where they are from here, or where nothing is: neither can then be told.
    """
    cache = Cache(root)
    if not any(_is_here(root, cache, stage) for stage in _training(candidate).values()):
        return None
    same = unchanged(candidate, baseline, names)
    for name, is_same in same.items():
        if not is_same:
            return f"{MADE_ELSEWHERE} ({name}: same inputs, other results)"
    for name, old in names.items():
        after, before = candidate.runs.get(name), baseline.runs.get(old)
        if after is None or before is None:
            continue
        if after.device != before.device:
            return f"{MADE_ELSEWHERE} ({old} on {before.device}, here on {after.device})"
        asked = _precision(candidate.snapshot, name), _precision(baseline.snapshot, old)
        if after.precision != before.precision and asked[0] == asked[1]:
            return f"{MADE_ELSEWHERE} ({old} in {before.precision}, here in {after.precision})"
    if same or all(_is_kept(cache, stage) for stage in _training(baseline).values()):
        return None
    return f"{MADE_ELSEWHERE}, as far as the DVC cache of this one tells"


def unchanged(
    candidate: RevisionResults, baseline: RevisionResults, names: Mapping[str, str]
) -> dict[str, bool]:
    """Of the models that had the same inputs on both sides, whether they had the same results."""
    found = {}
    for name in (name for name, old in names.items() if name == old):
        after, before = (
            side.stages.get(side.stage_of(name) or "") for side in (candidate, baseline)
        )
        if after and before and before.last_command and not stage_changes(before, after):
            found[name] = _hashes(before) == _hashes(after)
    return found


def to_train(
    candidate: RevisionResults,
    baseline: RevisionResults,
    names: Mapping[str, str],
    score: Score,
) -> list[str]:
    """The stages of the baseline whose models have to be trained here to be compared.

    Those of models that are on both sides, but for the ones that are the same on both; and of those
    that were removed the one that may have been the best: nothing is compared with the others.
    """
    same = {name for name, is_same in unchanged(candidate, baseline, names).items() if is_same}
    wanted = {old for name, old in names.items() if name not in same}
    means = {
        name: (1 if score.higher_is_better else -1) * float(np.mean(values))
        for name, side in baseline.sides.items()
        if (values := side.validation.get(score.name))
    }
    if len(means) < len(baseline.names):  # which one is the best is not known yet
        wanted |= {*baseline.names} - {*names.values()}
    elif (best := max(means, key=lambda name: means[name])) not in names.values():
        wanted.add(best)
    stages = [baseline.stage_of(name) for name in baseline.names if name in wanted]
    return [stage for stage in stages if stage]


def _training(results: RevisionResults) -> dict[str, Stage]:
    """The stages that write the results of models."""
    names = [results.stage_of(model) for model in results.names]
    return {name: results.stages[name] for name in names if name}


def _in_cache(stage: Stage) -> dict[str, str | None]:
    """The outputs that DVC keeps, and their hashes; git keeps the others."""
    return {
        path: tracked.recorded
        for path, tracked in stage.outputs.items()
        if not is_written_by_pipeline(path)
    }


def _is_here(root: Path, cache: Cache, stage: Stage) -> bool:
    return any(
        (root / path).exists() or (recorded and cache.holds(recorded))
        for path, recorded in _in_cache(stage).items()
    )


def _is_kept(cache: Cache, stage: Stage) -> bool:
    return all(recorded and cache.holds(recorded) for recorded in _in_cache(stage).values())


def _hashes(stage: Stage) -> dict[str, str | None]:
    return {path: tracked.recorded for path, tracked in stage.outputs.items()}


def _precision(snapshot: Snapshot, model: str) -> object:
    """In which one a model was to be trained, which not every machine can."""
    tree = params_of(snapshot)
    try:
        return tree["models"][model].get("precision") or tree["train"].get("precision")
    except (LookupError, TypeError, AttributeError):
        return None
