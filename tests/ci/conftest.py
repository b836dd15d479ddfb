"""A stand-in for GitHub, and the steps of a pull request run against it."""

import json
import shutil
import sys

import pytest
from clones import Clones
from github_server import GitHub, serving
from reporting import RECORDER, SERVER
from trials import BAD, GOOD, MEDIUM, Trials

import pull_request as script
from lab.ci import lost, posting, pulls, trusted
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
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "git")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def recorded(tmp_path):
    """A `cml` that writes down how it was called; returns how to make it, and what it saw."""
    if sys.platform == "win32":
        pytest.skip("a script cannot stand in for cml.exe")
    log = tmp_path / "cml.log"

    def make(code: int = 0) -> None:
        program = tmp_path / "bin" / "cml"
        program.write_text(
            RECORDER.format(python=sys.executable, log=str(log), code=code), encoding="utf-8"
        )
        program.chmod(0o755)

    def seen() -> list[dict]:
        return (
            [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
            if log.exists()
            else []
        )

    make()
    return make, seen


@pytest.fixture
def trials(server, tmp_path):
    """Pull requests with real commits and made-up results."""
    return Trials(server, Clones(tmp_path / "clones", trusted=tmp_path))


@pytest.fixture
def stacked(server, trials):
    """One commit, worse than `trunk` and better than `own`, which is on top of trunk.

    Returns what opens a pull request of it, by number, base, and the repository it comes from.
    """
    trials.measured({"relu_128": GOOD}, "good")
    trials.clones.push("trunk")
    trials.measured({"relu_128": BAD}, "bad")
    trials.clones.push("own")
    trials.measured({"relu_128": MEDIUM}, "medium")
    return trials.proposed


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
    monkeypatch.setattr(pulls, "SETTLING_SECONDS", NO_PAUSES)
    monkeypatch.setenv("GITHUB_RUN_ID", "99")

    def run(name: str, event) -> str:
        (tmp_path / "event.json").write_text(json.dumps(event), encoding="utf-8")
        steps = {"lost": lost.main}
        steps.get(name, getattr(trusted if hasattr(trusted, name) else script, name, None))()
        output = tmp_path / "OUTPUT"
        return output.read_text(encoding="utf-8") if output.exists() else ""

    return run


@pytest.fixture
def report(step):
    """Runs `page` and `post` on an event."""

    def run(event) -> None:
        if step("page", event).endswith("is_ready=true\n"):
            step("post", event)

    return run


def _impatient(made):
    def init(self, *arguments, **more):
        made(self, *arguments, **{"pauses": (0.0, 0.0), **more})

    return init
