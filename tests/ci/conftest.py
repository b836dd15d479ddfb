"""A stand-in for GitHub, and the steps of a pull request run against it."""

import json
import sys

import pytest
from github_server import GitHub, serving
from pull_requests import RECORDER, SERVER

import pull_request as script
from lab.ci import posting
from lab.ci.github import Api
from lab.report import pictures
from lab.report.document import Picture

NO_PAUSES = (0.0, 0.0, 0.0)


@pytest.fixture
def server():
    with serving(GitHub()) as served:
        yield served


@pytest.fixture
def api(server, monkeypatch):
    monkeypatch.setattr(posting, "COMMENT_PAUSES_SECONDS", NO_PAUSES)
    return Api("owner/lab", "the-token", server.url, pauses=NO_PAUSES)


@pytest.fixture(autouse=True)
def without_cml(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()


@pytest.fixture
def recorded(tmp_path):
    """A `cml` that writes down how it was called; returns how to make it, and what it saw."""
    if sys.platform == "win32":
        pytest.skip("a script cannot stand in for cml.exe")
    log = tmp_path / "cml.log"

    def make(code: int = 0) -> None:
        program = tmp_path / "bin" / "cml"
        program.write_text(RECORDER.format(python=sys.executable, log=str(log), code=code))
        program.chmod(0o755)

    def seen() -> list[dict]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    make()
    return make, seen


DRAWN = [Picture("differences", "Differences")]  # drawing takes a second; elsewhere it is tested


@pytest.fixture
def step(server, monkeypatch, tmp_path):
    """Runs a step of the trusted side on an event; returns what it wrote for GitHub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "draw", lambda *_: (DRAWN, {"differences.png": b"drawn"}))
    monkeypatch.setattr(Api, "__init__", _impatient(Api.__init__))
    for name in ("OUTPUT", "STEP_SUMMARY"):
        monkeypatch.setenv(f"GITHUB_{name}", str(tmp_path / name))
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/lab")
    monkeypatch.setenv("GITHUB_TOKEN", "the-token")
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    monkeypatch.setenv("GITHUB_SERVER_URL", SERVER)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setattr(posting, "COMMENT_PAUSES_SECONDS", NO_PAUSES)

    def run(name: str, event) -> str:
        (tmp_path / "event.json").write_text(json.dumps(event))
        getattr(script, name)()
        output = tmp_path / "OUTPUT"
        return output.read_text() if output.exists() else ""

    return run


def _impatient(made):
    def init(self, *arguments, **more):
        made(self, *arguments, **{"pauses": (0.0, 0.0), **more})

    return init
