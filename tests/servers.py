"""Real servers on loopback, and a proxy that injects faults on the way to one."""

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support import started

USER, PASSWORD = "admin", "a-secret-of-16-c"
START_SECONDS = 300.0

AUTH = """[mlflow]
default_permission = READ
database_uri = sqlite:///auth.db
admin_username = {user}
admin_password = {password}
auth_cache_ttl_seconds = 600
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody else is given before a server listens there.

    Linux lets a server share it with a socket that is bound but does not listen. Elsewhere the
    port is only free, as that of `free_port`.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        if sys.platform != "linux":
            held.close()
        yield port


@contextlib.contextmanager
def mlflow_server(
    folder: Path,
    *,
    auth: bool,
    python: str = sys.executable,
    store: str = "sqlite:///server.db",
    more: Sequence[str] = (),
) -> Iterator[str]:
    """A real MLflow server of the version that `python` has; yields its address."""
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--workers", "1", "--backend-store-uri", store, "--artifacts-destination", "./art"]
    command += more
    environment = {
        **os.environ,
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    if auth:
        (folder / "auth.ini").write_text(
            AUTH.format(user=USER, password=PASSWORD), encoding="utf-8"
        )
        command += ["--app-name", "basic-auth"]
        environment["MLFLOW_AUTH_CONFIG_PATH"] = str(folder / "auth.ini")
        environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] = PASSWORD
    with (
        held_port() as port,
        (folder / "log").open("wb") as log,
        started(
            *command, "--port", str(port), cwd=folder, env=environment, stdout=log, stderr=log
        ) as process,
    ):
        _await_health(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"


def _await_health(port: int, process: "subprocess.Popen[str]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        url = f"http://127.0.0.1:{port}/health"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.1)
    raise RuntimeError(
        f"the MLflow server did not start: {log.read_text(encoding='utf-8')[-2000:]}"
    )


FAULTS = {
    # before the server hears of the request
    "refused": "the connection is reset at once",
    "hangs": "no answer, ever",
    "401": "",
    "403": "",
    "404": "",
    "429": "",
    "500": "",
    "garbage": "200 with a page that is not JSON",
    "cut in the request": "half of the body, then a reset",
    # after the server has done it
    "hangs after": "done, but no answer",
    "500 after": "done, but the answer says that it failed",
    "cut before the answer": "done, then a reset",
    "cut in the answer": "done, then half an answer",
    "garbage after": "done, then a page that is not JSON",
    # and from then on
    "dies": "this and every later request is reset",
}
LATE = "late"  # no answer; done just before the next request for the same


class Proxy:
    """Forwards to a server, injects a fault into one request (from 1 on), counts them all.

    With `tls` it is asked by https; with `host` it gives the server another name than its own.
    """

    def __init__(
        self, target: str, delay: float = 0.0, tls: ssl.SSLContext | None = None, host: str = ""
    ):
        self.target = target.removeprefix("http://")
        self.delay = delay
        self.fault = ""
        self.number, self.among = 0, ""
        self.late: tuple[str, str, Any, bytes] | None = None
        self.seen: list[str] = []
        self.released = threading.Event()
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            server_proxy = proxy

        Handler.host = host
        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        if tls:  # each connection greets in a thread of its own
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' * bool(tls)}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def clear(self) -> None:
        """Counts from the beginning, without a fault."""
        self.inject("", 0)

    def inject(self, fault: str, number: int, among: str = "") -> None:
        """Counts from the beginning; the request with that number, among some, meets the fault."""
        with self._lock:
            self.fault, self.number, self.among, self.seen = fault, number, among, []
            self.released.set()
            self.released = threading.Event()

    def count(self, line: str) -> str:
        """Notes a request and says how to treat it."""
        with self._lock:
            self.seen.append(line)
            number = len([each for each in self.seen if self.among in each])
            if self.among not in line:
                return ""
            is_hit = number >= self.number > 0 if self.fault == "dies" else number == self.number
            return self.fault if is_hit else ""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed leave connections behind; that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_proxy: Proxy
    used = 0.0
    host = ""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.upstream = http.client.HTTPConnection(self.server_proxy.target, timeout=60)

    def finish(self) -> None:
        self.upstream.close()
        with contextlib.suppress(OSError):
            super().finish()

    def handle_any(self) -> None:
        proxy = self.server_proxy
        fault = proxy.count(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        if fault in ("refused", "dies"):
            return self.reset()
        if fault == "cut in the request":
            self.rfile.read(length // 2)
            return self.reset()
        body = self.rfile.read(length)
        if proxy.delay:
            time.sleep(proxy.delay)
        if fault == "hangs":
            return self.hang()
        if fault.isdigit():
            return self.answer(int(fault), b"<html>no</html>", {"Retry-After": "0"})
        if fault == "garbage":
            return self.answer(200, b"<html>hello</html>")
        if fault == LATE:
            proxy.late = (self.command, self.path, self.headers, body)
            return self.hang()
        if proxy.late and proxy.late[1] == self.path:
            late, proxy.late = proxy.late, None
            self.forward(*late)
        status, content = self.forward(self.command, self.path, self.headers, body)
        if fault == "hangs after":
            return self.hang()
        if fault == "500 after":
            return self.answer(500, b"<html>no</html>")
        if fault == "garbage after":
            return self.answer(200, b"<html>hello</html>")
        if fault == "cut before the answer":
            return self.reset()
        if fault == "cut in the answer":
            self.answer(status, content[: len(content) // 2], {"Content-Length": str(len(content))})
            return self.reset()
        return self.answer(status, content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def forward(self, command: str, path: str, given: Any, body: bytes) -> tuple[int, bytes]:
        if time.monotonic() - self.used > 2:  # the server closes idle connections after 5 s
            self.upstream.close()
        self.used = time.monotonic()
        headers = {k: v for k, v in given.items() if k.lower() not in ("host", "connection")}
        headers |= {"Host": self.host} if self.host else {}
        self.upstream.request(command, path, body, headers)
        response = self.upstream.getresponse()
        return response.status, response.read()

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def hang(self) -> None:
        self.server_proxy.released.wait(60)
        self.close_connection = True

    def reset(self) -> None:
        """Closes with RST, as a dying server does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Files made of the socket keep it open; shutting the read side alone would send no RST.
        self.rfile.close()
        self.wfile = open(os.devnull, "wb")  # noqa: SIM115, PTH123
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Silence."""


class DagsHub:
    """DagsHub's API, as far as its login goes, and its MLflow server under /owner/name.mlflow."""

    def __init__(self, mlflow: str, repo: str, token: str):
        self.mlflow, self.repo, self.token = mlflow.removeprefix("http://"), repo, token
        self.seen: list[str] = []
        self.status = 0  # when set, every answer of the API
        outer = self

        class Handler(_Handler):
            def setup(self) -> None:
                BaseHTTPRequestHandler.setup(self)
                self.upstream = http.client.HTTPConnection(outer.mlflow, timeout=60)

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append(f"{self.command} {self.path}")
                prefix = f"/{outer.repo}.mlflow"
                if self.path.startswith(prefix):
                    return self.to_mlflow(self.path.removeprefix(prefix), body)
                status, value = outer.api(self.path, self.headers.get("Authorization", ""))
                return self.answer(outer.status or status, json.dumps(value).encode())

            do_GET = do_POST = do_PUT = handle_any

            def to_mlflow(self, path: str, body: bytes) -> None:
                login = base64.b64encode(f"someone:{outer.token}".encode()).decode()
                if self.headers.get("Authorization") != f"Basic {login}":
                    return self.answer(401, b"no")
                own = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                self.headers.replace_header("Authorization", f"Basic {own}")
                return self.answer(*self.forward(self.command, path, self.headers, body))

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def api(self, path: str, authorization: str) -> tuple[int, Any]:
        if authorization != f"Bearer {self.token}":
            return 401, {"message": "no"}
        if path == "/api/v1/user":
            return 200, {"id": 1, "login": "someone", "username": "someone"}
        if path == f"/api/v1/repos/{self.repo}":
            return 200, {"full_name": self.repo, "permissions": {}}
        return 404, {"message": "no"}

    def __enter__(self) -> "DagsHub":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
