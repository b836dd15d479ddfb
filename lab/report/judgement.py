"""What the evidence of a comparison means: a verdict a model, and whether the check passes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.evidence.pairs import (
    BEST,
    Pairs,
    best_models,
    findings_of,
    in_trial,
    is_identical,
    pairs,
    refusal,
    sample,
)
from lab.evidence.schema import Evidence, Model
from lab.results.schema import Score
from lab.verdict.differences import Sample, seeds_needed
from lab.verdict.verdicts import Finding, Verdict, findings, is_open

NOT_COMPARABLE = "not comparable"
STALE = "stale"
NOT_REPRODUCED = "not reproduced"
NOT_CONFIRMED = "not confirmed"
BELOW_ANCHOR = "below the anchor"
NEW = "new"
NEW_SCORE = "new score"
REMOVED = "removed"

# Every verdict, the worst first, and its sign before the verdict line.
SIGNS = {
    NOT_COMPARABLE: "✕",
    Verdict.MISSING.value: "✕",
    STALE: "✕",
    NOT_REPRODUCED: "✕",
    NOT_CONFIRMED: "✕",
    Verdict.REGRESSED.value: "▼",
    BELOW_ANCHOR: "▼",
    REMOVED: "⊖",
    Verdict.IMPROVED.value: "▲",
    Verdict.CANNOT_TELL.value: "?",
    NEW_SCORE: "⊕",
    Verdict.SIZE_UNCLEAR.value: "≈",
    Verdict.REAL_WITHIN.value: "=",
    Verdict.EQUIVALENT.value: "=",
    NEW: "⊕",
}
ACCEPTABLE = (Verdict.REGRESSED.value, BELOW_ANCHOR, REMOVED)  # what a maintainer may accept
UNKNOWN = (NOT_COMPARABLE, Verdict.MISSING.value, STALE, NOT_REPRODUCED, NOT_CONFIRMED)
FAILING = (*UNKNOWN, *ACCEPTABLE)
CLAIMS = (Verdict.IMPROVED, Verdict.REGRESSED)


@dataclass(frozen=True)
class Judged:
    """A model, its verdict (one of `SIGNS`), and the difference where there is one.

    `samples` is what the difference is of, candidate and baseline. `before` is the baseline's best
    model, where the candidate's best is another and the two are what is compared. `reproduction`
    compares what was made here of a model with what git holds of it, made on another machine; None
    where the two are the same, or lack the judged score. `anchor` compares a model that changed
    with the anchor's. `identical` is the word for results that did not change at all.
    """

    model: Model
    verdict: str
    finding: Finding | None
    before: Model | None = None
    reproduction: Finding | None = None
    anchor: Finding | None = None
    samples: tuple[Sample, Sample] | None = None
    identical: str = ""

    @property
    def words(self) -> str:
        """The verdict as a table shows it."""
        return (self.verdict == Verdict.EQUIVALENT and self.identical) or self.verdict

    @property
    def seeds(self) -> int:
        """How many the difference rests on: pairs, or those of the smaller side."""
        if self.samples is None or self.finding is None:
            return 0
        candidate, baseline = (set(side.seeds) for side in self.samples)
        if self.finding.difference.is_paired:
            return len(candidate & baseline)
        return min(len(candidate), len(baseline))

    @property
    def passes(self) -> bool:
        """Whether the check passes."""
        return self.verdict not in FAILING


@dataclass(frozen=True)
class Judgement:
    """The whole comparison by one score; `refusal` says why nothing can be compared.

    `best` compares the best models of the two sides, where they are not the same one. `stale`
    says why results in git are not those of the commit that they lie in. `looks` and `budget` are
    those of the evidence.
    """

    models: Sequence[Judged]
    refusal: str | None
    score: Score
    best: Judged | None = None
    stale: Sequence[str] = ()
    looks: Sequence[int] = ()
    budget: int = 0

    @property
    def entries(self) -> Sequence[Judged]:
        """Everything that has a verdict, what matters most of all first."""
        return [*([self.best] if self.best else []), *self.models]

    @property
    def passes(self) -> bool:
        """Whether the check passes."""
        is_known = self.models and not self.refusal and not self.stale
        return bool(is_known) and all(one.passes for one in self.entries)

    @property
    def is_acceptable(self) -> bool:
        """Whether all that keeps the check from passing are losses, which may be worth it."""
        if self.passes or self.refusal or self.stale or not self.models:
            return False
        return all(one.passes or one.verdict in ACCEPTABLE for one in self.entries)

    @property
    def is_certain(self) -> bool:
        """Whether every model that is on both sides got a verdict that says something."""
        better = self.score.higher_is_better
        found = [one.finding for one in self.entries if one.finding and one.passes]
        is_any_open = any(is_open(one, higher_is_better=better) for one in found)
        return not is_any_open and NEW_SCORE not in self.by_verdict()

    def by_verdict(self) -> dict[str, list[Judged]]:
        """The models of each verdict, the worst verdict first."""
        grouped = {sign: [one for one in self.entries if one.verdict == sign] for sign in SIGNS}
        return {verdict: models for verdict, models in grouped.items() if models}


def judge(evidence: Evidence) -> Judgement:
    """Finds the differences of the test score that is judged, all of them together."""
    score, samples, found = evidence.judged, pairs(evidence), findings_of(evidence)
    reproductions = _judged(_made_twice(evidence, score), evidence, looks=(), confirmation=None)
    anchors = _judged(
        _from_anchor(evidence, samples), evidence, evidence.looks, evidence.confirmation
    )
    models = [
        Judged(
            model,
            _verdict(model, evidence, found, reproductions, anchors),
            found.get(model.name),
            reproduction=reproductions.get(model.name),
            anchor=anchors.get(model.name),
            samples=samples.get(model.name),
            identical=_identical(model, evidence),
        )
        for model in evidence.models
    ]
    best, of_best = best_models(evidence) if BEST in found else None, None
    if best:
        said = found[BEST].verdict.value
        if _lacks_confirmation(evidence, best.model, best.before):
            said = NOT_CONFIRMED
        of_best = Judged(best.model, said, found[BEST], best.before, samples=samples[BEST])
    stale = evidence.candidate.committed_stale
    looks, budget = evidence.looks, evidence.budget
    return Judgement(models, refusal(evidence), score, of_best, stale, looks, budget)


def _judged(
    given: Pairs, evidence: Evidence, looks: Sequence[int], confirmation: int | None
) -> dict[str, Finding]:
    """One family of comparisons: Holm's correction runs over all of them."""
    judged = findings(
        [*given.values()],
        evidence.margin,
        higher_is_better=evidence.judged.higher_is_better,
        looks=looks,
        confirmation=confirmation,
    )
    return dict(zip(given, judged, strict=True))


def _made_twice(evidence: Evidence, score: Score) -> Pairs:
    """What was made here, and what git holds of it, of the models that another machine made."""
    return {
        model.name: (sample(model.candidate, score.name), sample(model.committed, score.name))
        for model in evidence.models
        if model.candidate and model.committed
        if score.name in model.candidate.test and score.name in model.committed.test
    }


def _from_anchor(evidence: Evidence, judged: Pairs) -> Pairs:
    """The models that changed, and those of the anchor where they are not the baseline's.

    The anchor's seeds are the committed ones or those of the trial.
    """
    found, score, trial = {}, evidence.metric, evidence.trial
    for model in evidence.models:
        anchor = model.anchor
        if anchor is None or score not in anchor.test or is_identical(model):
            continue
        side, baseline = sample(anchor, score), judged.get(model.name, (None, None))[1]
        if baseline is None or (baseline.seeds, baseline.values) == (side.seeds, side.values):
            continue
        known = [trial.candidate.get(model.name) if trial else None, model.candidate]
        sides = [sample(one, score) for one in known if one and score in one.test]
        common = [one for one in sides if {*one.seeds} & {*side.seeds}]
        found[model.name] = (common or sides)[0], side
    return found


def _verdict(
    model: Model,
    evidence: Evidence,
    found: Mapping[str, Finding],
    reproductions: Mapping[str, Finding],
    anchors: Mapping[str, Finding],
) -> str:
    name, score = model.name, evidence.metric
    if model.candidate is None and model.candidate_missing is None:
        return REMOVED
    if model.both and refusal(evidence):
        return NOT_COMPARABLE
    if model.candidate is None or score not in model.candidate.test or model.baseline_missing:
        return Verdict.MISSING.value
    if model.stale:
        return STALE
    if name in reproductions and reproductions[name].verdict in CLAIMS:
        return NOT_REPRODUCED
    if model.baseline is None:
        return NEW
    if name not in found:
        return NEW_SCORE
    if _is_untouched(model, evidence):
        return Verdict.EQUIVALENT.value
    if _lacks_confirmation(evidence, model, model):
        return NOT_CONFIRMED
    said = found[name].verdict
    if said not in CLAIMS and name in anchors and anchors[name].verdict == Verdict.REGRESSED:
        return BELOW_ANCHOR  # what improves on a baseline below it leads there
    return said.value


def _lacks_confirmation(evidence: Evidence, new: Model, old: Model) -> bool:
    """Whether a pull request's difference rests on seeds that were known to whoever made it."""
    if evidence.confirmation is None:
        return False
    is_fresh = evidence.trial is not None and evidence.trial.kind == "fresh"
    return not (is_fresh and in_trial(evidence, new, old))


def _is_untouched(model: Model, evidence: Evidence) -> bool:
    """Whether nothing changed in a model's results, and no other seeds say otherwise."""
    return is_identical(model) and not in_trial(evidence, model, model)


def _identical(model: Model, evidence: Evidence) -> str:
    if not _is_untouched(model, evidence):
        return ""
    states = {stage.name: stage.state for stage in evidence.stages}
    ran = states.get(f"train@{model.name}") in ("ran", "ran again")
    return "identical results" if ran else "identical, not retrained"


def seeds_wanted(one: Judged, margin: float) -> int | None:
    """About how many seeds a side would show a true difference as large as the margin."""
    if one.finding is None or not one.finding.difference.error:
        return None
    deviation = one.finding.difference.error * math.sqrt(one.seeds)
    return seeds_needed(deviation, margin, one.finding.level)
