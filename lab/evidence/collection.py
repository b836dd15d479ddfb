"""Collects the evidence of a comparison: the working tree against a baseline revision."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lab.base import params as params_module
from lab.base.errors import LabError
from lab.base.machine import environment_tags
from lab.base.stages import ABSENT, Stage, read_stages
from lab.data.idx import CLASS_NAMES
from lab.evidence import costs, revisions
from lab.evidence.changes import change_entry, changes, params_of, uncommitted
from lab.evidence.flips import flips
from lab.evidence.reproduction import Show, reproduced
from lab.evidence.revision_results import RevisionResults, read_results
from lab.evidence.revisions import Base
from lab.evidence.schema import (
    SCHEMA_VERSION,
    Baseline,
    Candidate,
    Change,
    Evidence,
    Model,
    StageState,
)
from lab.evidence.snapshots import Committed, Snapshot, WorkingTree, model_params, pins
from lab.evidence.staleness import stage_changes, staleness
from lab.evidence.text import all_bounded, bounded
from lab.results.schema import ModelResults
from lab.results.storage import MODEL_RESULTS

DESCRIBED_PACKAGES = ("python", "torch")
MAX_STAGES = 1_000

Reasons = Mapping[str, Sequence[str]]  # by stage
Origin = Literal["committed", "reproduced", "none"]


def collect(root: Path, named: str | None, show: Show) -> Evidence:
    """Everything a report says of the working tree against its baseline.

    Args:
        root: the project's root.
        named: the baseline revision; None takes the merge-base with the default branch.
        show: takes a line of progress at a time.

    Raises:
        LabError: there is no baseline revision, or the candidate's pipeline cannot be read.
    """
    head = revisions.head(root)
    base = revisions.resolve_base(root, named)
    tree = params_module.load(root / params_module.PARAMS_FILE)
    candidate = read_results(WorkingTree(root), read_stages(root))
    stale = staleness(root, candidate.stages)
    committed = Committed(root, base.commit)
    with _baseline(root, base, committed, candidate.names, show) as (baseline, origin, reasons):
        models = _models(candidate, baseline, stale)
        images, counts = flips(root, candidate, baseline, models)
        return Evidence(
            schema_version=SCHEMA_VERSION,
            margin=tree.compare.margin,
            baseline_margin=_margin(committed),
            class_names=list(CLASS_NAMES[tree.dataset.name]),
            candidate=_candidate(root, head, candidate.snapshot, stale),
            baseline=Baseline(
                commit=base.commit,
                named=base.named and bounded(base.named),
                default_branch=base.default_branch and bounded(base.default_branch),
                behind=base.behind,
                origin=origin,
                reasons=all_bounded(reasons),
            ),
            candidate_data=candidate.data,
            baseline_data=baseline.data,
            models=models,
            changes=changes(root, base.commit, committed, candidate.snapshot, candidate.stages),
            stages=_stages(candidate, baseline, stale),
            images=images,
            flips=counts,
        )


# --- candidate -----------------------------------------------------------------------------------


def _candidate(root: Path, head: str, snapshot: Snapshot, stale: Reasons) -> Candidate:
    changed = uncommitted(root)
    committed_stale = [] if stale else _committed_staleness(root, head)
    tags = environment_tags()
    return Candidate(
        commit=head,
        uncommitted=all_bounded(changed),
        uncommitted_total=len(changed),
        committed_stale=all_bounded(committed_stale),
        machine=bounded(f"{tags['cpu']}, {tags['cpu_count']} cores"),
        packages=_installed(snapshot, tags),
    )


def _installed(snapshot: Snapshot, tags: Mapping[str, str]) -> list[Change]:
    """What is installed here of the packages that decide the numbers, against the pins."""
    pinned = pins(snapshot)
    return [change_entry(name, pinned.get(name, ABSENT), tags[name]) for name in DESCRIBED_PACKAGES]


def _committed_staleness(root: Path, commit: str) -> list[str]:
    """Why the results of a commit are stale; one line a stage."""
    try:
        return _lines(staleness(root, read_stages(root, commit), commit))
    except LabError as error:
        return [str(error)]


def _lines(stale: Reasons) -> list[str]:
    return [f"{stage}: {'; '.join(reasons)}" for stage, reasons in stale.items()]


# --- baseline ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _baseline(
    root: Path, base: Base, committed: Committed, names: Sequence[str], show: Show
) -> Iterator[tuple[RevisionResults, Origin, list[str]]]:
    """The baseline's results, where they come from, and why not simply from its commit."""
    found, reasons = _committed_results(root, base.commit, committed, names)
    if not reasons:
        yield found, "committed", []
        return
    show(f"baseline {base.commit[:12]}: its results cannot be used ({reasons[0]})")
    show("reproducing it in a temporary worktree; what the DVC cache holds is not computed again")
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(reproduced(root, base.commit, show))
            remade = read_results(WorkingTree(place), read_stages(place))
        except LabError as error:
            nothing = RevisionResults.none(committed, found.names, found.data)
            yield nothing, "none", [*reasons, f"reproducing it failed: {error}"]
            return
        costs.remember(place, remade.runs)
        yield remade, "reproduced", reasons


def _committed_results(
    root: Path, commit: str, committed: Committed, names: Sequence[str]
) -> tuple[RevisionResults, list[str]]:
    """What git holds of the baseline's results, and why they cannot be used.

    Where its files are too damaged to tell its models, it is taken to have those of `names`.
    """
    try:
        stages = read_stages(root, commit)
        found = read_results(committed, stages)
        stale = _lines(staleness(root, stages, commit))
    except LabError as error:
        return RevisionResults.none(committed, names), [str(error)]
    if not found.names:
        return found, ["no models in its params.yaml"]
    faults = [*found.faults.values(), *([found.data_fault] if found.data_fault else [])]
    return found, [*faults, *stale]


def _margin(committed: Committed) -> float | None:
    """The baseline's own margin, so that nobody lowers the bar unseen."""
    try:
        margin = params_of(committed)["compare"]["margin"]
    except (KeyError, TypeError):
        return None
    return margin if isinstance(margin, float) and 0 < margin < 1 else None


# --- models --------------------------------------------------------------------------------------


def _models(candidate: RevisionResults, baseline: RevisionResults, stale: Reasons) -> list[Model]:
    """Every model of either side, the candidate's order first."""
    renamed = _renamed(candidate, baseline)
    gone = [name for name in baseline.names if name not in candidate.names]
    return [
        _model(name, renamed.get(name, name), candidate, baseline, stale)
        for name in [*candidate.names, *(name for name in gone if name not in renamed.values())]
    ]


def _model(
    name: str, old: str, candidate: RevisionResults, baseline: RevisionResults, stale: Reasons
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
        candidate_missing=_missing(candidate, name),
        baseline_missing=_missing(baseline, old),
        stale=all_bounded(_lines(own)),
    )


def _renamed(candidate: RevisionResults, baseline: RevisionResults) -> dict[str, str]:
    """New names of models whose params and results are those of a model that is gone."""
    if not baseline.runs:
        return {}
    new_params = model_params(candidate.snapshot) or {}
    old_params = model_params(baseline.snapshot) or {}
    gone = [name for name in baseline.runs if name not in candidate.names]
    found: dict[str, str] = {}
    for name in (name for name in candidate.runs if name not in baseline.names):
        for old in gone:
            if (
                old not in found.values()
                and new_params[name] == old_params[old]
                and _unnamed(candidate.runs[name]) == _unnamed(baseline.runs[old])
            ):
                found[name] = old
                break
    return found


def _unnamed(run: ModelResults) -> dict[str, Any]:
    return run.model_dump(exclude={"model"})


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
