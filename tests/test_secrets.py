"""Tokens of the environment reach no file, no log, no artifact and no argument of a program."""

import base64
import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import matplotlib
import pytest
from servers import PASSWORD, USER, mlflow_server
from support import CHECK, PATIENCE_SECONDS, SMALL, copy_of_the_code

TOKENS = {
    name: f"hush/{name}+{number}=ä%"[:60]
    for number, name in enumerate(
        ("DAGSHUB_USER_TOKEN", "DAGSHUB_ACCESS_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "REPO_TOKEN",
         "AWS_SECRET_ACCESS_KEY", "MLFLOW_FLASK_SERVER_SECRET_KEY")
    )
}  # fmt: skip
PARAMS = SMALL.replace("seeds: [0, 1, 2]", "seeds: [0]").split("  linear_4:")[0] + (
    "compare:\n  margin: 0.001\n" + CHECK
)


def forms(user: str, token: str) -> set[bytes]:
    """A token as it is, as a login, in addresses, in base64, and as Python writes it."""
    raw = token.encode()
    login = f"{user}:{token}".encode()
    found = {raw, quote(token).encode(), quote(token, safe="").encode(), repr(token)[1:-1].encode()}
    return found | {base64.b64encode(raw).rstrip(b"="), base64.b64encode(login).rstrip(b"=")}


class Run:
    """Scripts in a project of their own; what they say, write and start is kept."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.said: list[bytes] = []
        self.arguments: set[bytes] = set()

    def __call__(self, *command: str, codes: tuple[int, ...] = (0,)) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True,
            timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        self.said += [done.stdout, done.stderr]
        assert done.returncode in codes, (done.stdout + done.stderr)[-3_000:]

    def __enter__(self) -> "Run":
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            for path in Path("/proc").glob("[0-9]*/cmdline"):  # none where there is no /proc
                try:
                    self.arguments.add(path.read_bytes())
                except OSError:
                    continue

    def leaks(self, secrets: dict[str, set[bytes]], folder: Path) -> list[str]:
        """Where a secret stands that should stand nowhere."""
        found = []
        for path in folder.rglob("*"):
            if path.is_file() and path.name not in ("auth.ini", "auth.db"):
                content = path.read_bytes() + str(path).encode()
                for name, texts in secrets.items():
                    found += [f"{name} in {path}" for text in texts if text in content]
        for name, texts in secrets.items():
            found += [f"{name} said" for text in texts if any(text in one for one in self.said)]
            found += [
                f"{name}: {one[:90]!r}" for text in texts for one in self.arguments if text in one
            ]
        return found


def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    copy_of_the_code(folder, leave=("docs/", "tests/"))  # where such tokens are made up
    (folder / "params.yaml").write_text(PARAMS, encoding="utf-8")
    return folder


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """The usual one with tokens in it; temporary files and the home folder are kept, too."""
    left_out = ("MLFLOW", "DAGSHUB", "DVC", "GIT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    who = {f"GIT_{one}_{what}": "t@example.org" for one in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")}  # fmt: skip
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    own = {
        "PATH": path,
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "MPLCONFIGDIR": matplotlib.get_configdir(),
    }
    return {**kept, **TOKENS, **who, **own, **more}


@pytest.mark.slow
def test_a_whole_run_with_a_server_writes_no_token(tmp_path, empty_store):
    folder = project(tmp_path)
    shutil.copy(empty_store, folder / "mlflow.db")
    (tmp_path / "server").mkdir()
    given = environment(tmp_path, MLFLOW_TRACKING_USERNAME=USER, MLFLOW_TRACKING_PASSWORD=PASSWORD)
    with mlflow_server(tmp_path / "server", auth=True) as url:
        given["MLFLOW_TRACKING_URI"] = url
        with Run(folder, given) as run:
            run("git", "init", "-q", "-b", "main")
            run("git", "add", "-A")
            run("git", "commit", "-qm", "first")
            run("dvc", "repro")
            run("git", "add", "-A")
            run("git", "commit", "-qm", "results")
            run(sys.executable, "report.py", "--base", "HEAD")
            run(sys.executable, "sync.py")

    secrets = {name: forms("x", token) for name, token in TOKENS.items()}
    secrets["MLFLOW_TRACKING_PASSWORD"] = forms(USER, PASSWORD)
    assert run.leaks(secrets, tmp_path) == []
    assert (tmp_path / "server" / "server.db").stat().st_size > 0
    assert b"none left" in b"".join(run.said)
    assert len(run.arguments) > 5 or not Path("/proc").exists()


class _Echo(BaseHTTPRequestHandler):
    """Refuses everything, and says the login in doing so; `PUT /answer/500` tells it how."""

    status: ClassVar[int]
    seen: ClassVar[list[tuple[int, str]]]  # status answered, login

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        login = self.headers.get("Authorization", "")
        self.seen.append((self.status, login))
        content = f'{{"error_code": "{login}", "message": "not for {login}"}}'.encode()
        if self.status == 200:
            content = f"<html>{login}".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PATCH = do_GET

    def do_PUT(self) -> None:
        type(self).status = int(self.path.rpartition("/")[2])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silence."""


@contextlib.contextmanager
def echo() -> Iterator[tuple[str, type[_Echo]]]:
    handler = type("Echo", (_Echo,), {"status": 401, "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# One process, since most of what a script takes here is the import of MLflow.
RECORD_AND_SYNC = """
import os
import requests
import sync
from lab.base.errors import LabError
from lab.tracking.recording import RunSpec, recording
with recording(RunSpec(name="one", tags={"a": "b"})) as active:
    active.metrics({"accuracy": 0.5})
for status in (401, 500, 200):
    requests.put(f"{os.environ['ECHO']}/answer/{status}").raise_for_status()
    try:
        sync.main()
    except LabError as error:
        print(error)
    else:
        raise SystemExit(f"{status} was taken for an answer")
"""


KINDS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "in the address")


def leaks_of(kind: str, folder: Path) -> list[str]:
    """Where a login of this kind stands after recording and sending to an echo."""
    folder.mkdir()
    token = "hush-hush-0123456789"  # noqa: S105
    with echo() as (url, handler):
        given = environment(folder, ECHO=url)
        if kind == "in the address":
            given["MLFLOW_TRACKING_URI"] = url.replace("//", f"//someone:{token}@")
        else:
            given |= {"MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_USERNAME": "someone"}
            given[kind] = token
        with Run(project(folder), given) as run:
            run(sys.executable, "-c", RECORD_AND_SYNC)

    assert {status for status, login in handler.seen if login} == {401, 500, 200}
    assert b"".join(run.said).count(b"1 run still to send") == 4
    return run.leaks({kind: forms("someone", token)}, folder)


@pytest.mark.parametrize("kinds", [KINDS[:1], pytest.param(KINDS[1:], marks=pytest.mark.slow)])
def test_a_server_that_echoes_the_login_makes_nobody_write_it(tmp_path, kinds):
    with ThreadPoolExecutor() as pool:  # most of it is waiting before another try
        found = list(pool.map(lambda kind: leaks_of(kind, tmp_path / kind), kinds))

    assert found == [[] for _ in kinds]
