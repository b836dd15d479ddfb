"""What the service counts of itself, read from its /metrics."""

from collections.abc import Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import requests
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError

from lab.base.errors import ParamsError, shortened
from lab.base.serve_params import TOKEN, checked_token

# A service that is started anew is soon back: again at once, and in 2 s.
RETRY = Retry(
    2, backoff_factor=1, status_forcelist=(502, 503, 504), raise_on_status=False,
    respect_retry_after_header=False,
)  # fmt: skip
TIMEOUT_SECONDS = 10.0  # between two pieces of an answer
MOST_SECONDS = 45.0  # of all tries, for a head may come a byte at a time, or a body have no end
MOST_BYTES = 2**24
LATEST = 1e11  # seconds since 1970, in the year 5138
CLIENT_ERROR, SERVER_ERROR = "4", "5"  # the first digit of a status


class Counters(NamedTuple):
    """Since the process began.

    Attributes:
        process: when it began, in seconds since 1970; 0.0 where a system does not tell.
        requests: without mistakes of clients.
        failed: of these.
        answers: of any kind, of which the time was taken.
        slow: of these.
    """

    process: float
    requests: int
    failed: int
    answers: int
    slow: int


class SilentError(Exception):
    """The service gave no answer; the message says how."""


def counters(address: str, seconds: float) -> Counters:
    """Asks a service.

    Args:
        address: of its root.
        seconds: an answer that took longer is slow.

    Raises:
        SilentError: it does not answer, or not as it should.
        ParamsError: it is none of `serve.py`, lets nobody in, or counts by other bounds.
    """
    found: SimpleQueue[str | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found.put(_text(f"{address}/metrics", checked_token()))
        except Exception as error:  # to be raised where somebody hears it
            found.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        text = found.get(timeout=MOST_SECONDS)
    except Empty:
        raise SilentError(f"no end of an answer in {MOST_SECONDS:g} s") from None
    if isinstance(text, Exception):
        raise text
    return read(text, seconds)


def _text(url: str, token: str) -> str:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        """In place of what .netrc may hold."""
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    options: dict[str, Any] = {"timeout": TIMEOUT_SECONDS, "stream": True, "allow_redirects": False}
    try:
        with requests.Session() as session:
            session.mount(url, HTTPAdapter(max_retries=RETRY))
            with session.get(url, auth=sign, **options) as answer:
                content = _read(answer)
    except (requests.Timeout, ReadTimeoutError):
        raise SilentError(f"no answer in {TIMEOUT_SECONDS:g} s") from None
    except (requests.exceptions.InvalidURL, LocationValueError, UnicodeError):
        raise _elsewhere("one that cannot be") from None
    except requests.exceptions.SSLError:
        raise SilentError("its certificate is not trusted") from None
    except (requests.RequestException, HTTPError):  # which name the address
        raise SilentError("no connection") from None
    except OSError as error:  # of the certificates that a variable names
        raise ParamsError(f"monitor.service: {shortened(str(error))}") from None
    if answer.status_code in {401, 403}:
        raise ParamsError(
            f"monitor.service: must let in who asks for /metrics; got {answer.status_code}; "
            f"set {TOKEN} as it is set for the service"
        )
    if answer.status_code >= 500:
        raise SilentError(f"/metrics answers {answer.status_code}")
    if answer.status_code != 200:
        raise _elsewhere(f"{answer.status_code} for /metrics")
    return content.decode(errors="replace")


def _read(answer: requests.Response) -> bytes:
    content = bytearray()
    while piece := answer.raw.read1(2**16, decode_content=True):
        content += piece
        if len(content) > MOST_BYTES:
            raise _elsewhere(f"more than {MOST_BYTES:,} bytes at /metrics")
    return bytes(content)


def _elsewhere(got: str) -> ParamsError:
    return ParamsError(
        f"monitor.service: must be the address of a service of serve.py; got {got}; correct it"
    )


def read(text: str, seconds: float) -> Counters:
    """The counters in Prometheus's format.

    Raises:
        ParamsError: they are not there, or the histogram has no such bound.
    """
    try:
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        asked = dict(_by(samples, "serve_requests_total", "status"))
        at_most = {float(le): n for le, n in _by(samples, "serve_request_seconds_bucket", "le")}
        answers = at_most.pop(float("inf"))
        if min(0, *asked.values(), *at_most.values()) < 0 or max(0, *at_most.values()) > answers:
            raise ValueError("counters count up")
    except Exception:  # whatever the parser raises at what is no such text
        raise _elsewhere("something else at /metrics") from None
    if seconds not in at_most:
        bounds = ", ".join(f"{one:g}" for one in sorted(at_most))
        raise ParamsError(
            f"monitor.seconds: must be one of {bounds}; got {seconds:g}; take the nearest"
        )
    begun = [
        one.value
        for one in samples
        if one.name == "process_start_time_seconds" and 0 < one.value < LATEST
    ]
    return Counters(
        process=begun[0] if begun else 0.0,
        requests=sum(n for status, n in asked.items() if not status.startswith(CLIENT_ERROR)),
        failed=sum(n for status, n in asked.items() if status.startswith(SERVER_ERROR)),
        answers=answers,
        slow=answers - at_most[seconds],
    )


def _by(samples: list[Sample], name: str, label: str) -> Iterator[tuple[str, int]]:
    return ((one.labels[label], int(one.value)) for one in samples if one.name == name)
