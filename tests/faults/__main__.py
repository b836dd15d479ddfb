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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.faults.cases import Case, Outcome, Place
from tests.faults.kinds import KINDS
from tests.faults.network import served
from tests.faults.preload import compiled, needs_a_compiler
from tests.scratch import COMMANDS, Bench, Project, Right


def main() -> int:
    options = parse()
    if not sys.platform.startswith("linux"):
        print("the campaign reads /proc: it needs Linux")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=options.folder)).resolve()
    began = time.monotonic()
    try:
        outcomes = campaign(options, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(outcomes, time.monotonic() - began, options))
    if options.outcomes:
        options.outcomes.write_text(
            json.dumps([asdict(each) for each in outcomes], indent=1), encoding="utf-8"
        )
    return 1 if any(outcome.losses for outcome in outcomes) else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--count", type=int, help="cases of each kind; default: each kind's own")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, help="only these commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    parser.add_argument("--folder", type=Path, help="where the scratch copies go")
    parser.add_argument("--keep", action="store_true", help="keep the scratch copies")
    parser.add_argument("--outcomes", type=Path, help="write every outcome there, as JSON")
    return parser.parse_args()


def campaign(options: argparse.Namespace, folder: Path) -> list[Outcome]:
    """All cases; those of one bench together."""
    drawn: dict[Callable[..., Bench], list[Drawn]] = {}
    for name in options.kinds:
        kind = KINDS[name]
        if lacking := kind.needs():
            say(f"{name} is left out: it needs {lacking}")
            continue
        draws = kind.cases(random.Random(f"{options.seed} {name}"), options.count or kind.count)
        wanted = [case for case in draws if case.command in (options.commands or COMMANDS)]
        drawn.setdefault(kind.bench, []).extend((case, kind.attempt) for case in wanted)
    numbers = itertools.count(1)
    outcomes: list[Outcome] = []
    for number, (make_bench, cases) in enumerate(drawn.items()):
        here = folder / f"bench-{number}"
        here.mkdir()
        is_data_alone = {case.command for case, _ in cases} == {"prepare"}
        outcomes += tried(cases, make_bench(here, say, is_data_alone), options.jobs, numbers)
    return outcomes


Drawn = tuple[Case, Callable[[Place, Case], Outcome]]
say = functools.partial(print, file=sys.stderr, flush=True)


def tried(cases: Sequence[Drawn], bench: Bench, jobs: int, numbers: Iterator[int]) -> list[Outcome]:
    """Several cases at a time, each worker in a place of its own."""
    shim = None if needs_a_compiler() else compiled(bench.folder)
    rights: dict[str, Right] = {}
    places = [
        Place(bench, Project(bench.folder / f"work-{number}"), shim, rights)
        for number in range(jobs)
    ]
    for command in sorted({case.command for case, _ in cases}, key=list(COMMANDS).index):
        with served(places[0], command) as (environment, _):
            right = bench.undisturbed(places[0].project, command, **environment)
        rights[command] = right
        say(f"{command}: {right.seconds:.1f} s undisturbed")
    free = places.copy()
    lock = threading.Lock()

    def attempt(drawn: Drawn) -> Outcome:
        case, function = drawn
        with lock:
            place = free.pop()
        try:
            outcome = function(place, case)
        except Exception as error:  # of the harness: no result is not a good result
            outcome = Outcome(case, losses=[f"harness: {error!r}"])
            place.project.kill_everything()
        finally:
            with lock:
                free.append(place)
        with lock:
            shown = f"{case.kind}, {case.command}, {case.fault} at {case.moment:.2f}"
            say(f"{next(numbers)}: {shown}: {'; '.join(outcome.losses) or 'nothing lost'}")
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
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
