"""What the mirror costs: `python -m benchmarks.tracking`; add `sync` or `end` for a part alone.

A real MLflow server on loopback, behind a proxy that adds 0 or 200 ms to each request. Both stand
for another machine, so they get a processor core to themselves, the last one; training and the
process that records it share the others, with as many threads of work as cores. (Linux; elsewhere
server and training compete, and the figures are upper bounds.)

Time added is the wall time of a script that records one model (10 seeds, 5 epochs) around a fixed
amount of work, with a server minus without, medians of `ROUNDS`, in turn. The processor time of
the recording process is told apart, because on a busy machine the wall time is noisy.

`end` times `train.py` as a whole, of a training of a second (the tests' task), beside the same
without recording: `PAIRS` pairs for each kind of server, in turn.
"""

import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import entry
from lab.base import params
from lab.base.script import run_script
from lab.tracking import recording as tracking
from lab.tracking.destination import quiet_mlflow
from lab.tracking.store import Store
from tests.servers import PASSWORD, USER, Proxy, mlflow_server
from tests.support import copy_of_the_code

ROUNDS = 3
PAIRS = 10
SEEDS = 10
EPOCHS = 5
METRICS = ("train_loss", "validation_loss", "validation_accuracy", "validation_error")
DELAYS = (0.0, 0.2)  # seconds
QUEUED = 1_001  # runs: 91 models of ten seeds
WORK = 25  # products in a call of `work`; 20 calls per core make a training of about 12 s


def a_model(name: str) -> tracking.RunSpec:
    """A parent with ten seeds, about as rich as what `train.py` records."""
    params = {f"param_{number}": number for number in range(14)}
    tags = {"model": name, **{f"tag_{number}": "value" for number in range(10)}}
    dataset = tracking.Dataset("MNIST", "d" * 64)
    seeds = [tracking.RunSpec(f"{name} seed {s}", params, tags, "", dataset) for s in range(SEEDS)]
    return tracking.RunSpec(name, params, tags, "note", dataset, seeds)


def train() -> None:
    """The script that is timed; prints its wall time and the recording's processor time."""
    import numpy as np

    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    matrix = np.random.default_rng(0).standard_normal((800, 800))

    def work(_: int) -> None:
        for _ in range(WORK):
            matrix @ matrix

    began = time.monotonic()
    with tracking.recording(a_model("relu")) as active, ThreadPoolExecutor(cores) as pool:
        for epoch in range(EPOCHS):
            list(pool.map(work, range(4 * cores)))
            values = dict.fromkeys(METRICS, epoch / 7)
            active.metrics(values, step=epoch)
            for seed in range(SEEDS):
                active.metrics(values, step=epoch, child=f"relu seed {seed}")
    print(json.dumps([time.monotonic() - began, children_cpu_seconds()]))


def children_cpu_seconds() -> float:
    """Processor time of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def script(folder: Path, uri: str, *arguments: str, record: str = "wait") -> list[str]:
    """Runs one in a folder of recorded runs; the lines it says."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"MLFLOW_TRACKING_URI": uri, "RECORD_RUNS": record}
    if not (folder / "lab").exists():
        environment["PYTHONPATH"] = str(tracking.ROOT)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return (done.stderr + done.stdout).strip().splitlines()


def timed(folder: Path, uri: str) -> tuple[float, float]:
    """Seconds of one recorded training, and the recording's processor time."""
    *notes, figures = script(folder, uri, "-m", "benchmarks.tracking", "train")
    print("   ", " | ".join([figures, *notes]), flush=True)
    seconds, cpu_seconds = json.loads(figures)
    return seconds, cpu_seconds


def time_added(folder: Path, proxy: Proxy) -> None:
    """Prints the time that the mirror adds, and its requests per run."""
    timed(folder, "")  # creates the store
    plain: list[tuple[float, float]] = []
    mirrored: dict[float, list[tuple[float, float]]] = {delay: [] for delay in DELAYS}
    requests: dict[float, float] = {}
    for _ in range(ROUNDS):
        plain.append(timed(folder, ""))
        for delay in DELAYS:
            proxy.delay = 0.0
            sync(folder, proxy)  # every round begins with an empty queue
            proxy.delay = delay
            proxy.clear()
            mirrored[delay].append(timed(folder, proxy.url))
            requests[delay] = len(proxy.seen) / (SEEDS + 1)
    base, base_cpu = medians(plain)
    print(f"training, no server: {base:.2f} s, {base_cpu:.2f} s of processor time to record it")
    for delay, figures in mirrored.items():
        seconds, cpu = medians(figures)
        each = ", ".join(f"{each - base:+.2f}" for each, _ in figures)
        print(
            f"mirrored, {1000 * delay:.0f} ms: {seconds - base:+.2f} s ({each}), "
            f"{cpu - base_cpu:+.2f} s of processor time, {requests[delay]:.1f} requests per run"
        )


def medians(figures: list[tuple[float, float]]) -> tuple[float, float]:
    """Of wall times and of processor times."""
    seconds, cpu_seconds = zip(*figures, strict=True)
    return statistics.median(seconds), statistics.median(cpu_seconds)


def sync(folder: Path, proxy: Proxy) -> tuple[float, float]:
    """Sends the queue as `make sync` does; seconds, and seconds of processor time."""
    began, cpu = time.monotonic(), children_cpu_seconds()
    script(folder, proxy.url, str(tracking.ROOT / "sync.py"))
    return time.monotonic() - began, children_cpu_seconds() - cpu


def rate_of_sync(folder: Path, proxy: Proxy) -> None:
    """Prints how fast a thousand queued runs are sent."""
    store = Store(f"sqlite:///{folder}/mlflow.db")
    for delay in DELAYS:
        for key in range(QUEUED // (SEEDS + 1)):
            fill(store, key)
        proxy.delay = delay
        proxy.clear()
        seconds, cpu = sync(folder, proxy)
        print(
            f"sync, {1000 * delay:.0f} ms: {QUEUED} runs in {seconds:.1f} s, "
            f"{QUEUED / seconds:.0f} per second, {len(proxy.seen) / QUEUED:.1f} requests per run, "
            f"{cpu:.1f} s of processor time on this side",
            flush=True,
        )


def fill(store: Store, key: int) -> None:
    """One finished model in the local store."""
    import dataclasses

    run = dataclasses.asdict(a_model(f"model_{key}"))
    store.begin(key, run, 1_000)
    for epoch in range(EPOCHS):
        values = dict.fromkeys(METRICS, epoch / 7)
        for child in (None, *(seed["name"] for seed in run["children"])):
            store.metrics(key, child, values, epoch, 2_000 + epoch)
    store.end(key, "FINISHED", 9_000)


def time_of_end(folder: Path, proxy: Proxy) -> None:
    """Prints what recording adds to `train.py`, by what the server does."""
    copy_of_the_code(folder, leave=("docs/", "tests/"))
    model, *_ = params.load(folder / params.PARAMS_FILE).models
    script(folder, "", "prepare.py")
    proxy.delay = 1.0
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        servers = {
            "no server": "",
            "refusing": "http://127.0.0.1:1",
            "hanging": f"http://127.0.0.1:{hangs.getsockname()[1]}",
            "slow": proxy.url,
        }
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
        for _ in range(PAIRS):
            for name, uri in servers.items():
                pair = [trained(folder, model, record, uri) for record in ("0", "")]
                seconds[name].append((pair[0], pair[1]))
    for name, pairs in seconds.items():
        added = sorted(recorded - alone for alone, recorded in pairs)
        print(
            f"{name}: train.py {statistics.median(alone for alone, _ in pairs):.2f} s, recorded "
            f"{statistics.median(added):+.2f} s ({added[0]:+.2f} to {added[-1]:+.2f})",
            flush=True,
        )
    wait_until_gone(folder, "lock")


def trained(folder: Path, model: str, record: str, uri: str) -> float:
    """Seconds of a `train.py`, after which its run is written."""
    began = time.monotonic()
    script(folder, uri, "train.py", model, record=record)
    seconds = time.monotonic() - began
    wait_until_gone(folder, "jsonl")
    return seconds


def wait_until_gone(folder: Path, suffix: str) -> None:
    """Waits for processes that write, by the journals that they have, or the locks of these."""
    while [*folder.glob(f"mlruns/.journals/*.{suffix}")]:
        time.sleep(0.1)


def main(part: str | None) -> None:
    """All measures, or one alone."""
    os.environ |= {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    os.environ.update(quiet_mlflow())
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        there, here = Path(scratch, "server"), Path(scratch, "here")
        there.mkdir()
        here.mkdir()
        os.chdir(here)
        # Threads and processes inherit the cores of the thread that starts them.
        another_machine = stack.enter_context(ThreadPoolExecutor(1, "server", keep_to, (True,)))
        server = mlflow_server(there, auth=False)
        url = another_machine.submit(stack.enter_context, server).result()
        proxy = another_machine.submit(stack.enter_context, Proxy(url)).result()
        if part in (None, "end"):
            time_of_end(Path(scratch, "project"), proxy)
        keep_to(False)
        if part is None:
            time_added(here, proxy)
        if part in (None, "sync"):
            rate_of_sync(here, proxy)


def keep_to(last_core: bool) -> None:
    """Keeps this thread and what it starts to the last core, or to all others."""
    if sys.platform == "linux" and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, cores[-1:] if last_core else cores[:-1])


if __name__ == "__main__":
    options = entry.parser()
    options.add_argument(
        "part", nargs="?", choices=["end", "sync", "train"], help="train: for itself"
    )
    part = options.parse_args().part
    run_script(train if part == "train" else lambda: main(part))
