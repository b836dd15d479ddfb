"""The anchor: a commit that the project is not to fall below, one small loss after the other.

It is the tag `anchor`, else what is in production, else the newest release, of those that the
baseline contains.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.base.errors import LabError
from lab.evidence.in_git import committed_results
from lab.evidence.pairs import in_trial, is_identical
from lab.evidence.reproduction import Show
from lab.evidence.revision_results import RevisionResults, has_same_test
from lab.evidence.schema import Anchor, Evidence, Model, OnSeeds, Trial
from lab.evidence.snapshots import Committed
from lab.evidence.tags import anchor_of
from lab.evidence.text import bounded
from lab.evidence.trials import Scored, Side, on_seeds
from lab.results.storage import MODEL_RESULTS


@dataclass(frozen=True)
class Held:
    """The anchor, and what git holds of its results, if they can be used.

    `same` are the baseline's models that had the very same results there.
    """

    anchor: Anchor
    results: RevisionResults | None
    same: frozenset[str]


def read(
    root: Path, base: str, committed: Committed, candidate: RevisionResults, names: Sequence[str]
) -> Held | None:
    """The anchor of a baseline; None where there is none.

    Args:
        root: the project's root.
        base: the baseline.
        committed: its files.
        candidate: the results of the working tree, which were tested on the same examples or not.
        names: the baseline's models.
    """
    found = anchor_of(root, base)
    if found is None:
        return None
    name, commit = found
    anchor = Anchor(commit=commit, name=bounded(name), missing=None)
    if commit == base:
        return Held(anchor, None, frozenset(names))
    try:
        there = Committed(root, commit)
        results, reasons = committed_results(root, commit, there, names)
    except LabError as error:
        return Held(_without(anchor, str(error)), None, frozenset())
    if reasons:
        return Held(_without(anchor, reasons[0]), None, frozenset())
    if not has_same_test(candidate, results):
        return Held(_without(anchor, "it was tested on other examples"), None, frozenset())
    files = {name: f"{MODEL_RESULTS.as_posix()}/{name}.json" for name in names}
    same = {
        name for name, file in files.items()
        if (content := there.read(file)) and content == committed.read(file)
    }  # fmt: skip
    return Held(anchor, results, frozenset(same))


def with_anchor(
    root: Path, evidence: Evidence, held: Held | None, scored: Scored, show: Show
) -> Evidence:
    """The evidence with what the anchor has of every model that changed since the baseline.

    Where fresh seeds are judged, models that had other results there are trained on them too.
    """
    if held is None:
        return evidence
    anchor, trial, found = held.anchor, evidence.trial, dict[str, OnSeeds]()
    changed = [model for model in evidence.models if model.both and not is_identical(model)]
    if held.results is not None:
        results = scored(held.results)
        found = {name: on_seeds(evidence, side) for name, side in results.sides.items()}
        try:
            trained, trial = _trained(root, evidence, results, held, changed, scored, show)
            found |= trained
        except (LabError, OSError) as error:
            anchor, found = _without(anchor, f"training it failed: {error}"), {}
            show(f"anchor: {anchor.missing}")
    models = []
    for model in evidence.models:
        side = found.get(_old_name(model))
        if model.baseline and _old_name(model) in held.same:  # as it is compared itself
            judged = in_trial(evidence, model, model)
            side = judged[1] if judged else on_seeds(evidence, model.baseline)
        is_told = model in changed and side is not None and evidence.metric in side.test
        models.append(model.model_copy(update={"anchor": side if is_told else None}))
    return evidence.model_copy(update={"anchor": anchor, "trial": trial, "models": models})


def _trained(
    root: Path,
    evidence: Evidence,
    results: RevisionResults,
    held: Held,
    changed: Sequence[Model],
    scored: Scored,
    show: Show,
) -> tuple[dict[str, OnSeeds], Trial | None]:
    """The anchor's models on the fresh seeds of the candidate's, and the trial with their cost."""
    trial = evidence.trial
    if trial is None or trial.kind != "fresh":
        return {}, trial
    seeds = {
        _old_name(model): trial.candidate[model.name].seeds
        for model in changed
        if model.name in trial.candidate
        and _old_name(model) in results.sides
        and _old_name(model) not in held.same
    }
    side, started = Side(root, lambda: held.anchor.commit, results, scored), time.monotonic()
    with contextlib.ExitStack() as stack:
        for drawn in sorted({*map(tuple, seeds.values())}, key=len):
            names = [name for name in seeds if seeds[name] == [*drawn]]
            show(
                f"training {', '.join(names)} of the anchor ({held.anchor.name}) on the same seeds"
            )
            side.train(names, drawn, show, stack)
    cost = {
        "seeds_trained": trial.seeds_trained + sum(map(len, seeds.values())),
        "wall_seconds": trial.wall_seconds + time.monotonic() - started,
    }
    found = {name: on_seeds(evidence, one) for name, one in side.models.items()}
    return found, trial.model_copy(update=cost)


def _old_name(model: Model) -> str:
    return model.renamed_from or model.name


def _without(anchor: Anchor, reason: str) -> Anchor:
    return anchor.model_copy(update={"missing": bounded(" ".join(reason.split()))})
