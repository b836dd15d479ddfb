"""Contenders measured in turns: what the benchmarks of training speed share.

A rate is example-steps per second of wall time: examples seen in training, over all seeds. Every
contender waits in a process of its own, imported, compiled and warm; they are measured in turns, so
that a busy minute of the machine hits all of them, and those whose ratio matters most next to each
other. All raw values are kept in benchmarks/results/.
"""

import argparse
import importlib.metadata
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import entry
from lab.base.files import write_json
from lab.base.params import Params
from lab.data.description import DESCRIPTION, checksum, write_description
from lab.data.prepared import PREPARED, load_array, load_prepared
from lab.data.splits import SPLITS
from lab.parallel import processes
from lab.parallel.work import Stack, train
from lab.training import checkpoints
from lab.training.stacks import stacks

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results"
SECONDS = 2.0  # a measurement takes at least
PACKAGES = ("torch", "torchvision", "jax", "keras", "lightning", "scikit-learn", "numpy")

Step = Callable[[], int]  # gives the example-steps it did
Measure = Callable[[], float]  # example-steps per second
Contenders = Mapping[str, Callable[[], Measure]]
Rates = dict[str, list[float]]


def rate(step: Step) -> float:
    """Repeats a step for a while."""
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        done += step()
    return done / (time.perf_counter() - started)


# --- ours ----------------------------------------------------------------------------------------


def ours(
    settings: Callable[[], Params], *, count: int = 2, evaluating: bool = True
) -> Callable[[], Measure]:
    """All stacks of some params in `count` processes, as train_parallel.py trains them.

    In a folder of its own: checkpoints must not meet others'. Validation after each epoch and the
    test are included if `evaluating`, and else done on one example each; other contenders only
    train.
    """

    def prepare() -> Measure:
        os.chdir(project(evaluating))
        tree = settings()
        todo = [Stack(name, seeds) for name in tree.models for seeds in stacks(tree.train)]
        steps = tree.train.epochs * len(load_prepared().train.inputs)
        processes.warm_up()

        def step() -> int:
            done = list(processes.on_this_machine(tree, todo, count, lambda *_: None, train))
            for name in tree.models:
                checkpoints.clear(name)
            return steps * sum(len(stack.seeds) for stack, result in done if result)

        step()
        return lambda: rate(step)

    return prepare


def project(evaluating: bool) -> Path:
    """A new folder with the prepared data: all of them, or one example to evaluate on."""
    folder = Path(tempfile.mkdtemp())
    (folder / PREPARED).mkdir(parents=True)
    described = load_prepared(ROOT).description
    changes = {}
    for split in SPLITS:
        files = [ROOT / PREPARED / f"{split}_{what}.npy" for what in ("inputs", "labels")]
        if evaluating or split == "train":
            for file in files:
                (folder / PREPARED / file.name).symlink_to(file)
        else:
            inputs, labels = (np.array(load_array(file)[:1]) for file in files)
            for file, array in zip(files, (inputs, labels), strict=True):
                np.save(folder / PREPARED / file.name, array)
            changes[split] = getattr(described, split).model_copy(
                update={
                    "examples": 1,
                    "sha256": checksum(inputs, None, labels),
                    "examples_per_class": np.bincount(
                        labels, minlength=len(described.class_names)
                    ).tolist(),
                }
            )
    (folder / DESCRIPTION).parent.mkdir()
    write_description(described.model_copy(update=changes), folder / DESCRIPTION)
    return folder


# --- measuring -----------------------------------------------------------------------------------


def main(name: str, contenders: Contenders, judged: Sequence[str], rounds: int) -> None:
    """Measures the contenders of benchmarks/NAME.py; writes benchmarks/results/NAME.json.

    Args:
        name: of the module, which calls this when it is run.
        contenders: what prepares each, and gives how to measure it.
        judged: those whose ratio to each other one is shown.
        rounds: of measuring all in turn, unless the command line says another number.
    """
    parser = entry.parser()
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--only", nargs="+", choices=contenders, help="no file is written then")
    options = parser.parse_args()
    if options.serve:
        serve(contenders[options.serve])
        return
    before = os.getloadavg()
    rates = race(name, options.only or [*contenders], options.rounds)
    if not options.only:
        content = {
            "unit": "example-steps per second",
            "versions": versions(),
            "cores": os.cpu_count(),
            "load_before": before[0],
            "load_after": os.getloadavg()[0],
            "rates": rates,
        }
        write_json(RESULTS / f"{name}.json", content)
    print(table(rates, [own for own in judged if own in rates]))


def serve(prepare: Callable[[], Measure]) -> None:
    """One contender: measures once for every line that arrives."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    measure = prepare()
    print("ready", file=answers)
    for _ in sys.stdin:
        print(measure(), file=answers)


def race(name: str, contenders: Sequence[str], rounds: int) -> Rates:
    """Every contender's rates, measured in turns; without those that cannot start here."""
    running = {}
    for contender in contenders:
        process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{name}", "--serve", contender],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},  # for the processes that it starts
        )
        assert process.stdout  # noqa: S101
        if process.stdout.readline() == "ready\n":
            running[contender] = process
        else:
            print(f"not here: {contender}", flush=True)
    rates: Rates = {contender: [] for contender in running}
    for number in range(rounds):
        for contender, process in running.items():
            assert process.stdin  # noqa: S101
            assert process.stdout  # noqa: S101
            process.stdin.write("\n")
            process.stdin.flush()
            rates[contender].append(float(process.stdout.readline()))
        print(f"round {number + 1} of {rounds}", flush=True)
    for process in running.values():
        process.communicate()  # at the end of what it reads it ends its own processes, and itself
    return rates


def versions() -> dict[str, str]:
    """Of everything that took part."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def table(rates: Rates, judged: Sequence[str]) -> str:
    """Medians, and what the judged do of each round by round, all with their range, as Markdown."""
    lines = [
        "| what | example-steps per second |" + "".join(f" {own} does |" for own in judged),
        "|---|---|" + "---|" * len(judged),
    ]
    for name, values in rates.items():
        cells = [
            f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})",
        ]
        for own in judged:
            ratios = [ours / value for ours, value in zip(rates[own], values, strict=True)]
            cells.append(
                f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
            )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
