"""What git holds of the candidate's results: whether they are its own, and what they say.

Results are a commit's own when its `dvc.lock` names its own code, params and data, whoever made
them. Another machine gives other bytes for the same causes; that is no staleness, and the numbers
are compared.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lab.base.errors import LabError
from lab.base.git import git_entries
from lab.base.stages import Stage, read_stages
from lab.data.description import DESCRIPTION
from lab.evidence.own_scores import with_own_scores
from lab.evidence.revision_results import RevisionResults, has_same_test, read_results, written_by
from lab.evidence.schema import ModelSide
from lab.evidence.snapshots import Committed
from lab.evidence.staleness import committed_staleness, lines, stage_changes, staleness
from lab.results.scores import Metric

Reasons = Mapping[str, Sequence[str]]  # by stage


@dataclasses.dataclass(frozen=True)
class InGit:
    """Why results of a commit are stale, its own fault and its baseline's; and results of others.

    `sides` are the results of models that another machine made: those whose numbers differ from
    what was made here of the same causes.
    """

    stale: Sequence[str]
    inherited: Sequence[str]
    sides: Mapping[str, ModelSide]


def committed_results(
    root: Path, commit: str, committed: Committed, names: Sequence[str]
) -> tuple[RevisionResults, list[str]]:
    """What git holds of the baseline's results, and why they cannot be used.

    Where its files are too damaged to tell its models, it is taken to have those of `names`.
    """
    try:
        stages = read_stages(root, commit)
        found = read_results(committed, stages)
        stale = lines(staleness(root, stages, commit))
    except LabError as error:
        return RevisionResults.none(committed, names), [str(error)]
    if not found.names:
        return found, ["no models in its params.yaml"]
    faults = [*found.faults.values(), *([found.data_fault] if found.data_fault else [])]
    return found, [*faults, *stale]


def in_git(
    root: Path,
    head: str,
    base: str,
    candidate: RevisionResults,
    own: Sequence[Metric],
    *,
    is_clean: bool,
) -> InGit:
    """Looks at what git holds of the results of a commit.

    Args:
        root: the project's root.
        head: the commit.
        base: the baseline's.
        candidate: what was made of the working tree.
        own: the scores of task/metrics.py.
        is_clean: whether the working tree is what the commit holds, results left out.
    """
    try:
        stages = read_stages(root, head)
        found = read_results(Committed(root, head), stages)
        stale = committed_staleness(root, stages, head)
        inherited = _inherited(root, base, head, stages, stale) if stale else set()
    except LabError as error:
        return InGit([str(error)], [], {})
    for stage, reason in _not_comparable(candidate, found, is_clean=is_clean):
        stale.setdefault(stage, [reason])
    sides = _made_elsewhere(root, own, candidate, found, stale, is_clean=is_clean)
    return InGit(
        lines({stage: reasons for stage, reasons in stale.items() if stage not in inherited}),
        lines({stage: reasons for stage, reasons in stale.items() if stage in inherited}),
        sides,
    )


def _not_comparable(
    candidate: RevisionResults, found: RevisionResults, *, is_clean: bool
) -> Iterator[tuple[str, str]]:
    """The stages whose results in git cannot be read, or not be compared with those made here."""
    for name, fault in found.faults.items():
        if stage := found.stage_of(name):
            yield stage, fault
    if data := written_by(found.stages, DESCRIPTION.as_posix()):
        if found.data is None:
            yield data, found.data_fault or "no description of the data"
        elif is_clean and candidate.data and not has_same_test(candidate, found):
            yield data, "here it makes another test set than the one that git describes"


def _made_elsewhere(
    root: Path,
    own: Sequence[Metric],
    candidate: RevisionResults,
    found: RevisionResults,
    stale: Reasons,
    *,
    is_clean: bool,
) -> dict[str, ModelSide]:
    """What git holds of the models whose same causes gave other numbers here."""
    names = [
        name
        for name, run in found.runs.items()
        if name in candidate.runs
        and candidate.runs[name] != run
        and len(found.sides[name].classes) == len(candidate.sides[name].classes)
        and _has_same_causes(name, candidate, found, stale, is_clean=is_clean)
    ]
    if names and own:
        _, found, _ = with_own_scores(root, own, candidate, found)
    bare = {"curve": None, "cost": None}  # no report shows them
    return {name: found.sides[name].model_copy(update=bare) for name in names}


def _has_same_causes(
    name: str, candidate: RevisionResults, found: RevisionResults, stale: Reasons, *, is_clean: bool
) -> bool:
    stage = candidate.stage_of(name)
    if stage is None or stage in stale or stage not in found.stages:
        return False
    return is_clean or not stage_changes(found.stages[stage], candidate.stages[stage])


# --- stale before the branch began ---------------------------------------------------------------


def _inherited(
    root: Path, base: str, head: str, stages: Mapping[str, Stage], stale: Reasons
) -> set[str]:
    """The stale stages that were stale at the baseline, and of which nothing changed since."""
    try:
        before = read_stages(root, base)
        were_stale = committed_staleness(root, before, base)
    except LabError:
        return set()  # what the baseline was like is not known
    changed = git_entries(
        root, "diff", "--name-only", "-z", "--no-renames", "--relative", base, head
    )
    found = {
        name
        for name in stale
        if name in were_stale
        and _causes(before[name]) == _causes(stages[name])
        and not any(_touches(path, stages[name]) for path in changed)
    }
    while behind := {name for name in found if {*stages[name].follows} & (stale.keys() - found)}:
        found -= behind  # what they read is the branch's own fault
    return found


def _causes(stage: Stage) -> tuple[object, ...]:
    """Its entries in dvc.yaml and dvc.lock, and its params."""
    tracked = [
        {path: item.recorded for path, item in items.items()}
        for items in (stage.dependencies, stage.outputs)
    ]
    params = {key: (param.recorded, param.present) for key, param in stage.params.items()}
    return (stage.command, stage.last_command, *tracked, params, tuple(stage.follows))


def _touches(path: str, stage: Stage) -> bool:
    """Whether a file is, or lies in, what a stage reads or writes."""
    named = (*stage.dependencies, *stage.outputs)
    return any(path == name or path.startswith(f"{name}/") for name in named)
