"""DVC's remote at DagsHub, against a stand-in that keeps files and asks for a login."""

import base64
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support import ROOT, tree

from lab.base import remote
from lab.base.errors import LabError

TOKEN = "secret-token-of-somebody"  # noqa: S105
LOGIN = "Basic " + base64.b64encode(f"{TOKEN}:{TOKEN}".encode()).decode()


class Storage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != LOGIN:
            self._send(401)
        elif self.path in self.files:
            self._send(200, self.files[self.path])
        else:
            self._send(404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") == LOGIN:
            self.files[self.path] = body
            self._send(200)
        else:
            self._send(401)

    def _send(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def environment():
    handler = type("Handler", (Storage,), {"files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield {
        "DAGSHUB_CLIENT_HOST": f"http://127.0.0.1:{server.server_port}",
        "DAGSHUB_REPO": "owner/lab",
        "DAGSHUB_USER_TOKEN": TOKEN,
    }
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A DVC repository with one file under DVC; DVC's own warnings are none of ours."""
    folder = tmp_path_factory.mktemp("remote") / "repository"
    folder.mkdir()
    (folder / "data.bin").write_bytes(b"precious")
    for command in ("git init -q", "dvc init -q", "dvc add -q data.bin"):
        subprocess.run(command.split(), cwd=folder, check=True)
    return folder


@pytest.fixture
def repository(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "repository")
    monkeypatch.chdir(tmp_path / "repository")
    return tmp_path / "repository"


def called(environment, *arguments: str) -> list[str]:
    """The lines that `python -m lab.base.remote` prints."""
    hidden = ("DAGSHUB", "MLFLOW")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    done = subprocess.run(
        [sys.executable, "-m", "lab.base.remote", *arguments],
        env={**inherited, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stderr
    return done.stdout.splitlines()


def test_what_was_pushed_is_pulled_elsewhere_and_the_token_is_in_no_file(repository, environment):
    pushed = called(environment, "push")
    shutil.rmtree(repository / ".dvc" / "cache")
    (repository / "data.bin").unlink()
    pulled = called(environment, "pull")
    subprocess.run(["dvc", "checkout", "-q"], check=True)

    assert (repository / "data.bin").read_bytes() == b"precious"
    assert (pushed, pulled) == (["DagsHub: 1 files pushed"], ["DagsHub: 1 files pulled"])
    assert not any(TOKEN.encode() in content for content in tree(repository).values())


@pytest.mark.parametrize(("direction", "fault"), [("pull", "no server"), ("push", "wrong token")])
def test_a_fault_is_one_line_without_the_token(repository, environment, direction, fault):
    if fault == "wrong token":
        environment["DAGSHUB_USER_TOKEN"] = f"{TOKEN}x"
    else:
        environment["DAGSHUB_CLIENT_HOST"] = "http://127.0.0.1:9"
    if direction == "pull":
        shutil.rmtree(repository / ".dvc" / "cache")

    (printed,) = called(environment, direction)

    assert printed.startswith(f"DagsHub: nothing or not all was {direction}ed (") or (
        printed == "DagsHub: 0 files pulled"  # to DVC, what cannot be reached is missing
    )
    assert TOKEN not in printed


@pytest.mark.parametrize("missing", ["DAGSHUB_REPO", "DAGSHUB_USER_TOKEN"])
def test_nothing_is_done_unless_both_are_set(environment, missing, capsys):
    del environment[missing]

    remote.transfer("push", environment)

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("has_token", [True, False])
def test_the_remote_is_written_and_the_token_only_where_git_ignores_it(repository, has_token):
    printed = called({"DAGSHUB_USER_TOKEN": TOKEN} if has_token else {}, "write", "owner/lab")

    config = (repository / ".dvc" / "config").read_text(encoding="utf-8")
    assert "https://dagshub.com/owner/lab.dvc" in config
    assert "remote = dagshub" in config
    with_token = [path for path, content in tree(repository).items() if TOKEN.encode() in content]
    assert with_token == ([".dvc/config.local"] if has_token else [])
    subprocess.run(["git", "check-ignore", "-q", ".dvc/config.local"], check=True)
    assert any("DAGSHUB_USER_TOKEN" in line for line in printed) != has_token


@pytest.mark.parametrize("name", ["", "lab", "owner/lab/x", "owner/l b", "-o/../x y"])
def test_a_wrong_name_is_one_line(name):
    with pytest.raises(LabError, match="REPO: must be owner/name"):
        remote.write(name, {})
