"""The fair trial: the winner of a search against today's params, on seeds that no search saw."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from lab.base.files import sha256
from lab.base.params import ModelParams, Params
from lab.data.description import Description
from lab.data.prepared import Prepared
from lab.parallel.work import Stack, complete, killed
from lab.parallel.work import train as train_stack
from lab.results.schema import Score
from lab.training import checkpoints
from lab.training.stacks import stacks
from lab.tuning.rungs import HandOut, Progress
from lab.tuning.work import values, with_entry
from lab.verdict.differences import Sample
from lab.verdict.looks import planned
from lab.verdict.seeds import fresh
from lab.verdict.verdicts import Finding, findings, is_open

WINNER, TODAY = "tune_winner", "tune_today"  # names of the two sides while they train


def causes(tree: Params, model: str, winner: ModelParams, data: Description) -> str:
    """A hash of all that determines what a trial finds, but for the seeds it draws."""
    sides = (with_entry(tree, model, winner), tree)
    known = [checkpoints.fingerprint(side, model, data) for side in sides]
    return sha256(f"{known} {data.test.sha256} {len(tree.train.seeds)} {tree.compare}".encode())


@dataclass(frozen=True)
class Trial:
    """Both sides' test scores by seed, and what the verdict says of them."""

    winner: Sample
    today: Sample
    finding: Finding


def trial(
    tree: Params,
    winner: ModelParams,
    today: ModelParams,
    data: Prepared,
    score: Score,
    reading: int,
    seen: Sequence[int],
    hand_out: HandOut,
    show: Progress,
) -> Trial:
    """Trains both sides on as many fresh seeds as it takes to tell, within `compare.budget`.

    Args:
        tree: params.yaml.
        winner: the entry that won.
        today: the entry that is there.
        data: the prepared splits.
        score: that is judged.
        reading: how many trials of a search these test examples have seen, this one included;
            each is judged more strictly than the one before.
        seen: seeds that are not fresh.
        hand_out: trains stacks.
        show: progress.

    Raises:
        LabError: a seed diverged, or processes were killed at every try.
    """
    sides = {WINNER: winner, TODAY: today}
    values_of: dict[str, list[float]] = {name: [] for name in sides}
    looks = planned(len(tree.train.seeds), tree.compare.budget)
    keys = [sha256(f"{entry.settings()}".encode()) for entry in (winner, today)]
    drawn = fresh(reading, keys[0], keys[1], looks[-1] + len(seen))
    seeds = [seed for seed in drawn if seed not in seen]
    for look in looks:
        begun = len(values_of[TODAY])
        more = seeds[begun:look]
        epochs = len(sides) * len(more) * tree.train.epochs
        show.begin(f"fair trial: winner and today's params on {len(more)} fresh seeds", epochs)
        settings = tree.train.model_copy(update={"seeds": more})
        entries = tree.model_copy(update={"models": sides, "train": settings})
        todo = [Stack(name, part) for name in sides for part in stacks(settings)]
        with closing(hand_out(entries, todo, train_stack)) as finished:
            done = dict(finished)
        if lost := [stack for stack in todo if not done[stack]]:
            raise killed(lost)
        for name in sides:
            parts = [part for stack in todo if stack.model == name and (part := done[stack])]
            test = complete(name, parts).trained.test
            is_finite = [True] * len(more)  # else training would have said so
            values_of[name] += values(score, name, more, test, data.test.labels, is_finite)
        samples = [Sample(seeds[:look], values_of[name]) for name in (WINNER, TODAY)]
        (finding,) = findings(
            [(samples[0], samples[1])],
            tree.compare.margin,
            higher_is_better=score.higher_is_better,
            looks=looks,
            confirmation=reading,
        )
        if not is_open(finding, higher_is_better=score.higher_is_better):
            break
    for name in sides:
        checkpoints.clear(name)
    return Trial(samples[0], samples[1], finding)
