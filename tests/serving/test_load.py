"""Many clients at once: while the model changes, when the service ends, and when it is too much."""

import os
import signal

import numpy as np
import pytest
from loads import load
from services import colours, rows, serving, slow
from support import SMALL

from lab.serving.bodies import CSV, RAW

ROW = b"1,0,5\n"


def replace(folder, content: bytes) -> None:
    (folder / "new").write_bytes(content)
    (folder / "new").replace(folder / "model.onnx")


def test_another_model_takes_over_and_no_request_is_lost(tmp_path):
    with serving(tmp_path, rows(model="one")) as running, load(running, ROW, CSV) as clients:
        clients.wait(100)
        replace(tmp_path, rows(model="two"))
        running.wait_for("now answering: two (")
        clients.wait(100)
        (tmp_path / "model.onnx").write_bytes(rows(model="three")[:300])  # in place, and half of it
        assert "the model before goes on answering" in running.wait_for("model.onnx: must be")
        clients.wait(100)
        assert running.ask("/model")[1]["model"] == "two"
        (tmp_path / "model.onnx").unlink()
        clients.wait(100)

    assert clients.lost == []
    assert list(clients.statuses) == [200]
    assert len(clients.models) == 2


def test_a_model_with_other_inputs_takes_over(tmp_path):
    """What was read for the model before is answered by that."""
    with serving(tmp_path, slow()) as running, load(running, bytes(12), RAW, 16) as clients:
        clients.wait(50)
        replace(tmp_path, colours())
        running.wait_for("now answering: made (")
        clients.wait(50)
        assert running.predict(bytes(48), RAW)
        counts = running.metrics()

    assert clients.lost == []
    assert set(clients.statuses) == {200, 422}
    assert counts['serve_predictions_total{class="red"}'] == 1
    assert counts['serve_predictions_total{class="high"}'] + counts[
        'serve_predictions_total{class="low"}'
    ] == clients.statuses[200]  # fmt: skip


@pytest.mark.parametrize("made", [slow, rows])
def test_a_signal_under_load_lets_all_be_answered(tmp_path, made):
    """Those that wait for the network, and those on their way to the service."""
    with serving(tmp_path, made()) as running, load(running, bytes(12), RAW, 32) as clients:
        clients.wait(100)
        assert running.end(signal.SIGTERM) == 0

    assert clients.lost == []
    assert list(clients.statuses) == [200]


def test_who_waits_together_is_run_together(tmp_path):
    with serving(tmp_path, slow()) as running, load(running, bytes(12), RAW, 16) as clients:
        clients.wait(100)
        counts = running.metrics()

    assert list(clients.statuses) == [200]
    assert counts["serve_batch_examples_sum"] > 2 * counts["serve_batch_examples_count"]


def test_too_many_are_asked_to_come_again(code, tmp_path):
    params = f"{SMALL}serve: {{most_waiting: 4}}\n"
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    with (
        serving(tmp_path, slow(), code=code) as running,
        load(running, bytes(12), RAW, 32) as clients,
    ):
        clients.wait(300)
        many = np.zeros((8, 3), np.float32).tobytes()  # more than may wait, where nobody does
        statuses = {running.ask("/predict", many, RAW)[0] for _ in range(5)}

    assert clients.lost == []
    assert set(clients.statuses) == {200, 503}
    assert set(clients.refusals) == {("too many examples wait; come again later", "1")}
    assert statuses <= {200, 503}


def test_killed_under_load_it_has_every_record_that_it_acknowledged(tmp_path):
    from lab.serving.records import read

    with (
        serving(tmp_path, rows(), "--record", "kept") as running,
        load(running, ROW * 200, CSV, 16) as clients,
    ):
        clients.wait(300)  # 60,000 records: more than a journal holds
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()

    kept = [name for batch in read(tmp_path / "kept") for name in batch["id"].to_pylist()]
    assert len(clients.identities) > 50_000
    assert set(clients.identities) <= set(kept)
    assert len(kept) == len(set(kept))
    with serving(tmp_path, rows(), "--record", "kept") as running:
        running.predict(ROW, CSV)
    again = [name for batch in read(tmp_path / "kept") for name in batch["id"].to_pylist()]
    assert set(kept) < set(again)
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {"", ".parquet"}
