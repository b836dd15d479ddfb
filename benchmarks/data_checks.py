"""What the checks of the data find, at what cost: `python -m benchmarks.data_checks`.

Faults of every kind are put into the prepared data, one at a time; a fault is found when its rule
says so and did not before. Then the same checks on made-up data of 60,000 and of 6,000,000
examples, memory-mapped, each in a process of its own. Writes `benchmarks/results/data_checks.json`.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import entry
from lab.base.params import CheckRules
from lab.base.script import run_script
from lab.checking import structure
from lab.checking.portions import Checked, Portion
from lab.data.description import read_description
from lab.data.prepared import Prepared, load_prepared
from lab.results.checks import CheckResults

RESULTS = Path("benchmarks/results/data_checks.json")
SIZES = (60_000, 6_000_000)
RUNS = 5

Arrays = dict[str, Any]
Fault = tuple[str, str, Callable[[Arrays, np.random.Generator], None]]  # rule, what, how


def main() -> None:
    """Faults, times, memory."""
    arguments = entry.parser()
    arguments.add_argument("--size", type=int, help="only check so many examples, kept in FOLDER")
    arguments.add_argument("--folder", type=Path, default=Path())
    options = arguments.parse_args()
    if options.size:
        print(json.dumps(memory_of(options.size, options.folder)))
        return
    data = load_prepared()
    clean = faults_of(check(data))
    print(f"{data.description.name} as it is: {clean or 'nothing found'}")
    found = {}
    for rule, what, put_in in FAULTS:
        arrays = arrays_of(data)
        put_in(arrays, np.random.default_rng(0))
        now = faults_of(check(with_arrays(data, arrays)))
        new = [line for line in now.get(rule, []) if line not in clean.get(rule, [])]
        found[what] = {"rule": rule, "found": bool(new), "said": new[:1], "others": sorted(
            name for name in now if name != rule and now[name] != clean.get(name)
        )}  # fmt: skip
        print(f"{'found ' if new else 'MISSED'} {what} ({rule}): {'; '.join(new[:1])}", flush=True)
    seconds = stage_seconds()
    print(f"stage check: {seconds}")
    memory = [measured(size) for size in SIZES]
    print(memory)
    result = {
        "data": data.description.name, "clean": clean, "faults": found, "stage": seconds,
        "memory": memory,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def check(data: Prepared, new: Portion | None = None) -> CheckResults:
    """All rules."""
    return structure.check(Checked.of(data, new), CheckRules())


def faults_of(found: CheckResults) -> dict[str, list[str]]:
    """The sentences of each rule that found something."""
    return {
        one.rule: [fault.sentence for fault in one.faults]
        for one in found.findings if one.is_broken
    }  # fmt: skip


def arrays_of(data: Prepared) -> Arrays:
    """Copies to break."""
    return {
        f"{name}_{what}": np.array(getattr(getattr(data, name), what))
        for name in ("train", "validation", "test") for what in ("inputs", "labels")
    }  # fmt: skip


def with_arrays(data: Prepared, arrays: Arrays) -> Prepared:
    """The data with other arrays."""
    splits = {
        name: replace(
            getattr(data, name), inputs=arrays[f"{name}_inputs"], labels=arrays[f"{name}_labels"]
        )
        for name in ("train", "validation", "test")
    }
    return replace(data, **splits)


# --- faults of images ----------------------------------------------------------------------------


def noisy_copies(amount: float) -> Callable[[Arrays, np.random.Generator], None]:
    """Fifty training images in test, under noise with this standard deviation in grey levels."""

    def put_in(arrays: Arrays, random: np.random.Generator) -> None:
        copied = random.choice(len(arrays["train_inputs"]), 50, replace=False)
        values = arrays["train_inputs"][copied] + random.normal(0, amount, (50, 28, 28))
        arrays["test_inputs"][:50] = np.clip(values, 0, 255)

    return put_in


def moved_copies(arrays: Arrays, random: np.random.Generator) -> None:
    """Fifty training images one pixel to the right in test."""
    copied = random.choice(len(arrays["train_inputs"]), 50, replace=False)
    arrays["test_inputs"][:50] = np.roll(arrays["train_inputs"][copied], 1, axis=2)


def paler_copies(arrays: Arrays, random: np.random.Generator) -> None:
    """Fifty training images at 90 % of their brightness in test."""
    copied = random.choice(len(arrays["train_inputs"]), 50, replace=False)
    arrays["test_inputs"][:50] = arrays["train_inputs"][copied] * 0.9


def leak(arrays: Arrays, random: np.random.Generator) -> None:
    """Three training images in test."""
    arrays["test_inputs"][[5, 50, 500]] = arrays["train_inputs"][[7, 70, 700]]


def repeat(arrays: Arrays, random: np.random.Generator) -> None:
    """Three training images twice."""
    arrays["train_inputs"][[5, 50, 500]] = arrays["train_inputs"][[7, 70, 700]]
    arrays["train_labels"][[5, 50, 500]] = arrays["train_labels"][[7, 70, 700]]


def contradict(arrays: Arrays, random: np.random.Generator) -> None:
    """One training image twice, with two labels."""
    arrays["train_inputs"][5] = arrays["train_inputs"][7]
    arrays["train_labels"][5] = (arrays["train_labels"][7] + 1) % 10


def blank(arrays: Arrays, random: np.random.Generator) -> None:
    """Three blank images in training."""
    arrays["train_inputs"][[1, 20_000, 50_000]] = 0


def lose_a_class(arrays: Arrays, random: np.random.Generator) -> None:
    """No nine in validation."""
    labels = arrays["validation_labels"]
    kept = labels != 9
    arrays["validation_inputs"] = arrays["validation_inputs"][kept]
    arrays["validation_labels"] = labels[kept]


def fewer_of_a_class(arrays: Arrays, random: np.random.Generator) -> None:
    """A third of the fours of the test split gone."""
    fours = np.flatnonzero(arrays["test_labels"] == 4)
    kept = np.setdiff1d(np.arange(len(arrays["test_labels"])), fours[: len(fours) // 3])
    for what in ("inputs", "labels"):
        arrays[f"test_{what}"] = arrays[f"test_{what}"][kept]


def watermark(share: float) -> Callable[[Arrays, np.random.Generator], None]:
    """A lit pixel in the corner of a share of the threes, everywhere."""

    def put_in(arrays: Arrays, random: np.random.Generator) -> None:
        for split in ("train", "validation", "test"):
            own = arrays[f"{split}_labels"] == 3
            own &= random.random(len(own)) < share
            arrays[f"{split}_inputs"][own, 0, 0] = 200

    return put_in


def brighter(arrays: Arrays, random: np.random.Generator) -> None:
    """The test split a tenth brighter."""
    arrays["test_inputs"] = np.clip(arrays["test_inputs"] * 1.1, 0, 255).astype(np.uint8)


def moved(arrays: Arrays, random: np.random.Generator) -> None:
    """The test split one pixel to the right."""
    arrays["test_inputs"] = np.roll(arrays["test_inputs"], 1, axis=2)


def inverted(arrays: Arrays, random: np.random.Generator) -> None:
    """Two hundredths of the validation split dark on light."""
    arrays["validation_inputs"][:120] = 255 - arrays["validation_inputs"][:120]


FAULTS: list[Fault] = [
    ("leakage", "3 training images in test", leak),
    ("duplicates", "3 training images twice", repeat),
    ("contradictions", "1 image with two labels", contradict),
    ("constant", "3 blank images", blank),
    ("missing_classes", "no nine in validation", lose_a_class),
    ("class_balance", "a third of the fours gone from test", fewer_of_a_class),
    ("near_duplicates", "50 training images in test, noise of 2 grey levels", noisy_copies(2)),
    ("near_duplicates", "50 training images in test, noise of 8 grey levels", noisy_copies(8)),
    ("near_duplicates", "50 training images in test, at 90 % brightness", paler_copies),
    ("near_duplicates", "50 training images in test, moved by a pixel", moved_copies),
    ("shortcuts", "a lit corner on every three", watermark(1.0)),
    ("shortcuts", "a lit corner on half of the threes", watermark(0.5)),
    ("drift", "test a tenth brighter", brighter),
    ("drift", "test moved by a pixel", moved),
    ("drift", "2 % of validation inverted", inverted),
]


# --- time and memory -----------------------------------------------------------------------------


def stage_seconds() -> dict[str, float]:
    """Wall and processor seconds of the stage's own process, the median of five."""
    walls, processors = [], []
    for _ in range(RUNS):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "check.py"], check=True, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"wall": statistics.median(walls), "processor": statistics.median(processors)}


def measured(size: int) -> dict[str, float]:
    """The checks on so many made-up examples, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.data_checks"]
        command += ["--size", str(size), "--folder", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # writes the data
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return dict(json.loads(done.stdout))


def memory_of(size: int, folder: Path) -> dict[str, float]:
    """Writes the data if they are not there; else checks them, and says what it took."""
    file = folder / "inputs.npy"
    shape = (size, 16, 16)
    if not file.exists():
        written = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
        random = np.random.default_rng(0)
        for start in range(0, size, 50_000):
            part = written[start : start + 50_000]
            part[:] = random.integers(0, 256, part.shape, np.uint8)
        return {}
    inputs = np.load(file, mmap_mode="r")
    labels = (np.arange(size) % 10).astype(np.uint8)
    described = read_description(Path("metrics/dataset.json")).model_copy(
        update={"shape": list(shape[1:]), "kind": "grey image", "dtype": "uint8"}
    )
    cuts = size * 8 // 10, size * 9 // 10
    names = ("train", "validation", "test")
    train, validation, test = (
        Portion(name, inputs[piece], labels[piece])  # type: ignore[arg-type]
        for name, piece in zip(
            names, (slice(cuts[0]), slice(*cuts), slice(cuts[1], None)), strict=True
        )
    )
    started = time.perf_counter()
    found = structure.check(Checked(described, train, (validation, test)), CheckRules())
    status = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    )
    return {
        "examples": size,
        "megabytes": inputs.nbytes / 1e6,
        "seconds": time.perf_counter() - started,
        "peak_resident_megabytes": int(status["VmHWM"].split()[0]) / 1e3,
        "of_files_megabytes": int(status["RssFile"].split()[0]) / 1e3,
        "alarms": len(faults_of(found)),
    }


if __name__ == "__main__":
    run_script(main)
