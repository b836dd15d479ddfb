"""A service that runs while models are promoted: the new one answers, and no request is lost."""

import contextlib
import http.client
import json
import sys
import threading
import time

from services import Running
from support import PATIENCE_SECONDS, ROOT, started


class Client(threading.Thread):
    """Asks all the time, on one connection; what answered, and what did not."""

    def __init__(self, port: int, body: bytes) -> None:
        super().__init__()
        self.answered: list[str] = []
        self.failed: list[str] = []
        self.ends = threading.Event()
        self._port, self._body = port, body

    def run(self) -> None:
        headers = {"content-type": "application/octet-stream"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            while not self.ends.is_set():
                try:
                    connection.request("POST", "/predict", self._body, headers)
                    response = connection.getresponse()
                    said = response.read()
                    if response.status == 200:
                        self.answered.append(json.loads(said)["model"])
                    else:
                        self.failed.append(f"{response.status}: {said!r}")
                except (OSError, http.client.HTTPException) as error:
                    self.failed.append(repr(error))

    def wait_for(self, model: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while model not in self.answered[-1:] and time.monotonic() < end and not self.failed:
            time.sleep(0.01)


def test_the_running_service_takes_what_is_promoted_and_loses_no_request(shelf, tmp_path):
    shelf.promote()
    log = tmp_path / "log.txt"
    model = "models/production/model.onnx"
    with (
        log.open("w", encoding="utf-8") as file,
        started(
            sys.executable, str(ROOT / "serve.py"), "--port", "0", "--model", model,
            cwd=shelf.folder, env=shelf.environment, stdout=file, stderr=file,
        ) as process,
    ):  # fmt: skip
        running = Running(process, log)
        card = running.ask("/model")[1]
        size = {"uint8": 1, "float32": 4, "int64": 8}[card["inputs"]["dtype"]]
        for length in card["inputs"]["shape"]:
            size *= length
        client = Client(running.port, bytes(size))
        client.start()
        try:
            wanted = [card["sha256"]]
            client.wait_for(wanted[-1][:12])
            shelf.take("better")
            for arguments in ([], ["--rollback"]):
                shelf.promote(*arguments)
                wanted.append(shelf.served())
                client.wait_for(wanted[-1][:12])
        finally:
            client.ends.set()
            client.join()
        assert client.failed == []
        assert [*dict.fromkeys(client.answered)] == [sha256[:12] for sha256 in wanted[:2]]
        assert client.answered[-1] == wanted[2][:12] == wanted[0][:12]
        assert running.ask("/model")[1]["sha256"] == wanted[2]
        assert running.end() == 0
        assert "Traceback" not in running.said()
