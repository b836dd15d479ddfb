"""The examples of docs/serving.md, given as they stand there."""

import json
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
from services import digits, drawn, file_of, rows, serving
from support import ROOT

from lab.base.serve_params import ServeParams
from lab.serving import connections, openapi, pictures
from lab.serving.records import read

PAGE = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\$ (curl .*)$", PAGE, re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("made", "suffix"), [(digits, ("png", "bin", "json")), (rows, ("csv",))])
def test_what_is_given_to_curl_is_answered(tmp_path, made, suffix):
    images = np.zeros((2, 28, 28), np.uint8)
    (tmp_path / "seven.png").write_bytes(file_of(drawn("7")))
    (tmp_path / "images.bin").write_bytes(images.tobytes())
    (tmp_path / "images.json").write_text(json.dumps({"inputs": images.tolist()}), encoding="utf-8")
    (tmp_path / "rows.csv").write_text("age,size: small,weight\n1,0,2\n", encoding="utf-8")
    with serving(tmp_path, made(), "--record", "usage") as running:
        for example in EXAMPLES:
            if example.endswith(suffix):
                command = shlex.split(example.replace("http://127.0.0.1:8000", running.url))
                done = subprocess.run(
                    [*command, "-sS"], cwd=tmp_path, capture_output=True, check=True
                )
                assert json.loads(done.stdout)["predictions"], example
    assert len(EXAMPLES) == 4
    assert [*read(tmp_path / "usage")]


def test_the_table_of_limits_has_each_with_its_value():
    table = PAGE.split("| limit | at first |")[1].split("\n\n")[0]
    params = ServeParams()

    assert set(re.findall(r"`(\w+)`", table)) == {
        name for name in ServeParams.model_fields if not name.startswith("record")
    }
    assert (params.most_bytes, params.record_bytes) == (4 * 2**20, 2**30)
    for value in (
        params.most_examples, params.most_waiting, int(params.body_seconds), pictures.MOST_PIXELS,
        connections.MOST_HEAD_BYTES, connections.MOST_CONNECTIONS,
    ):  # fmt: skip
        assert f"{value:,}" in table
    named = {int(status) for status in re.findall(r"\b(4\d\d|503)\b", PAGE)}
    assert set(openapi.STATUSES) | {405, 431} == named
