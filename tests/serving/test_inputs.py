"""Requests that nobody means well with: each gets one sentence, and the service goes on."""

import contextlib
import io
import json
import os
import random
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image
from services import Running, digits, drawn, file_of, rows, serving
from support import PATIENCE_SECONDS, SMALL, is_one_line

CASES = int(os.environ.get("INPUT_CASES", "1000"))
WORKERS = 8
MOST_GROWTH = 250  # MiB: a few of the largest pictures that are allowed
LONGEST_SENTENCE = 500
HASTE_SECONDS = 0.5  # that a client waits who has promised more than it sends
Chance = random.Random

JSON_PIECES = [
    b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"9" * 5_000, b"-1", b"null", b"true", b"[" * 3_000, b"]", b"{}",
    b'{"a":' * 3_000, b"0x1", b"1.5", b'"1"', b'"\\ud800"', b"\x00", b"\xff", b"[]", b"[[]]", b"256", b"1e400", b",",
    b"00", b"- 1", b"//", b'"inputs"', b"\xef\xbb\xbf", b"\xe2\x80\xa8",
]  # fmt: skip
HEADERS = [
    b"content-length: -1", b"content-length: 99999999999999999999", b"content-length: 5, 6", b"content-length: +5",
    b"transfer-encoding: gzip", b"transfer-encoding: chunked, chunked", b"expect: 200-ok", b"x: \x00", b"x: \xff\xfe",
    b"host:", b"host: a\r\nhost: b", b": empty", b" folded", b"x" * 20_000 + b": y", b"x: " + b"y" * 40_000,
    b"origin: https://example.org", b"authorization: Bearer " + b"x" * 900, b"upgrade: h2c\r\nconnection: upgrade",
    b"upgrade: websocket\r\nconnection: upgrade", b"content-encoding: gzip", b"cookie: " + b"a=b; " * 500,
    b"content-type: text/html", b"content-type: \xe4", b"range: bytes=0-", b"te: trailers", b"x-forwarded-for: ::1",
]  # fmt: skip
PATHS = [
    b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"//predict", b"/predict/", b"/predict%00", b"/PREDICT",
    b"/predict;x=1", b"/%ff", b"/\xff", b"/" + b"a" * 9_000, b"*", b"http://example.org/predict", b"predict", b"?",
    b"/docs/../model", b"/static/page.html", b"/lab/serving/service.py", b"/openapi.json%0d%0ax: y", b"",
]  # fmt: skip
METHODS = [
    b"GET",
    b"PUT",
    b"DELETE",
    b"TRACE",
    b"CONNECT",
    b"OPTIONS",
    b"HEAD",
    b"PATCH",
    b"BREW",
    b"get",
    b"PRI",
]


def numbers(chance: Chance) -> bytes:
    """Something like JSON, of a shape that is nearly right."""
    rows_of = chance.choice([27, 28, 28, 28, 29])
    one = [[chance.choice([0, 255, 7]) for _ in range(28)] for _ in range(rows_of)]
    text = bytearray(json.dumps({"inputs": [one] * chance.choice([0, 1, 1, 2])}).encode())
    for _ in range(chance.choice([1, 1, 3])):
        place = chance.randrange(len(text) + 1)
        text[place : place + chance.choice([0, 1, 1, 9])] = chance.choice(JSON_PIECES)
    return bytes(text)


def damaged(chance: Chance, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(chance.choice([1, 2, 9])):
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                del data[place : place + chance.choice([1, 8, 400])]
            case 2:
                data[place : place + 4] = struct.pack(">I", chance.choice([0, 1, 2**31, 2**32 - 1]))
            case _:
                data[place:place] = chance.randbytes(8)
        if not data:
            return b""
    return bytes(data)


def bomb(chance: Chance) -> bytes:
    """A PNG that says that it is large, or holds texts that unpack to much."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    width, height = chance.choice(
        [(2**31 - 1, 1), (60_000, 60_000), (1, 2**24 + 1), (4_096, 4_096)]
    )
    head = struct.pack(">IIBBBBB", width, height, 8, chance.choice([0, 2, 6]), 0, 0, 0)
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**24), 9)) * chance.choice([0, 1, 40])
    pixels = chunk(b"IDAT", zlib.compress(bytes(2**20), 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + text + pixels + chunk(b"IEND", b"")


PICTURES = [file_of(drawn("7", 60), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]


def picture(chance: Chance) -> bytes:
    return bomb(chance) if chance.random() < 0.3 else damaged(chance, chance.choice(PICTURES))


def large(_: Chance) -> bytes:
    """The largest picture that is read."""
    file = io.BytesIO()
    Image.new("RGBA", (4_096, 4_096), (1, 2, 3, 4)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def raw(chance: Chance) -> bytes:
    return chance.randbytes(chance.choice([0, 1, 783, 785, 1_568, 9_000, 784 * 1_025]))


def feedback(chance: Chance) -> bytes:
    return damaged(chance, b'{"id": "0123456789abcdef", "label": "7"}')


def csv(chance: Chance) -> bytes:
    rows_of = [",".join(chance.choice(["1", "", "nan", "x", "1e999", '"', "\0"]) for _ in range(chance.choice([2, 3, 4])))
               for _ in range(chance.choice([1, 2, 2_000]))]  # fmt: skip
    return "\n".join(rows_of).encode()


BODIES: list[tuple[bytes, Callable[[Chance], bytes]]] = [
    (b"application/json", numbers), (b"application/octet-stream", raw), (b"image/png", picture),
    (b"image/jpeg", picture), (b"image/tiff", picture), (b"text/csv", csv), (b"text/plain", raw), (b"", raw),
    (b"application/json; charset=utf-7", numbers), (b"multipart/form-data", raw),
]  # fmt: skip


def request(chance: Chance) -> bytes:
    """One request as bytes, wrong in one way or several."""
    method, path = b"POST", b"/predict"
    kind, make = chance.choice(BODIES)
    body = make(chance)
    headers = [b"host: localhost", b"content-type: " + kind]
    length = [b"content-length: %d" % len(body)]
    match chance.randrange(10):
        case 0:
            method = chance.choice(METHODS)
        case 1:
            path = chance.choice(PATHS)
        case 2:
            headers += chance.sample(HEADERS, chance.choice([1, 2]))
        case 3:
            path, body = b"/feedback", feedback(chance)
            length, headers[1] = (
                [b"content-length: %d" % len(body)],
                b"content-type: application/json",
            )
        case 4:
            pieces = chance.choice(
                [b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"ffffffffffffffff\r\n", b"-1\r\n\r\n"]
            )
            length, body = [b"transfer-encoding: chunked"], pieces
        case 5:
            length = [b"content-length: %d" % (len(body) + chance.choice([-1, 1, 2**40]))]
        case 6:
            return chance.randbytes(chance.choice([1, 40, 9_000])) + b"\r\n\r\n"
        case 7:
            path = b"/predict?" + chance.choice(
                [b"show=true", b"show=\xff", b"a" * 9_000, b"draft=true&show=1", b"%"]
            )
    head = b"\r\n".join(
        [method + b" " + path + b" HTTP/1.1", *headers, *length, b"connection: close"]
    )
    return head + b"\r\n\r\n" + body


def sent(running: Running, content: bytes, chance: Chance) -> bytes:
    """What comes back; the client leaves early at times, or sends in pieces."""
    with (
        contextlib.closing(
            socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_SECONDS)
        ) as client,
        contextlib.suppress(OSError),
    ):
        match chance.randrange(12):
            case 0:
                client.sendall(content[: chance.randrange(len(content) + 1)])
                return b""
            case 1:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(content)
                return b""
            case 2:
                for start in range(0, min(len(content), 2_000), 100):
                    client.sendall(content[start : start + 100])
                client.sendall(content[2_000:])
            case _:
                client.sendall(content)
        found = b""
        client.settimeout(HASTE_SECONDS)
        while piece := client.recv(65_536):
            found += piece
            client.settimeout(PATIENCE_SECONDS)
        return found
    return b""


def judged(answer: bytes) -> str:
    """What an answer is; fails if it is not as it must be."""
    if not answer:
        return "none"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status == 100:
        return judged(body)
    assert status in (200, 204) or 400 <= status < 500 or status == 503, answer[:500]
    if status >= 400 and body:
        said = json.loads(body)
        assert list(said) == ["detail"], answer[:500]
        assert is_one_line(said["detail"])
        assert len(said["detail"]) < LONGEST_SENTENCE
    return str(status)


def campaign(running: Running, count: int) -> Counter[str]:
    """Sends so many, from some clients at once; the seeds are the numbers."""
    found: Counter[str] = Counter()
    faults: list[BaseException] = []

    def work(first: int) -> None:
        for number in range(first, count, WORKERS):
            chance = Chance(number)
            content = request(chance)
            try:
                found[judged(sent(running, content, chance))] += 1
            except BaseException as error:
                faults.append(AssertionError(f"{number}: {content[:300]!r}: {error!r}"))
                return

    threads = [threading.Thread(target=work, args=(first,)) for first in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults[:3]
    return found


def slow_clients(running: Running, count: int) -> list[socket.socket]:
    """Clients that begin a request and leave it."""
    found = []
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_SECONDS)
        client.sendall([b"P", b"POST /predict HTTP/1.1\r\nhost: localhost\r\n", b"POST /predict HTTP/1.1\r\n"
                        b"host: localhost\r\ncontent-length: 784\r\n\r\nabc"][number % 3])  # fmt: skip
        found.append(client)
    return found


@pytest.mark.parametrize("count", [CASES, pytest.param(10_000, marks=pytest.mark.slow)])
def test_whatever_comes_gets_one_sentence_and_memory_stays(tmp_path, count):
    with serving(tmp_path, digits(), "--record", "kept") as running:
        assert running.ask("/predict", large(Chance(0)), "image/png")[0] == 422
        before = running.memory()
        with contextlib.ExitStack() as until:
            for client in slow_clients(running, 90):
                until.enter_context(contextlib.closing(client))
            found = campaign(running, count)
        after = running.memory()

        assert running.predict(file_of(drawn("7")), "image/png")[0]["class"] == "7"
        assert running.said().splitlines()[0] == running.url
        assert len(running.said()) < 1_000, running.said()  # who is refused fills no disk
    assert after - before < MOST_GROWTH
    assert not {"500", "501", "502"} & set(found), found
    assert {"400", "404", "405", "413", "415", "422"} <= set(found), found


def test_a_table_is_asked_badly_too(tmp_path):
    with serving(tmp_path, rows()) as running:
        for number in range(100):
            body = csv(Chance(number))
            status, said, _ = running.ask("/predict", body, "text/csv")
            assert status in (200, 413, 422), said


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"x: " + b"y" * 2**24, 431),
        (b"\r\n".join(b"x%d: y" % number for number in range(500_000)), 431),
    ],
    ids=["one", "many"],
)
def test_an_endless_head_is_cut_off(tmp_path, head, status):
    with serving(tmp_path, rows()) as running:
        before = running.memory()
        answer = sent(running, b"GET / HTTP/1.1\r\nhost: localhost\r\n" + head, Chance(3))
        assert judged(answer) in (str(status), "none")  # it may be reset under who is still sending
        assert running.memory() - before < 20


def test_a_slow_head_is_given_up(code, tmp_path):
    (tmp_path / "params.yaml").write_text(
        f"{SMALL}serve: {{body_seconds: 0.3}}\n", encoding="utf-8"
    )
    with serving(tmp_path, rows(), code=code) as running:
        for client in slow_clients(running, 2):
            with contextlib.closing(client), client.makefile("rb") as file:
                answer = file.read()

            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"must arrive within 0.3 seconds" in answer


def test_many_large_bodies_at_once_are_not_all_taken(code, tmp_path):
    """Each may be sent, but not all together."""
    (tmp_path / "params.yaml").write_text(
        f"{SMALL}serve: {{most_bytes: 1000000}}\n", encoding="utf-8"
    )
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n"
    with serving(tmp_path, rows(), code=code) as running, contextlib.ExitStack() as until:
        answers = []
        clients = [
            until.enter_context(
                contextlib.closing(socket.create_connection(("127.0.0.1", running.port)))
            )
            for _ in range(40)
        ]
        for client in clients:
            client.settimeout(PATIENCE_SECONDS)
            with contextlib.suppress(OSError):
                client.sendall(head + bytes(999_999))
        assert running.ask("/healthz")[0] == 200
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(b"\0")
                answers.append(client.recv(1_000).split(b" ")[1])

    assert set(answers) == {b"415", b"503"}
