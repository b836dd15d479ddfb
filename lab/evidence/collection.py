"""Collects the evidence of a comparison: the working tree against a baseline revision."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from lab.base import params as params_module
from lab.base.errors import DataError, LabError
from lab.base.machine import environment_tags
from lab.base.stages import ABSENT, Stage, read_stages
from lab.evidence import anchors, costs, revisions
from lab.evidence.changes import (
    budget_of,
    change_entry,
    changes,
    margin_of,
    metric_of,
    readers,
    uncommitted,
)
from lab.evidence.data_check import data_check
from lab.evidence.export import export
from lab.evidence.flips import flips
from lab.evidence.images import with_images
from lab.evidence.in_git import InGit, committed_results, in_git
from lab.evidence.machines import made_elsewhere, to_train
from lab.evidence.own_scores import removed, scorer, with_own_scores
from lab.evidence.past import past
from lab.evidence.renames import names_on_both, renamed
from lab.evidence.reproduction import Show, reproduced
from lab.evidence.resolution import NOT_RESOLVED, Resolution
from lab.evidence.revision_results import RevisionResults, read_results
from lab.evidence.revisions import Base, RevisionError
from lab.evidence.schema import (
    MAX_CONFUSED,
    MAX_MOVED,
    SCHEMA_VERSION,
    Baseline,
    Candidate,
    Change,
    Evidence,
    Model,
    ModelSide,
    Moved,
    StageState,
)
from lab.evidence.snapshots import Committed, Snapshot, WorkingTree, pins
from lab.evidence.staleness import lines, stage_changes, staleness
from lab.evidence.text import all_bounded, bounded
from lab.evidence.trials import resolve
from lab.results import scores
from lab.results.schema import BUILT_IN, ModelResults, Score
from lab.results.scores import Metric
from lab.results.storage import MODEL_RESULTS
from lab.verdict.looks import planned

DESCRIBED_PACKAGES = ("python", "torch")
MAX_STAGES = MAX_MODELS = 1_000

Reasons = Mapping[str, Sequence[str]]  # by stage
Origin = Literal["committed", "reproduced", "none"]


def collect(
    root: Path,
    named: str | None,
    show: Show,
    branch: str | None = None,
    resolution: Resolution = NOT_RESOLVED,
) -> Evidence:
    """Everything a report says of the working tree against its baseline.

    Args:
        root: the project's root.
        named: the baseline revision; None takes the merge-base with `branch`.
        show: takes a line of progress at a time.
        branch: such as `origin/release`; None takes the default branch.
        resolution: whether to train more seeds where verdicts are open, and which.

    Raises:
        LabError: there is no baseline revision, or the candidate's pipeline cannot be read.
    """
    head = revisions.head(root)
    base = revisions.resolve_base(root, named, branch)
    tree = params_module.load(root / params_module.PARAMS_FILE)
    own, own_fault = _own_metrics(tree.compare.metric)
    metric = scores.judged(tree.compare, scores.declared(own))
    candidate = read_results(WorkingTree(root), read_stages(root))
    class_names = _class_names(candidate)
    candidate = _of_classes(candidate, len(class_names))
    stale = staleness(root, candidate.stages)
    changed = uncommitted(root)
    held = InGit([], [], {})  # of no interest while results here are stale
    if not stale:
        held = in_git(root, head, base.commit, candidate, own, is_clean=not changed)
    committed, was = Committed(root, base.commit), tree.compare.was
    budget, baseline_budget = tree.compare.budget, budget_of(committed)
    with _baseline(root, base, committed, candidate, was, metric, show) as found:
        baseline, origin, reasons = found
        candidate, baseline, scores_missing = with_own_scores(root, own, candidate, baseline)
        names = renamed(was, candidate, baseline)
        models = _models(candidate, baseline, names, stale, held.sides)
        examples, counts = flips(root, candidate, baseline, models)
        evidence = Evidence(
            schema_version=SCHEMA_VERSION,
            scores=scores.declared(own),
            scores_missing=bounded(fault) if (fault := own_fault or scores_missing) else None,
            scores_removed=removed(own, baseline),
            metric=metric.name,
            baseline_metric=metric_of(committed),
            margin=tree.compare.margin,
            baseline_margin=margin_of(committed),
            looks=[*planned(len(tree.train.seeds), budget)],
            budget=budget,
            baseline_budget=baseline_budget,
            confirmation=resolution.confirmation if budget or baseline_budget else None,
            trial=None,
            trial_missing=None,
            anchor=None,
            past=past(root, base.commit, metric),
            class_names=class_names,
            candidate=_candidate(head, candidate.snapshot, changed, held),
            baseline=Baseline(
                commit=base.commit,
                named=base.named and bounded(base.named),
                branch=base.branch and bounded(base.branch),
                behind=base.behind,
                origin=origin,
                reasons=all_bounded(reasons),
                models=[*baseline.names[:MAX_MODELS]],
            ),
            candidate_data=candidate.data,
            baseline_data=baseline.data,
            candidate_check=data_check(candidate.snapshot),
            baseline_check=data_check(committed),
            candidate_export=export(candidate.snapshot),
            models=models,
            changes=changes(
                root,
                base.commit,
                committed,
                candidate.snapshot,
                lambda path: readers(path, candidate.stages),
            ),
            stages=_stages(candidate, baseline, stale),
            examples=examples,
            flips=counts,
        )
        anchor = anchors.read(root, base.commit, committed, candidate, baseline.names)
        scored = scorer(root, own, candidate)
        resolved = resolve(root, evidence, candidate, baseline, scored, resolution, show)
        evidence = with_images(root, resolved, candidate, baseline)
        return anchors.with_anchor(root, evidence, anchor, scored, show)


# --- candidate -----------------------------------------------------------------------------------


def _class_names(candidate: RevisionResults) -> list[str]:
    """As its data have them; where it has no description of its data, the classes' numbers."""
    if candidate.data is not None and candidate.data.class_names is not None:
        return candidate.data.class_names
    counts = [candidate.data.classes] if candidate.data else []
    counts += [len(side.classes) for side in candidate.sides.values()]
    return [str(number) for number in range(counts[0] if counts else 0)]


def _candidate(head: str, snapshot: Snapshot, changed: Sequence[str], held: InGit) -> Candidate:
    tags = environment_tags()
    return Candidate(
        commit=head,
        uncommitted=all_bounded(changed),
        uncommitted_total=len(changed),
        committed_stale=all_bounded(held.stale),
        inherited_stale=all_bounded(held.inherited),
        machine=bounded(f"{tags['cpu']}, {tags['cpu_count']} cores"),
        packages=_installed(snapshot, tags),
    )


def _installed(snapshot: Snapshot, tags: Mapping[str, str]) -> list[Change]:
    """What is installed here of the packages that decide the numbers, against the pins."""
    pinned = pins(snapshot)
    return [change_entry(name, pinned.get(name, ABSENT), tags[name]) for name in DESCRIBED_PACKAGES]


def _own_metrics(judged: str) -> tuple[list[Metric], str | None]:
    """The metrics of task/metrics.py; none where it is broken and not what is judged, and why.

    Raises:
        DataError: it is broken, and what is judged is none of the built-in scores.
    """
    try:
        return scores.own_metrics(), None
    except DataError as error:
        if judged not in {score.name for score in BUILT_IN}:
            raise
        return [], str(error)


def _of_classes(candidate: RevisionResults, classes: int) -> RevisionResults:
    """The candidate without results of another number of classes than its data have."""
    faults = {
        name: f"{MODEL_RESULTS.as_posix()}/{name}.json has {len(side.classes)} classes, "
        f"its data {classes}"
        for name, side in candidate.sides.items()
        if len(side.classes) != classes
    }
    runs = {name: run for name, run in candidate.runs.items() if name not in faults}
    sides = {name: side for name, side in candidate.sides.items() if name not in faults}
    return replace(candidate, runs=runs, sides=sides, faults={**candidate.faults, **faults})


# --- baseline ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _baseline(
    root: Path,
    base: Base,
    committed: Committed,
    candidate: RevisionResults,
    was: Mapping[str, str],
    score: Score,
    show: Show,
) -> Iterator[tuple[RevisionResults, Origin, list[str]]]:
    """The baseline's results, where they come from, and why not simply from its commit."""
    found, reasons = committed_results(root, base.commit, committed, candidate.names)
    stages: Sequence[str] = ()
    elsewhere = None
    if not reasons:
        names = names_on_both(renamed(was, candidate, found), candidate, found)
        if (elsewhere := made_elsewhere(root, candidate, found, names)) is None:
            yield found, "committed", []
            return
        stages = to_train(candidate, found, names, score)
        reasons = [elsewhere]
    said = elsewhere or f"its results cannot be used ({reasons[0]})"
    show(f"baseline {base.commit[:12]}: {said}")
    show("reproducing it in a temporary checkout; what the DVC cache holds is not computed again")
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(reproduced(root, base.commit, show, stages))
            remade = read_results(WorkingTree(place), read_stages(place))
            if elsewhere and remade.faults:
                raise RevisionError(next(iter(remade.faults.values())))
        except LabError as error:
            reasons = [*reasons, f"reproducing it failed: {error}"]
            if elsewhere:
                yield found, "committed", reasons
            else:
                yield RevisionResults.none(committed, found.names, found.data), "none", reasons
            return
        costs.remember(place)
        yield remade, "reproduced", reasons


# --- models --------------------------------------------------------------------------------------


def _models(
    candidate: RevisionResults,
    baseline: RevisionResults,
    renamed_from: Mapping[str, str],
    stale: Reasons,
    committed: Mapping[str, ModelSide],
) -> list[Model]:
    """Every model of either side, the candidate's order first."""
    known = {*candidate.names, *renamed_from.values()}
    gone = [name for name in baseline.names if name not in known]
    return [
        _model(name, renamed_from.get(name, name), candidate, baseline, stale, committed)
        for name in [*candidate.names, *gone]
    ]


def _model(
    name: str,
    old: str,
    candidate: RevisionResults,
    baseline: RevisionResults,
    stale: Reasons,
    committed: Mapping[str, ModelSide],
) -> Model:
    written = f"{MODEL_RESULTS.as_posix()}/{name}.json"
    own = {
        stage: reasons
        for stage, reasons in stale.items()
        if name in candidate.runs and written in candidate.stages[stage].outputs
    }
    return Model(
        name=name,
        renamed_from=old if old != name else None,
        candidate=candidate.sides.get(name),
        baseline=baseline.sides.get(old),
        committed=committed.get(name),
        candidate_missing=_missing(candidate, name),
        baseline_missing=_missing(baseline, old),
        stale=all_bounded(lines(own)),
        moved=_moved(candidate.runs.get(name), baseline.runs.get(old)),
        anchor=None,
        images=None,
    )


def _moved(new: ModelResults | None, old: ModelResults | None) -> list[Moved]:
    """The mistakes whose number a seed changed most, of more classes than report.json has room for.

    A thousand classes have a million counts, 3 MB a side and model.
    """
    if new is None or old is None or len(new.confusion) != len(old.confusion):
        return []
    if len(new.confusion) <= MAX_CONFUSED:
        return []
    after, before = np.array(new.confusion), np.array(old.confusion)
    change = np.abs(after / len(new.seeds) - before / len(old.seeds))
    np.fill_diagonal(change, 0)
    largest = np.argsort(-change, axis=None, kind="stable")[:MAX_MOVED]
    pairs = np.transpose(np.unravel_index(largest, change.shape)).tolist()
    return [
        Moved(
            actual=actual,
            predicted=predicted,
            baseline=old.confusion[actual][predicted],
            candidate=new.confusion[actual][predicted],
        )
        for actual, predicted in pairs
        if change[actual, predicted]
    ]


def _missing(results: RevisionResults, name: str) -> str | None:
    if name not in results.names or name in results.runs:
        return None
    return bounded(results.faults.get(name, "it cannot be reproduced"))


# --- stages --------------------------------------------------------------------------------------


def _stages(
    candidate: RevisionResults, baseline: RevisionResults, stale: Reasons
) -> list[StageState]:
    """What became of each stage of the candidate since the baseline."""
    states = []
    for name, after in candidate.stages.items():
        before = baseline.stages.get(name)
        reasons: Sequence[str] = []
        if name in stale or after.last_command is None:
            state, reasons = "stale", stale.get(name, ["never ran"])
        elif reasons := stage_changes(before, after):
            state = "ran"
        elif before is not None and _hashes(before) != _hashes(after):
            state, reasons = "ran again", ["same inputs, other results"]
        else:
            state = "unchanged"
        states.append(
            StageState.model_validate(
                {"name": bounded(name), "state": state, "reasons": all_bounded(reasons)}
            )
        )
    return states[:MAX_STAGES]


def _hashes(stage: Stage) -> dict[str, str | None]:
    return {path: tracked.recorded for path, tracked in stage.outputs.items()}
