"""Servers that are dead, slow or lying."""

import collections
import contextlib
import functools
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.cases import (
    Case,
    Outcome,
    Place,
    after_the_fault,
    again,
    in_the_end,
    in_turn,
)
from tests.scratch import (
    COMMANDS,
    runs_of,
)


@contextlib.contextmanager
def served(
    place: Place, command: str
) -> Iterator[tuple[dict[str, str], Callable[[], Iterator[str]]]]:
    """For `sync`: a server, the variable that names it, and a check that all arrived once."""
    if command != "sync":
        yield {}, lambda: iter(())
        return
    from tests.servers import mlflow_server

    folder = Path(tempfile.mkdtemp(dir=place.project.folder.parent))
    with mlflow_server(folder, auth=False) as url:
        yield {"MLFLOW_TRACKING_URI": url}, functools.partial(arrived_once, place, folder)
    shutil.rmtree(folder)


def arrived_once(place: Place, folder: Path) -> Iterator[str]:
    """Every local run is on the server once, with the same points and end."""
    here = [(run.name, run.parent, run.status, run.points) for run in runs_of(place.project.folder)]
    shutil.copyfile(folder / "server.db", folder / "mlflow.db")
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(folder / "server.db-wal", folder / "mlflow.db-wal")
    there = [(run.name, run.parent, run.status, run.points) for run in runs_of(folder)]
    differing = collections.Counter(here) - collections.Counter(there)
    doubled = collections.Counter(there) - collections.Counter(here)
    for run in differing:
        yield f"{run[0]}: not on the server as it is here"
    for run in doubled:
        yield f"{run[0]}: on the server, but not here or not so often"


def servers(random: random.Random, count: int) -> list[Case]:
    from tests.servers import FAULTS

    kinds = ["nobody listens", "slow", *FAULTS]
    return [
        Case("tracking server", "train", kind, number=random.randint(1, 24))
        for kind in in_turn(kinds, count)
    ]


def bad_server(place: Place, case: Case) -> Outcome:
    """Training does not care; `sync.py` then sends to the repaired server what it lacks."""
    from tests.servers import Proxy, free_port

    right = place.begin(case.command)
    with (
        served(place, "sync") as (environment, check),
        Proxy(environment["MLFLOW_TRACKING_URI"], 0.5 if case.fault == "slow" else 0) as proxy,
    ):
        url = proxy.url
        if case.fault == "nobody listens":
            url = f"http://127.0.0.1:{free_port()}"
        elif case.fault != "slow":
            proxy.inject(case.fault, case.number)
        reported = place.project.run(*COMMANDS[case.command].arguments, MLFLOW_TRACKING_URI=url)
        outcome = Outcome(case, reported.code, reported.last_line, reported.seconds)
        outcome.losses += after_the_fault(place, right, reported)
        if reported.code != 0:
            outcome.losses.append(f"exit {reported.code}: {reported.errors[-300:]}")
        proxy.clear()
        outcome.losses += again(place, "sync", MLFLOW_TRACKING_URI=proxy.url)
        outcome.losses += in_the_end(place, right, case.command)
        outcome.losses += check()
    return outcome
