"""Scores by name: what task/metrics.py declares, what they come to, `metrics/scores.json`."""

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from lab.base.errors import DataError, LabError, ParamsError, shortened
from lab.base.files import sha256
from lab.base.params import CompareParams
from lab.base.records import first_problem
from lab.results.schema import (
    BUILT_IN,
    LARGEST_SCORE,
    MAX_SCORES,
    ModelResults,
    Score,
    ScoreTable,
    Source,
    Spread,
    Spreads,
)

OWN_FILE = Path("task/metrics.py")
COMMON_FILE = Path("lab/results/common_scores.py")
SCORES = Path("metrics/scores.json")
ROOT = Path(__file__).resolve().parents[2]
MAX_SCORES_BYTES = 2**26  # fifty scores of a thousand models with ten seeds have 20 MB

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer[Any]]
Function = Callable[[Probabilities, Labels, Labels], float]


@dataclass(frozen=True)
class Metric:
    """A score and the function that computes it from one seed's probabilities.

    The function gets probabilities float32 [N, C], predictions [N] (the most probable class) and
    labels [N], all of them read-only.
    """

    score: Score
    function: Function

    def __call__(self, probabilities: Probabilities, predictions: Labels, labels: Labels) -> float:
        """The score of one seed."""
        return self.function(probabilities, predictions, labels)


def metric(*, unit: str, higher_is_better: bool) -> Callable[[Function], Metric]:
    """Declares a function of task/metrics.py as a score of its name.

    Args:
        unit: `%` for a fraction, which is shown in percent; else one word, or nothing.
        higher_is_better: which direction is an improvement.

    >>> @metric(unit="%", higher_is_better=True)
    ... def share_of_zeros(probabilities, predictions, labels):
    ...     return float((predictions == 0).mean())
    >>> share_of_zeros.score.name, share_of_zeros(None, np.array([0, 1]), None)
    ('share_of_zeros', 0.5)
    """

    def declared(function: Function) -> Metric:
        name = getattr(function, "__name__", repr(function))
        try:
            score = Score(name=name, unit=unit, higher_is_better=higher_is_better)
        except ValidationError as error:
            raise ValueError(f"{name}: {first_problem(error)}") from None
        return Metric(score, function)

    return declared


@dataclass(frozen=True)
class Scored:
    """What scores of one split are computed from: probabilities [S, N, C] and labels [N]."""

    probabilities_SNC: Probabilities
    labels_N: Labels


# --- task/metrics.py -----------------------------------------------------------------------------


def own_metrics() -> list[Metric]:
    """The metrics of task/metrics.py, in its order.

    Raises:
        DataError: it is missing, cannot be imported, or declares what cannot be.
    """
    if not (ROOT / OWN_FILE).is_file():
        raise DataError(f"{OWN_FILE}: no such file; add it (it may declare nothing)")
    try:
        from task import metrics
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's file raises
        raise DataError(f"{OWN_FILE}: cannot be imported ({_raised(error)}); correct it") from None
    found = [value for value in vars(metrics).values() if isinstance(value, Metric)]
    names = [score.name for score in declared(found)]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{OWN_FILE}: {repeated[0]}: there is such a score already; rename it")
    if len(names) > MAX_SCORES:
        raise DataError(f"{OWN_FILE}: at most {MAX_SCORES} scores; got {len(names)}; remove some")
    return found


def declared(own: Sequence[Metric]) -> list[Score]:
    """All scores, the built-in ones first."""
    return [*BUILT_IN, *(metric.score for metric in own)]


def judged(compare: CompareParams, known: Sequence[Score]) -> Score:
    """The score that `compare.metric` names.

    Raises:
        ParamsError: there is none of that name, or the margin is not one of a fraction.
    """
    by_name = {score.name: score for score in known}
    if compare.metric not in by_name:
        close = difflib.get_close_matches(compare.metric, by_name, n=1)
        advice = f"did you mean {close[0]}?" if close else f"use one of {', '.join(by_name)}"
        got = shortened(compare.metric, limit=60)
        raise ParamsError(f"params.yaml: compare.metric: no such score; got {got}; {advice}")
    found = by_name[compare.metric]
    if found.unit == "%" and compare.margin >= 1:
        raise ParamsError(
            f"params.yaml: compare.margin: must be a fraction below 1, as {found.name} is one; "
            f"got {compare.margin:g}; correct the value"
        )
    return found


def _raised(error: BaseException) -> str:
    return shortened(f"{type(error).__name__}: {error}".removesuffix(": "), limit=160)


# --- values --------------------------------------------------------------------------------------


def spreads(own: Sequence[Metric], where: str, seeds: Sequence[int], of: Scored) -> Spreads:
    """The scores of one model on one split; `where` names both in errors.

    Raises:
        DataError: a function fails, or returns something else than a finite number.
    """
    values: dict[str, list[float]] = {metric.score.name: [] for metric in own}
    labels_N = _read_only(of.labels_N)
    for seed, probabilities_NC in zip(seeds, of.probabilities_SNC, strict=True):
        predictions_N = _read_only(probabilities_NC.argmax(axis=1))
        for metric in own:
            given = _read_only(probabilities_NC), predictions_N, labels_N
            values[metric.score.name].append(_value(metric, f"{where}, seed {seed}", *given))
    return {name: Spread.of(np.array(of_seeds)) for name, of_seeds in values.items()}


def _value(metric: Metric, where: str, *given: Any) -> float:
    what = f"{OWN_FILE}: {metric.score.name}: {where}"
    try:
        found: Any = metric.function(*given)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's function raises
        raise DataError(f"{what}: raised {_raised(error)}; correct the function") from None
    is_number = isinstance(found, int | float | np.integer | np.floating)
    if not is_number or isinstance(found, bool):
        got = f"a value of type {type(found).__name__}"
    elif abs(found) <= LARGEST_SCORE:
        return float(found)
    else:
        got = "NaN" if found != found else f"one beyond {LARGEST_SCORE:g}"
    raise DataError(f"{what}: must return one finite number; got {got}; correct the function")


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that a user's function cannot change for those after it."""
    view = array.view()
    view.flags.writeable = False
    return view


def built_in(results: ModelResults, split: str) -> Spreads:
    """The scores that training wrote."""
    return dict(getattr(results, split))


def if_possible(
    model: str, seeds: Sequence[int], splits: Mapping[str, Scored]
) -> dict[str, Spreads]:
    """Own scores by split; without any where task/metrics.py fails, which is said.

    A finished training is not lost for it: stage `compare` fails in its place.
    """
    try:
        own = own_metrics()
        return {split: spreads(own, f"{model}, {split}", seeds, of) for split, of in splits.items()}
    except LabError as error:
        print(f"{error}; {model} is complete, its own scores are not recorded", file=sys.stderr)
        return {}


# --- metrics/scores.json -------------------------------------------------------------------------


def own_sources() -> list[Source]:
    """The code of own scores as it is now: task/metrics.py, and what it may take from lab/."""
    return [
        Source(file=file.as_posix(), sha256=sha256((ROOT / file).read_bytes()))
        for file in (OWN_FILE, COMMON_FILE)
    ]


def parse(content: bytes, where: str) -> ScoreTable:
    """Checks the bytes of a `metrics/scores.json`; `where` names it in errors.

    Raises:
        DataError: they break the schema.
    """
    if len(content) > MAX_SCORES_BYTES:
        raise DataError(f"{where}: must have at most {MAX_SCORES_BYTES:,} bytes; got more")
    try:
        return ScoreTable.model_validate_json(content)
    except ValidationError as error:
        raise DataError(f"{where}: {first_problem(error)}; run `dvc repro compare`") from None
