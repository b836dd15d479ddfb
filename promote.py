"""Puts this commit's chosen model into production, if the fair trial finds it better.

Better is what improves on the model in production with nothing worse, or is equivalent to it and
has fewer parameters; anything else needs a reason. A tag of git in GTO's form decides;
registry.json, models/production, MLflow's alias and the release at GitHub follow it, in the next
run at the latest.

files      lay out models/production again: here, or on another machine
judge      in a workflow: what is to be in production, as files for the step after it
publish    in a workflow, with the right to write: the tags, registry.json, the release, its image
"""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import report
from lab.base import gto
from lab.base.errors import DataError, LabError, ParamsError, shortened
from lab.ci import facts, github, workflow
from lab.evidence import schema as evidence_file
from lab.evidence.revisions import head
from lab.evidence.schema import Evidence
from lab.evidence.snapshots import Committed
from lab.registry import candidate, history, ledger, production, release
from lab.registry.decision import Decision, decided
from lab.registry.promotion import MAX_TEXT, How, Promotion, file_name
from lab.report.notes import Notes

EXIT_REFUSED = 1  # misuse exits 2
HERE = Path()
REPORT = Path("report/promotion")
CARDS = ("model-card.md", "dataset-card.md")
PACKED = Path("report/production")  # where `publish` finds what `judge` left


@dataclass(frozen=True)
class Outcome:
    """The step that follows, if one does; what is said; whether a model was refused."""

    step: Promotion | None
    said: str
    is_refused: bool = False


def main() -> None:
    """One of the steps, alone in this repository.

    Raises:
        LabError: another promotion runs, or the tags or registry.json are not as they were written.
    """
    options = _arguments()
    reason = _reason("--accept", options.accept)
    if is_step_back := options.rollback is not None:
        reason = _reason("--rollback", options.rollback)
    with history.alone(HERE):
        steps = history.read(HERE)
        ledger.check(HERE, steps)
        if options.step:
            {"files": lay_out, "judge": judge, "publish": publish}[options.step](steps)
        elif is_step_back:
            roll_back(steps, reason)
        else:
            promote(steps, reason)


def promote(steps: list[Promotion], reason: str | None) -> None:
    """Puts HEAD's model into production, or says why not and exits 1."""
    bring_in_line(steps, is_new=False)
    outcome = proposed(steps, reason)
    if outcome.is_refused:
        print(f"promote.py: {outcome.said}", file=sys.stderr, flush=True)
    take(steps, outcome.step)
    if outcome.is_refused:
        sys.exit(EXIT_REFUSED)
    print(outcome.said, flush=True)


def roll_back(steps: list[Promotion], reason: str | None) -> None:
    """Puts the version before into production.

    Raises:
        DataError: there is none, or its files cannot be had.
    """
    bring_in_line(steps, is_new=False)
    ledger.branch(HERE)
    versions = history.in_use(steps)
    if len(versions) < 2:
        got = f"{versions[0].title} alone" if versions else "nothing in production"
        raise DataError(f"--rollback: there must be a version before; got {got}; promote another")
    before, now = versions[-2:]
    files = {file_name(form).name: digest for form, digest in before.files.items()}
    production.contents(HERE, before, files)  # before anything is decided
    line = f"a step back from {now.title}"
    decision = Decision(is_better=True, verdict=before.verdict, line=line, why=line)
    step = history.next_step(
        HERE, steps, before.facts, "rolled back", decision, reason, time.time()
    )
    take(steps, step)
    print(f"{step.title} is in production: {step.line}", flush=True)


def lay_out(steps: list[Promotion]) -> None:
    """Lays out the files of what is in production.

    Raises:
        DataError: nothing is, or they cannot be had.
    """
    if not steps:
        raise DataError("model#production: must have a tag; got none; run `make promote`")
    is_new = production.lay_out(HERE, steps[-1])
    print(f"{production.FOLDER}: {'now ' if is_new else ''}{steps[-1].title}", flush=True)


def bring_in_line(steps: list[Promotion], *, is_new: bool = True) -> None:
    """Lets GTO's versions and registry.json say what the tags of the stage say.

    Unless a step is new, a branch that lacks what is in production is no place for registry.json.
    """
    if not steps:
        return
    for tag in history.register(HERE, steps):
        print(f"{tag}: added", flush=True)
    is_here = is_new or history.is_before(HERE, steps[-1])
    if is_here and (made := ledger.commit(HERE, steps)):
        print(f"{ledger.LEDGER}: committed ({made[:12]})", flush=True)


def take(steps: list[Promotion], step: Promotion | None) -> None:
    """Decides for a step, if there is one, and brings all else into line with what is decided."""
    if step:
        history.add(HERE, step)  # from here on it is so, whatever happens
        steps.append(step)
        bring_in_line(steps)
    if not steps:
        return
    if production.lay_out(HERE, steps[-1]):
        print(f"{production.FOLDER}: now {steps[-1].title}", flush=True)
    from lab.registry import champion  # `publish` does without what trains and records

    champion.show(steps[-1])
    if step:
        tags = f"'{step.tag}' {gto.version_tag(step.version)}"
        print(f"to share it: git push --atomic origin {ledger.branch(HERE)} {tags}", flush=True)


# --- in a workflow -------------------------------------------------------------------------------


def judge(steps: list[Promotion]) -> None:
    """Packs what is to be in production, and decides nothing: that needs the right to write.

    Without anything to publish it says so, and is no failure.
    """
    outcome = proposed(steps, None)
    step, said = outcome.step or (steps[-1] if steps else None), outcome.said
    is_packed = False
    try:
        if step:
            production.lay_out(HERE, step, PACKED)
            is_packed = True
    except DataError as error:  # of a version before, where DVC has no remote
        said += f"; nothing is published: {error}"
    print(said, flush=True)
    workflow.append("GITHUB_STEP_SUMMARY", f"`{said.replace('`', chr(39))}`\n\n")
    if (found := REPORT / "report.json").is_file():  # shown without pictures, which lie elsewhere
        report.render(evidence_file.read(found), REPORT, Notes(run_url=workflow.run_url()), None)
        page = (REPORT / "report.md").read_text(encoding="utf-8")
        workflow.append("GITHUB_STEP_SUMMARY", page)
    workflow.append("GITHUB_OUTPUT", f"publish={str(is_packed).lower()}\n")


def publish(steps: list[Promotion]) -> None:
    """Decides for what was packed, and shares it: tags, registry.json, release, image.

    Raises:
        LabError: what was packed contradicts git, somebody else came first, or GitHub refuses.
    """
    api, step = github.connect(), production.read(PACKED)
    files = production.packed(PACKED, step)
    if step not in steps:
        history.require_next(steps, step)
        here = candidate.of_commit(HERE, head(HERE))  # what was judged, and nothing else
        found = candidate.of_commit(HERE, step.commit)
        if found.facts != step.facts or not here.is_of(step) or step.how != "verdict":
            raise DataError(
                f"{PACKED / production.RECORD.name}: must be what git has of {step.title}, and "
                "HEAD's model, by the verdict; got something else; run the job again"
            )
        history.add(HERE, step)
        steps.append(step)
    elif step != steps[-1]:
        raise LabError(
            f"{PACKED / production.RECORD.name}: must be the newest; got {step.title}, and "
            f"{steps[-1].title} has come since; its own run publishes that"
        )
    bring_in_line(steps)
    history.push(HERE, ledger.branch(HERE), facts.login(api, workflow.server()))
    files |= {name: content for name in CARDS if (content := _card(step, name))}
    for line in release.bring_in_line(api, step, files, workflow.run_id()):
        print(line, flush=True)


def _card(step: Promotion, name: str) -> bytes | None:
    return Committed(HERE, step.commit, ["metrics"]).read(f"metrics/{name}")


# --- what becomes of HEAD's model ----------------------------------------------------------------


def proposed(steps: list[Promotion], reason: str | None) -> Outcome:
    """The step that HEAD's model is to take.

    Raises:
        LabError: HEAD is not what lies here, or has no results of its own that could be served.
    """
    ledger.branch(HERE)
    report.require_clean("promote")
    found, now = candidate.of_commit(HERE, head(HERE)), steps[-1] if steps else None
    if now and found.is_of(now):
        return Outcome(None, f"{now.title} is in production already, since {now.since}")
    candidate.require_files(HERE, found)
    known = next((one for one in steps if found.is_of(one)), None)
    back = history.taken_back(steps, known.version) if known else None
    if back and not reason:
        why = f" ({back.reason})" if back.reason else ""
        return _refused(now, f"v{back.before} was taken back on {back.since}{why}")
    evidence, judgement = report.judged_against("promote", now.commit if now else "HEAD", REPORT)
    _require_own(evidence)
    decision = decided(judgement, found, now)
    if not decision.is_better and not reason:
        return _refused(now, f"{decision.why} ({REPORT / 'report.html'}: {decision.line})")
    of_model = known.facts if known else found.facts
    how: How = "verdict" if decision.is_better else "accepted"
    step = history.next_step(HERE, steps, of_model, how, decision, reason, time.time())
    why = decision.why if decision.is_better else f"{reason} ({decision.why})"
    return Outcome(step, f"{step.title} is in production: {why}")


def _refused(now: Promotion | None, why: str) -> Outcome:
    over = f" over {now.title}" if now else ""
    said = f"not promoted{over}: {why}; give a reason to promote it all the same: ACCEPT="
    return Outcome(None, said, is_refused=True)


def _require_own(evidence: Evidence) -> None:
    """Stops where the files to serve are not made by what lies here.

    Raises:
        LabError: a stage that makes them has to run.
    """
    for stage in evidence.stages:
        if stage.name in ("compare", "export") and stage.state == "stale":
            reason = shortened(f"{stage.name}: {stage.reasons[0]}", 160)
            raise LabError(
                f"promote: the results must be HEAD's own; got {reason}; run `make repro`, commit"
            )


# --- the command line ----------------------------------------------------------------------------


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("step", nargs="?", choices=["files", "judge", "publish"], help="one alone")
    option("--accept", default="", metavar="REASON", help="promote it for this reason")
    option(
        "--rollback",
        nargs="?",
        const="",
        metavar="REASON",
        help="put the version before into production",
    )
    return parser.parse_args()


def _reason(option: str, given: str) -> str | None:
    """A reason as a record keeps it.

    Raises:
        ParamsError: it is too long, or hides something.
    """
    text = " ".join(given.split())
    if len(text) > MAX_TEXT or not text.isprintable():
        got = shortened(repr(text), 60)
        raise ParamsError(
            f"{option}: must be one line of at most {MAX_TEXT} characters; got {got}; shorten it"
        )
    return text or None


if __name__ == "__main__":
    run_script(main)
