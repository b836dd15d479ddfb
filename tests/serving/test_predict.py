"""`python -m lab.serving.predict`: files in, a line an example out."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exports import metadata, trained
from PIL import Image
from support import ROOT, is_one_line
from trained import BYTES, DENSE, EMBEDDING, SETTINGS, define, images, prepared

from lab.base.params import ModelParams
from lab.data.examples import Scaling, Tokeniser
from lab.data.prepared import Prepared
from lab.exporting import graphs
from lab.serving.network import Network
from lab.serving.predict import MODEL

# What a machine that only predicts has not.
AWAY = ("torch", "onnx", "pandas", "scipy", "pydantic", "mlflow", "dvc", "safetensors", "ruamel")
PROGRAM = f"""
import runpy, sys
sys.modules |= dict.fromkeys({AWAY!r})
sys.argv = ["predict", *sys.argv[1:]]
runpy.run_module("lab.serving.predict", run_name="__main__")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def exported(model: ModelParams, data: Prepared) -> Network:
    """Writes models/export/model.onnx."""
    graph, _, reason = trained(model, data)
    assert reason is None
    MODEL.parent.mkdir(parents=True)
    MODEL.write_bytes(graphs.written(graph, metadata(data)))
    return Network(MODEL)


def predict(*arguments: str, code: int = 0) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, encoding="utf-8",
        env={"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert (done.stderr == "") == (code == 0)
    return done.stdout.splitlines() if code == 0 else done.stderr.splitlines()


def lines(network: Network, inputs: np.ndarray, *names: str) -> list[str]:
    found = network(inputs)
    return [
        f"{name}\tclass {row.argmax()}\t{row.max():.4f}"
        for name, row in zip(names, found, strict=True)
    ]


def test_arrays_and_pictures_of_images():
    network = exported(DENSE, prepared(images(90, 9, 8), "grey image", scaling=BYTES))
    given = images(3, 9, 8)
    np.save("three.npy", given)
    Image.fromarray(given[0]).save("one.PNG")

    assert predict("three.npy", "one.PNG") == [
        *lines(network, given, "three.npy:1", "three.npy:2", "three.npy:3"),
        *lines(network, given[:1], "one.PNG"),
    ]


def test_the_rows_of_a_table_by_their_columns_with_gaps_and_categories():
    rows = np.random.default_rng(0).normal(5, 3, (90, 3)).astype(np.float32)
    scaling = Scaling(shift=[5.0, 4.0, 0.0], scale=[3.0, 2.0, 1.0], fill=[5.0, 4.5, 0.0])
    columns = ["age", "size: small", "weight"]
    network = exported(DENSE, prepared(rows, "row", scaling=scaling, columns=columns))
    Path("rows.csv").write_text("weight,age,size\n2.5,30,small\n,31,large\n", encoding="utf-8")

    wanted = np.array([[30, 1, 2.5], [31, 0, np.nan]], np.float32)
    assert predict("rows.csv") == lines(network, wanted, "rows.csv:1", "rows.csv:2")


def texts(monkeypatch: pytest.MonkeyPatch, tokeniser: Tokeniser | None) -> Network:
    define(monkeypatch, "bag", EMBEDDING)
    tokens = np.random.default_rng(0).integers(0, 6, (90, 6))
    data = prepared(tokens, "text", vocabulary=6)
    described = data.description.model_copy(update={"tokeniser": tokeniser})
    data = Prepared(data.train, data.validation, data.test, described)
    return exported(ModelParams(network="bag", width=6, **SETTINGS), data)


def test_a_text_by_the_tokeniser_that_is_in_the_file(monkeypatch):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ed"]
    network = texts(monkeypatch, Tokeniser(
        form="wordpiece", pieces=pieces, is_lower_case=True, unknown=1, start=2, end=3
    ))  # fmt: skip
    Path("text.txt").write_text("Played chess\n", encoding="utf-8")

    assert predict("text.txt") == lines(network, np.array([[2, 4, 5, 1, 3, 0]]), "text.txt")


def test_a_text_without_a_tokeniser_is_refused(monkeypatch):
    texts(monkeypatch, None)
    Path("text.txt").write_text("Played chess\n", encoding="utf-8")

    (line,) = predict("text.txt", code=2)
    assert line.startswith("predict: text.txt: ")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.png", None, "gone.png: no such file; correct the name"),
        ("x.npy", b"", "x.npy: must be a whole .npy file of numbers; got "),
        ("x.npy", b"\x93NUMPY\x01\x00\xff\xff{", "x.npy: must be a whole .npy file of numbers"),
        (
            "x.npy",
            np.zeros((1, 3, 3), np.uint8),
            "x.npy: inputs must be [N, 9, 8] uint8; got [1, 3",
        ),
        (
            "x.npy",
            np.zeros((1, 9, 8)),
            "x.npy: inputs must be [N, 9, 8] uint8; got [1, 9, 8] float",
        ),
        ("x.npy", np.array([{}]), "x.npy: must be a whole .npy file of numbers; got "),
        ("x.png", b"no picture", "x.png: picture must be a whole file of "),
        ("x.csv", b"a,b\n1,2\n", "x.csv: "),
        ("x.pdf", b"%PDF", "x.pdf: must end in one of .npy, "),
        ("x", b"", "x: must end in one of .npy, "),
        (".", None, ".: must end in one of .npy, "),
    ],
)
def test_what_cannot_be_read_is_one_line(name, content, said):
    exported(DENSE, prepared(images(90, 9, 8), "grey image", scaling=BYTES))
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif content is not None:
        file = io.BytesIO()
        np.save(file, content)
        Path(name).write_bytes(file.getvalue())

    (line,) = predict(name, code=2)

    assert line.startswith(f"predict: {said}")
    assert is_one_line(line)


@pytest.mark.parametrize("content", [None, b"", b"no model", b"\x08" * 9_999])
def test_what_is_no_model_is_one_line(content):
    if content is not None:
        Path("own.onnx").write_bytes(content)
    np.save("x.npy", images(1, 9, 8))

    (line,) = predict("x.npy", "--model", "own.onnx", code=2)

    assert line.startswith("predict: own.onnx: ")
    assert line.endswith("run `dvc repro export`")
