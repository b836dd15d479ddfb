"""A search as MLflow runs: one for all of it, one nested below for each candidate."""

import math
from collections.abc import Sequence
from pathlib import Path

from lab.base.files import sha256
from lab.base.machine import environment_tags
from lab.base.params import Params
from lab.data.description import Description
from lab.results.schema import Score
from lab.tracking import words
from lab.tracking.recording import ActiveRun, Dataset, RunSpec
from lab.tuning.search import Candidate
from lab.tuning.table import Reading, remark


def search_run(
    tree: Params, model: str, data: Description, budget: str, candidates: Sequence[Candidate]
) -> RunSpec:
    """The run of a search whose candidates are known."""
    dataset = Dataset(name=data.name, digest=data.train.sha256, context="training")
    tags = {"stage": "tune", "model": model, **environment_tags()}
    winner = candidates[0]
    return RunSpec(
        name=f"tune {model}",
        params={
            **tree.train.model_dump(),
            "budget": budget,
            "candidates": len(candidates) - 1,
            **{f"winner_{key}": value for key, value in winner.values.items()},
        },
        tags=tags,
        note=(
            f"A search for better params of **{model}**; its candidates are nested below. The "
            "scores are of validation; `tuning.png` among the artifacts shows who came how far."
        ),
        dataset=dataset,
        children=[
            RunSpec(
                name=_name(model, each),
                params={**each.model.settings(), "candidate": each.number},
                tags={**tags, "candidate": remark(each, winner.number) or str(each.number)},
                dataset=dataset,
            )
            for each in candidates
        ],
        fingerprint=sha256(f"{tree} {model} {budget} {data.train.sha256} {tags}".encode()),
    )


def log_candidates(
    active: ActiveRun, model: str, candidates: Sequence[Candidate], score: Score
) -> None:
    """Sends every candidate's curve, the mean over its seeds, and its score."""
    for each in candidates:
        name = _name(model, each)
        curves = [found.curve for found in each.found.values()]
        for number in range(max(map(len, curves))):
            points = [curve[number] for curve in curves if number < len(curve)]
            means = [sum(column) / len(points) for column in zip(*points, strict=True)]
            keys = ("train_loss", "validation_loss", "validation_accuracy")
            finite = {k: v for k, v in zip(keys, means, strict=True) if math.isfinite(v)}
            active.metrics(finite, step=number + 1, child=name)
        if not each.has_diverged:
            found = {f"validation_{score.name}_reached": each.score(list(each.found))}
            active.metrics(found, step=0, child=name)


def log_trial(active: ActiveRun, files: Sequence[Path], said: str, found: Reading | None) -> None:
    """Sends what came of it."""
    for file in files:
        active.artifact(file)
    active.tags({words.VERDICT: said})
    if found:
        active.metrics({"test_difference": found.estimate}, step=0)


def _name(model: str, candidate: Candidate) -> str:
    return f"{model} candidate {candidate.number}"
