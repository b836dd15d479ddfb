"""What the mirror costs: `python -m benchmarks.tracking`; add `sync` for the second half.

A real MLflow server on loopback, behind a proxy that adds 0 or 200 ms to each request. Time added
is the wall time of a script that records one model (10 seeds, 5 epochs) around a fixed amount of
work on two threads, with a server minus without, medians of `ROUNDS`, in turn. The server and the
proxy stand for another machine but run on the same cores as the work.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab import outbox, server, tracking
from lab.recorder import Store
from tests.servers import PASSWORD, USER, Proxy, mlflow_server

ROUNDS = 3
SEEDS = 10
EPOCHS = 5
METRICS = ("train_loss", "validation_loss", "validation_accuracy", "validation_error")
DELAYS = (0.0, 0.2)  # seconds
QUEUED = 1_001  # runs: 91 models of ten seeds
WORK = 25  # products in a call of `work`; 20 calls per thread make a training of about 15 s


def a_model(name: str) -> tracking.Run:
    """A parent with ten seeds, about as rich as what `train.py` records."""
    params = {f"param_{number}": number for number in range(14)}
    tags = {"model": name, **{f"tag_{number}": "value" for number in range(10)}}
    dataset = tracking.Dataset("MNIST", "d" * 64)
    seeds = [tracking.Run(f"{name} seed {s}", params, tags, "", dataset) for s in range(SEEDS)]
    return tracking.Run(name, params, tags, "note", dataset, seeds)


def train() -> None:
    """The script that is timed."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    matrix = np.random.default_rng(0).standard_normal((800, 800))

    def work(_: int) -> None:
        for _ in range(WORK):
            matrix @ matrix

    began = time.monotonic()
    with tracking.recording(a_model("relu")) as recorder, ThreadPoolExecutor(2) as pool:
        for epoch in range(EPOCHS):
            list(pool.map(work, range(8)))
            values = dict.fromkeys(METRICS, epoch / 7)
            recorder.metrics(values, step=epoch)
            for seed in range(SEEDS):
                recorder.metrics(values, step=epoch, child=f"relu seed {seed}")
    print(time.monotonic() - began)


def timed(folder: Path, uri: str) -> float:
    """Seconds of one recorded training."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(tracking.ROOT)
    environment.pop("MLFLOW_TRACKING_URI", None)
    if uri:
        environment |= {"MLFLOW_TRACKING_URI": uri}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tracking", "train"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    said = (done.stderr + done.stdout).strip().splitlines()
    print("   ", " | ".join(said), flush=True)
    return float(next(line for line in said if not line.startswith("tracking")))


def time_added(folder: Path, proxy: Proxy) -> None:
    """Prints the wall time that the mirror adds, and its requests per run."""
    timed(folder, "")  # creates the store
    plain: list[float] = []
    mirrored: dict[float, list[float]] = {delay: [] for delay in DELAYS}
    requests: dict[float, float] = {}
    for _ in range(ROUNDS):
        plain.append(timed(folder, ""))
        for delay in DELAYS:
            proxy.delay = 0.0
            sync(folder, proxy)  # every round begins with an empty queue
            proxy.delay = delay
            proxy.spoil("", 0)
            mirrored[delay].append(timed(folder, proxy.url))
            requests[delay] = len(proxy.seen) / (SEEDS + 1)
    base = statistics.median(plain)
    print(f"training, no server: {base:.2f} s ({min(plain):.2f} to {max(plain):.2f})")
    for delay, seconds in mirrored.items():
        added = statistics.median(seconds) - base
        print(
            f"mirrored, {1000 * delay:.0f} ms: {added:+.2f} s "
            f"({min(seconds):.2f} to {max(seconds):.2f}), {requests[delay]:.1f} requests per run"
        )


def sync(folder: Path, proxy: Proxy) -> tuple[int, float]:
    """Sends the queue; number of runs and seconds."""
    began = time.monotonic()
    store = Store(f"sqlite:///{folder}/mlflow.db").client
    ledger = outbox.Ledger(proxy.url, folder / outbox.FOLDER)
    queue = outbox.unsent(store, ledger)
    there = server.Server(server.Destination(proxy.url, USER, PASSWORD))
    problem = outbox.Sync(store, there, ledger, lambda: None).send(queue)
    if problem:
        raise SystemExit(problem)
    return sum(queue.values()), time.monotonic() - began


def cpu_seconds() -> float:
    """Processor time of this process and its ended children."""
    times = os.times()
    return times.user + times.system


def rate_of_sync(folder: Path, proxy: Proxy) -> None:
    """Prints how fast a thousand queued runs are sent."""
    store = Store(f"sqlite:///{folder}/mlflow.db")
    for delay in DELAYS:
        for key in range(QUEUED // (SEEDS + 1)):
            fill(store, key)
        proxy.delay = delay
        proxy.spoil("", 0)
        cpu = cpu_seconds()
        runs, seconds = sync(folder, proxy)
        cpu = cpu_seconds() - cpu
        print(
            f"sync, {1000 * delay:.0f} ms: {runs} runs in {seconds:.1f} s, "
            f"{runs / seconds:.0f} per second, {len(proxy.seen) / runs:.1f} requests per run, "
            f"{cpu:.1f} s of processor time here (proxy included)",
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


def main() -> None:
    """Both measures."""
    os.environ |= {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    os.environ.update(tracking.quiet_mlflow())
    with tempfile.TemporaryDirectory() as scratch:
        there, here = Path(scratch, "server"), Path(scratch, "here")
        there.mkdir()
        here.mkdir()
        os.chdir(here)
        with mlflow_server(there, auth=False) as url, Proxy(url) as proxy:
            if "sync" not in sys.argv:
                time_added(here, proxy)
            rate_of_sync(here, proxy)


if __name__ == "__main__":
    train() if sys.argv[1:] == ["train"] else main()
