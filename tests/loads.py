"""Clients that ask a service all the time, each on a connection that it keeps."""

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator

from services import Running
from support import PATIENCE_SECONDS


class Load:
    """What some clients were answered; `lost` are requests without an answer that should have one.

    A request is accepted on a connection that was answered before, without a word that it closes.
    """

    def __init__(self, running: Running, body: bytes, kind: str) -> None:
        self._running, self._body, self._kind = running, body, kind
        self._stop = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.models: Counter[str] = Counter()
        self.identities: list[str] = []
        self.refusals: list[tuple[str, str | None]] = []  # sentence, Retry-After
        self.lost: list[str] = []

    def client(self) -> None:
        connection, was_answered = self._running.connection(), False
        while not self._stop.is_set():
            try:
                connection.request("POST", "/predict", self._body, {"content-type": self._kind})
                response = connection.getresponse()
                said = json.loads(response.read())
            except (OSError, http.client.HTTPException) as error:
                if was_answered:
                    self.lost.append(repr(error))
                break
            self.statuses[response.status] += 1
            if response.status == 200:
                self.models[said["model"]] += 1
                self.identities += [one["id"] for one in said["predictions"] if "id" in one]
            else:
                self.refusals.append((said["detail"], response.headers.get("retry-after")))
            was_answered = response.headers.get("connection") != "close"
        connection.close()

    def wait(self, answers: int) -> None:
        """Until so many more were given."""
        wanted, end = sum(self.statuses.values()) + answers, time.monotonic() + PATIENCE_SECONDS
        while sum(self.statuses.values()) < wanted:
            assert time.monotonic() < end, self.statuses
            assert not self.lost, self.lost
            time.sleep(0.01)


@contextlib.contextmanager
def load(running: Running, body: bytes, kind: str, clients: int = 8) -> Iterator[Load]:
    """Clients that ask during the block."""
    found = Load(running, body, kind)
    threads = [threading.Thread(target=found.client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found._stop.set()
        for thread in threads:
            thread.join()
