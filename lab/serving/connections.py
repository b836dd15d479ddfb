"""What uvicorn leaves open: limits on heads and connections, and an end that loses no request."""

import asyncio
import contextlib
import functools
import json
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 2**15
MOST_HELD_BYTES = 2**16
SEND_SECONDS = 60.0  # for a client to take what it was answered
MOST_CONNECTIONS = 1_000
KEEP_SECONDS = 30  # a connection between two requests
DRAIN_SECONDS = 0.5  # in which clients that come back are told that it ends
GRACE_SECONDS = 30  # for what was accepted


class Corked:
    """A transport that sends what is written in one go: uvicorn writes head and body apart.

    Half of the time of an answer went into that system call.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends it with what follows, at the latest when the loop goes on."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held += data
        if len(self._held) > MOST_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Sends it."""
        if self._held:
            held, self._held = self._held, bytearray()
            self._transport.write(held)

    def close(self) -> None:
        """Sends what is held, and nothing more."""
        self.flush()
        self._transport.close()


class Connection(HttpToolsProtocol):
    """Reads requests from one client, whose heads may be neither endless nor slow.

    Args:
        head_seconds: for a head to arrive.
        given: what uvicorn gives.
    """

    def __init__(self, head_seconds: float, **given: Any) -> None:
        super().__init__(**given)
        self._head_seconds = head_seconds

    def connection_made(self, transport: Any) -> None:
        """Counts the client."""
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        self._head_bytes = 0
        self._is_in_head = True
        self._timer: asyncio.TimerHandle | None = None
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(b"503 Service Unavailable", "too many clients at once; come again later")
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on, unless too much of a head has come."""
        super().data_received(data)
        if not self._is_in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._timer is None:
            self._wait_for_head()
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(
                b"431 Request Header Fields Too Large",
                f"a request's head must have at most {MOST_HEAD_BYTES:,} bytes; send less",
            )

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head_bytes = 0
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """An answer is written; whoever does not take it is left after a while."""
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()
        if self.transport.is_closing():
            self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for some seconds."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refuse(b"400 Bad Request", "the request must be HTTP/1.1; got something else")

    def _wait_for_head(self) -> None:
        self._timer = self.loop.call_later(
            self._head_seconds,
            self._refuse,
            b"408 Request Timeout",
            f"a request's head must arrive within {self._head_seconds:g} seconds",
        )

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes, sentence: str) -> None:
        if self.transport.is_closing():
            return
        self._stop_waiting()
        body = json.dumps({"detail": sentence}).encode()
        length = str(len(body)).encode()
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\ncontent-length: "
            + length + b"\r\nretry-after: 1\r\nconnection: close\r\n\r\n" + body
        )  # fmt: skip
        self.transport.close()
        self.loop.call_later(SEND_SECONDS, self.transport.abort)


class Server(uvicorn.Server):
    """Ends in two steps, so that no client that keeps its connection loses a request.

    First each answer says that its connection closes. Then what is left is closed. Uvicorn alone
    would close connections at once, under a request that is on its way.

    Args:
        application: an ASGI application.
        listener: where clients come in.
        head_seconds: for a request's head to arrive.
        ends: is called first; from then on answers are to close their connections.
    """

    def __init__(
        self,
        application: Any,
        listener: socket.socket,
        head_seconds: float,
        ends: Callable[[], None],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=functools.partial(Connection, head_seconds),  # type: ignore[arg-type]
                ws="none",
                loop="auto",  # uvloop, where there is one
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nobody asks who the client is
                timeout_keep_alive=KEEP_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._listener = listener
        self._ends = ends

    def answer(self) -> None:
        """Answers until a signal comes."""
        self.run(sockets=[self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Says where it answers, once it does."""
        await super().startup(sockets)
        host, port = self._listener.getsockname()[:2]
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends; see above."""
        self._ends()
        if self.server_state.connections:
            await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ctrl-C is how a service ends, and no error; uvicorn would raise it again at the end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield
