"""`make smoke` asks what the image serves: here serve.py itself, on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

from services import digits, serving
from support import ROOT, is_one_line

from lab.base.files import sha256
from lab.ci import image


def smoke(folder: Path, address: str, recorded: str) -> tuple[int, str]:
    (folder / "metrics").mkdir(exist_ok=True)
    forms = {"forms": {"model": {"sha256": recorded}}}
    (folder / image.EXPORTED).write_text(json.dumps(forms), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "lab.ci.image", address], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, encoding="utf-8",
        timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_model_that_git_names_has_to_answer(tmp_path):
    model = digits()
    recorded = sha256(model)
    with serving(tmp_path, model) as running:
        code, said = smoke(tmp_path, running.url, recorded)
        assert (code, said) == (0, f"{running.url}: made ({recorded[:12]}) answers: 1\n")

        code, said = smoke(tmp_path, running.url, "0" * 64)
    assert code == 2
    assert is_one_line(said.strip())
    assert (
        f"must serve the model of metrics/export.json (000000000000); got {recorded[:12]}" in said
    )


def test_a_service_that_is_not_there_is_one_line(tmp_path):
    code, said = smoke(tmp_path, "http://127.0.0.1:9", "0" * 64)

    assert code == 2
    assert is_one_line(said.strip())
    assert "http://127.0.0.1:9/model: must answer; got " in said
