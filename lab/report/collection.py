"""Collects the evidence of a comparison: the working tree against a baseline revision."""

import base64
import contextlib
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from lab.base import params as params_module
from lab.base.errors import DataError, LabError
from lab.base.files import sha256, write_bytes
from lab.base.machine import environment_tags
from lab.base.records import first_problem
from lab.data.description import DESCRIPTION, Description
from lab.data.idx import CLASS_NAMES
from lab.data.prepared import PREPARED, load_prepared
from lab.data.splits import CLASSES
from lab.report import revisions
from lab.report.evidence import (
    MAX_IMAGES,
    MAX_LISTED,
    SCHEMA_VERSION,
    Baseline,
    Candidate,
    Change,
    Changes,
    CodeChange,
    Cost,
    Curve,
    DataSummary,
    Evidence,
    Flips,
    Image,
    Model,
    ModelSide,
    SeedScores,
    StageState,
)
from lab.report.revisions import Base, Committed, RevisionError, Say, Snapshot, Stage, WorkingTree
from lab.results.cost import COSTS
from lab.results.predictions import Predictions, read_predictions
from lab.results.schema import ModelResults
from lab.results.schema import ScoreSpreads as RunScores
from lab.results.storage import CURVES, RESULTS, TRAINED
from lab.training.scoring import confusion

SEEN_COSTS = COSTS / "seen"  # costs by the SHA-256 of their results, for later comparisons
DESCRIBED_PACKAGES = ("python", "torch")


@dataclass(frozen=True)
class Side:
    """The results of one revision: of each model either a run, or why it is missing."""

    snapshot: Snapshot
    names: Sequence[str]
    runs: Mapping[str, ModelResults]
    sides: Mapping[str, ModelSide]
    faults: Mapping[str, str]
    data: DataSummary | None
    data_fault: str | None
    stages: Mapping[str, Stage]


def collect(root: Path, named: str | None, say: Say) -> Evidence:
    """Everything a report says of the working tree against its baseline.

    Args:
        root: the repository's root.
        named: the baseline revision; None takes the merge-base with the default branch.
        say: takes a line of progress at a time.

    Raises:
        LabError: there is no baseline revision, or the candidate's params are not valid.
    """
    commit = revisions.head(root)
    base = revisions.resolve_base(root, named)
    tree = params_module.load(root / params_module.PARAMS_FILE)
    candidate = read_side(WorkingTree(root))
    stale = revisions.staleness(candidate.snapshot)
    committed = Committed(root, base.commit)
    with _baseline(root, base, committed, candidate.names, say) as (baseline, origin, reasons):
        models = _models(candidate, baseline, stale)
        images, flips = _flips(root, candidate, baseline, models)
        changed = revisions.uncommitted(root)
        head = committed if commit == base.commit else Committed(root, commit)
        committed_stale = [] if stale else _stale_lines(head)
        return Evidence(
            schema_version=SCHEMA_VERSION,
            margin=tree.compare.margin,
            baseline_margin=_margin(committed),
            class_names=list(CLASS_NAMES[tree.dataset.name]),
            candidate=Candidate(
                commit=commit,
                uncommitted=_texts(changed),
                uncommitted_total=len(changed),
                committed_stale=_texts(committed_stale),
                machine=_machine(),
                packages=_installed(candidate.snapshot),
            ),
            baseline=Baseline(
                commit=base.commit,
                named=base.named and _text(base.named),
                default_branch=base.trunk and _text(base.trunk),
                behind=base.behind,
                origin=origin,
                reasons=_texts(reasons),
            ),
            candidate_data=candidate.data,
            baseline_data=baseline.data,
            models=models,
            changes=_changes(root, base, candidate, committed),
            stages=_stages(candidate, baseline, stale),
            images=images,
            flips=flips,
        )


# --- sides ---------------------------------------------------------------------------------------


def read_side(snapshot: Snapshot) -> Side:
    """The results that lie in a revision's files."""
    names = list(revisions.model_params(snapshot) or {})
    runs: dict[str, ModelResults] = {}
    sides: dict[str, ModelSide] = {}
    faults: dict[str, str] = {}
    for name in names:
        path = f"{RESULTS.as_posix()}/{name}.json"
        content = snapshot.read(path)
        try:
            run = ModelResults.model_validate_json(_present(content))
            sides[name], runs[name] = _side(snapshot, name, run), run
        except (ValidationError, DataError) as error:
            faults[name] = _fault(path, error)
    data, data_fault = None, None
    try:
        found = Description.model_validate_json(_present(snapshot.read(DESCRIPTION.as_posix())))
        data = DataSummary.model_validate(found.model_dump(exclude={"schema_version"}))
    except (ValidationError, DataError) as error:
        data_fault = _fault(DESCRIPTION.as_posix(), error)
    stages = revisions.locked_stages(snapshot)
    return Side(snapshot, names, runs, sides, faults, data, data_fault, stages)


def _present(content: bytes | None) -> bytes:
    if content is None:
        raise DataError("is missing")
    return content


def _fault(path: str, error: ValidationError | DataError) -> str:
    if isinstance(error, ValidationError):
        return f"{path} is not of this schema ({first_problem(error)})"
    return f"{path} {error}"


@contextlib.contextmanager
def _baseline(
    root: Path, base: Base, committed: Committed, names: Sequence[str], say: Say
) -> Iterator[tuple[Side, Any, list[str]]]:
    """The baseline's side, where it comes from, and why it is not simply the committed one."""
    side, reasons = _committed_side(committed, names)
    if not reasons:
        yield side, "committed", []
        return
    say(f"baseline {base.commit[:12]}: its results cannot be used ({reasons[0]})")
    say("reproducing it in a temporary worktree; what the DVC cache holds is not computed again")
    with contextlib.ExitStack() as stack:
        try:
            tree = stack.enter_context(revisions.reproduced(root, base.commit, say))
            remade = read_side(tree)
        except RevisionError as error:
            nothing = Side(committed, side.names, {}, {}, {}, side.data, side.data_fault, {})
            yield nothing, "none", [*reasons, f"reproducing it failed: {error}"]
            return
        _remember_costs(remade, Path(tree.root))
        yield remade, "reproduced", reasons


def _committed_side(committed: Committed, names: Sequence[str]) -> tuple[Side, list[str]]:
    """What git holds of the baseline's results, and why they cannot be used.

    Where its files are too damaged to tell its models, it is taken to have those of `names`.
    """
    empty = Side(committed, names, {}, {}, {}, None, None, {})
    try:
        side = read_side(committed)
        stale = _stale_lines(committed)
    except RevisionError as error:
        return empty, [str(error)]
    if not side.names:
        return side, ["no models in its params.yaml"]
    faults = [*side.faults.values(), *([side.data_fault] if side.data_fault else [])]
    return side, [*faults, *stale]


def _stale_lines(snapshot: Snapshot) -> list[str]:
    try:
        stale = revisions.staleness(snapshot)
    except RevisionError as error:
        return [str(error)]
    return [f"{stage}: {'; '.join(reasons)}" for stage, reasons in stale.items()]


def _models(candidate: Side, baseline: Side, stale: Mapping[str, Sequence[str]]) -> list[Model]:
    """Every model of either side, the candidate's order first."""
    renamed = _renamed(candidate, baseline)
    gone = [name for name in baseline.names if name not in candidate.names]
    models = []
    for name in [*candidate.names, *(name for name in gone if name not in renamed.values())]:
        old = renamed.get(name, name)
        writing = f"{RESULTS.as_posix()}/{name}.json"
        reasons = [
            f"{stage}: {'; '.join(why)}"
            for stage, why in stale.items()
            if stage not in candidate.stages or writing in candidate.stages[stage].outputs
        ]
        if name not in candidate.runs:
            reasons = []
        models.append(
            Model(
                name=name,
                renamed_from=old if old != name else None,
                candidate=candidate.sides.get(name),
                baseline=baseline.sides.get(old),
                candidate_missing=_missing(candidate, name),
                baseline_missing=_missing(baseline, old),
                stale=_texts(reasons),
            )
        )
    return models


def _renamed(candidate: Side, baseline: Side) -> dict[str, str]:
    """New names of models whose params and results are those of a model that is gone."""
    found: dict[str, str] = {}
    if not baseline.runs:
        return found
    new_params = revisions.model_params(candidate.snapshot) or {}
    old_params = revisions.model_params(baseline.snapshot) or {}
    for name in candidate.names:
        for old in baseline.names:
            both = name in candidate.runs and old in baseline.runs
            is_free = name not in baseline.names and old not in candidate.names
            if (
                both
                and is_free
                and old not in found.values()
                and (
                    new_params[name] == old_params[old]
                    and _unnamed(candidate.runs[name]) == _unnamed(baseline.runs[old])
                )
            ):
                found[name] = old
                break
    return found


def _unnamed(run: ModelResults) -> dict[str, Any]:
    return run.model_dump(exclude={"model"})


def _missing(side: Side, name: str) -> str | None:
    if name not in side.names or name in side.runs:
        return None
    return _text(side.faults.get(name, "it cannot be reproduced"))


def _side(snapshot: Snapshot, name: str, run: ModelResults) -> ModelSide:
    if len(run.confusion) != CLASSES:
        raise DataError(f"has a confusion matrix of {len(run.confusion)} classes, not {CLASSES}")
    return ModelSide(
        seeds=run.seeds,
        parameter_count=run.parameter_count,
        device=_text(run.device),
        precision=_text(run.precision),
        validation=_scores(run.validation),
        test=_scores(run.test),
        confusion=run.confusion,
        curve=_curve(snapshot.read(f"{CURVES.as_posix()}/{name}.csv")),
        cost=_cost(snapshot.read(f"{RESULTS.as_posix()}/{name}.json") or b"", name),
    )


def _scores(scores: RunScores) -> SeedScores:
    return SeedScores(
        accuracy=scores.accuracy.per_seed,
        loss=scores.loss.per_seed,
        calibration_error=scores.calibration_error.per_seed,
    )


def _curve(content: bytes | None) -> Curve | None:
    """The learning curve of a CSV file; None when it is missing or damaged."""
    try:
        rows = list(csv.DictReader(io.StringIO((content or b"").decode())))
        columns = {
            key: [float(row[key]) if row[key] else None for row in rows]
            for key in Curve.model_fields
            if key != "epoch"
        }
        return Curve.model_validate({"epoch": [int(row["epoch"]) for row in rows], **columns})
    except (ValueError, KeyError, TypeError, csv.Error):
        return None


# --- costs ---------------------------------------------------------------------------------------


def _cost(results: bytes, name: str) -> Cost | None:
    """What these very results cost, if they were made in this checkout once."""
    digest = sha256(results)
    for path in (COSTS / f"{name}.json", SEEN_COSTS / f"{digest}.json"):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
            content = path.read_bytes()
            entries = dict(json.loads(content))
            if entries.pop("results_sha256") == digest:
                cost = Cost.model_validate(entries)
                _remember(digest, content)
                return cost
    return None


def _remember(digest: str, content: bytes) -> None:
    """Keeps a cost for the day when its results are a baseline's."""
    path = SEEN_COSTS / f"{digest}.json"
    if not path.exists():
        write_bytes(path, content)


def _remember_costs(side: Side, root: Path) -> None:
    for name in side.runs:
        with contextlib.suppress(OSError, ValueError, KeyError):
            content = (root / COSTS / f"{name}.json").read_bytes()
            _remember(json.loads(content)["results_sha256"], content)


# --- what changed --------------------------------------------------------------------------------


def _changes(root: Path, base: Base, candidate: Side, committed: Committed) -> Changes:
    params = [
        _change(*found)
        for found in revisions.differences(_params(committed), _params(candidate.snapshot))
    ]
    packages = [
        _change(*found)
        for found in revisions.differences(
            revisions.pins(committed), revisions.pins(candidate.snapshot)
        )
    ]
    code = [
        CodeChange(
            path=_text(change.path),
            added=change.added,
            removed=change.removed,
            stages=_texts(_readers(change.path, candidate.stages), 50),
        )
        for change in revisions.file_changes(root, base.commit)
        if change.path not in ("params.yaml", "requirements.txt")  # shown by value
    ]
    return Changes(
        params=params[:MAX_LISTED],
        params_total=len(params),
        code=code[:MAX_LISTED],
        code_total=len(code),
        packages=packages[:MAX_LISTED],
        packages_total=len(packages),
    )


def _params(snapshot: Snapshot) -> Any:
    try:
        return revisions.read_yaml(snapshot, "params.yaml") or {}
    except RevisionError:
        return {}


def _margin(committed: Committed) -> float | None:
    """The baseline's own margin, so that nobody lowers the bar unseen."""
    try:
        margin = _params(committed)["compare"]["margin"]
    except (KeyError, TypeError):
        return None
    return margin if isinstance(margin, float) and 0 < margin < 1 else None


def _readers(path: str, stages: Mapping[str, Stage]) -> list[str]:
    return [name for name, stage in stages.items() if path in stage.dependencies]


def _change(key: str, before: Any, after: Any) -> Change:
    values = [revisions.value_text(value) for value in (before, after)]
    baseline, candidate = (None if value is None else _text(value) for value in values)
    return Change(key=_text(key), baseline=baseline, candidate=candidate)


def _stages(
    candidate: Side, baseline: Side, stale: Mapping[str, Sequence[str]]
) -> list[StageState]:
    try:
        names = list(revisions.defined_stages(candidate.snapshot))
    except RevisionError:
        names = list(candidate.stages)
    states = []
    for name in names:
        after, before = candidate.stages.get(name), baseline.stages.get(name)
        if name in stale or after is None:
            state, reasons = "stale", list(stale.get(name, ["never ran"]))
        elif reasons := revisions.stage_changes(before, after):
            state = "ran"
        elif before is not None and before.outputs != after.outputs:
            state, reasons = "ran again", ["same inputs, other results"]
        else:
            state = "unchanged"
        states.append(
            StageState.model_validate(
                {"name": _text(name), "state": state, "reasons": _texts(reasons)}
            )
        )
    return states[:1_000]


def _machine() -> str:
    tags = environment_tags()
    return _text(f"{tags['cpu']}, {tags['cpu_count']} cores")


def _installed(snapshot: Snapshot) -> list[Change]:
    """What is installed here of the packages that decide the numbers, against the pins."""
    tags, pinned = environment_tags(), revisions.pins(snapshot)
    return [
        _change(name, pinned.get(name, revisions.ABSENT), tags[name]) for name in DESCRIBED_PACKAGES
    ]


# --- predictions ---------------------------------------------------------------------------------


def _flips(
    root: Path, candidate: Side, baseline: Side, models: Sequence[Model]
) -> tuple[list[Image], list[Flips]]:
    """The test images whose majority prediction changed: counts by model, and the clearest."""
    found: list[tuple[float, Image]] = []
    counts = []
    for model in models:
        if model.candidate is None or model.baseline is None or not _same_test(candidate, baseline):
            continue
        try:
            flips, images = _model_flips(root, candidate, baseline, model)
        except LabError as error:
            flips, images = _no_flips(model.name, str(error)), []
        counts.append(flips)
        found += images
    found.sort(key=lambda entry: -entry[0])
    return [image for _, image in found[:MAX_IMAGES]], counts


def _same_test(candidate: Side, baseline: Side) -> bool:
    return (
        candidate.data is not None
        and baseline.data is not None
        and candidate.data.test.sha256 == baseline.data.test.sha256
    )


def _no_flips(model: str, reason: str) -> Flips:
    return Flips(model=model, fixed=0, broken=0, still_wrong=0, missing=_text(reason))


def _model_flips(
    root: Path, candidate: Side, baseline: Side, model: Model
) -> tuple[Flips, list[tuple[float, Image]]]:
    test = load_prepared(root / PREPARED).test
    before = _predictions(root, baseline, model.renamed_from or model.name, test.labels, "baseline")
    after = _predictions(root, candidate, model.name, test.labels, "candidate")
    old_N, old_votes_N = majority(before.predictions)
    new_N, new_votes_N = majority(after.predictions)
    flipped = np.flatnonzero(old_N != new_N)
    was_right, is_right = old_N == test.labels, new_N == test.labels
    agreement_N = old_votes_N / len(before.seeds) + new_votes_N / len(after.seeds)
    clearest = flipped[np.argsort(-agreement_N[flipped], kind="stable")][:MAX_IMAGES]
    images = [
        (
            float(agreement_N[index]),
            Image(
                model=model.name,
                index=int(index),
                label=int(test.labels[index]),
                baseline_prediction=int(old_N[index]),
                candidate_prediction=int(new_N[index]),
                baseline_votes=int(old_votes_N[index]),
                candidate_votes=int(new_votes_N[index]),
                baseline_seeds=len(before.seeds),
                candidate_seeds=len(after.seeds),
                pixels=base64.b64encode(test.images[index].tobytes()).decode(),
            ),
        )
        for index in clearest
    ]
    fixed = int((is_right & ~was_right)[flipped].sum())
    broken = int((was_right & ~is_right)[flipped].sum())
    counts = Flips(
        model=model.name,
        fixed=fixed,
        broken=broken,
        still_wrong=len(flipped) - fixed - broken,
        missing=None,
    )
    return counts, images


def majority(
    predictions_SN: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The class that most seeds predict, the lowest among equals, and how many they are.

    >>> majority(np.uint8([[3, 1], [3, 2], [5, 2]]))
    (array([3, 2]), array([2, 2]))
    """
    votes_CN = np.stack([(predictions_SN == label).sum(axis=0) for label in range(CLASSES)])
    return votes_CN.argmax(axis=0), votes_CN.max(axis=0)


def _predictions(
    root: Path, side: Side, name: str, labels: npt.NDArray[np.uint8], which: str
) -> Predictions:
    """The predictions behind one side's results.

    Raises:
        DataError: they are nowhere to be found, or belong to other results.
    """
    folder = f"{TRAINED.as_posix()}/{name}"
    path: Path | None = None
    if isinstance(side.snapshot, WorkingTree):
        path = side.snapshot.root / folder / "predictions.npz"
    if path is None or not path.is_file():
        md5s = [stage.outputs[folder] for stage in side.stages.values() if folder in stage.outputs]
        cache = revisions.cache_folder(root)
        path = revisions.cached_file(cache, md5s[0], "predictions.npz") if md5s else None
    if path is None:
        raise DataError(f"the {which}'s predictions are not in the DVC cache")
    try:
        found = read_predictions(path)
    except DataError:
        raise DataError(f"the {which}'s predictions are damaged") from None
    is_whole = found.predictions.shape[1] == len(labels) and found.predictions.max() < CLASSES
    if not is_whole or confusion(found.predictions, labels, CLASSES) != side.runs[name].confusion:
        raise DataError(f"the {which}'s predictions do not belong to its results")
    return found


# --- text ----------------------------------------------------------------------------------------


def _text(text: str) -> str:
    """Free text as the schema takes it: valid Unicode, 400 characters at most."""
    clean = text.encode(errors="backslashreplace").decode()
    return clean if len(clean) <= 400 else f"{clean[:399]}…"


def _texts(texts: Sequence[str], limit: int = MAX_LISTED) -> list[str]:
    return [_text(text) for text in texts[:limit]]
