"""What plays the clients in `benchmarks.serving` counts right."""

import asyncio
import time

import pytest

uvloop = pytest.importorskip("uvloop", reason="Windows has no uvloop")
from benchmarks import serving  # noqa: E402 — which needs it

ASKED = serving.Asked("/predict", "application/json", [b"{}", b"[1, 2]"])


class Picky(serving.Nothing):
    """Refuses every other request, and counts all."""

    seen = 0

    def on_message_complete(self) -> None:
        Picky.seen += 1
        if Picky.seen % 2:
            super().on_message_complete()
        else:
            self.transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nbus\r\n1\r\ny\r\n0\r\n\r\n"
            )


async def asked(kind: type[serving.Nothing], clients: int) -> dict:
    """What the clients found at a server of this kind, which ends all its connections before it."""
    served = []

    def connected() -> serving.Nothing:
        served.append(kind())
        return served[-1]

    async with await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await serving.ask(port, ASKED, clients, 0.2, time.process_time)
        for one in served:
            one.transport.abort()
    return found


@pytest.mark.parametrize("clients", [1, 8])
@pytest.mark.parametrize("kind", [serving.Nothing, Picky])
def test_every_answer_is_counted_and_every_refusal(kind, clients):
    found = uvloop.run(asked(kind, clients))

    assert found["requests_per_second"] > 0
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert found["clients_cpu_share"] > 0
    assert found["cpu_ms"] > 0
    assert (found["failed"] > 0) is (kind is Picky)


def test_a_request_says_what_it_is_and_how_long():
    first, second = ASKED.requests()

    assert first.startswith(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert first.endswith(b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    assert second.endswith(b"\r\n\r\n[1, 2]")


def test_the_table_has_medians_of_the_rounds():
    def round_of(rate: float) -> dict:
        rates = {"requests_per_second": rate, "p50_ms": 1.0, "p99_ms": 2.0, "cpu_ms": 0.25}
        return {
            "start_seconds": 0.5, "memory_bytes": 1e8,
            "rates": {"JSON": {str(count): rates for count in serving.CLIENTS}},
        }  # fmt: skip

    said = serving.table({"serve.py": [round_of(rate) for rate in (900, 1000, 5000)], "MLflow": []})

    assert said.splitlines()[2] == (
        "| serve.py, JSON | 1,000 / 1,000 / 1,000 | 1.0 / 1.0 / 1.0 | 2.0 / 2.0 / 2.0 "
        "| 0.25 / 0.25 / 0.25 | 100 | 0.5 |"
    )
    assert len(said.splitlines()) == 3
