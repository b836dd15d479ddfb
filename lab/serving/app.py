"""The application: which path answers what, for FastAPI, which documents it."""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.serving import openapi
from lab.serving.service import GoneError, RefusedError, Service

PAGES = {path: Path(__file__).with_name(name) for path, name in (
    ("/", "page.html"), ("/docs", "docs.html"),
)}  # fmt: skip
RETRY_SECONDS = 1  # when a client that was turned away may come again
SILENT: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
JSON = "application/json"


class Application:
    """Answers POST /predict by itself, FastAPI the rest.

    By way of FastAPI a raw image took 210 microseconds in place of 150, the network included.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._others: ASGIApp = _others(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http" and scope["path"] == "/predict" and scope["method"] == "POST":
            await self._predict(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, loop = self._service, asyncio.get_running_loop()
        start = loop.time()
        try:
            status, body = 200, await service.predict(scope, receive)
        except RefusedError as error:
            status, body = error.status, _sentence(str(error))
        except GoneError:
            return
        except Exception:  # a bug: uvicorn writes its traceback and answers
            service.metrics.requests[500] += 1
            raise
        service.metrics.requests[status] += 1
        service.metrics.seconds.observe(loop.time() - start)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        headers += [(key.encode(), value.encode()) for key, value in _more_headers(status).items()]
        if not service.is_ready:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _sentence(text: str) -> bytes:
    return json.dumps({"detail": text}).encode()  # ASCII, whatever of a request is quoted


def _more_headers(status: int) -> dict[str, str]:
    match status:
        case 503:
            return {"retry-after": str(RETRY_SECONDS)}
        case 408 | 413:
            return {"connection": "close"}  # what comes of the body is not looked at
        case 401:
            return {"www-authenticate": "Bearer"}
    return {}


def _refused(status: int, sentence: str) -> Response:
    return Response(_sentence(sentence), status, _more_headers(status), media_type=JSON)


def _others(service: Service) -> FastAPI:
    """All paths, /predict too, which is documented here."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        follower = asyncio.create_task(service.follow())
        yield
        follower.cancel()
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title=f"Predictions of {service.serving.name}",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load programs from another site
        redoc_url=None,
        redirect_slashes=False,  # to whatever host the request names
        telemetry=SILENT,  # to OpenTelemetry, where the environment names a server of that
    )
    described, params = service.serving.network.description, service.params
    is_recording = service.recorder is not None

    async def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)  # noqa: S101
        return _refused(error.status, str(error))

    async def elsewhere(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        if error.status_code == 405:
            methods = (error.headers or {}).get("Allow", "another method")
            answer = _refused(405, f"this path answers {methods} alone")
            answer.headers.update(error.headers or {})
            return answer
        return _refused(error.status_code, "there is no such path; / is the page, /docs lists all")

    app.add_exception_handler(RefusedError, refuse)
    app.add_exception_handler(HTTPException, elsewhere)

    @app.post(
        "/predict",
        openapi_extra=openapi.prediction(described, params.most_examples),
        responses=openapi.answer(described, is_recording=is_recording),
        response_class=Response,
    )
    async def predict(request: Request) -> Response:
        """Classes and probabilities of one input or many."""
        return Response(await service.predict(request.scope, request.receive), media_type=JSON)

    @app.post(
        "/feedback",
        status_code=204,
        openapi_extra=openapi.feedback(described),
        responses=openapi.refusals(400, 401, 403, 404, 408, 413, 415, 422, 503),
        response_class=Response,
    )
    async def feedback(request: Request) -> Response:
        """Keeps what an input was, of which an answer gave the id; where answers are recorded."""
        try:
            await service.label(request.scope, request.receive)
        except GoneError:
            return Response(status_code=400)
        return Response(status_code=204)

    @app.get("/model", responses=openapi.refusals(400, 401, 403))
    async def model(request: Request) -> dict[str, object]:
        """What the model is: its classes, inputs and data."""
        service.require_allowed(dict(request.scope["headers"]))
        return service.card()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"description": "It ends"}})
    async def readyz(response: Response) -> dict[str, str]:
        """Whether it takes requests."""
        response.status_code = 200 if service.is_ready else 503
        return {"status": "ready" if service.is_ready else "ending"}

    @app.get(
        "/metrics",
        responses={200: {"content": {"text/plain": {}}}, **openapi.refusals(400, 401, 403)},
        response_class=Response,
    )
    async def metrics(request: Request) -> Response:
        """Counters in Prometheus's format."""
        service.require_allowed(dict(request.scope["headers"]))
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(service.counts(), headers={"content-type": kind})

    for path, file in PAGES.items():
        app.add_api_route(path, _page(file), include_in_schema=False)
    return app


def _page(file: Path) -> Callable[[], Awaitable[Response]]:
    """An HTML file that may run its own script, load nothing, and speak to this service alone."""
    text = file.read_text(encoding="utf-8")
    rules = ["default-src 'none'", "connect-src 'self'", "img-src 'self' data: blob:"]
    rules += [f"{name}-src {_hashes(name, text)}" for name in ("script", "style")]
    rules += ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    headers = {
        "content-security-policy": "; ".join(rules),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }

    async def page() -> Response:
        return Response(text, headers=headers, media_type="text/html")

    return page


def _hashes(name: str, text: str) -> str:
    found = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in found]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
