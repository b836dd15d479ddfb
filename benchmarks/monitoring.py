"""False alarms, power, delay and cost of the monitor: `python -m benchmarks.monitoring`.

Traffic is simulated on what the monitor keeps of real inputs: bins of their statistics and the
model's answers. The test split stands for the world: a reference of as many examples is drawn from
it, and so is traffic, clean or changed; so what the reference itself owes to chance counts, too.
A tenth of the answers is labelled. Of the service's targets, what it counts is drawn hour by hour.
Then `monitor.py` as a program, on Parquet files such as the service writes. Writes
`benchmarks/results/monitoring.json` and prints the tables of docs/monitoring.md.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pyarrow import parquet

from benchmarks import entry
from lab.base.params import MonitorParams
from lab.base.script import run_script
from lab.data.prepared import load_prepared
from lab.monitoring.blocks import Block
from lab.monitoring.budgets import HOUR_MS, Spending, burns
from lab.monitoring.counters import Counters
from lab.monitoring.looks import LENGTHS
from lab.monitoring.watch import State, Watch
from lab.serving.network import MODEL, Network
from lab.serving.pictures import framed
from lab.serving.records import schema
from lab.serving.reference import are_unlike, ranges
from lab.shifts.corruptions import corruptions
from lab.shifts.reference import Reference, counted, made

RESULTS = Path("benchmarks/results/monitoring.json")
DRAWING = Path("examples/images/task/data/drawing.py")
A_DAY = 10_000  # answers
LABELLED = 0.1  # of them
DAY_MS = 86_400_000
WEEKS, REFERENCES = 1_000, 20  # that are drawn, each for as many weeks
TRIALS = 100  # of each change
CLEAN, LONGEST = 16, 64  # windows before the change, and after it at most
AT = (500, 2_000, 8_000, 32_000)  # answers after the change
AT_LABELS = (100, 400, 1_600, 6_400)
FALLS = (0.02, 0.05, 0.1, 0.2)  # of accuracy
AT_HOURS = (1, 6, 24, 72)
PACES = (1, 2, 5, 10, 20, 50, 500)  # times what may be missed of a target
SIZES = 100_000, 1_000_000
RUNS = 5
A_FILE = 8_000  # records
FIRST_MS = 1_790_000_000_000

Inputs = NDArray[Any]
Answer = Callable[[Inputs], NDArray[np.float32]]


@dataclass(frozen=True)
class Population:
    """Inputs as the monitor keeps them: bins [S, N], classes, beyond training or not, confident."""

    bins_SN: NDArray[np.intp]
    predicted: NDArray[np.int64]
    is_unlike: NDArray[np.bool_]
    is_confident: NDArray[np.bool_]

    def block(self, rows: NDArray[np.intp], start_ms: int, end_ms: int, classes: int) -> Block:
        """A window of some of them."""
        return Block(
            records=len(rows), start_ms=start_ms, end_ms=end_ms,
            counts_SB=counted(self.bins_SN[:, rows]), unlike=int(self.is_unlike[rows].sum()),
            predicted_C=np.bincount(self.predicted[rows], minlength=classes),
            confident=int(self.is_confident[rows].sum()),
        )  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A data set with a model, and a reference that was drawn from it."""

    reference: Reference
    inputs: Inputs
    labels: NDArray[Any]
    answer: Answer

    def population(self, inputs: Inputs) -> Population:
        """Inputs with the model's answers."""
        about, found = self.reference.about, self.answer(inputs)
        return Population(
            self.reference.bins(inputs),
            found.argmax(axis=1),
            are_unlike(about["ranges"], inputs, about["kind"], about["columns"]),
            found.max(axis=1) > about["confidence"],
        )


def main() -> None:
    """All of it, or `--part`."""
    arguments = entry.parser()
    parts = {
        "alarms": alarms, "power": power, "accuracy": accuracy, "targets": targets, "cost": cost,
    }  # fmt: skip
    arguments.add_argument("--part", choices=parts)
    options = arguments.parse_args()
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name, part in parts.items():
        if options.part in (None, name):
            found[name] = part()
            RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


# --- what there is to draw from -----------------------------------------------------------------


def subject(seed: int) -> Subject:
    """MNIST's test split and the exported model; the seed draws the reference."""
    data, network = load_prepared(), Network(MODEL)
    about = data.description
    seen = ranges(data.train.inputs, about.kind, about.columns)
    inputs, labels = np.asarray(data.test.inputs), np.asarray(data.test.labels)
    described = about.model_dump(include={"kind", "shape", "dtype", "columns", "class_names"})
    return parted(inputs, labels, described | {"ranges": seen}, network, seed)


def colours() -> Subject:
    """The coloured shapes of examples/images, answered without an error."""
    spec = importlib.util.spec_from_file_location("drawing", DRAWING)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(DRAWING)
    drawing = sys.modules["drawing"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    random, names = np.random.Generator(np.random.PCG64(0)), list(drawing.SHAPES)
    labels = random.integers(0, len(names), 4_000)
    images = [drawing.drawn(names[label], random).resize((32, 32)) for label in labels]
    inputs = np.ascontiguousarray(
        np.stack([np.asarray(one) for one in images]).transpose(0, 3, 1, 2)
    )
    shape = list(inputs.shape[1:])
    about = {
        "kind": "colour image", "shape": shape, "dtype": "uint8", "columns": [],
        "class_names": names, "ranges": ranges(inputs, "colour image", []),
    }  # fmt: skip
    known = {one.tobytes(): label for one, label in zip(inputs, labels.tolist(), strict=True)}

    def answer(given: Inputs) -> NDArray[np.float32]:
        """Of what was changed the class stays unknown, so one is drawn."""
        found = [known.get(one.tobytes(), number % len(names)) for number, one in enumerate(given)]
        return np.eye(len(names), dtype=np.float32)[found]

    return parted(inputs, labels, about, answer, 0)


def parted(
    inputs: Inputs, labels: NDArray[Any], about: dict[str, Any], answer: Answer, seed: int
) -> Subject:
    """A reference is drawn; all is what traffic is drawn from."""
    held = held_rows(len(inputs), seed)
    beyond = are_unlike(about["ranges"], inputs[held], about["kind"], about["columns"])
    more = {**about, "model": "model", "models": {}, "scaling": None}
    reference = made(more, inputs[held], labels[held], answer(inputs[held]), beyond)
    return Subject(reference, inputs, labels, answer)


def held_rows(count: int, seed: int) -> NDArray[np.intp]:
    """Of which inputs a reference is."""
    return np.sort(np.random.default_rng([seed, 77]).integers(0, count, count))


# --- false alarms -------------------------------------------------------------------------------


def alarms() -> list[dict[str, Any]]:
    """Clean weeks, with and without a least distance."""
    found = []
    print("| asked for, a month | least distance | weeks | alarms | by feedback | a month |")
    print("|---|---|---|---|---|---|", flush=True)
    for asked, least in ((0.1, 0.05), (0.1, 1e-9), (4.0, 1e-9)):
        jobs = [(seed, WEEKS // REFERENCES, asked, least) for seed in range(REFERENCES)]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            counts = [*pool.map(clean_weeks, *zip(*jobs, strict=True))]
        count, of_labels = (sum(each) for each in zip(*counts, strict=True))
        rate = count / (WEEKS * 7 / 30)
        row = {"asked": asked, "least": least, "weeks": WEEKS, "alarms": count, "rate": rate}
        found.append(row | {"by_feedback": of_labels})
        shown = f"{least:g}" if least > 1e-6 else "none"
        numbers = f"{WEEKS:,} | {count} | {of_labels} | {rate:.3f}"
        print(f"| {asked:g} | {shown} | {numbers} |", flush=True)
    return found


def clean_weeks(seed: int, weeks: int, asked: float, least: float) -> tuple[int, int]:
    """Alarms in weeks in which nothing changes, each watched from its beginning; by feedback."""
    one, random = subject(seed), np.random.default_rng(seed)
    everything = one.population(one.inputs)
    params = MonitorParams(false_alarms=asked, least=least)
    classes, each = len(one.reference.predicted_C), DAY_MS * params.window // A_DAY
    is_right = everything.predicted == one.labels
    count = of_labels = 0
    for _ in range(weeks):
        watch = Watch(one.reference, params, State())
        for number in range(7 * A_DAY // params.window):
            rows = random.integers(0, len(one.inputs), params.window)
            start = number * each
            for row in rows[: round(LABELLED * len(rows))]:
                watch.judge(bool(is_right[row]), start + each - 1)
            watch.take(everything.block(rows, start, start + each - 1, classes))
        count += len(watch.state.alarms)
        of_labels += sum("accuracy" in alarm.signals for alarm in watch.state.alarms)
    return count, of_labels


# --- power and delay ----------------------------------------------------------------------------

Change = Callable[[Subject, np.random.Generator], tuple[Inputs, float, NDArray[np.float64] | None]]


def changes(one: Subject) -> dict[str, tuple[Inputs, float, NDArray[np.float64] | None]]:
    """By name: inputs, which share of traffic they are, and with what weights they are drawn."""
    random, shape = np.random.default_rng(1), one.inputs.shape[1:]
    found: dict[str, tuple[Inputs, float, NDArray[np.float64] | None]] = {}
    for name, corrupt in corruptions(one.reference.about["kind"], shape).items():
        found[name] = corrupt(one.inputs, random), 1.0, None
    shifted = found["shifted"][0]
    found["a tenth of traffic shifted"] = shifted, 0.1, None
    found["a tenth of traffic inverted"] = found["inverted"][0], 0.1, None
    for share in (0.15, 0.2, 0.3):
        weights = np.where(one.labels == 3, share / (one.labels == 3).mean(), 1.0)
        weights[one.labels != 3] *= (1 - share) / (one.labels != 3).mean()
        found[f"digit 3 is {share:.0%} of traffic"] = one.inputs, 1.0, weights / weights.sum()
    found["printed digits"] = printed(random), 1.0, None
    validation = np.asarray(load_prepared().validation.inputs)
    found["validation images (nothing changed)"] = validation, 1.0, None
    return found


def printed(random: np.random.Generator) -> Inputs:
    """Digits in the fonts that come with matplotlib, treated as pictures that are sent."""
    folder = Path(mpl.get_data_path()) / "fonts/ttf"
    fonts = sorted({*folder.glob("DejaVu*.ttf"), *folder.glob("STIXGeneral*.ttf")})
    fonts = [path for path in fonts if "Display" not in path.stem]  # which has no digits
    images = []
    for _ in range(600):
        size = int(random.integers(90, 160))
        font = ImageFont.truetype(str(fonts[random.integers(len(fonts))]), size)
        picture = Image.new("L", (200, 240), 255)
        digit = str(random.integers(10))
        ImageDraw.Draw(picture).text((40, 20), digit, 0, font)
        images.append(framed(picture, [28, 28], "ink"))
    return np.stack(images)


def power() -> dict[str, Any]:
    """How soon each change alarms, and whether it is named."""
    found: dict[str, Any] = {}
    heads = " | ".join(f"{at:,}" for at in AT)
    print(
        f"| change | {heads} | answers until the alarm | named as |\n|---|---|---|---|---|---|---|"
    )
    grey, colour = subject(0), colours()
    cases = [(grey, name, how) for name, how in changes(grey).items()]
    swapped = corruptions("colour image", colour.inputs.shape[1:])["channels swapped"]
    changed = swapped(colour.inputs, np.random.default_rng(0))
    cases.append((colour, "channels swapped (coloured shapes)", (changed, 1.0, None)))
    for one, name, (inputs, share, weights) in cases:
        before, after = one.population(one.inputs), one.population(inputs)
        tried = [delay(one, before, after, share, weights, seed) for seed in range(TRIALS)]
        causes = [cause or "–" for each, cause in tried if each is not None]
        named = [cause.rpartition(": ")[2] for cause in causes]
        said = max(set(named), key=named.count) if named else "–"
        named_share = named.count(said) / TRIALS if named else 0.0
        row = summed_up([each for each, _ in tried], AT)
        found[name] = row | {"named": said, "named_share": named_share}
        print(f"{line(name, row)} {said} ({named_share:.0%}) |", flush=True)
    return found


def delay(
    one: Subject,
    before: Population,
    after: Population,
    share: float,
    weights: NDArray[np.float64] | None,
    seed: int,
) -> tuple[int | None, str | None]:
    """Answers between the change and the alarm, and what it is named; None: there is no alarm."""
    random, params = np.random.default_rng(seed), MonitorParams()
    watch = Watch(one.reference, params, State())
    classes, each = len(one.reference.predicted_C), DAY_MS * params.window // A_DAY
    size, first = params.window, int(random.integers(CLEAN))  # anywhere in the longer blocks
    for number in range(CLEAN + first + LONGEST):
        times = number * each, (number + 1) * each - 1
        hit = int(random.binomial(size, share)) if number >= CLEAN + first else 0
        usual = random.integers(0, len(before.predicted), size - hit)
        rows = random.choice(len(after.predicted), hit, p=weights)
        block = before.block(usual, *times, classes)
        watch.take(block + after.block(rows, *times, classes) if hit else block)
        if watch.state.alarm is not None:
            if number < CLEAN + first:
                return None, None  # a false alarm
            return (number + 1 - CLEAN - first) * size, watch.state.alarm.cause
    return None, None


def accuracy() -> dict[str, Any]:
    """Labels until a fall of accuracy alarms, while the inputs stay as they are."""
    found: dict[str, Any] = {}
    print(f"| {' | '.join(['fall', *(f'{at:,}' for at in AT_LABELS), 'labels until the alarm'])} |")
    one = subject(0)
    usual = float((one.population(one.inputs).predicted == one.labels).mean())
    for fall in FALLS:
        tried = [labels_until(one.reference, usual, fall, seed) for seed in range(TRIALS)]
        found[str(fall)] = summed_up(tried, AT_LABELS)
        print(line(f"{100 * fall:g} points", found[str(fall)]), flush=True)
    return found


def labels_until(reference: Reference, usual: float, fall: float, seed: int) -> int | None:
    """Labels between the fall and the alarm; None: there is none, or it came before."""
    random, params = np.random.default_rng(seed), MonitorParams()
    watch = Watch(reference, params, State())
    first = max(LENGTHS) * params.feedback + int(random.integers(max(LENGTHS) * params.feedback))
    each = round(DAY_MS / A_DAY / LABELLED)
    for number in range(first + AT_LABELS[-1]):
        chance = usual - (fall if number >= first else 0)
        watch.judge(bool(random.random() < chance), number * each)
        if any(look.on for look in watch.state.looks):
            return number + 1 - first if number >= first else None
    return None


def summed_up(tried: list[int | None], at: Sequence[int]) -> dict[str, Any]:
    """The shares of trials that alarm until each, and the median."""
    delays = [each for each in tried if each is not None]
    return {
        "seen": {one: sum(each <= one for each in delays) / len(tried) for one in at},
        "median": statistics.median(delays) if delays else None,
    }


def line(name: str, row: dict[str, Any]) -> str:
    """A row of a table."""
    median = f"{row['median']:,.0f}" if row["median"] is not None else "–"
    return f"| {name} | {' | '.join(f'{seen:.0%}' for seen in row['seen'].values())} | {median} |"


# --- targets ------------------------------------------------------------------------------------


def targets() -> dict[str, Any]:
    """Alarms of a service that just keeps its targets, and hours until one that does not alarms."""
    params, random = MonitorParams(), np.random.default_rng(0)
    found: dict[str, Any] = {"weeks": WEEKS, "alarms": {}}
    for asked in (params.false_alarms, 4.0):
        at = params.model_copy(update={"false_alarms": asked})
        clean = [hours_until(at, 1, random, 7 * 24) for _ in range(WEEKS)]
        count = found["alarms"][str(asked)] = sum(each is not None for each in clean)
        rate = count / (WEEKS * 7 / 30)
        print(
            f"{asked:g} asked, {WEEKS:,} weeks at the targets: {count} alarms, {rate:.3f} a month"
        )
    print(f"| {' | '.join(['pace', *(f'{at} h' for at in AT_HOURS), 'hours'])} |", flush=True)
    for pace in PACES:
        tried = [hours_until(params, pace, random, AT_HOURS[-1]) for _ in range(TRIALS)]
        found[str(pace)] = summed_up(tried, AT_HOURS)
        print(line(f"{pace}", found[str(pace)]), flush=True)
    return found


def hours_until(
    params: MonitorParams, pace: float, random: np.random.Generator, hours: int
) -> int | None:
    """Hours in which somebody looks until errors or slow answers, at a pace, alarm.

    A week in which a tenth of what may be missed is missed comes before, where the pace is above 1.
    """
    may_fail, may_be_slow = 1 - params.answered, 1 - params.in_time
    state = Spending(address="", seconds=params.seconds)
    before = 7 * 24 if pace > 1 else 0
    sums = np.zeros(4, int)
    for hour in range(before + hours + 1):
        share = pace if hour > before or not before else 0.1
        asked = int(random.poisson(A_DAY / 24)) if hour else 0
        failed = random.binomial(asked, min(1, share * may_fail))
        slow = random.binomial(asked, min(1, share * may_be_slow))
        sums += [asked, failed, asked, slow]
        seen_ms = state.seen_ms
        state = state.then(Counters(1.0, *sums.tolist()), 1_000 + hour * HOUR_MS)
        if hour and any(one.is_on for one in burns(state.points, params, seen_ms)):
            return hour - before if hour > before else None
    return None


# --- cost ---------------------------------------------------------------------------------------


def cost() -> list[dict[str, Any]]:
    """Seconds and memory of `monitor.py` on records that it has not seen."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            records = Path(folder) / f"records{size}"
            record(records, size)
            times = RUNS if size == SIZES[0] else 1
            runs = [measured(records, Path(folder) / f"report{size}.{run}") for run in range(times)]
            row = {
                "records": size,
                "seconds": [seconds for seconds, *_ in runs],
                "processor_seconds": [seconds for _, seconds, _ in runs],
                "most_mib": max(most for *_, most in runs),
                "mib_of_records": sum(path.stat().st_size for path in records.iterdir()) / 2**20,
            }
            print(row, flush=True)
            found.append(row)
    return found


def record(folder: Path, count: int) -> None:
    """Parquet files such as the service writes, of test examples."""
    data, network = load_prepared(), Network(MODEL)
    folder.mkdir(parents=True)
    inputs, random = np.asarray(data.test.inputs), np.random.default_rng(0)
    found = network(inputs)
    predicted, highest = found.argmax(axis=1).tolist(), found.max(axis=1).tolist()
    content = [(one.tobytes(), each.tobytes()) for one, each in zip(inputs, found, strict=True)]
    for number, start in enumerate(range(0, count, A_FILE), start=1):
        rows = random.integers(0, len(inputs), min(A_FILE, count - start)).tolist()
        said = [
            {
                "time_ms": FIRST_MS + 1_000 * (start + place), "id": f"{start + place:016x}",
                "model": network.sha256[:12], "predicted": str(predicted[row]),
                "probability": highest[row], "dtype": "uint8", "shape": [28, 28],
                "input": content[row][0], "probabilities": content[row][1],
            }
            for place, row in enumerate(rows)
        ]  # fmt: skip
        table = pa.Table.from_pylist(said, schema())
        parquet.write_table(table, folder / f"{number:08}.parquet", compression="zstd")


def measured(records: Path, report: Path) -> tuple[float, float, float]:
    """Seconds, those of the processor, and the most MiB that the process held."""
    command = [sys.executable, "monitor.py", "--records", str(records), "--folder", str(report)]
    start, most, before = time.perf_counter(), 0, os.times()
    with subprocess.Popen(command, env={**os.environ, "RECORD_RUNS": "0"}, stdout=-3) as process:
        while process.poll() is None:
            try:
                most = max(most, psutil.Process(process.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.02)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    after = os.times()
    of_processor = after.children_user + after.children_system
    of_processor -= before.children_user + before.children_system
    return time.perf_counter() - start, of_processor, most / 2**20


if __name__ == "__main__":
    run_script(main)
