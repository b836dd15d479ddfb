"""A service as its clients know it: what it takes, what it refuses, how it starts and ends."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from services import PIECES, colours, digits, drawn, file_of, rows, serving, texts
from support import PATIENCE_SECONDS, ROOT, is_one_line

from lab.base.serve_params import ServeParams
from lab.serving import bodies

RAW, JSON, CSV, TEXT = bodies.RAW, bodies.JSON, bodies.CSV, bodies.TEXT


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("service"), digits()) as found:
        yield found


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("service"), rows()) as found:
        yield found


def image(digit: str) -> np.ndarray:
    """A digit as the data would store it."""
    description = {"kind": "grey image", "shape": [28, 28], "dtype": "uint8", "framing": "ink",
                   "scaling": None, "vocabulary": None}  # fmt: skip
    return bodies.examples("image/png", file_of(drawn(digit)), description)[0]


def classes(predictions: list[dict]) -> list[str]:
    return [each["class"] for each in predictions]


def test_raw_bytes_numbers_and_pictures_are_the_same_to_the_model(running):
    stored = np.stack([image("7"), image("2")])

    raw = running.predict(stored.tobytes(), RAW)
    numbers = running.predict(json.dumps({"inputs": stored.tolist()}).encode(), JSON)
    picture = running.predict(file_of(drawn("7")), "image/png")

    assert classes(raw) == ["7", "2"]
    assert raw == numbers
    assert picture == raw[:1]
    assert raw[0]["probability"] == max(raw[0]["probabilities"].values())
    assert sum(raw[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (90, 200)])
def test_pictures_are_normalised_whatever_they_look_like(running, kind, ink, paper):
    for side in (60, 280, 1_500):
        content = file_of(drawn("7", side, ink, paper), kind)
        assert classes(running.predict(content, f"image/{kind.lower()}")) == ["7"]


def test_what_is_stored_already_is_not_normalised(running):
    moved = np.roll(image("1"), 9, axis=1)
    same = running.predict(file_of(Image.fromarray(moved)), "image/png")
    other = running.predict(moved.tobytes(), RAW)

    assert classes(same) == ["1"]
    assert other[0]["probabilities"] != same[0]["probabilities"]


def test_what_the_model_sees_is_shown_where_it_is_asked_for(running):
    answer = running.predict(file_of(drawn("4")), "image/png", "?show=true")[0]
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["seen"]))))

    np.testing.assert_array_equal(seen, image("4"))
    assert "seen" not in running.predict(file_of(drawn("4")), "image/png")[0]


def test_rows_come_with_a_header_or_without(table):
    plain = table.predict(b"1,0,-5\n9,1,9\n", CSV)
    named = table.predict(b"weight,age,size: small\r\n-5,1,0\r\n9,9,1\r\n", CSV)
    category = table.predict(b"\xef\xbb\xbfage,size,weight,label\n1,big,-5,low\n9,small,9,?\n", CSV)
    quoted = table.predict(b'"age","size: small","weight"\n"1"," 0 ",-5\n\n9,1,9', CSV)

    assert classes(plain) == ["low", "high"]
    assert plain == named == category == quoted


def test_missing_numbers_of_a_row_are_filled_as_in_training(table):
    filled = table.predict(b"1,0,2\n", CSV)

    assert table.predict(b",,\n", CSV) == filled
    assert table.predict(b'{"inputs": [[null, 0, null]]}', JSON) == filled
    assert table.predict(np.array([[np.nan, 0, 2]], "<f4").tobytes(), RAW) == filled


def test_texts_are_taken_where_the_model_says_how(tmp_path):
    with serving(tmp_path, texts()) as running:
        assert classes(running.predict(b"Good, good!", TEXT)) == ["good"]
        assert classes(running.predict(b"Badly bad bad", "text/plain; charset=utf-8")) == ["bad"]
        ids = [2, PIECES.index("good"), 1, PIECES.index("good"), 1, 3]
        assert running.predict(json.dumps({"inputs": [ids]}).encode(), JSON) == running.predict(
            b"Good, good!", TEXT
        )


def test_colour_pictures_are_fitted(tmp_path):
    with serving(tmp_path, colours()) as running:
        for name in ("red", "green", "blue"):
            picture = Image.new("RGB", (90, 60), name)
            assert classes(running.predict(file_of(picture), "image/png")) == [name]


NUMBERS = [[0] * 28] * 28


def with_one(number: str, count: int = 1) -> bytes:
    return json.dumps({"inputs": [NUMBERS]}).replace("0", number, count).encode()


REFUSED = [
    (b"", RAW, 422, "body must be 784 bytes an input"),
    (bytes(785), RAW, 422, "got 785"),
    (bytes(784 * 1_025), RAW, 413, "at most 1,024 inputs; got 1,025"),
    (bytes(2**22 + 1), RAW, 413, "at most 4,194,304 bytes"),
    (bytes(784), "", 415, "content-type must be one of application/json"),
    (bytes(784), "text/csv", 415, "got text/csv"),
    (bytes(784), "multipart/form-data; boundary=x", 415, "got multipart/form-data"),
    (b"{", JSON, 422, "body must be JSON"),
    (b"\xff\xfe", JSON, 422, "body must be JSON"),
    (b"[" * 50_000, JSON, 413, "at most 1,024 inputs"),
    (b'{"a":' * 20_000, JSON, 422, "body must be JSON"),
    (b'{"inputs": NaN}', JSON, 422, "body must be JSON"),
    (b'{"inputs": []}', JSON, 422, "inputs must be [N, 28, 28]"),
    (b'{"inputs": {}}', JSON, 422, "inputs must be lists of numbers"),
    (b'{"input": []}', JSON, 422, 'body must be {"inputs": [...]}; got input'),
    (b'{"\\ud800": []}', JSON, 422, "body must be JSON"),
    (b"[]", JSON, 422, "got no object"),
    (b'{"inputs": [1' + b"0" * 5_000 + b"]}", JSON, 422, "body must be JSON"),
    (json.dumps({"inputs": NUMBERS}).encode(), JSON, 422, "one input alone is inputs[None]"),
    (with_one("0.5", 784), JSON, 422, "send the bytes 0 to 255"),
    (with_one("256"), JSON, 422, "inputs must be 0 to 255; got 256"),
    (with_one("true"), JSON, 422, "lists of numbers"),
    (with_one('"0"'), JSON, 422, "lists of numbers"),
    (b"no picture", "image/png", 422, "picture must be a whole file"),
    (file_of(drawn("7"))[:-200], "image/png", 422, "picture must be a whole file"),
    (file_of(Image.new("L", (50, 50), 77)), "image/png", 422, "picture must show something"),
    (file_of(Image.new("1", (5_000, 5_000))), "image/png", 422, "got 5,000 x 5,000; make it small"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "status", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_the_model_does_not_take_is_refused_in_a_sentence(running, body, kind, status, said):
    found, answer, _ = running.ask("/predict", body, kind)

    assert (found, list(answer)) == (status, ["detail"])
    assert said in answer["detail"]
    assert is_one_line(answer["detail"])


REFUSED_ROWS = [
    (b"a,b,c\n1,2,3\n", "the header must have age once; got none"),
    (b"age,age,size: small,weight\n", "the header must have age once; got more"),
    (b"age,size: small,weight,id\n1,2,3,4\n", "the header must name columns of the data; got 'id'"),
    (b"1,2\n", "line 1 must have 3 cells; got 2"),
    (b"1,2,3\n1,2,x\n", "line 2: weight must be a number; got 'x'"),
    (b"1,2,inf\n", "inputs must be finite"),
    (b"1,2,1e39\n", "inputs must be finite"),
    (b"age,size: small,weight\n", "at least one input"),
    (b"\xff\xff\xff\n", "body must be CSV in UTF-8"),
    (b'"' + b"x" * 200_000, "body must be CSV in UTF-8"),
]


@pytest.mark.parametrize(("body", "said"), REFUSED_ROWS, ids=range(len(REFUSED_ROWS)))
def test_rows_that_are_none_are_refused_in_a_sentence(table, body, said):
    status, answer, _ = table.ask("/predict", body, CSV)

    assert status == 422
    assert said in answer["detail"]


def test_numbers_too_large_for_the_model_have_no_answer(table):
    status, answer, _ = table.ask("/predict", b"3e38,0,3e38\n", CSV)

    assert (status, answer["detail"]) == (
        422,
        "the model has no answer: the numbers are too large for it",
    )


def test_paths_and_methods_that_are_not_there_are_json(running):
    assert running.ask("/nothing")[:2] == (
        404,
        {"detail": "there is no such path; / is the page, /docs lists all"},
    )
    assert running.ask("/../../etc/passwd")[0] == 404
    status, said, headers = running.ask("/predict")
    assert (status, said, headers["allow"]) == (
        405,
        {"detail": "this path answers POST alone"},
        "POST",
    )
    assert running.ask("/feedback", b"{}", JSON)[0] == 404


def test_the_card_says_what_the_model_is(running):
    _, card, _ = running.ask("/model")

    assert (card["model"], card["dataset"]) == ("made", "strokes")
    assert card["inputs"]["shape"] == [28, 28]
    assert card["content_types"][:3] == [JSON, RAW, "image/png"]
    assert running.predict(bytes(784), RAW)
    assert running.ask("/predict", bytes(784), RAW)[1]["model"] == card["sha256"][:12]


def test_the_pages_load_nothing_and_may_run_nothing_else(running):
    for path in ("/", "/docs"):
        status, text, headers = running.ask(path)
        rules = headers["content-security-policy"]

        assert status == 200
        assert "default-src 'none'" in rules
        assert "unsafe" not in rules
        assert "http://" not in text
        assert "https://" not in text


def test_health_and_readiness(running):
    assert running.ask("/healthz")[:2] == (200, {"status": "ok"})
    assert running.ask("/readyz")[:2] == (200, {"status": "ready"})


def test_metrics_count_requests_classes_and_confidence(tmp_path):
    with serving(tmp_path, digits(), code=ROOT) as running:
        running.predict(np.stack([image("7"), image("7"), image("1")]).tobytes(), RAW)
        running.predict(file_of(drawn("1")), "image/png")
        running.predict(file_of(drawn("1")), "image/png", "?draft=true")
        running.ask("/predict", b"{", JSON)
        found = running.metrics()
        sha256 = running.ask("/model")[1]["sha256"]

    assert found['serve_requests_total{status="200"}'] == 3
    assert found['serve_requests_total{status="422"}'] == 1
    assert found['serve_requests_total{status="503"}'] == 0
    assert found["serve_request_seconds_count"] == 4
    assert found['serve_predictions_total{class="7"}'] == 2
    assert found['serve_predictions_total{class="1"}'] == 2
    assert found['serve_predictions_total{class="0"}'] == 0
    assert found['serve_request_examples_bucket{le="1.0"}'] == 1
    assert found['serve_request_examples_bucket{le="+Inf"}'] == 2
    assert found["serve_confidence_count"] == 4
    assert found["serve_waiting_examples"] == 0
    assert found[f'serve_model_info{{model="made",sha256="{sha256}"}}'] == 1
    assert found["process_resident_memory_bytes"] > 0


def test_an_input_unlike_the_training_data_is_said_to_be(tmp_path):
    reference = json.dumps({"age": [0.0, 90.0], "weight": [1.0, 2.0]})
    with serving(tmp_path, rows(reference=reference)) as running:
        near, far, unknown = running.predict(b"1,0,1\n400,0,1\n,0,1\n", CSV)

        assert "unlike" not in near
        assert "unlike" not in unknown
        assert far["unlike"] == "age is 400, in training 0 to 90"
        assert running.metrics()["serve_unlike_training_total"] == 1
        assert "reference" not in running.ask("/model")[1]


# --- who may ask ---------------------------------------------------------------------------------


def test_with_a_token_only_who_has_it_is_answered(tmp_path):
    with serving(tmp_path, rows(), SERVE_TOKEN="open sesame") as running:  # noqa: S106
        for given in ({}, {"authorization": "Bearer x"}, {"authorization": "open sesame"}):
            status, said, headers = running.ask("/predict", b"1,2,3", CSV, **given)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert "token is missing or wrong" in said["detail"]
            assert running.ask("/model", **given)[0] == running.ask("/metrics", **given)[0] == 401
        assert running.ask("/predict", b"1,2,3", CSV, authorization="Bearer open sesame")[0] == 200
        assert running.ask("/")[0] == running.ask("/healthz")[0] == running.ask("/readyz")[0] == 200
        assert "open sesame" not in running.said()


def test_pages_of_other_sites_may_not_ask(running):
    for headers in (
        {"origin": "https://example.org"},
        {"origin": "null"},
        {"host": "rebound.example.org"},
    ):
        status, said, found = running.ask("/predict", bytes(784), RAW, **headers)
        assert status == 403
        assert is_one_line(said["detail"])
        assert not [name for name in found if name.startswith("access-control")]
    own = {"origin": running.url}
    assert running.ask("/predict", bytes(784), RAW, **own)[0] == 200


# --- starting and ending -------------------------------------------------------------------------


def refused(folder, *options: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "serve.py"), *options], cwd=folder, capture_output=True,
        encoding="utf-8", timeout=PATIENCE_SECONDS, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert not done.stdout
    assert is_one_line(done.stderr.strip())
    return done.stderr


def test_what_cannot_be_served_is_said_in_one_line(tmp_path, running):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    (tmp_path / "file").touch()
    taken = str(running.port)

    assert "models/export/model.onnx: no such file; run `dvc repro export`" in refused(
        tmp_path, "--port", "0"
    )
    assert "must be an ONNX file" in refused(tmp_path, "--port", "0", "--model", "bad.onnx")
    assert "address already in use" in refused(tmp_path, "--port", taken)
    assert "--port: must be a number from 0 to 65535; got '99999'" in refused(
        tmp_path, "--port", "99999"
    )
    assert "--port: must be a number" in refused(tmp_path, "--port", "x" * 5_000)
    assert "must be free on this machine" in refused(tmp_path, "--host", "256.1.1.1")
    assert "SERVE_TOKEN: must be printable ASCII" in refused(tmp_path, SERVE_TOKEN="ä")  # noqa: S106
    assert "models/export/model.onnx" in refused(tmp_path, "--port", "0", "--record", "kept")
    assert not (tmp_path / "kept").exists()
    (tmp_path / "model.onnx").write_bytes(rows())
    model = ("--port", "0", "--model", "model.onnx")
    assert "remove the file that stands where a folder" in refused(
        tmp_path, *model, "--record", "file/x"
    )


def test_params_bound_the_service(code, tmp_path):
    params = (code / "params.yaml").read_text(encoding="utf-8")
    section = "serve: {most_examples: 2, most_bytes: 1000, record: kept}\n"
    (tmp_path / "params.yaml").write_text(params + section, encoding="utf-8")
    with serving(tmp_path, rows(), code=code) as running:
        assert running.ask("/predict", b"1,2,3\n" * 3, CSV)[0] == 413
        assert running.ask("/predict", bytes(1_001), RAW)[0] == 413
        assert "id" in running.predict(b"1,2,3\n", CSV)[0]
    (tmp_path / "params.yaml").write_text(params + "serve: {most_example: 2}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(code / "serve.py")], cwd=tmp_path, capture_output=True,
        encoding="utf-8", timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert (
        "params.yaml: serve.most_example: unknown key; got 2; did you mean most_examples?"
        in done.stderr
    )


def test_the_defaults_are_those_of_params_yaml():
    from lab.base import params

    written = params.parse((ROOT / "params.yaml").read_bytes(), "params.yaml")
    assert written.serve == ServeParams()


def test_it_serves_what_stage_export_writes():
    import serve
    from lab.results.exported import EXPORTS

    assert serve.MODEL == EXPORTS / "model.onnx"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_an_error(tmp_path, number):
    with serving(tmp_path, rows()) as running:
        assert running.end(number) == 0
        assert running.said().splitlines() == [running.url]


def test_nothing_of_what_trains_or_records_is_imported():
    code = "import sys, serve; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    imported = {name.partition(".")[0] for name in done.stdout.split()}

    assert not imported & {
        "torch",
        "dvc",
        "mlflow",
        "pandas",
        "scipy",
        "ruamel",
        "pyarrow",
        "requests",
    }


# --- many at once --------------------------------------------------------------------------------


def test_a_slow_body_is_given_up(code, tmp_path):
    params = (code / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(params + "serve: {body_seconds: 0.3}\n", encoding="utf-8")
    with (
        serving(tmp_path, rows(), code=code) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_SECONDS) as client,
    ):
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 12\r\n"
                       b"content-type: application/octet-stream\r\n\r\nabc")  # fmt: skip
        answer = client.makefile("rb").read().decode()

    assert answer.startswith("HTTP/1.1 408 ")
    assert answer.endswith('{"detail": "the body must arrive within 0.3 seconds"}')


def test_who_sends_too_much_hears_why(running):
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        piece = b"10000\r\n" + bytes(65_536) + b"\r\n"

        def send() -> None:
            for _ in range(200):
                try:
                    client.sendall(piece)
                except OSError:
                    return

        thread = threading.Thread(target=send)
        thread.start()
        answer = client.recv(10_000).decode()
        thread.join()

    assert answer.startswith("HTTP/1.1 413 ")
