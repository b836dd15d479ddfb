"""What a search may try: the ranges and choices of `tune:`, checked, and proposals from them.

Optuna proposes: 0.5 s of import, no network, and the same proposals for the same seed and results.
What it would also do, keep a study, is done by `lab.tuning.kept`: its storage keeps no state of
the random numbers, so a search that goes on after a kill would propose something else.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from lab.base.errors import ParamsError
from lab.base.params import PARAMS_FILE, ModelParams, Params, Range, Searched
from lab.base.problems import advice_on_unknown, described
from lab.training import networks

DIGITS = 3  # of a proposed number; more would say what no search knows
OF_ALL = ("seeds", "seeds_per_stack", "epochs", "batch_size")  # of `train:`

Values = Mapping[str, Any]  # of the searched keys
Sampler = Callable[[int], optuna.samplers.BaseSampler]


class Space:
    """The searched keys of one model.

    Raises:
        ParamsError: there are none, or one cannot be searched.
    """

    def __init__(self, tree: Params, model: str) -> None:
        self.name, self._model = model, tree.model(model)
        keys = {name: networks.keys(each) for name, each in tree.models.items()}
        known = sorted(set().union(*keys.values()) - {"network"})
        for key in tree.tune:
            _require_searchable(key, known)
        self._searched = {key: tree.tune[key] for key in tree.tune if key in keys[model]}
        if not self._searched:
            raise ParamsError(
                f"{PARAMS_FILE}: tune: must have a key of {model} at least; got "
                f"{', '.join(tree.tune) or 'none'}; add one, such as "
                "learning_rate: {low: 0.001, high: 0.01, log: true}"
            )
        for key, searched in self._searched.items():
            for value in searched[:2] if isinstance(searched, Range) else searched:
                self._check(model, key, value)
        self.left_out = [key for key in tree.tune if key not in self._searched]

    def _check(self, name: str, key: str, value: Any) -> None:
        """Refuses what params.yaml could not have there."""
        try:
            model = self.candidate({key: value})
        except ValidationError as error:
            raise ParamsError(
                f"{PARAMS_FILE}: {described(error, lambda _: (), ['tune'])}"
            ) from None
        networks.check_entry(["tune"], model)

    def candidate(self, values: Values) -> ModelParams:
        """The model's entry with some other values."""
        return ModelParams.model_validate({**self._model.settings(), **values})

    @property
    def today(self) -> Values:
        """What the entry says now; None for what it leaves out."""
        settings = self._model.settings()
        return {key: settings.get(key) for key in self._searched}

    @property
    def keys(self) -> list[str]:
        """What is searched."""
        return list(self._searched)

    @property
    def searched(self) -> Mapping[str, Searched]:
        """The ranges and choices by key."""
        return self._searched


def _require_searchable(key: str, known: Sequence[str]) -> None:
    where = f"{PARAMS_FILE}: tune.{key}"
    if key in OF_ALL:
        raise ParamsError(f"{where}: must be a key of a model; got one of `train`, which all share")
    if key == "network":
        raise ParamsError(
            f"{where}: cannot be searched, as other keys depend on it; add a model for each network"
        )
    if key not in known:
        raise ParamsError(f"{where}: unknown key of any model; {advice_on_unknown(key, known)}")


def _by_results(seed: int) -> optuna.samplers.BaseSampler:
    """Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", section 4.

    A candidate that is still in training counts as a bad one, so that the others of its round keep
    away from it.
    """
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


class Proposer:
    """Proposes candidates, and learns from what became of them."""

    def __init__(
        self, space: Space, seed: int, *, maximise: bool, sampler: Sampler = _by_results
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._distributions = {
            key: _distribution(searched) for key, searched in space.searched.items()
        }
        self._study = optuna.create_study(
            direction="maximize" if maximise else "minimize", sampler=sampler(seed)
        )
        self._asked: dict[int, optuna.Trial] = {}
        self._numbers = itertools.count(1)  # 0 are today's params

    def ask(self) -> tuple[int, dict[str, Any]]:
        """A candidate's number, and its values."""
        number, trial = next(self._numbers), self._study.ask(self._distributions)
        self._asked[number] = trial
        return number, {
            key: _rounded(trial.params[key], searched)
            for key, searched in self._space.searched.items()
        }

    def tell(self, number: int, value: float) -> None:
        """What a candidate came to; NaN of one that diverged."""
        trial = self._asked.pop(number)
        if math.isfinite(value):
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _distribution(searched: Searched) -> BaseDistribution:
    if not isinstance(searched, Range):
        return CategoricalDistribution(range(len(searched)))  # a choice may be a list
    low, high, log = searched
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _rounded(value: Any, searched: Searched) -> Any:
    if not isinstance(searched, Range):
        return searched[value]
    if isinstance(value, int):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), searched.low), searched.high)
