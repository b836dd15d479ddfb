"""Where the numbers of a report come from, and what a reader must know to read them."""

from lab.evidence.schema import Evidence
from lab.report.changes import changed_splits
from lab.report.document import (
    Block,
    Bullets,
    Line,
    Link,
    Paragraph,
    Piece,
    Preformatted,
    Strong,
    Untrusted,
    prose,
)
from lab.report.judgement import STALE, Judgement
from lab.report.notes import Notes
from lab.report.wording import count, label, many, ordinal, scale_of
from lab.verdict.verdicts import confirmation_factor

FIX = ("make repro", 'git add dvc.lock metrics && git commit --message "Update the results"')
CHECKED = (
    "Taken from git: the commits, the changed files and params, the margin, and what the "
    "baseline's numbers are compared with. As the branch's own code reported: the candidate's "
    "numbers, what ran, what it cost, the examples."
)
MOST_SIZES = 3  # numbers of seeds named
MOST_NAMES = 3  # of classes


def overridden(notes: Notes) -> list[Block]:
    """Says who overrode the check."""
    if notes.overridden_by is None:
        return []
    login = Untrusted(f"@{notes.overridden_by}")
    return [Paragraph(prose("The failing check was overridden by {}.", login))]


def stale(evidence: Evidence) -> list[Block]:
    """Says that results are stale, and how to fix it."""
    if any(model.stale for model in evidence.models):
        names = [Untrusted(state.name) for state in evidence.stages if state.state == STALE]
        line = prose(
            "{}: they were not made by this code, these params and this data ({}). "
            "The numbers below are those of an earlier state. To fix it:",
            Strong("The results here are stale"),
            names[0] if names else "no stage named",
        )
        return [Paragraph(line), Preformatted(FIX)]
    if evidence.candidate.committed_stale:
        line = prose(
            "{}. This report shows those that were made for it here. Why they are:",
            Strong("The results committed in this branch are stale"),
        )
        why = Bullets([[Untrusted(reason)] for reason in evidence.candidate.committed_stale])
        return [Paragraph(line), why, Paragraph(["To fix the branch:"]), Preformatted(FIX)]
    return []


def sources(evidence: Evidence, judgement: Judgement, notes: Notes) -> list[Line]:
    """Commits, seeds, origin of the baseline, cautions, and what the workflow adds."""
    candidate, baseline = evidence.candidate, evidence.baseline
    lines = [_commits(evidence)]
    if candidate.commit == baseline.commit:
        lines.append(_same_commit(candidate.uncommitted_total))
    lines += [[_seeds(judgement)], *_trial(evidence), *_anchor(evidence)]
    lines += [*_origin(evidence), *_cautions(evidence)]
    if notes.run_url is not None:
        lines.append([Link("The run that made this report", notes.run_url), "."])
    if notes.runs_url is not None:
        lines.append([Link("The runs of training", notes.runs_url), "."])
    if notes.is_checked:
        lines.append([CHECKED])
    return [*lines, *([Untrusted(note)] for note in notes.texts)]


def _commits(evidence: Evidence) -> Line:
    candidate, baseline = evidence.candidate, evidence.baseline
    branch = baseline.branch
    dirty = many(candidate.uncommitted_total, "uncommitted file")
    line = [
        *prose("Candidate {}", Untrusted(candidate.commit[:12])),
        f" with {dirty}" if candidate.uncommitted_total else "",
        *prose(" against baseline {}", Untrusted(baseline.commit[:12])),
    ]
    if baseline.named is not None:
        line += prose(" ({})", Untrusted(baseline.named))
    elif branch is not None:
        line += prose(" (where it left {})", Untrusted(branch))
    if baseline.behind and branch is not None:
        line += prose(", {} behind {}", many(baseline.behind, "commit"), Untrusted(branch))
    return [*line, "."]


def _same_commit(uncommitted: int) -> Line:
    if uncommitted:
        return ["Both are the same commit: what is compared is the uncommitted work."]
    other = Untrusted("make report BASE=HEAD~1")
    return prose("Both are the same revision; to compare with another: {}.", other)


def _seeds(judgement: Judgement) -> str:
    both = [
        (baseline.seeds, candidate.seeds)
        for candidate, baseline in (one.samples for one in judgement.models if one.samples)
    ]
    if not both:
        return "No model has results on both sides."
    sizes = sorted({(len(old), len(new)) for old, new in both})
    counts = " or ".join(
        f"{many(old, 'seed')} a side" if old == new else f"{old} seeds against {new}"
        for old, new in sizes[:MOST_SIZES]
    )
    if all(sorted(old) == sorted(new) for old, new in both):
        return f"{counts}: the same on both sides, compared pair by pair."
    findings = [one.finding for one in judgement.models if one.finding]
    if all(found.difference.is_paired for found in findings):
        return f"{counts}: those that both sides have are compared pair by pair."
    if any(found.difference.is_paired for found in findings):
        return f"{counts}: some models with other seeds than the baseline's, so not in pairs."
    return f"{counts}: other seeds on either side, so compared without pairing (Welch)."


def _trial(evidence: Evidence) -> list[Line]:
    """What was trained for this report alone, what it took, and why no more was."""
    trial = evidence.trial
    lines: list[Line] = []
    if trial is not None:
        sides = [*trial.candidate.values(), *trial.baseline.values()]
        most = max((len(side.seeds) for side in sides), default=0)
        took = f"{many(trial.seeds_trained, 'training')} in {trial.wall_seconds:,.0f} s"
        if trial.kind == "fresh":
            what = Strong("Judged on fresh seeds")
            known = f"drawn for run {trial.run}, which nobody knew when the commit was made"
            lines.append([what, f": up to {most} a side, {known}{_times(evidence)} ({took})."])
        else:
            what = Strong(f"Extended to {most} seeds a side")
            lines.append([what, f", as {evidence.looks[0]} could not tell ({took})."])
    if evidence.trial_missing is not None:
        none = "No more seeds were trained" if trial else "No other seeds were trained"
        lines.append(prose("{}: {}.", none, Untrusted(evidence.trial_missing)))
    if len(evidence.looks) > 1:
        *first, last = [str(seeds) for seeds in evidence.looks]
        looks = f"{', '.join(first)} and {last} seeds a side"
        lines.append([f"The verdict may be looked at after {looks}; p and intervals allow for it."])
    return lines


def _times(evidence: Evidence) -> str:
    """Which of a pull request's runs this is, and what that costs."""
    number = evidence.confirmation
    if number is None:
        return ""
    factor = confirmation_factor(number)
    return f"; the {ordinal(number)} run of this pull request, so p counts {factor:,} times"


def _anchor(evidence: Evidence) -> list[Line]:
    """What nothing may fall below, or why it has no say."""
    anchor = evidence.anchor
    if anchor is None:
        return []
    commit = Untrusted(anchor.commit[:12])
    if anchor.missing is not None:
        why = Untrusted(anchor.missing)
        return [prose("The anchor {} ({}) has no say: {}.", Untrusted(anchor.name), commit, why)]
    what = "Models that changed may not fall below the anchor {} ({}), either."
    return [prose(what, Untrusted(anchor.name), commit)]


def _origin(evidence: Evidence) -> list[Line]:
    """Where the baseline's numbers come from, if not simply from its commit."""
    baseline = evidence.baseline
    if baseline.origin == "committed" and not baseline.reasons:
        return []
    why: list[Piece] = []
    if baseline.reasons:
        why = [" Why: ", Untrusted(baseline.reasons[0])]
        if len(baseline.reasons) > 1:
            why += ["; … ", Untrusted(baseline.reasons[-1])]
        why.append(".")
    if baseline.origin == "reproduced":
        what = prose(
            "{} for this report, with its own code and the packages installed here, as its "
            "committed results could not be used.",
            Strong("The baseline was reproduced"),
        )
    elif baseline.origin == "committed":
        what = prose(
            "{}: its numbers are those that git holds, and may differ by their machine alone.",
            Strong("The baseline could not be reproduced here"),
        )
    else:
        what = prose("{} that could be used or made.", Strong("The baseline has no results"))
    return [[*what, *why]]


def _cautions(evidence: Evidence) -> list[Line]:
    """What a reader must know of the two sides to read the numbers."""
    lines: list[Line] = []
    splits = [name for name, *_ in changed_splits(evidence)]
    if splits and "test" not in splits:
        what = Strong("The training data differ")
        lines.append(prose("{}; the test set is the same.", what))
    lines += [*_inherited(evidence), *_class_names(evidence), *_yardstick(evidence)]
    return [*lines, *_machines(evidence), *_packages(evidence)]


def _inherited(evidence: Evidence) -> list[Line]:
    """Says that results were stale before this branch began, and where that is to be put right."""
    reasons = evidence.candidate.inherited_stale
    if not reasons:
        return []
    what, branch = Strong("Results were stale at the baseline already"), evidence.baseline.branch
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    where = prose("on {}", Untrusted(branch)) if branch else ["there"]
    line = prose(f"{{}} ({{}}{more}), and this branch changed nothing of that: run ", what,
                 Untrusted(reasons[0]))  # fmt: skip
    return [[*line, Untrusted("make repro"), " ", *where, " and commit the results there."]]


def _class_names(evidence: Evidence) -> list[Line]:
    """Says that classes have other names than before, or that there are more or fewer."""
    new, old = evidence.candidate_data, evidence.baseline_data
    if new is None or old is None:
        return []
    if new.classes != old.classes:
        what = Strong("The number of classes differs")
        return [prose("{}: {}, and {} before.", what, count(new.classes), count(old.classes))]
    if new.class_names is None or old.class_names is None:
        return []
    names = zip(old.class_names, new.class_names, strict=True)
    other = [(before, after) for before, after in names if before != after]
    if not other:
        return []
    line: list[Piece] = [Strong("Classes have other names"), ": "]
    for position, (before, after) in enumerate(other[:MOST_NAMES]):
        line += [", " if position else "", *prose("{} was {}", Untrusted(after), Untrusted(before))]
    more = f", and {len(other) - MOST_NAMES} more" if len(other) > MOST_NAMES else ""
    return [[*line, f"{more}; the new ones are used here."]]


def _yardstick(evidence: Evidence) -> list[Line]:
    """Says that a change is judged otherwise than before: another score, margin or budget."""
    lines: list[Line] = []
    new, old = evidence.metric, evidence.baseline_metric or evidence.metric
    if new != old:
        what = Strong("The score that is judged changed")
        names = label(old), label(new)
        lines.append(prose("{}, from {} to {}; verdicts use the new one.", what, *names))
    margin, old_margin = evidence.margin, evidence.baseline_margin or evidence.margin
    before = scale_of(evidence, old).margin(old_margin)
    after = scale_of(evidence, new).margin(margin)
    if margin != old_margin or (new != old and before != after):
        is_shared = before.partition(" ")[2] == after.partition(" ")[2]
        before = before.partition(" ")[0] if is_shared else before
        what = Strong("The margin itself changed")
        lines.append(prose("{}, from {} to {}; verdicts use the new one.", what, before, after))
    budget, old_budget = evidence.budget, evidence.baseline_budget
    if old_budget is not None and budget != old_budget:
        what = Strong("The budget of seeds itself changed")
        lines.append(prose("{}, from {} to {} a side.", what, count(old_budget), count(budget)))
    if evidence.scores_missing:
        why = Untrusted(evidence.scores_missing)
        lines.append(prose("Scores of {} are left out: {}.", Untrusted("task/metrics.py"), why))
    return lines


def _machines(evidence: Evidence) -> list[Line]:
    sides = [model.both for model in evidence.models if model.both]
    machines = {tuple(f"{side.device} {side.precision}" for side in both) for both in sides}
    what = Strong("Device or precision differ")
    return [
        prose("{}: {} → {}.", what, Untrusted(before), Untrusted(after))
        for after, before in sorted(machines, key=lambda pair: pair[::-1])
        if before != after
    ]


def _packages(evidence: Evidence) -> list[Line]:
    lines = []
    for package in evidence.candidate.packages:
        pinned, here = package.baseline, package.candidate
        if pinned and here and here.split("+")[0] != pinned:
            pieces = Untrusted(package.key), Untrusted(here), Untrusted(pinned)
            lines.append(prose("{} here is {}, pinned is {}.", *pieces))
    return lines
