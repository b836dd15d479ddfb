"""Whether a model takes the place of the one in production: what the report found, and no more."""

from dataclasses import dataclass

from lab.registry.candidate import Candidate
from lab.registry.promotion import Promotion
from lab.report.document import plain
from lab.report.headline import verdict_line
from lab.report.judgement import NOT_COMPARABLE, REMOVED, Judged, Judgement
from lab.verdict.verdicts import Verdict

FIRST = "nothing was before"
# Less than the margin matters to nobody, whichever way it goes: then the cheaper one is the better.
SAME = (Verdict.EQUIVALENT, Verdict.REAL_WITHIN)


@dataclass(frozen=True)
class Decision:
    """Whether it does; the verdict on the two models, the report's line, and why, in words."""

    is_better: bool
    verdict: str
    line: str
    why: str


def decided(judgement: Judgement, new: Candidate, old: Promotion | None) -> Decision:
    """What follows from a report on a candidate against the commit that is in production."""
    line = plain(verdict_line(judgement))
    if old is None:
        return Decision(is_better=True, verdict="new", line=FIRST, why=FIRST)
    found = _of_both(judgement, new.model, old.model)
    verdict = NOT_COMPARABLE if found is None or judgement.refusal else found.verdict
    if worse := [one for one in judgement.entries if not one.passes and one.verdict != REMOVED]:
        why = f"{worse[0].model.name}: {worse[0].words}"
        return Decision(is_better=False, verdict=verdict, line=line, why=why)
    is_better = verdict == Verdict.IMPROVED
    why = f"{new.model}: {verdict}"
    if verdict in SAME:
        is_better = new.parameter_count < old.parameter_count
        how = "cheaper" if is_better else "no cheaper"
        why += f", {how} ({new.parameter_count:,} parameters, {old.parameter_count:,} before)"
    return Decision(is_better and not judgement.refusal, verdict, line, why)


def _of_both(judgement: Judgement, new: str, old: str) -> Judged | None:
    """What was found of these two: two best models, or one that is on both sides."""
    for one in judgement.entries:
        before = one.before or one.model
        if (one.model.name, before.renamed_from or before.name) == (new, old):
            return one
    return None
