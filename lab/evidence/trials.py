"""Trains both sides on other seeds than the committed ones, until no verdict is left open.

Each side is trained by its own code, in a temporary checkout; DVC's cache of runs keeps what came
of it, so a second time nothing trains. The results stand beside the committed ones, in the report
alone, and their runs are nobody's experiment: nothing of them is recorded.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lab.base.errors import LabError
from lab.base.git import commit_of_working_tree
from lab.base.params import MAX_SEED
from lab.evidence.pairs import BEST, best_models, findings_of, in_trial, is_identical, pairs
from lab.evidence.reproduction import Show, checkout, lay_out, repro
from lab.evidence.resolution import Resolution
from lab.evidence.revision_results import RevisionResults, read_results
from lab.evidence.revisions import RevisionError
from lab.evidence.schema import Evidence, Model, ModelSide, OnSeeds, Trial
from lab.evidence.snapshots import WorkingTree
from lab.evidence.text import bounded
from lab.results.predictions import Classes, read_predictions
from lab.results.storage import TRAINED
from lab.verdict.seeds import fresh
from lab.verdict.verdicts import is_open

RESOLVE_SECONDS = 60.0  # what nobody asked for may take

Scored = Callable[[RevisionResults], RevisionResults]  # adds the scores of task/metrics.py


class Pair(NamedTuple):
    """What is compared: a model of the candidate with one of the baseline."""

    new: Model
    old: Model

    @property
    def old_name(self) -> str:
        """At the baseline."""
        return self.old.renamed_from or self.old.name


@dataclass
class Trained:
    """What training a model on some seeds gave; the predictions [N] of those that have them."""

    seeds: list[int] = field(default_factory=list)
    test: dict[str, list[float]] = field(default_factory=dict)
    predictions: dict[int, Classes] = field(default_factory=dict)

    def add(self, side: ModelSide, predictions_SN: Classes | None) -> None:
        """Takes the results of some more seeds."""
        known = self.test if self.seeds else dict.fromkeys(side.test, ())
        self.test = {name: [*known[name], *side.test[name]] for name in known if name in side.test}
        self.seeds += side.seeds
        if predictions_SN is not None:
            self.predictions |= zip(side.seeds, predictions_SN, strict=True)


class Side:
    """One revision in a checkout of its own, which is made when something is to be trained."""

    def __init__(
        self, root: Path, commit: Callable[[], str], results: RevisionResults, scored: Scored
    ) -> None:
        """Takes the revision's own results, which say what stage trains a model."""
        self._root, self._commit, self._results, self._scored = root, commit, results, scored
        self._place: Path | None = None
        self.models: dict[str, Trained] = {}

    def seeds(self, name: str) -> int:
        """How many a model was trained on here."""
        return len(self.models[name].seeds) if name in self.models else 0

    def train(
        self, names: Iterable[str], seeds: Sequence[int], show: Show, stack: contextlib.ExitStack
    ) -> None:
        """Trains models on those of some seeds that come after the ones they were trained on.

        Raises:
            LabError: it cannot be done.
        """
        had = {name: self.seeds(name) for name in dict.fromkeys(names)}
        for count in sorted({*had.values()}):
            if block := seeds[count:]:
                group = [name for name in had if had[name] == count]
                place = self._checkout(stack)
                set_seeds(place / "params.yaml", block)
                repro(place, show, *self._stages(group))
                self._take(place, group, block)

    def _checkout(self, stack: contextlib.ExitStack) -> Path:
        if self._place is None:
            self._place = stack.enter_context(checkout(self._root, self._commit()))
            lay_out(self._place)
        return self._place

    def _stages(self, names: Sequence[str]) -> list[str]:
        stages = [self._results.stage_of(name) for name in names]
        return [stage for stage in stages if stage]

    def _take(self, place: Path, names: Sequence[str], seeds: Sequence[int]) -> None:
        found = self._scored(read_results(WorkingTree(place), {}))
        for name in names:
            side = found.sides.get(name)
            if side is None:
                raise RevisionError(found.faults.get(name, f"{name} was not trained"))
            if side.seeds != [*seeds]:
                raise RevisionError(f"{name} does not train the seeds of its params.yaml")
            predictions = None
            with contextlib.suppress(LabError):
                file = place / TRAINED / name / "predictions.npz"
                predictions = read_predictions(file, len(side.classes)).predictions
            self.models.setdefault(name, Trained()).add(side, predictions)


def set_seeds(file: Path, seeds: Sequence[int]) -> None:
    """Writes other seeds into a params.yaml.

    Raises:
        RevisionError: it has none.
    """
    yaml = YAML()
    try:
        tree = yaml.load(file)
        if "seeds" not in tree["train"]:
            raise KeyError
        tree["train"]["seeds"] = [*seeds]
    except (YAMLError, LookupError, TypeError):
        raise RevisionError("its params.yaml has no train.seeds") from None
    with file.open("w", encoding="utf-8") as written:
        yaml.dump(tree, written)


# --- what is open, and for how long --------------------------------------------------------------


def compared(evidence: Evidence) -> dict[str, Pair]:
    """What may be trained again: models of both sides that changed, and the best models."""
    judged = pairs(evidence)
    found = {
        model.name: Pair(model, model)
        for model in evidence.models
        if model.name in judged and not is_identical(model) and not model.stale
    }
    best = best_models(evidence) if BEST in judged else None
    return {**found, **({BEST: Pair(best.model, best.before)} if best else {})}


def undecided(evidence: Evidence, wanted: Mapping[str, Pair], *, is_fresh: bool) -> list[str]:
    """Those of `compared` whose verdict is open; on fresh seeds it is until there are any."""
    found, better = findings_of(evidence), evidence.judged.higher_is_better
    return [
        name
        for name, pair in wanted.items()
        if is_open(found[name], higher_is_better=better)
        or (is_fresh and not in_trial(evidence, *pair))
    ]


def seconds_of(wanted: Iterable[Pair], seeds: int) -> float | None:
    """About how long both sides of some pairs take for so many seeds; None where nobody knows."""
    models: dict[tuple[bool, str], float] = {}
    for new, old in wanted:
        costs = [_seconds_a_seed(side) for side in (new.candidate, old.baseline)]
        known = [cost for cost in costs if cost is not None]
        if not known:
            return None
        models[True, new.name] = known[0]
        models[False, old.name] = known[-1]
    return seeds * sum(models.values())


def _seconds_a_seed(side: ModelSide | None) -> float | None:
    return side.cost.wall_seconds / len(side.seeds) if side and side.cost else None


def next_seeds(evidence: Evidence, wanted: Iterable[Pair], count: int) -> list[int]:
    """The integers after all committed seeds; where there are none any more, from 0."""
    sides = [side for new, old in wanted for side in (new.candidate, old.baseline) if side]
    used = {seed for side in sides for seed in side.seeds}
    after = itertools.chain(range(max(used) + 1, MAX_SEED + 1), range(max(used)))
    return [*itertools.islice((seed for seed in after if seed not in used), count)]


# --- training ------------------------------------------------------------------------------------


class Resolved(NamedTuple):
    """The evidence with a trial, and all that both sides were trained on, by their names."""

    evidence: Evidence
    candidate: Mapping[str, Trained]
    baseline: Mapping[str, Trained]


def resolve(
    root: Path,
    evidence: Evidence,
    candidate: RevisionResults,
    baseline: RevisionResults,
    scored: Scored,
    resolution: Resolution,
    show: Show,
) -> Resolved:
    """Trains until nothing is open, or the last of the evidence's looks was taken.

    Args:
        root: the project's root.
        evidence: without a trial.
        candidate: the results of the working tree.
        baseline: those of the baseline.
        scored: adds the scores of task/metrics.py to results.
        resolution: whether, and on which seeds.
        show: takes a line of progress at a time.

    Returns:
        Where training fails: with what there was before, and why it failed.
    """
    run, wanted = resolution.fresh_from, compared(evidence)
    todo = undecided(evidence, wanted, is_fresh=run is not None)
    is_over = not todo or not evidence.budget or (run is None and len(evidence.looks) == 1)
    if is_over or resolution.mode == "never":
        return Resolved(evidence, {}, {})
    if resolution.mode != "always" and (reason := _too_long(evidence, [wanted[n] for n in todo])):
        return Resolved(evidence.model_copy(update={"trial_missing": reason}), {}, {})
    new = Side(root, lambda: commit_of_working_tree(root), candidate, scored)
    old = Side(root, lambda: evidence.baseline.commit, baseline, scored)
    started, found = time.monotonic(), evidence
    with contextlib.ExitStack() as stack:
        try:
            for look in evidence.looks:
                seeds = _seeds(evidence, wanted, look, run)
                todo = undecided(found, wanted, is_fresh=run is not None)
                if not todo:
                    break
                if seeds:  # else they are the committed ones
                    chosen = [wanted[name] for name in todo]
                    show(_plan(chosen, new, seeds, look))
                    new.train([pair.new.name for pair in chosen], seeds, show, stack)
                    old.train([pair.old_name for pair in chosen], seeds, show, stack)
                    seconds = time.monotonic() - started
                    found = with_trial(evidence, new.models, old.models, run, seconds)
        except (LabError, OSError) as error:
            reason = bounded(" ".join(str(error).split()))
            found = found.model_copy(update={"trial_missing": reason})
            show(f"training on other seeds failed: {reason}")
    return Resolved(found, new.models, old.models)


def _too_long(evidence: Evidence, chosen: Sequence[Pair]) -> str | None:
    """Why nothing is trained that nobody asked for."""
    seeds = evidence.looks[-1] - evidence.looks[0]
    seconds = seconds_of(chosen, seeds)
    if seconds is None:
        return "how long it takes is not known here; `make report RESOLVE=1` trains more seeds"
    if seconds > RESOLVE_SECONDS:
        return (
            f"up to {seeds} more seeds a side take about {_duration(seconds)}; "
            "`make report RESOLVE=1` trains them"
        )
    return None


def _seeds(evidence: Evidence, wanted: Mapping[str, Pair], look: int, run: int | None) -> list[int]:
    """All that are to be trained up to a look."""
    if run is not None:
        return fresh(run, evidence.candidate.commit, evidence.baseline.commit, look)
    return next_seeds(evidence, wanted.values(), look - evidence.looks[0])


def _plan(chosen: Sequence[Pair], new: Side, seeds: Sequence[int], look: int) -> str:
    """What is about to be trained, and for how long."""
    names = dict.fromkeys(pair.new.name for pair in chosen)
    more = len(seeds) - min(new.seeds(name) for name in names)
    seconds = seconds_of(chosen, more)
    about = "" if seconds is None else f", about {_duration(seconds)}"
    which = "fresh seeds a side" if more == look else f"more seeds a side, {look} in all"
    return f"training {', '.join(names)} on {more} {which}{about}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def with_trial(
    evidence: Evidence,
    candidate: Mapping[str, Trained],
    baseline: Mapping[str, Trained],
    run: int | None,
    seconds: float,
) -> Evidence:
    """Evidence with what training gave; the committed seeds come first, unless these are fresh.

    Raises:
        RevisionError: it gave no score that is judged.
    """
    new = {model.name: model.candidate for model in evidence.models}
    old = {model.renamed_from or model.name: model.baseline for model in evidence.models}
    if run is not None:  # these are judged alone
        new, old = {}, {}
    trial = Trial(
        kind="extended" if run is None else "fresh",
        run=run,
        candidate={n: on_seeds(evidence, one, new.get(n)) for n, one in candidate.items()},
        baseline={n: on_seeds(evidence, one, old.get(n)) for n, one in baseline.items()},
        seeds_trained=sum(len(one.seeds) for one in (*candidate.values(), *baseline.values())),
        wall_seconds=seconds,
    )
    for name, one in (*trial.candidate.items(), *trial.baseline.items()):
        if evidence.metric not in one.test:
            raise RevisionError(f"{name} has no {evidence.metric} on other seeds")
    return evidence.model_copy(update={"trial": trial})


def on_seeds(
    evidence: Evidence, found: Trained | ModelSide, before: ModelSide | None = None
) -> OnSeeds:
    """The test scores that the evidence declares, those of `before` first."""
    seeds, test = (
        [*found.seeds],
        {score.name: found.test.get(score.name) for score in evidence.scores},
    )
    if before:
        seeds = [*before.seeds, *seeds]
        test = {
            name: [*before.test[name], *values] if values and name in before.test else None
            for name, values in test.items()
        }
    return OnSeeds(seeds=seeds, test={name: values for name, values in test.items() if values})
