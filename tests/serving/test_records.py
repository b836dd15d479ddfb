"""Records: what is kept, how it is read, and what becomes of it when there is no room."""

import errno
import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from services import rows, serving
from support import PATIENCE_SECONDS, ROOT, is_one_line

from lab.base.errors import DataError
from lab.base.serve_params import LEAST_RECORD_BYTES
from lab.serving import records
from lab.serving.bodies import CSV, JSON
from lab.serving.records import Recorder, read

NAMES = ["low", "high"]
PROBABILITIES = np.array([[0.25, 0.75]], np.float32)


def keep(recorder: Recorder, identity: str, value: float = 1.0) -> bool:
    inputs = np.full((1, 3), value, np.float32)
    return recorder.answered([identity], "abc", NAMES, PROBABILITIES, inputs)


def kept(folder: Path) -> list[dict]:
    return [row for batch in read(folder) for row in batch.to_pylist()]


def wait_until(is_so) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def small(monkeypatch) -> None:
    """Journals of 40 records or so."""
    monkeypatch.setattr(records, "JOURNAL_BYTES", 8_000)


def test_inputs_answers_and_feedback_are_kept_and_nobody_else_can_write(tmp_path):
    with serving(tmp_path, rows(), "--record", "kept") as running:
        one, two = running.predict(b"1,0,-5\n9,,9\n", CSV)
        running.predict(b"1,2,3", CSV, "?draft=true")
        said = json.dumps({"id": two["id"], "label": "low"}).encode()
        assert running.ask("/feedback", said, JSON)[0] == 204
        assert running.ask("/model")[1]["is_recording"]
        while_it_runs = kept(tmp_path / "kept")
        done = subprocess.run(
            [sys.executable, str(ROOT / "serve.py"), "--port", "0", "--model", "model.onnx",
             "--record", "kept"],
            cwd=tmp_path, capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        model = running.ask("/model")[1]["sha256"][:12]
        assert running.metrics()["serve_feedback_total"] == 1
        assert running.metrics()["serve_records_dropped_total"] == 0
    first, second, feedback = kept(tmp_path / "kept")

    assert done.returncode == 2
    assert "kept: must be a folder that no other service records in" in done.stderr
    assert is_one_line(done.stderr.strip())
    assert [first, second, feedback] == while_it_runs
    assert (first["id"], first["predicted"], first["model"]) == (one["id"], "low", model)
    np.testing.assert_array_equal(
        np.frombuffer(second["input"], second["dtype"]).reshape(second["shape"]),
        np.array([9, np.nan, 9], np.float32),
    )
    found = np.frombuffer(second["probabilities"], np.float32)
    assert dict(zip(NAMES, found.tolist(), strict=True)) == two["probabilities"]
    assert (feedback["id"], feedback["label"], feedback["input"]) == (two["id"], "low", None)
    assert abs(first["time_ms"] / 1_000 - time.time()) < PATIENCE_SECONDS


def test_the_files_are_parquet_for_everybody(tmp_path):
    recorder = Recorder(tmp_path, LEAST_RECORD_BYTES)
    keep(recorder, "a")
    recorder.close()
    (file,) = tmp_path.glob("*.parquet")
    table = pd.read_parquet(file)

    assert list(table["predicted"]) == ["high"]
    assert list(table["shape"][0]) == [3]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 422, "the body must be"),
        (b"[" * 9_000, 422, "the body must be"),
        (b'{"id": "x", "label": "low"}', 422, "the id must be that of an answer"),
        (
            b'{"id": "0123456789abcdef", "label": "middle"}',
            422,
            "the label must be one of low, high",
        ),
        (
            b'{"id": "0123456789abcdef", "label": ["low"]}',
            422,
            "the label must be one of low, high",
        ),
        (b'{"id": 3, "label": "low", "more": 1}', 422, "the body must be"),
        (b" " * 10_001, 413, "at most 10,000 bytes"),
    ],
)
def test_feedback_that_is_none_is_refused(recording, body, status, said):
    found, answer, _ = recording.ask("/feedback", body, JSON)

    assert found == status
    assert said in answer["detail"]
    assert recording.ask("/feedback", b'{"id": "0123456789abcdef", "label": "low"}', CSV)[0] == 415


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("service"), rows(), "--record", "kept") as found:
        yield found


def test_journals_become_parquet_and_the_oldest_go(small, tmp_path):
    recorder = Recorder(tmp_path, 40_000)
    for number in range(400):
        wait_until(functools.partial(keep, recorder, f"{number:016x}"))
    recorder.close()
    sizes = [path.stat().st_size for path in tmp_path.glob("*.parquet")]
    names = [row["id"] for row in kept(tmp_path)]

    assert recorder.dropped < 400
    assert 0 < sum(sizes) <= 40_000 - 2 * 8_000
    assert names == [f"{number:016x}" for number in range(400)][-len(names) :]
    assert {path.suffix for path in tmp_path.iterdir()} == {"", ".parquet"}


def test_without_room_records_are_dropped_and_counted_until_there_is_some(
    small, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(records, "RETRY_SECONDS", 0.01)
    recorder = Recorder(tmp_path, LEAST_RECORD_BYTES)
    wait_until(lambda: not recorder._next.empty())
    laid_out = Recorder._laid_out

    def full(_: Recorder) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Recorder, "_laid_out", full)
    answers = [keep(recorder, f"{number:016x}") for number in range(200)]
    wait_until(lambda: "dropped: No space left on device" in capsys.readouterr().out)
    monkeypatch.setattr(Recorder, "_laid_out", laid_out)
    wait_until(lambda: keep(recorder, "f" * 16))
    recorder.close()

    assert recorder.dropped >= answers.count(False) > 0
    assert [row["id"] for row in kept(tmp_path)] == [
        *(f"{number:016x}" for number, was_kept in enumerate(answers) if was_kept), "f" * 16,
    ]  # fmt: skip


def test_a_record_larger_than_a_journal_is_dropped(small, tmp_path):
    recorder = Recorder(tmp_path, LEAST_RECORD_BYTES)
    large = np.zeros((1, 9_000), np.float32)

    assert not recorder.answered(["a"], "abc", NAMES, PROBABILITIES, large)
    assert keep(recorder, "b")
    recorder.close()
    assert recorder.dropped == 1


def test_a_disk_without_room_at_the_start_is_said_in_one_line(tmp_path):
    (tmp_path / "model.onnx").write_bytes(rows())
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 4000; exec "$0" "$@"', sys.executable, str(ROOT / "serve.py"),
         "--port", "0", "--model", "model.onnx", "--record", "kept"],
        cwd=tmp_path, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip

    assert done.returncode == 2, done.stderr
    assert is_one_line(done.stderr.strip())
    left = [path.name for path in (tmp_path / "kept").iterdir()]
    assert sorted(left) == [".gitignore", ".lock"]


def test_what_is_half_written_ends_a_journal(tmp_path):
    recorder = Recorder(tmp_path, LEAST_RECORD_BYTES)
    keep(recorder, "a")
    keep(recorder, "b")
    journal = recorder._journal
    content = journal.path.read_bytes()[: journal.used]
    recorder.close()

    assert [row["id"] for row in records.journal_rows(content)] == ["a", "b"]
    assert [row["id"] for row in records.journal_rows(content[:-1] + b"\0" * 90)] == ["a"]
    assert [*records.journal_rows(content[:9])] == []
    assert [*records.journal_rows(b"\xff" * 99)] == []


def test_a_folder_that_is_none_and_a_file_that_is_damaged_are_named(tmp_path):
    with pytest.raises(DataError, match=r"missing: must be a folder of records"):
        next(read(tmp_path / "missing"))
    (tmp_path / "00000001.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"00000001.parquet: must be a whole Parquet file"):
        next(read(tmp_path))
