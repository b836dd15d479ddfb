"""docs/own-task.md as a reader follows it: every file is written, every command is run."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from support import ROOT, run_in, tracked_files

PAGE = (ROOT / "docs/own-task.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """This repository as git would have it, set up already."""
    folder = tmp_path / "clone"
    for name in tracked_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
        os.utime(folder / name, (0, 0))  # older than what was set up
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    run_in(folder, os.environ, "git", "init", "-q", "-b", "main")
    for key, value in (("name", "t"), ("email", "t@example.org")):
        run_in(folder, os.environ, "git", "config", f"user.{key}", value)
    run_in(folder, os.environ, "git", "add", "-A")
    run_in(folder, os.environ, "git", "commit", "-qm", "The default task")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not Path(sys.prefix, "ready").is_file(), reason="not set up by make")
def test_ten_minutes_to_your_own(clone: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    written, outputs = [], {}
    for path, language, content in BLOCK.findall(PAGE):
        if path:
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_text(content, encoding="utf-8")
            written.append(path)
        elif language == "console":
            for command in re.findall(r"^\$ (.+)$", content, re.MULTILINE):
                outputs[command] = run_in(clone, environment, "bash", "-ec", command)

    changed = run_in(clone, environment, "git", "diff", "--name-only", "main").splitlines()
    own = ("task/", "tests/task/", "params.yaml", "dvc.lock", "metrics/")
    assert [name for name in changed if not name.startswith(own)] == []
    assert written == [
        "task/data/__init__.py",
        "task/dataset.md",
        "task/model.md",
        "task/networks/wide.py",
        "params.yaml",
        "tests/task/test_digits.py",
    ]
    assert "1 passed" in outputs["python -m pytest -q tests/task"]
    for model in ("relu_32", "wide_64"):
        results = json.loads((clone / f"metrics/runs/{model}.json").read_text(encoding="utf-8"))
        assert results["test"]["accuracy"]["mean"] > 0.9
    report = outputs["make report BASE=HEAD"]
    assert "wide_64" in report
    assert "relu_32 (identical, not retrained)" in report
    assert "macro_f1" in (clone / "report/report.md").read_text(encoding="utf-8")
