"""Tries many faults on the real commands and counts what is lost: `make test-faults`.

Each case lays out a scratch copy of the project, starts a command, lets a fault happen, starts the
command again and compares every byte with what an undisturbed run leaves. Draws depend on the seed
alone; the moments themselves, as fractions of the undisturbed time, are as exact as the machine.
"""

import argparse
import collections
import functools
import itertools
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.faults.cases import Case, Outcome, Place
from tests.faults.kinds import BY_KIND, KINDS
from tests.faults.network import served
from tests.faults.preload import compiled, needs_a_compiler
from tests.scratch import (
    COMMANDS,
    ROOT,
    Bench,
    Project,
    Right,
)


def main() -> int:
    options = parse()
    if not sys.platform.startswith("linux"):
        print("the campaign reads /proc: it needs Linux")
        return 2
    raw = options.raw.resolve()
    if not raw.is_dir():
        print(f"{raw}: no such folder; run `make repro`, or name one by --raw")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=options.folder)).resolve()
    began = time.monotonic()
    try:
        outcomes = campaign(options, raw, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(outcomes, time.monotonic() - began, options))
    if options.outcomes:
        options.outcomes.write_text(json.dumps([asdict(each) for each in outcomes], indent=1))
    return 1 if any(outcome.losses for outcome in outcomes) else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--count", type=int, help="cases of each kind; default: each kind's own")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, help="only these commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--raw", type=Path, default=ROOT / "data/raw/MNIST", help="MNIST's files")
    parser.add_argument("--folder", type=Path, help="where the scratch copies go")
    parser.add_argument("--keep", action="store_true", help="keep the scratch copies")
    parser.add_argument("--outcomes", type=Path, help="write every outcome there, as JSON")
    return parser.parse_args()


def campaign(options: argparse.Namespace, raw: Path, folder: Path) -> list[Outcome]:
    """All cases, several at a time, each worker in a place of its own."""
    say = functools.partial(print, file=sys.stderr, flush=True)
    cases: list[Case] = []
    for name in options.kinds:
        kind = KINDS[name]
        if lacking := kind.needs():
            say(f"{name} is left out: it needs {lacking}")
            continue
        draws = kind.cases(random.Random(f"{options.seed} {name}"), options.count or kind.count)
        cases += [case for case in draws if case.command in (options.commands or COMMANDS)]
    bench = Bench(folder, raw, say, {case.command for case in cases} == {"prepare"})
    shim = None if needs_a_compiler() else compiled(folder)
    rights: dict[str, Right] = {}
    places = [
        Place(bench, Project(folder / f"work-{number}"), shim, rights)
        for number in range(options.jobs)
    ]
    for command in sorted({case.command for case in cases}, key=list(COMMANDS).index):
        with served(places[0], command) as (environment, _):
            right = bench.undisturbed(places[0].project, command, **environment)
        rights[command] = right
        say(f"{command}: {right.seconds:.1f} s undisturbed")
    free = places.copy()
    lock, done = threading.Lock(), itertools.count(1)

    def attempt(case: Case) -> Outcome:
        with lock:
            place = free.pop()
        try:
            outcome = BY_KIND[case.kind](place, case)
        except Exception as error:  # of the harness: no result is not a good result
            outcome = Outcome(case, losses=[f"harness: {error!r}"])
            place.project.kill_everything()
        finally:
            with lock:
                free.append(place)
        with lock:
            shown = f"{case.kind}, {case.command}, {case.fault} at {case.moment:.2f}"
            say(f"{next(done)}/{len(cases)} {shown}: {'; '.join(outcome.losses) or 'nothing lost'}")
        return outcome

    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            return list(pool.map(attempt, cases))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for place in places:
                place.project.kill_everything()
            raise


def table(outcomes: Sequence[Outcome], seconds: float, options: argparse.Namespace) -> str:
    """A row for each kind of fault and command."""
    rows = collections.defaultdict(list)
    for outcome in outcomes:
        rows[outcome.case.kind, outcome.case.command].append(outcome)
    explanations = {kind: one.how for kind, one in KINDS.items()}
    lines = ["| fault | command | tried | lost |", "|---|---|---:|---:|"]
    for (kind, command), found in rows.items():
        lost = sum(bool(outcome.losses) for outcome in found)
        how = explanations.get(kind.replace(" ", "-"), "")
        lines.append(f"| {kind}{f': {how}' if how else ''} | `{command}` | {len(found)} | {lost} |")
    lost = sum(bool(outcome.losses) for outcome in outcomes)
    lines.append(f"| all | | {len(outcomes)} | {lost} |")
    return "\n".join(lines) + f"\n\n{seconds / 60:.0f} minutes, seed {options.seed}"


if __name__ == "__main__":
    sys.exit(main())
