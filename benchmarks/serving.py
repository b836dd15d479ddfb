"""serve.py beside what others serve a network with: `python -m benchmarks.serving`.

All answer on loopback with the same ONNX file and the same images, a request each. Clients keep
their connection and ask again as soon as they are answered; a process of its own plays all of them.
It shares the machine's cores with the server, so it takes from all alike, and `nothing`, a server
that answers without reading, shows what it could ask at most. Contenders are started anew each
round, in turns. Beside rates stands the processor time of all processes of a server for a request,
which a machine with other work to do changes less. Memory is what they have resident after the last
request, summed; pages that they share count for each.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httptools
import numpy as np
import psutil
import uvloop

from benchmarks import entry
from benchmarks.race import RESULTS, ROOT
from lab.base.files import write_json
from lab.base.script import run_script
from lab.data.prepared import load_prepared

CLIENTS = (1, 8, 64)
WARM_SECONDS, SECONDS = 0.5, 2.0
START_SECONDS = 120.0  # that a server may take to give its first answer
STOP_SECONDS = 20.0
IMAGES = 64  # different ones
MODEL = ROOT / "models/export/model.onnx"
OTHERS = ROOT / ".venv/bench-serve/bin/python"
OWN = ROOT / "benchmarks/contenders"
PRODUCTS = ("litserve", "mlserver", "mlflow", "bentoml", "fastapi", "uvicorn", "onnxruntime")
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """How a server is asked: where, and each request's body."""

    path: str
    kind: str
    bodies: Sequence[bytes]

    def requests(self) -> list[bytes]:
        """As they go over the wire."""
        return [
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {self.kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
            for body in self.bodies
        ]


def questions() -> dict[str, dict[str, Asked]]:
    """Of each contender, by the form of a request."""
    images = np.array(load_prepared(ROOT).test.inputs[:IMAGES])
    lists = [image[None].tolist() for image in images]
    inputs = [json.dumps({"inputs": each}, separators=(",", ":")).encode() for each in lists]
    flat = [
        json.dumps({"inputs": [{"name": "inputs", "shape": [1, *image.shape], "datatype": "UINT8",
                                "data": image.ravel().tolist()}]}, separators=(",", ":")).encode()
        for image in images
    ]  # fmt: skip
    ours = {
        "JSON": Asked("/predict", "application/json", inputs),
        "raw bytes": Asked(
            "/predict", "application/octet-stream", [image.tobytes() for image in images]
        ),
    }

    def like(path: str, bodies: Sequence[bytes] = inputs) -> dict[str, Asked]:
        return {"JSON": Asked(path, "application/json", bodies)}

    return {
        "serve.py": ours,
        "LitServe": like("/predict"),
        "MLServer": like("/v2/models/network/infer", flat),
        "MLflow": like("/invocations"),
        "BentoML": like("/predict"),
        "nothing": like("/predict"),
    }


# --- servers -------------------------------------------------------------------------------------


def command(who: str, python: Path, folder: Path, port: int) -> list[str]:
    """What starts a contender."""
    at, beside = ["--host", "127.0.0.1", "--port", str(port)], python.parent
    match who:
        case "serve.py":
            return [sys.executable, str(ROOT / "serve.py"), "--model", str(MODEL), *at]
        case "nothing":
            return [sys.executable, "-m", "benchmarks.serving", "--nothing", str(port)]
        case "LitServe":
            return [str(python), str(OWN / "of_litserve.py"), str(port)]
        case "MLServer":
            return [str(beside / "mlserver"), "start", str(folder)]
        case "BentoML":
            return [str(beside / "bentoml"), "serve", "of_bentoml:Service",
                    "--working-dir", str(OWN), *at]  # fmt: skip
    return [str(beside / "mlflow"), "models", "serve", "--env-manager", "local",
            "--model-uri", str(folder / "model"), *at]  # fmt: skip


def prepare(who: str, python: Path, folder: Path, port: int) -> None:
    """What a contender needs written down before it starts, whose time does not count."""
    if who == "MLflow" and not (folder / "model").exists():
        subprocess.run(
            [str(python), str(OWN / "of_mlflow.py"), str(folder / "model")],
            env=environment(), check=True, capture_output=True,
        )  # fmt: skip
    if who == "MLServer":
        # In one process: with the other one of its default it does not start beside uvloop 0.23.
        settings = {
            "host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2,
            "parallel_workers": 0,
        }  # fmt: skip
        model = {"name": "network", "implementation": "of_mlserver.Runtime"}
        write_json(folder / "settings.json", settings)
        write_json(folder / "model-settings.json", model)


def environment() -> dict[str, str]:
    """Of contenders: where their code is, and that nobody is told that they run."""
    return {**os.environ, **QUIET, "PYTHONPATH": str(OWN), "BENCHMARK_MODEL": str(MODEL)}


@contextlib.contextmanager
def running(who: str, python: Path, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server with all its processes, which end with the block."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command(who, python, folder, port),
            cwd=ROOT if who in ("serve.py", "nothing") else folder,
            env=environment(),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        tree = processes(process)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        for each in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def processes(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A server's own, and those it started."""
    try:
        first = psutil.Process(process.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """That all of them have used."""
    times = [each.cpu_times() for each in processes(process)]
    return float(sum(one.user + one.system for one in times))


def free_ports() -> int:
    """The first of three that are free."""
    while True:
        with contextlib.ExitStack() as held:
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for other in (port + 1, port + 2):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", other))
            except (OSError, OverflowError):
                continue
            return port


def first_answer(asked: Asked, port: int, process: subprocess.Popen[bytes]) -> bytes:
    """Asks until there is one.

    Raises:
        TimeoutError: there was none, or the server ended.
    """
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{asked.path}", asked.bodies[0], {"Content-Type": asked.kind}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.perf_counter() + START_SECONDS
    said: object = "nothing"
    while time.perf_counter() < until and process.poll() is None:
        try:
            with opener.open(request, timeout=10) as answer:
                content: bytes = answer.read()
                return content
        except OSError as error:
            said = error
            time.sleep(0.005)
    raise TimeoutError(str(said))


# --- clients -------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again."""

    def __init__(self, requests: Sequence[bytes], start: int, into: list[float]) -> None:
        self.requests, self.next, self.into = requests, start, into
        self.failed = 0
        self.is_done = False
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks the first."""
        self.transport: Any = transport
        self.ask()

    def ask(self) -> None:
        """Sends the next of the requests."""
        self.parser = httptools.HttpResponseParser(self)
        self.began = time.perf_counter()
        self.transport.write(self.requests[self.next % len(self.requests)])
        self.next += 1

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """An answer is whole."""
        self.into.append(time.perf_counter() - self.began)
        if self.parser.get_status_code() != 200:
            self.failed += 1
        if self.is_done:
            self.transport.close()
        else:
            asyncio.get_running_loop().call_soon(self.ask)

    def connection_lost(self, error: Exception | None) -> None:
        """Servers may not end it before the time is over."""
        if not self.is_done:
            self.failed += 1
        if not self.closed.done():
            self.closed.set_result(None)


async def ask(
    port: int, asked: Asked, count: int, seconds: float, used: Callable[[], float]
) -> dict[str, float]:
    """What `count` clients get in some seconds; `used` says the server's processor time so far."""
    loop = asyncio.get_running_loop()
    requests, latencies = asked.requests(), list[float]()
    clients = [Client(requests, number, latencies) for number in range(count)]
    rest = iter(clients)
    for _ in clients:
        await loop.create_connection(lambda: next(rest), "127.0.0.1", port)
    await asyncio.sleep(WARM_SECONDS)
    latencies.clear()
    began, own, theirs = time.perf_counter(), time.process_time(), used()
    await asyncio.sleep(seconds)
    took, own, theirs = time.perf_counter() - began, time.process_time() - own, used() - theirs
    done = sorted(latencies)
    for client in clients:
        client.is_done = True
    await asyncio.wait([client.closed for client in clients], timeout=10)
    return {
        "requests_per_second": len(done) / took,
        "cpu_ms": 1000 * theirs / max(1, len(done)),
        "p50_ms": 1000 * done[len(done) // 2] if done else float("nan"),
        "p99_ms": 1000 * done[int(0.99 * len(done))] if done else float("nan"),
        "failed": sum(client.failed for client in clients),
        "clients_cpu_share": own / took,
    }


# --- measuring -----------------------------------------------------------------------------------


def one(who: str, forms: Mapping[str, Asked], python: Path, folder: Path) -> dict[str, Any]:
    """A start, all loads, memory."""
    port = free_ports()
    prepare(who, python, folder, port)
    began = time.perf_counter()
    with running(who, python, folder, port) as process:
        first = next(iter(forms.values()))
        answer = first_answer(first, port, process)
        started = time.perf_counter() - began
        used = functools.partial(processor_seconds, process)
        rates = {
            form: {
                str(count): uvloop.run(ask(port, asked, count, SECONDS, used)) for count in CLIENTS
            }
            for form, asked in forms.items()
        }
        memory = sum(each.memory_info().rss for each in processes(process))
        return {
            "start_seconds": started,
            "rates": rates,
            "memory_bytes": memory,
            "answer": answer[:200].decode(errors="replace"),
        }


class Nothing(asyncio.Protocol):
    """Answers whatever comes, at once, without reading it."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Knows where to answer."""
        self.transport: Any = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Looks only where a request ends."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answers."""
        self.transport.write(self.ANSWER)


async def nothing(port: int) -> None:
    """Serves nothing until it is ended."""
    server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Measures all in turns; writes benchmarks/results/serving.json."""
    parser = entry.parser()
    parser.add_argument("--nothing", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="no file is written then")
    parser.add_argument("--python", type=Path, default=OTHERS, help="that has the others installed")
    options = parser.parse_args()
    if options.nothing:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        uvloop.run(nothing(options.nothing))
        return
    before = os.getloadavg()[0]
    asked = questions()
    rounds: dict[str, list[dict[str, Any]]] = {
        who: [] for who in asked if not options.only or who in options.only
    }
    folder = Path(tempfile.mkdtemp())
    try:
        for number in range(options.rounds):
            for who, results in rounds.items():
                own = folder / who
                own.mkdir(exist_ok=True)
                try:
                    results.append(one(who, asked[who], options.python, own))
                except (TimeoutError, OSError) as error:
                    log = (own / "log").read_text(encoding="utf-8", errors="replace")
                    print(f"not here: {who}: {error}: {log[-600:]}", flush=True)
            print(f"round {number + 1} of {options.rounds}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not options.only:
        content = {
            "versions": versions(options.python),
            "cores": os.cpu_count(),
            "load_before": before,
            "load_after": os.getloadavg()[0],
            "seconds": SECONDS,
            "rounds": rounds,
        }
        write_json(RESULTS / "serving.json", content)
    print(table(rounds))


def versions(python: Path) -> dict[str, dict[str, str]]:
    """Of everything that took part, in both environments."""
    code = (
        "import json, importlib.metadata as m, sys; print(json.dumps({**{d.name.lower(): d.version "
        "for d in m.distributions()}, 'python': sys.version.split()[0]}))"
    )
    found = {}
    for name, path in (("project", sys.executable), ("others", str(python))):
        if shutil.which(path):
            said = subprocess.run([path, "-c", code], capture_output=True, check=True).stdout
            all_of_them = json.loads(said)
            found[name] = {
                key: all_of_them[key] for key in ("python", *PRODUCTS) if key in all_of_them
            }
    return found


def table(rounds: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Medians over rounds, as Markdown."""
    counts = " / ".join(map(str, CLIENTS))
    lines = [
        f"| what | requests a second at {counts} clients | p50, ms | p99, ms "
        "| processor time a request, ms | memory, MB | to first answer, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for who, results in rounds.items():
        for form in results[0]["rates"] if results else ():
            rates = [each["rates"][form] for each in results]
            lines.append(
                f"| {who}, {form} | {_medians(rates, 'requests_per_second', 0)} "
                f"| {_medians(rates, 'p50_ms', 1)} | {_medians(rates, 'p99_ms', 1)} "
                f"| {_medians(rates, 'cpu_ms', 2)} "
                f"| {statistics.median(each['memory_bytes'] for each in results) / 1e6:,.0f} "
                f"| {statistics.median(each['start_seconds'] for each in results):.1f} |"
            )
    return "\n".join(lines)


def _medians(rates: Sequence[Mapping[str, Any]], key: str, digits: int) -> str:
    found = [statistics.median(each[str(count)][key] for each in rates) for count in CLIENTS]
    return " / ".join(f"{one:,.{digits}f}" for one in found)


if __name__ == "__main__":
    run_script(main)
