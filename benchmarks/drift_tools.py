"""The monitor beside what others find drift with: `python -m benchmarks.drift_tools`.

All get the traffic that `benchmarks.monitoring` simulates on MNIST's test split: references of
10,000 examples, clean weeks of 10,000 answers a day, and windows in which something changed. The
others get it as a table of the monitor's own statistics of each image and the predicted class, for
it is tables that these detectors take; that favours them. Each is asked as its
documentation begins (`benchmarks/contenders/of_*.py`), by a Python of its own, once a window: at
the end of a day, or every 500 answers. An alarm begins where a look alarms and the one before it
did not. Writes `benchmarks/results/drift_tools.json` and prints the table of docs/monitoring.md.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import entry
from benchmarks.monitoring import (
    A_DAY,
    DAY_MS,
    Population,
    Subject,
    changes,
    held_rows,
    subject,
)
from benchmarks.race import RESULTS, ROOT
from lab.base.files import write_json
from lab.base.params import MonitorParams
from lab.base.script import run_script
from lab.monitoring.watch import State, Watch
from lab.serving.reference import are_unlike
from lab.shifts.reference import Reference
from lab.shifts.statistics import Values

OTHERS = ROOT / ".venv/bench-drift/bin/python"
OWN = ROOT / "benchmarks/contenders"
# DO_NOT_TRACK is Evidently's, the next two are NannyML's, the last is that of what alibi-detect
# imports; frouros tells nobody.
QUIET = {
    "DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "NML_DISABLE_USER_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}  # fmt: skip
REFERENCES = 20
WEEKS = 3  # of each reference, looked at daily; the first of them every 500 answers, too
TRIALS = 2  # of each reference, change and size
WINDOW, SIZES = 500, (500, 2_000)
CHANGES = (
    "rotated by 5 degrees", "a tenth of traffic shifted", "digit 3 is 20% of traffic", "noise",
)  # fmt: skip
MONTH_DAYS = 30
ROWS = {  # which rule of which detector of a contender
    "Evidently, half of the columns": ("evidently", "count", "half of the columns"),
    "Evidently, any column": ("evidently", "count", "any column"),
    "NannyML, any column": ("nannyml", "each column", "any"),
    "NannyML, all columns together": ("nannyml", "together", "any"),
    "alibi-detect, TabularDrift": ("alibi_detect", "tabular", "is_drift"),
    "frouros, any column at 0.001": ("frouros", "tests", "any column at 0.001"),
    "frouros, any column at 0.01": ("frouros", "tests", "any column at 0.01"),
}

Rows = NDArray[np.int32]
Found = dict[str, dict[str, Any]]  # by group: `alarms` of each reference and look, and `seconds`


@dataclass(frozen=True)
class World:
    """All inputs that windows are drawn from, usual ones first.

    Attributes:
        names: of the statistics.
        values_NS: of each input.
        predicted: the model's answer.
        highest: its probability.
        is_unlike: beyond all that training saw.
    """

    names: list[str]
    values_NS: Values
    predicted: NDArray[np.int64]
    highest: NDArray[np.float32]
    is_unlike: NDArray[np.bool_]

    def population(self, rows: Rows, reference: Reference) -> Population:
        """Some of them as the monitor keeps them."""
        columns = zip(reference.edges_SB, self.values_NS[rows].T, strict=True)
        return Population(
            np.array([np.searchsorted(edges, of_it, side="right") for edges, of_it in columns]),
            self.predicted[rows],
            self.is_unlike[rows],
            self.highest[rows] > reference.about["confidence"],
        )


def main() -> None:
    """Measures all, one after another."""
    arguments = entry.parser()
    arguments.add_argument("--python", type=Path, default=OTHERS, help="has the others installed")
    python = arguments.parse_args().python.absolute()
    if not python.exists():
        arguments.error(f"--python: no such file: {python}; run `make bench-drift`")
    world, groups = drawn()
    rows = {"monitor.py": row(own(world, groups))}
    show("monitor.py", rows["monitor.py"])
    versions = {}
    for who in dict.fromkeys(who for who, *_ in ROWS.values()):
        versions[who], found = contender(who, python, world, groups)
        for name, (of_whom, detector, rule) in ROWS.items():
            if of_whom == who:
                rows[name] = row(found[detector, rule])
                show(name, rows[name])
    write_json(RESULTS / "drift_tools.json", {
        "versions": versions, "cores": os.cpu_count(), "references": REFERENCES,
        "trials": REFERENCES * TRIALS, "rows": rows,
    })  # fmt: skip


# --- traffic -------------------------------------------------------------------------------------


def drawn() -> tuple[World, dict[str, Rows]]:
    """What there is, and the rows of it [R, K, N] that each group of looks has."""
    one, random = subject(0), np.random.default_rng(0)
    tried = changes(one)
    parts, starts, count = [one.inputs], {}, len(one.inputs)
    for name in CHANGES:
        starts[name] = sum(map(len, parts))
        parts.append(tried[name][0])
    # In any order, as traffic is: MNIST's test split has easier writers first, and NannyML learns
    # from the order how far usual chunks lie apart.
    held = [random.permutation(held_rows(count, seed)) for seed in range(REFERENCES)]
    groups = {
        "reference": np.array(held),
        "day": random.integers(0, count, (REFERENCES, 7 * WEEKS, A_DAY)),
    }
    groups["window"] = groups["day"][:, :7].reshape(REFERENCES, -1, WINDOW)
    for size in SIZES:
        looks = [
            changed(random, size, count, starts[name], tried[name])
            for _ in range(REFERENCES)
            for name in CHANGES
            for _ in range(TRIALS)
        ]
        groups[f"changed_{size}"] = np.array(looks).reshape(REFERENCES, -1, size)
    return world_of(one, np.concatenate(parts)), {
        name: rows.astype(np.int32) for name, rows in groups.items()
    }


def changed(
    random: np.random.Generator,
    size: int,
    usual: int,
    start: int,
    how: tuple[NDArray[Any], float, NDArray[np.float64] | None],
) -> NDArray[np.int64]:
    """Rows of one window: usual inputs, and from `start` on changed ones, in any order."""
    inputs, share, weights = how
    hit = int(random.binomial(size, share))
    rows = start + random.choice(len(inputs), hit, p=weights)
    return random.permutation(np.concatenate([rows, random.integers(0, usual, size - hit)]))


def world_of(one: Subject, inputs: NDArray[Any]) -> World:
    """Inputs with the model's answers."""
    about, found = one.reference.about, one.answer(inputs)
    return World(
        one.reference.names,
        np.stack(one.reference.values(inputs), axis=1),
        found.argmax(axis=1),
        found.max(axis=1),
        are_unlike(about["ranges"], inputs, about["kind"], about["columns"]),
    )


# --- looks ---------------------------------------------------------------------------------------


def own(world: World, groups: Mapping[str, Rows]) -> Found:
    """What the monitor says; it looks at windows of 500 answers, however often it is asked."""
    said: dict[str, list[list[bool]]] = {name: [] for name in groups if name != "reference"}
    seconds: dict[str, list[float]] = {name: [] for name in said}
    for seed in range(REFERENCES):
        reference = subject(seed).reference
        weeks = np.split(groups["day"][seed], WEEKS)
        looks = [watched(reference, world, week.reshape(-1, WINDOW)) for week in weeks]
        days = [
            (any(on for on, _ in day), sum(took for _, took in day))
            for week in looks
            for day in _parts(week, A_DAY // WINDOW)
        ]
        of_groups = {"day": days, "window": looks[0]}
        for size in SIZES:
            tried = [
                watched(reference, world, rows.reshape(-1, WINDOW))
                for rows in groups[f"changed_{size}"][seed]
            ]
            of_groups[f"changed_{size}"] = [
                (any(on for on, _ in one), sum(took for _, took in one)) for one in tried
            ]
        for name, of_it in of_groups.items():
            said[name].append([on for on, _ in of_it])
            seconds[name] += [took for _, took in of_it]
    return {
        name: {"alarms": said[name], "seconds": statistics.median(seconds[name])} for name in said
    }


def watched(reference: Reference, world: World, rows_KN: Rows) -> list[tuple[bool, float]]:
    """Whether there is an alarm after each window, and the seconds of the processor."""
    params, found = MonitorParams(), []
    watch, classes = Watch(reference, params, State()), len(reference.predicted_C)
    each = DAY_MS * WINDOW // A_DAY
    for number, rows in enumerate(rows_KN):
        start = time.process_time()
        times = number * each, (number + 1) * each - 1
        everything = np.arange(len(rows))
        watch.take(world.population(rows, reference).block(everything, *times, classes))
        found.append((watch.state.alarm is not None, time.process_time() - start))
    return found


def contender(
    who: str, python: Path, world: World, groups: Mapping[str, Rows]
) -> tuple[str, dict[tuple[str, str], Found]]:
    """A product's version, and what each rule of each of its detectors says."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        np.savez(
            given, allow_pickle=False, names=np.array(world.names), values=world.values_NS,
            predicted=world.predicted, **groups,
        )  # fmt: skip
        done = subprocess.run(
            [python, str(OWN / f"of_{who}.py"), str(given)], cwd=folder,
            env={**os.environ, **QUIET}, check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    found: dict[tuple[str, str], Found] = {}
    for detector, of_groups in said["found"].items():
        for group, of_it in of_groups.items():
            for rule, alarms in of_it["alarms"].items():
                one = found.setdefault((detector, rule), {})
                one[group] = {"alarms": alarms, "seconds": of_it["seconds"]}
    if who == "evidently":
        compare(found)
    return said["version"], found


def compare(found: dict[tuple[str, str], Found]) -> None:
    """The whole report says what its count says, and its time is what users wait.

    Raises:
        ValueError: it says something else.
    """
    for (detector, rule), groups in found.items():
        for group, of_it in groups.items() if detector == "whole" else ():
            quick = found["count", rule][group]
            first = [of_one[: len(of_it["alarms"][0])] for of_one in quick["alarms"]]
            if first != of_it["alarms"]:
                raise ValueError(f"Evidently's report and its count differ: {rule}, {group}")
            quick["seconds"] = of_it["seconds"]


# --- what is shown -------------------------------------------------------------------------------


def row(found: Found) -> dict[str, Any]:
    """False alarms at either pace, how often changes are seen, the processor's seconds."""
    seen = {}
    for place, name in enumerate(CHANGES):
        which = slice(place * TRIALS, (place + 1) * TRIALS)
        seen[name] = {
            str(size): float(np.mean([of[which] for of in found[f"changed_{size}"]["alarms"]]))
            for size in SIZES
        }
    return {
        "daily": false_alarms(found["day"]["alarms"], 7),
        "every_500": false_alarms(found["window"]["alarms"], 7 * A_DAY // WINDOW),
        "seen": seen,
        "seconds": {"500": found["window"]["seconds"], "10000": found["day"]["seconds"]},
    }


def false_alarms(alarms_RK: Sequence[Sequence[bool]], a_week: int) -> dict[str, Any]:
    """Of clean weeks, each by itself."""
    weeks = np.concatenate([_parts(of_one, a_week) for of_one in alarms_RK]).astype(bool)
    before = np.pad(weeks, ((0, 0), (1, 0)))[:, :-1]
    begun = (weeks & ~before).sum(axis=1)
    return {
        "weeks": len(weeks),
        "weeks_with_an_alarm": int(weeks.any(axis=1).sum()),
        "looks": int(weeks.size),
        "looks_that_alarm": int(weeks.sum()),
        "alarms_by_week": begun.tolist(),
        "alarms_a_month": float(begun.sum() / (len(weeks) * 7 / MONTH_DAYS)),
    }


def _parts(looks: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [looks[start : start + size] for start in range(0, len(looks), size)]


def show(name: str, one: Mapping[str, Any]) -> None:
    """A line of the table."""
    if name == "monitor.py":
        heads = ["what", "weeks with an alarm", "alarms a month", *CHANGES, "ms a look"]
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    paces = one["daily"], one["every_500"]
    weeks = " / ".join(f"{of['weeks_with_an_alarm']} of {of['weeks']}" for of in paces)
    months = " / ".join(f"{of['alarms_a_month']:.1f}" for of in paces)
    seen = [" / ".join(f"{by[str(size)]:.0%}" for size in SIZES) for by in one["seen"].values()]
    took = f"{1000 * one['seconds']['500']:,.1f}"
    print(f"| {' | '.join([name, weeks, months, *seen, took])} |", flush=True)


if __name__ == "__main__":
    run_script(main)
