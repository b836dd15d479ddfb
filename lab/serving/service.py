"""The service itself: takes requests for predictions, answers them, counts and records them."""

import asyncio
import base64
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json
from starlette.types import Receive, Scope

from lab.base.errors import DataError, shortened
from lab.base.serve_params import ServeParams
from lab.serving import bodies, reference
from lab.serving.batches import Batches, BusyError, Loaded, Probabilities
from lab.serving.metrics import Metrics
from lab.serving.network import Network
from lab.serving.pictures import shown
from lab.serving.records import Recorder

CHANGE_SECONDS = 0.5  # between looks at the file of the model
BODIES = 16  # of the largest size, that may be here at once
SMALL_BYTES = 2**16  # of a body that is read in the event loop
LINGER_SECONDS = (
    1.0  # in which what is too long is read and thrown away, so that its client listens
)
LOCAL = {"localhost", "127.0.0.1", "[::1]"}
IDENTITY = re.compile(r"[0-9a-f]{16}(-[0-9]{1,6})?")

Headers = Mapping[bytes, bytes]


class RefusedError(Exception):
    """A request that is not answered: a status, and one sentence that says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class GoneError(Exception):
    """The client has left."""


@dataclass(frozen=True)
class Serving:
    """A loaded network with what an answer needs of it."""

    loaded: Loaded
    network: Network
    class_names: list[str]
    columns: list[str]
    kind: str
    name: str
    reference: reference.Ranges

    @classmethod
    def of(cls, path: Path) -> "Serving":
        """Loads a file and tries it.

        Raises:
            DataError: the file is missing, damaged, or not of this project.
        """
        network = Network(path)
        try:
            described, loaded = network.description, Loaded.tried(network)
            return cls(
                loaded, network, described["class_names"], list(described.get("columns") or ()),
                described["kind"], network.metadata.get("model", path.stem),
                json.loads(network.metadata.get(reference.REFERENCE, "{}")),
            )  # fmt: skip
        except MemoryError:
            raise
        except Exception as error:  # a network may fail in any way
            raise DataError(
                f"{path}: must be an ONNX file that this project exported; got "
                f"{shortened(str(error), 160)}; run `dvc repro export`"
            ) from None


class Service:
    """The model that answers, which changes when its file does.

    Args:
        path: of the model.
        params: limits.
        token: that clients have to show; none if empty.
        is_local: whether the service listens to this machine alone.

    Attributes:
        serving: what answers now.
        recorder: keeps what is asked and answered, if something does.
        is_ready: whether it goes on; becomes False when it ends.

    Raises:
        DataError: the file is missing, damaged, or not of this project.
    """

    def __init__(
        self,
        path: Path,
        params: ServeParams,
        token: str = "",
        *,
        is_local: bool = True,
    ) -> None:
        self.path, self.params = path, params
        self.recorder: Recorder | None = None
        self._authorization = f"Bearer {token}".encode() if token else b""
        self._is_local = is_local
        self._seen = _stamp(path)
        self.metrics = Metrics()
        self.batches = Batches(params.most_waiting, self.metrics.batch_examples.observe)
        self._reader = ThreadPoolExecutor(1, "bodies")  # one, so that memory is bounded
        self._bytes_here = 0
        self.is_ready = True
        self._take(Serving.of(path))

    def _take(self, serving: Serving) -> None:
        self.serving = serving
        self.metrics.model = (serving.name, serving.network.sha256)
        for name in serving.class_names:
            self.metrics.predictions[name] += 0

    async def follow(self) -> None:
        """Takes the file's new content, when it has some; a damaged one is left alone."""
        while True:
            await asyncio.sleep(CHANGE_SECONDS)
            if (stamp := _stamp(self.path)) == self._seen or stamp is None:
                continue
            self._seen = stamp
            try:
                serving = await asyncio.to_thread(Serving.of, self.path)
            except (DataError, OSError) as error:
                print(f"{error}; the model before goes on answering", flush=True)
                continue
            self._take(serving)
            print(f"now answering: {serving.name} ({serving.network.sha256[:12]})", flush=True)

    def require_allowed(self, headers: Headers) -> None:
        """Lets in who shows the token; without one, no page of another site.

        Raises:
            RefusedError: it is somebody else.
        """
        if self._authorization:
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._authorization):
                raise RefusedError(401, "the token is missing or wrong; send Authorization: Bearer")
            return
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self._is_local and re.sub(r":\d*$", "", host) not in LOCAL:  # a name that was rebound
            raise RefusedError(403, "the host must be localhost or 127.0.0.1; ask by that name")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower().partition("//")[2] != host:
            raise RefusedError(
                403, "pages of other sites may not ask; use the page of this service"
            )

    async def predict(self, scope: Scope, receive: Receive) -> bytes:
        """The answer to a request, as JSON.

        Raises:
            RefusedError: there is none, and why.
            GoneError: the client has left.
        """
        headers = dict(scope["headers"])
        self.require_allowed(headers)
        body = await self._body(headers, receive)
        try:
            return await self._answer(headers, scope["query_string"], body)
        finally:
            self._bytes_here -= len(body)

    async def _answer(self, headers: Headers, query: bytes, body: bytes) -> bytes:
        is_shown, is_draft = _flags(query) if query else (False, False)
        serving = self.serving  # the same to the end, whatever comes in between
        kind = headers.get(b"content-type", b"").decode("latin-1").lower()
        is_picture = kind.startswith("image/")
        inputs = await self._read(serving, kind, body, is_picture or len(body) > SMALL_BYTES)
        try:
            found_NC = await self.batches(serving.loaded, inputs)
        except BusyError:
            raise RefusedError(503, "too many examples wait; come again later") from None
        if not np.isfinite(found_NC).all():
            raise RefusedError(422, "the model has no answer: the numbers are too large for it")
        names = serving.class_names
        extras = self._unlike(serving, inputs)
        if not is_draft:  # a drawing that is not done yet
            self.metrics.predicted(names, found_NC)
            if self.recorder is not None:
                self._record(self.recorder, serving, inputs, found_NC, extras)
        if is_picture and is_shown:
            extras[0]["seen"] = base64.b64encode(shown(inputs[0])).decode()
        return _content(serving.network.sha256, names, found_NC, extras)

    async def _read(
        self, serving: Serving, kind: str, body: bytes, takes_long: bool
    ) -> NDArray[Any]:
        how = kind, body, serving.network.description, self.params.most_examples
        try:
            if not takes_long:
                return bodies.examples(*how)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._reader, bodies.examples, *how)
        except bodies.BodyError as error:
            raise RefusedError(error.status, str(error)) from None

    def _unlike(self, serving: Serving, inputs: NDArray[Any]) -> list[dict[str, Any]]:
        if not serving.reference:
            return [{} for _ in inputs]
        said = reference.unlike(serving.reference, inputs, serving.kind, serving.columns)
        self.metrics.unlike_training += len(said) - said.count(None)
        return [{"unlike": one} if one else {} for one in said]

    def _record(
        self,
        recorder: Recorder,
        serving: Serving,
        inputs: NDArray[Any],
        found_NC: Probabilities,
        extras: list[dict[str, Any]],
    ) -> None:
        first = secrets.token_hex(8)
        identities = (
            [f"{first}-{row}" for row in range(len(inputs))] if len(inputs) > 1 else [first]
        )
        model = serving.network.sha256[:12]
        if recorder.answered(identities, model, serving.class_names, found_NC, inputs):
            for extra, identity in zip(extras, identities, strict=True):
                extra["id"] = identity

    async def _body(self, headers: Headers, receive: Receive, most: int | None = None) -> bytes:
        """All of a request's body; its bytes count as being here.

        Raises:
            RefusedError: it is too long or too slow, or too many others are here.
            GoneError: the client has left.
        """
        most = most or self.params.most_bytes
        length = headers.get(b"content-length", b"0")
        is_too_long = not length.isdigit() or len(length) > 18 or int(length) > most
        body = bytearray()
        try:
            async with asyncio.timeout(self.params.body_seconds):
                while not is_too_long:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise GoneError
                    piece = message.get("body", b"")
                    body += piece
                    self._bytes_here += len(piece)
                    if self._bytes_here > BODIES * self.params.most_bytes:
                        raise RefusedError(503, "too many requests are here; come again later")
                    if not message.get("more_body", False):
                        return bytes(body)
                    is_too_long = len(body) > most
        except TimeoutError:
            self._bytes_here -= len(body)
            seconds = self.params.body_seconds
            raise RefusedError(408, f"the body must arrive within {seconds:g} seconds") from None
        except (RefusedError, GoneError, asyncio.CancelledError):
            self._bytes_here -= len(body)
            raise
        self._bytes_here -= len(body)
        if b"expect" not in headers:
            await _thrown_away(receive)
        raise RefusedError(413, f"the body must have at most {most:,} bytes; send less at once")

    async def label(self, scope: Scope, receive: Receive) -> None:
        """Records what somebody says an input was.

        Raises:
            RefusedError: nothing is recorded here, or it says something else.
            GoneError: the client has left.
        """
        headers = dict(scope["headers"])
        self.require_allowed(headers)
        if self.recorder is None:
            raise RefusedError(404, "nothing is recorded here; start the service with --record")
        body = await self._body(headers, receive, most=10_000)
        self._bytes_here -= len(body)
        identity, label = _feedback(headers, body, self.serving.class_names)
        if not self.recorder.labelled(identity, label):
            raise RefusedError(503, "the records have no room; come again later")
        self.metrics.feedback += 1

    def card(self) -> dict[str, Any]:
        """What /model tells."""
        network = self.serving.network
        said = {key: value for key, value in network.metadata.items() if key != "reference"}
        inputs = {key: value for key, value in network.description.items() if key != "tokeniser"}
        return {
            **said,
            "model": self.serving.name,
            "sha256": network.sha256,
            "inputs": inputs,
            "content_types": list(bodies.readers_of(network.description)),
            "is_recording": self.recorder is not None,
        }

    def counts(self) -> bytes:
        """What /metrics tells."""
        self.metrics.waiting = self.batches.waiting
        self.metrics.records_dropped = self.recorder.dropped if self.recorder else 0
        return self.metrics.text()

    def end(self) -> None:
        """Says so: in /readyz, and in each answer from now on."""
        self.is_ready = False

    def close(self) -> None:
        """Ends what runs beside."""
        if self.recorder is not None:
            self.recorder.close()


def _flags(query: bytes) -> tuple[bool, bool]:
    """Whether to show what the model sees, and whether the input is not done yet.

    Raises:
        RefusedError: one is neither true nor false.
    """
    given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    for name in ("show", "draft"):
        if given.get(name, "true") not in ("true", "false"):
            raise RefusedError(422, f"{name} must be true or false; got something else")
    return given.get("show") == "true", given.get("draft") == "true"


def _feedback(headers: Headers, body: bytes, class_names: list[str]) -> tuple[str, str]:
    """The id and the label of {"id": ..., "label": ...}.

    Raises:
        RefusedError: it is something else.
    """
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
        raise RefusedError(415, "content-type must be application/json; set it")
    try:
        said = json.loads(body.decode())
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or {*said} != {"id", "label"}:
        raise RefusedError(422, 'the body must be {"id": ..., "label": ...}; got something else')
    identity, label = said["id"], said["label"]
    if not isinstance(identity, str) or not IDENTITY.fullmatch(identity):
        raise RefusedError(422, "the id must be that of an answer; got something else")
    if label not in class_names:
        known = shortened(", ".join(class_names), 120)
        raise RefusedError(422, f"the label must be one of {known}; got something else")
    return identity, str(label)


async def _thrown_away(receive: Receive) -> None:
    """A client that is still sending would not hear why it is refused."""
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _content(
    sha256: str, names: list[str], found_NC: Probabilities, extras: list[dict[str, Any]]
) -> bytes:
    predictions: list[dict[str, Any]] = [
        {
            "class": names[label],
            "probability": row[label],
            "probabilities": dict(zip(names, row, strict=True)),
            **extra,
        }
        for label, row, extra in zip(
            found_NC.argmax(axis=1).tolist(), found_NC.tolist(), extras, strict=True
        )
    ]
    said = {"model": sha256[:12], "predictions": predictions}
    return to_json(said)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
