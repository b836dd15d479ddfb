"""Searches better params of a model, and tries what it found on seeds that the search never saw.

What may be tried stands in params.yaml (`tune:`); validation alone chooses. The winner and today's
params are then trained on fresh seeds and tested, once. Only if that is an improvement does
`--apply` write params.yaml. docs/tuning.md says more.
"""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

from lab.tracking import recording as tracking

if __name__ == "__main__":
    tracking.warm_up()  # MLflow takes as long to import as torch: both at once

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence

from tqdm import tqdm

from lab.base import params
from lab.base.errors import LabError, shortened
from lab.base.files import read_bytes, write_bytes
from lab.base.params import MAX_FILE_BYTES, PARAMS_FILE, Params
from lab.data.prepared import verify
from lab.parallel import cluster, processes
from lab.parallel.work import J, R, Train, prepared
from lab.results.schema import Score
from lab.training import checkpoints, device, networks, stacks
from lab.tuning import apply, picture, runs, table
from lab.tuning.kept import Kept
from lab.tuning.rungs import Finished, Progress, Rungs
from lab.tuning.search import FEWEST_TRAININGS, TODAY, Budget, Candidate, search
from lab.tuning.space import Proposer, Space
from lab.tuning.table import Reading
from lab.tuning.trial import causes, trial
from lab.tuning.work import folder, judged_of
from lab.verdict.seeds import fresh

EXIT_NOT_APPLIED = 1  # misuse exits 2
MOST_SEEDS = 10  # that a search looks at
MOST = 10**7  # seconds or trainings


def main() -> None:
    """Searches, tries the winner fairly, and applies it if that is asked for and deserved."""
    options = parse()
    before = read_bytes(PARAMS_FILE, MAX_FILE_BYTES) if PARAMS_FILE.is_file() else b""
    tree, name = params.load(), options.model
    networks.check(tree)
    space, score = Space(tree, name), judged_of(tree)
    for key in space.left_out:
        print(f"tune.{key}: left out, {name} has no such key")
    ledger = table.read_ledger()
    if not options.budget:
        take_over(tree, space, ledger.last_of(name), before)
        return
    if options.address:
        cluster.connect(options.address)
    else:
        processes.warm_up()
    data = prepared()
    verify(data)

    seeds = fresh(0, "search", name, MOST_SEEDS)
    proposer = Proposer(space, seeds[0], maximise=score.higher_is_better)
    machine = device.choose_device()
    precision = device.choose_precision(tree.precision(name), machine, print)
    kept = Kept(tree, name, data.description, [machine.type, precision])
    budget = Budget(trainings=options.trainings, seconds=options.seconds, epochs=tree.train.epochs)
    with tqdm(total=0, unit="epoch", disable=not sys.stderr.isatty()) as bar:
        show = Progress(bar)

        def hand_out(entries: Params, todo: Sequence[J], train: Train[J, R]) -> Finished[J, R]:
            if options.address:
                return cluster.on_cluster(entries, todo, options.gpus_per_stack, show, train)
            return processes.on_this_machine(entries, todo, options.workers, show, train)

        rungs = Rungs(tree, name, kept, hand_out, show)
        candidates, on = search(
            space, proposer, seeds, tree.train.epochs, budget, rungs,
            higher_is_better=score.higher_is_better,
        )  # fmt: skip
        said = claim(candidates, on)
        table.write_table(candidates, score)
        write_bytes(picture.FILE, picture.drawn(candidates, space, score, on))
        checkpoints.clear(folder(name))
        winner = candidates[0]
        key = causes(tree, name, winner.model, data.description)
        reading = ledger.known(key)
        if winner.number != TODAY and not reading:
            times = ledger.readings_of(data.description.test.sha256) + 1
            found = trial(
                tree, winner.model, tree.models[name], data, score, times,
                [*seeds, *tree.train.seeds], hand_out, show,
            )  # fmt: skip
            ledger = ledger.with_reading(name, key, data.description, score, winner, said, found)
            table.write_ledger(ledger)
            reading = ledger.readings[-1]
    line = conclusion(name, reading, score, len(candidates) - 1)
    run = runs.search_run(tree, name, data.description, options.budget, candidates)
    with tracking.recording(run) as active:
        runs.log_candidates(active, name, candidates, score)
        runs.log_trial(active, [table.TABLE, picture.FILE], line, reading)
    print(line)
    print(f"{table.TABLE} has every candidate, {picture.FILE} shows them")
    if reading:
        print(ledger.counted(data.description))
    if options.apply:
        write(name, reading, before)
    elif reading and reading.is_improved:
        print(f"to take it over: `make tune MODEL={name} APPLY=1`")


def take_over(tree: Params, space: Space, reading: Reading, before: bytes) -> None:
    """Applies the winner of the last trial, without another search.

    Raises:
        LabError: it was compared with other params, by other code or on other data.
    """
    winner = space.candidate(reading.values)
    if causes(tree, space.name, winner, prepared().description) != reading.causes:
        raise LabError(
            f"{PARAMS_FILE}, the code or the data changed since the last trial of {space.name}; "
            f"search again: `make tune MODEL={space.name} SECONDS=60`"
        )
    write(space.name, reading, before)


def write(name: str, reading: Reading | None, before: bytes) -> None:
    """Writes the winner's values into params.yaml, if it improved; else exits with 1."""
    if not reading or not reading.is_improved:
        verdict = f"; the verdict is: {reading.verdict}" if reading else ""
        print(f"{PARAMS_FILE} stays as it is: only an improvement is written{verdict}")
        sys.exit(EXIT_NOT_APPLIED)
    apply.apply(PARAMS_FILE, before, name, reading.values)
    print(f"{PARAMS_FILE}: models.{name} has the winner's values; next: `make repro`")


def claim(candidates: Sequence[Candidate], on: Sequence[int]) -> float:
    """By how much the winner beat today's params on validation, on the same seeds.

    Raises:
        LabError: nothing trained to its end.
    """
    winner, today = candidates[0], next(each for each in candidates if each.number == TODAY)
    if winner.has_diverged:
        raise LabError(
            "every candidate diverged, and so did today's params; lower the learning rates of "
            f"{PARAMS_FILE}, in `tune` and in `models`"
        )
    if today.has_diverged:
        values = ", ".join(f"{key}: {value}" for key, value in winner.values.items())
        raise LabError(
            "today's params diverged, so there is nothing to compare with; write the winner's "
            f"values into {PARAMS_FILE} by hand: {values}"
        )
    return winner.score(on) - today.score(on)


def conclusion(name: str, reading: Reading | None, score: Score, tried: int) -> str:
    """What came of it, in one line."""
    if reading is None:
        return f"{name}: none of {tried} candidates beat today's params; nothing was tested"
    values = ", ".join(f"{key} {value}" for key, value in reading.values.items())
    return f"{name} with {values}: {reading.sentence(score)}"


def parse() -> argparse.Namespace:
    """The command line.

    Raises:
        LabError: a number is none, or out of range.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="an entry of `models:` in params.yaml")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--seconds", help="how long to search; the fair trial comes on top (60)")
    group.add_argument("--trainings", help="how often to train a seed, in place of seconds")
    parser.add_argument(
        "--apply",
        action="store_true",
        help="write params.yaml if it is better; alone: of the last trial",
    )
    parser.add_argument("--workers", type=int, default=stacks.cores(), help="processes here")
    parser.add_argument("--address", help="train on the Ray cluster there, for example auto")
    parser.add_argument("--gpus-per-stack", type=float, default=0.0, help="share of a GPU, on Ray")
    options = parser.parse_args()
    if options.workers < 1:
        raise LabError(f"--workers: must be at least 1; got {options.workers}; correct it")
    if options.trainings is not None:
        options.trainings = number("--trainings", options.trainings, FEWEST_TRAININGS, int)
        options.budget = f"TRAININGS={options.trainings}"
    elif options.apply and options.seconds is None:
        options.budget = ""
    else:
        options.seconds = number("--seconds", options.seconds or "60", 1, float)
        options.budget = f"SECONDS={options.seconds:g}"
    return options


def number(option: str, text: str, least: int, kind: Callable[[str], float]) -> float:
    """A number of the command line.

    Raises:
        LabError: it is none, too small, or out of all bounds.
    """
    with contextlib.suppress(ValueError):
        if least <= (value := kind(text)) <= MOST:
            return value
    what = "a whole number" if kind is int else "a number"
    got = shortened(text, limit=60)
    raise LabError(f"{option}: must be {what} from {least:,} to {MOST:,}; got {got!r}; correct it")


if __name__ == "__main__":
    run_script(main)
