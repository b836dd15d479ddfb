"""`monitor.py` as somebody runs it: files, exit codes, kills, the service's /metrics."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from monitored import NAMES, blobs, labels, record, reference
from services import digits, drawn, file_of, serving
from support import ROOT, is_one_line, started

from lab.results.monitored import Monitored
from lab.shifts.corruptions import corruptions

PARAMS = "serve: {record: records}\nmonitor: {window: 100}\n"
FILES = {
    "distributions-dark.png", "distributions.png", "examples-dark.png", "examples.png",
    "monitor.json", "report.html", "report.md", "state.npz", "time-dark.png", "time.png",
}  # fmt: skip


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with params.yaml, a reference and records of which the last are rotated."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    head = text[: text.index("\nserve:")]
    (tmp_path / "params.yaml").write_text(f"{head}\n{PARAMS}", encoding="utf-8")
    (tmp_path / "models/export").mkdir(parents=True)
    reference(tmp_path / "models/export")
    inputs = blobs(2_000, 4)
    rotated = corruptions("grey image", [12, 12])["rotated by 30 degrees"]
    inputs[1_200:] = rotated(inputs[1_200:], np.random.default_rng(0))
    truth = {place: NAMES[label] for place, label in enumerate(labels(inputs).tolist())}
    for number, start in enumerate(range(0, 2_000, 500), start=1):
        judged = {place: label for place, label in truth.items() if place % 5 == 0}
        record(tmp_path / "records", number, inputs[start : start + 500], start, judged=judged)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "monitor.py"), *arguments]


def run(project: Path, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "RECORD_RUNS": "0"}
    done = subprocess.run(
        command(*arguments), cwd=project, capture_output=True, encoding="utf-8", check=False,
        env=environment,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code == 2 else done.stdout


def result(project: Path) -> Monitored:
    return Monitored.model_validate_json((project / "monitor/monitor.json").read_bytes())


def test_an_alarm_is_named_on_one_line_and_by_the_exit_code(project):
    said = run(project, code=1).splitlines()[0]

    assert said.startswith("alarm since 2026-09-22 ")
    assert "inputs changed (rotated by 30 degrees); " in said
    assert {path.name for path in (project / "monitor").iterdir()} == FILES
    found = result(project)
    assert found.is_alarm
    assert found.now is not None
    assert (found.records, found.feedback.labels) == (2_000, 400)
    text = (project / "monitor/report.md").read_text(encoding="utf-8")
    for part in ("What to do", "Accuracy", "Every signal"):
        assert f"### {part}\n" in text
    assert "What fits best: `rotated by 30 degrees`" in text
    page = (project / "monitor/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 6
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_again_it_is_the_same_byte_by_byte_and_calm_on_request(project):
    run(project, code=1)
    first = {path.name: path.read_bytes() for path in (project / "monitor").iterdir()}
    run(project, "--calm")

    assert {path.name: path.read_bytes() for path in (project / "monitor").iterdir()} == first


def test_quiet_records_are_quiet(project):
    for number in (3, 4):
        (project / f"records/{number:08}.parquet").unlink()

    assert run(project).startswith("quiet: 1,000 answers are like the reference")
    assert "estimated as" in (project / "monitor/report.md").read_text(encoding="utf-8")


def test_too_few_records_are_no_alarm_and_said(project):
    for number in (2, 3, 4):
        (project / f"records/{number:08}.parquet").unlink()
    record(project / "records", 1, blobs(40, 4))

    assert run(project).startswith("nothing to say yet: 40 of 100 answers")


@pytest.mark.parametrize("cut", [0, 300])
def test_a_state_of_something_else_is_made_again(project, cut):
    run(project, code=1)
    state = project / "monitor/state.npz"
    whole = state.read_bytes()
    state.write_bytes(whole[:cut])
    said = run(project, code=1)

    assert "of another model, folder or params; all records are read" in said
    assert state.read_bytes() == whole


def test_mistakes_are_one_line(project):
    def mistake(*arguments: str) -> str:
        said = run(project, *arguments, code=2)
        assert is_one_line(said.strip()), said
        return said

    assert "nowhere: must be a folder of records" in mistake("--records", "nowhere")
    (project / "empty").mkdir()
    assert "empty: must be a folder that a service records in; got one without" in mistake(
        "--records", "empty"
    )
    assert not [*(project / "empty").iterdir()]
    assert "no such file; run `dvc repro export`" in mistake("--reference", "nothing.npz")
    record(project / "others", 1, blobs(150, 1), sha256="77" * 32)
    assert "must be of a model of the reference (5a5a5a5a5a5a); got 777777777777" in mistake(
        "--records", "others"
    )
    params = project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("{record: records}", "{}"), encoding="utf-8")
    assert "serve.record: must be a folder; got off" in mistake()
    params.write_text(text.replace("window: 100", "windows: 100"), encoding="utf-8")
    assert "monitor.windows: unknown key; got 100; did you mean window?" in mistake()


def test_killed_at_any_moment_the_next_run_comes_to_the_same(project):
    run(project, "--folder", "whole", code=1)
    environment = {**os.environ, "RECORD_RUNS": "0"}
    for milliseconds in range(200, 2_400, 400):
        options = {"cwd": project, "env": environment, "stdout": subprocess.DEVNULL}
        with started(*command("--folder", "killed"), **options) as process:
            time.sleep(milliseconds / 1_000)
            process.send_signal(signal.SIGKILL)
            process.wait()
    run(project, "--folder", "killed", code=1)

    for name in FILES:
        assert (project / "killed" / name).read_bytes() == (project / "whole" / name).read_bytes()
    assert {path.name for path in (project / "killed").iterdir()} == FILES


def test_the_service_tells_what_the_monitor_found(project):
    with serving(project, digits(), "--record", "records") as running:
        assert not any(name.startswith("monitor_") for name in running.metrics())
        run(project, code=1)
        found = running.metrics()
        assert found["monitor_alarm"] == 1
        assert found["monitor_accuracy_alarm"] == 0
        assert found["monitor_records"] == 2_000
        assert found['monitor_input_distance{statistic="slant"}'] > 0.05
        assert 0.9 < found["monitor_feedback_accuracy"] < 1
        assert time.time() - found["monitor_written_timestamp_seconds"] < 600

        (project / "records/monitor.json").write_text("{}", encoding="utf-8")
        assert not any(name.startswith("monitor_") for name in running.metrics())
        assert running.metrics()
        assert running.said().count("/metrics does without") == 1
        running.predict(file_of(drawn("7")), "image/png")
