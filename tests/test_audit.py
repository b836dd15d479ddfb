"""`make audit` against a list of vulnerabilities on loopback that speaks OSV's protocol."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
AFFECTED = "requests"


class OSV(BaseHTTPRequestHandler):
    """One made-up vulnerability; https://google.github.io/osv.dev/post-v1-querybatch/."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
        self.asked.extend(queries)
        found = {"vulns": [{"id": "MADE-UP-1", "modified": "2026-01-01T00:00:00Z"}]}
        hits = [found if query["package"]["name"] == AFFECTED else {} for query in queries]
        self._answer({"results": hits})

    def do_GET(self) -> None:
        self._answer({"id": "MADE-UP-1", "modified": "2026-01-01T00:00:00Z", "summary": "bad"})

    def _answer(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    OSV.asked = []
    with HTTPServer(("127.0.0.1", 0), OSV) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        yield f"--service-url http://127.0.0.1:{there.server_port}"
        there.shutdown()


def pins(name: str) -> dict[str, str]:
    """The version of each package of a compiled file, by its name and marker."""
    found = re.findall(
        r"^([\w.-]+)==(\S+)(.*?) \\$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE
    )
    return {package + marker: version for package, version, marker in found}


def audit(arguments: str) -> tuple[int, str]:
    command = ["make", "--no-print-directory", "audit", f"AUDIT={arguments}"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_known_vulnerability_fails_the_check_unless_it_is_ignored(osv: str) -> None:
    code, printed = audit(osv)
    if not OSV.asked:
        pytest.skip(f"the package index cannot be reached: {printed}")
    assert code != 0
    assert "MADE-UP-1: bad" in printed
    assert len(OSV.asked) >= 0.9 * len(pins("requirements.txt"))

    code, printed = audit(f"{osv} --ignore MADE-UP-1")
    assert code == 0
    assert printed.startswith("Found no known vulnerabilities")


def test_the_benchmarks_are_run_with_the_projects_pins() -> None:
    """`make requirements` compiles both files; one that was updated alone differs."""
    own = pins("requirements.txt")
    assert own.items() <= pins("benchmarks/requirements.txt").items()


def test_the_service_has_the_projects_pins() -> None:
    """And nothing of what the benchmark installs beside it."""
    own = pins("requirements.txt")
    assert {name: own.get(name) for name in pins("requirements-serve.txt")} == pins(
        "requirements-serve.txt"
    )


@pytest.mark.parametrize(
    "name",
    [
        "requirements.in",
        "benchmarks/requirements.in",
        "benchmarks/serving-requirements.in",
        "benchmarks/drift-requirements.in",
    ],
)
def test_each_requirement_has_a_lower_bound(name: str) -> None:
    lines = [
        line.split("#")[0].strip()
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    ]
    assert [line for line in lines if line and not re.search("[=>]=[0-9]", line)] == []


def test_a_list_out_of_reach_is_reported_and_fails_nothing() -> None:
    code, printed = audit("--service-url http://127.0.0.1:9")
    assert (code, printed) == (
        0,
        "the audit of the packages was left out: OSV's list cannot be reached\n",
    )
