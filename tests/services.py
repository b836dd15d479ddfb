"""Services as somebody starts them, on a free port of this machine, with small models made here."""

import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw
from support import PATIENCE_SECONDS, ROOT, started

from lab.serving.network import DESCRIPTION
from lab.serving.pictures import framed

# Digits as strokes, in shares of the side: enough for a model that knows them.
STROKES = {
    "0": [(0.5, 0.1), (0.3, 0.3), (0.3, 0.7), (0.5, 0.9), (0.7, 0.7), (0.7, 0.3), (0.5, 0.1)],
    "1": [(0.5, 0.1), (0.5, 0.9)],
    "2": [(0.3, 0.25), (0.5, 0.1), (0.7, 0.3), (0.3, 0.9), (0.75, 0.9)],
    "3": [(0.3, 0.1), (0.7, 0.1), (0.5, 0.45), (0.7, 0.7), (0.5, 0.9), (0.3, 0.8)],
    "4": [(0.65, 0.9), (0.65, 0.1), (0.25, 0.6), (0.8, 0.6)],
    "5": [(0.7, 0.1), (0.35, 0.1), (0.3, 0.45), (0.6, 0.45), (0.7, 0.7), (0.5, 0.9), (0.3, 0.8)],
    "6": [(0.6, 0.1), (0.35, 0.5), (0.35, 0.8), (0.55, 0.9), (0.65, 0.7), (0.5, 0.55), (0.35, 0.7)],
    "7": [(0.25, 0.15), (0.75, 0.15), (0.45, 0.9)],
    "8": [(0.5, 0.5), (0.35, 0.3), (0.5, 0.1), (0.65, 0.3), (0.35, 0.7), (0.5, 0.9), (0.65, 0.7),
          (0.5, 0.5)],
    "9": [(0.65, 0.35), (0.5, 0.45), (0.37, 0.3), (0.5, 0.1), (0.65, 0.3), (0.6, 0.9)],
}  # fmt: skip


def drawn(digit: str, side: int = 280, ink: int = 0, paper: int = 255) -> Image.Image:
    """A digit on paper, not centred."""
    picture = Image.new("L", (side, side), paper)
    points = [(x * side * 0.8, y * side * 0.8 + side * 0.15) for x, y in STROKES[digit]]
    ImageDraw.Draw(picture).line(points, ink, max(1, side // 14), "curve")
    return picture


def file_of(picture: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def described(kind: str, shape: list[int], dtype: str, classes: list[str], **more: Any) -> dict:
    return {
        "kind": kind, "shape": shape, "dtype": dtype, "class_names": classes, "scaling": None,
        "vocabulary": None, "columns": [], "framing": "fit", "tokeniser": None, **more,
    }  # fmt: skip


def dense(description: dict, *weights: np.ndarray, biases: Any = (), **metadata: str) -> bytes:
    """The file of a network of dense layers, with weights [out, in]."""
    constants, nodes, name = [], [], "inputs"

    def then(operation: str, *values: Any, **attributes: Any) -> str:
        """The name of what an operation makes of what there is, and of some constants."""
        names = [f"{len(nodes)}.{place}" for place in range(len(values))]
        arrays = [np.asarray(value, np.float32) for value in values]
        constants.extend(map(numpy_helper.from_array, arrays, names))
        output = f"{operation}.{len(nodes)}"
        nodes.append(helper.make_node(operation, [name, *names], [output], **attributes))
        return output

    name = then("Cast", to=TensorProto.FLOAT)
    if scaling := description["scaling"]:
        if scaling["fill"]:
            is_missing = then("IsNaN")
            constants.append(numpy_helper.from_array(np.float32(scaling["fill"]), "fill"))
            nodes.append(helper.make_node("Where", [is_missing, "fill", name], ["filled"]))
            name = "filled"
        name = then("Sub", scaling["shift"])
        name = then("Div", scaling["scale"])
    name = then("Flatten")
    for place, weight in enumerate(weights):
        name = then("Relu") if place else name
        name = then("Gemm", weight, biases[place] if len(biases) else [0.0] * len(weight), transB=1)
    nodes.append(helper.make_node("Softmax", [name], ["probabilities"], axis=1))
    given = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    shape, classes = ["N", *description["shape"]], ["N", len(description["class_names"])]
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("inputs", given[description["dtype"]], shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, classes)],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    about = {"model": "made", "seed": "0", "dataset": "strokes"}
    about |= dict.fromkeys(("train_sha256", "test_sha256", "results_sha256"), "0" * 64)
    helper.set_model_props(model, {DESCRIPTION: json.dumps(description), **about, **metadata})
    return model.SerializeToString()


SCALED = {"shift": [0.0], "scale": [255.0], "fill": None}


def digits(**metadata: str) -> bytes:
    """Says which of the strokes a picture is nearest to."""
    description = described(
        "grey image", [28, 28], "uint8", list(STROKES), scaling=SCALED, framing="ink"
    )
    images = [framed(drawn(digit).convert("L"), [28, 28], "ink") for digit in STROKES]
    templates = np.stack(images).reshape(10, -1) / 255
    biases = [-(templates**2).sum(axis=1) / 2]
    return dense(description, templates, biases=biases, **metadata)


ROW = described(
    "row", [3], "float32", ["low", "high"], columns=["age", "size: small", "weight"],
    scaling={"shift": [0.0] * 3, "scale": [1.0] * 3, "fill": [1.0, 0.0, 2.0]},
)  # fmt: skip


def rows(**metadata: str) -> bytes:
    """`high` if the sum of a row of three is."""
    return dense(ROW, np.array([[-1.0, -1, -1], [1, 1, 1]]), **metadata)


def colours(**metadata: str) -> bytes:
    """Which of three colours a picture of 4 x 4 has most of."""
    description = described(
        "colour image", [3, 4, 4], "uint8", ["red", "green", "blue"], scaling=SCALED
    )
    return dense(description, np.kron(np.eye(3), np.ones(16)), **metadata)


PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "##ly"]


def texts(*, with_tokeniser: bool = True) -> bytes:
    """Whether a text of six tokens has more that are bad."""
    tokeniser = {
        "form": "wordpiece", "pieces": PIECES, "is_lower_case": True,
        "unknown": 1, "start": 2, "end": 3,
    }  # fmt: skip
    description = described(
        "text", [6], "int64", ["good", "bad"], vocabulary=len(PIECES),
        tokeniser=tokeniser if with_tokeniser else None,
    )  # fmt: skip
    return dense(description, np.array([[-1.0] * 6, [1.0] * 6]), biases=[[40.0, 0.0]])


def slow(milliseconds: int = 20) -> bytes:
    """A network that takes so long for an example, more or less."""
    width = int(600 * np.sqrt(milliseconds))
    chance = np.random.default_rng(0)
    weights = [chance.normal(size=shape) / 50 for shape in ((width, 3), (width, width), (2, width))]
    return dense(ROW, *weights, model="slow")


class Running:
    """A service that answers; `url` is where."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self.log = process, log
        self.url = self._line("http://")
        self.port = int(self.url.rpartition(":")[2])

    def _line(self, start: str) -> str:
        """The first line that begins so, as soon as it is there."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            for line in self.said().splitlines():
                if line.startswith(start):
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(self.said())

    def wait_for(self, start: str) -> str:
        return self._line(start)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def connection(self, timeout: float = PATIENCE_SECONDS) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(
        self, path: str, body: bytes | None = None, kind: str = "", method: str = "", **headers: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Status, JSON (or text) and headers of one request on a connection of its own."""
        connection = self.connection()
        with contextlib.closing(connection):
            sent = {key.replace("_", "-"): value for key, value in headers.items()}
            sent |= {"content-type": kind} if kind else {}
            connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
            response = connection.getresponse()
            content = response.read()
            is_json = response.headers.get("content-type") == "application/json"
            said = json.loads(content) if is_json and content else content.decode()
            return response.status, said, response.headers

    def predict(self, body: bytes, kind: str, query: str = "") -> list[dict]:
        status, said, _ = self.ask(f"/predict{query}", body, kind)
        assert status == 200, said
        return said["predictions"]

    def metrics(self) -> dict[str, float]:
        lines = self.ask("/metrics")[1].splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    def memory(self) -> float:
        """Resident MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def serving(
    folder: Path, model: bytes, *options: str, code: Path = ROOT, before: tuple[str, ...] = (),
    **environment: str,
) -> Iterator[Running]:  # fmt: skip
    """Starts a service in a folder; `before` is a command that is to start it."""
    (folder / "model.onnx").write_bytes(model)
    log = folder / "log.txt"
    command = [*before, sys.executable, str(code / "serve.py"), "--port", "0"]
    with (
        log.open("w", encoding="utf-8") as file,
        started(
            *command, "--model", "model.onnx", *options,
            cwd=folder, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **environment},
        ) as process,
    ):  # fmt: skip
        running = Running(process, log)
        yield running
        if process.poll() is None:
            assert running.end() == 0, running.said()
        assert "Traceback" not in running.said(), running.said()
