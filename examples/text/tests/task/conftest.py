"""No test may reach for a network, whether or not what it calls hides that it could not."""

import socket
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tried: list[object] = []

    def look_up(host: object, *_: object, **__: object) -> None:
        tried.append(host)
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield
    assert tried == []
