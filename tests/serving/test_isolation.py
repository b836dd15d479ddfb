"""Nothing leaves the machine, and nothing is written but what was asked for."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from services import digits, drawn, file_of, serving
from support import PATIENCE_SECONDS

from lab.serving.bodies import RAW

TRACED = "network,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,execve"
STRACE = (
    "strace",
    "-D",
    "-f",
    "--seccomp-bpf",
    "-q",
    "-s",
    "200",
    "-o",
    "calls.txt",
    "-e",
    f"trace={TRACED}",
)
# What would make a library report to somebody, were it asked.
TEMPTING = {
    "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://192.0.2.1:4318",
    "ORT_DISABLE_TELEMETRY": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def can_trace() -> bool:
    command = ["strace", "-o", "/dev/null", "true"]
    is_there = shutil.which("strace") is not None
    return is_there and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> tuple[Path, list[str]]:
    """Folder and system calls of a service that starts, answers, records and ends."""
    if not can_trace():
        pytest.skip("needs strace, and the right to use it")
    folder = tmp_path_factory.mktemp("traced")
    with serving(folder, digits(), "--record", "kept", before=STRACE, **TEMPTING) as running:
        for _ in range(20):
            running.predict(bytes(784), RAW)
        running.predict(file_of(drawn("7")), "image/png", "?show=true")
        for path in ("/", "/docs", "/openapi.json", "/model", "/metrics", "/healthz", "/nothing"):
            running.ask(path)
        identity = running.process.pid
    file, end = folder / "calls.txt", time.monotonic() + PATIENCE_SECONDS
    while True:
        text = file.read_text(encoding="utf-8", errors="replace")
        if re.search(rf"^{identity} +[+]{{3}} exited with 0", text, re.MULTILINE):
            break
        assert time.monotonic() < end, text[-500:]
        time.sleep(0.01)
    return folder, text.splitlines()


def test_no_connection_leaves_the_machine(calls):
    _, lines = calls
    network = [line for line in lines if re.search(r" (connect|bind|sendto|sendmsg)\(", line)]
    families = {found for line in network for found in re.findall(r"sa_family=(\w+)", line)}
    addresses = {found for line in network for found in re.findall(r'inet_addr\("([^"]+)"\)', line)}

    assert any(" bind(" in line for line in network)
    assert addresses <= {"127.0.0.1"}
    assert not [line for line in network if " connect(" in line and "AF_UNIX" not in line]
    assert families <= {"AF_INET", "AF_UNIX", "AF_NETLINK"}


def test_no_file_is_written_but_in_the_folder_of_records(calls):
    folder, lines = calls
    written = set()
    for line in lines:
        if " = -1 " in line:
            continue
        if found := re.search(r" open(?:at)?\((?:AT_FDCWD, )?\"([^\"]*)\", ([A-Z_|]+)", line):
            path, flags = found.groups()
            if re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", flags):
                written.add(path)
        elif found := re.search(
            r" (?:creat|mkdir(?:at)?|rename(?:at2?)?|unlink(?:at)?)\((.*)", line
        ):
            written |= set(re.findall(r'"([^"]*)"', found[1]))
    places = {(folder / path).resolve() for path in written} - {Path("/dev/null")}
    outside = [place for place in places if not place.is_relative_to(folder / "kept")]

    assert places
    assert [place for place in outside if "sem" not in place.name] == []


def test_no_other_program_is_started_but_the_one_that_makes_parquet(calls):
    _, lines = calls
    started = [line for line in lines if " execve(" in line and " = 0" in line]

    assert len(started) == 2, started
    assert "lab.serving.records" in started[1]
