"""A pass over records: what it counts, when it alarms, and that it may stop anywhere."""

import numpy as np
import pytest
from monitored import MINUTE_MS, NAMES, START_MS, blobs, labels, record, reference

from lab.base.errors import DataError
from lab.base.params import MonitorParams
from lab.monitoring import kept
from lab.monitoring.findings import found
from lab.monitoring.watch import State, Watch
from lab.results.monitored import Service
from lab.serving.records import Recorder, read, read_from
from lab.shifts.corruptions import corruptions

PARAMS = MonitorParams(window=100)
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return reference(tmp_path_factory.mktemp("reference"))


def followed(usual, folder, state: State | None = None, params: MonitorParams = PARAMS) -> Watch:
    watch = Watch(usual, params, state or State())
    for _ in watch.follow(folder):
        pass
    return watch


def rotated(inputs: np.ndarray, name: str = "rotated by 30 degrees") -> np.ndarray:
    return corruptions("grey image", inputs.shape[1:])[name](inputs, RANDOM)


def stored(state: State, path) -> bytes:
    kept.write(path, state, "key")
    return path.read_bytes()


# --- reading --------------------------------------------------------------------------------------


def test_from_any_place_the_rest_of_the_records_follows(tmp_path):
    record(tmp_path, 3, blobs(1_500, 1))
    record(tmp_path, 4, blobs(30, 2), 1_500)
    everything = [row["id"] for batch in read(tmp_path) for row in batch.to_pylist()]

    for start, skipped in ((("", 0), 0), (("00000003", 1_100), 1_100), (("00000004", 7), 1_507)):
        rest = [row["id"] for _, one in read_from(tmp_path, start) for row in one.to_pylist()]
        assert rest == everything[skipped:]
    places = [place for place, _ in read_from(tmp_path, ("00000003", 1_100))]
    assert places == [("00000003", 1_100), ("00000004", 0)]


def test_a_folder_that_was_emptied_is_read_from_its_start(tmp_path):
    record(tmp_path, 1, blobs(5, 1))

    assert sum(batch.num_rows for _, batch in read_from(tmp_path, ("00000007", 90))) == 5


def test_what_a_recorder_writes_is_followed_while_it_writes(usual, tmp_path):
    inputs = blobs(250, 3)
    recorder = Recorder(tmp_path / "kept", 2**25)
    names, found_NC = NAMES, np.tile(np.float32([0.9, 0.1]), (250, 1))
    ids = [f"{number:016x}" for number in range(250)]
    recorder.answered(ids[:120], "5a" * 6, names, found_NC[:120], inputs[:120])
    first = followed(usual, tmp_path / "kept")
    recorder.answered(ids[120:], "5a" * 6, names, found_NC[120:], inputs[120:])
    recorder.labelled(ids[0], "left")
    second = followed(usual, tmp_path / "kept", first.state)
    recorder.close()
    last = followed(usual, tmp_path / "kept", second.state)

    assert (first.rest.waiting, second.rest.waiting, last.rest.waiting) == (20, 50, 50)
    assert last.state.records == 200
    assert last.state.looks[0].signals[0].now is not None


# --- counting -------------------------------------------------------------------------------------


def test_windows_alarms_and_what_is_left(usual, tmp_path):
    record(tmp_path, 1, blobs(900, 4))
    record(tmp_path, 2, rotated(blobs(650, 5)), 900)
    watch = followed(usual, tmp_path)
    state = watch.state

    assert (state.records, state.windows, watch.rest.waiting) == (1_500, 15, 50)
    assert state.alarm is not None
    assert state.alarm.start_ms == START_MS + 900 * MINUTE_MS
    assert state.alarm.cause == "rotated by 30 degrees"
    assert state.estimate is None
    assert state.shown is not None
    assert found(watch).headline.startswith("alarm since 2026-09-22 ")


def test_an_alarm_ends_when_all_lengths_are_quiet_and_is_not_told_twice(usual, tmp_path):
    record(tmp_path, 1, blobs(400, 4))
    record(tmp_path, 2, rotated(blobs(400, 5)), 400)
    record(tmp_path, 3, blobs(3_200, 6), 800)
    state = followed(usual, tmp_path).state

    (alarm,) = state.alarms
    assert alarm.start_ms == START_MS + 400 * MINUTE_MS
    assert alarm.end_ms == START_MS + 1_199 * MINUTE_MS  # and sixteen of which four were changed
    assert state.shown is None
    assert state.estimate is not None
    assert state.estimate.accuracy == pytest.approx(0.95, abs=0.03)


def test_a_part_of_the_traffic_is_named_with_its_share(usual, tmp_path):
    inputs = blobs(1_600, 4)
    inputs[::2] = rotated(inputs[::2], "inverted")
    record(tmp_path, 1, inputs)
    alarm = followed(usual, tmp_path).state.alarm

    assert alarm is not None
    assert alarm.cause is not None
    assert alarm.cause.endswith("% of inputs: inverted")
    assert 40 <= int(alarm.cause.split()[1].rstrip("%")) <= 60


def test_directions_are_told_apart(usual, tmp_path):
    record(tmp_path, 1, rotated(blobs(100, 4)[..., ::-1])[..., ::-1].copy())
    record(tmp_path, 2, np.ascontiguousarray(rotated(blobs(100, 4), "shifted")[:, ::-1]), 100)
    record(tmp_path, 3, blobs(100, 5), 200)
    causes = []
    watch = Watch(usual, PARAMS, State())
    for state in watch.follow(tmp_path):
        causes.append(state.alarm.cause if state.alarm else None)

    assert causes[0] == "rotated by 30 degrees clockwise"


def test_feedback_counts_once_and_only_for_answers_that_are_known(usual, tmp_path):
    inputs = blobs(400, 4)
    truth = {place: NAMES[label] for place, label in enumerate(labels(inputs, 3).tolist())}
    record(tmp_path, 1, inputs[:200], judged=truth)
    record(tmp_path, 2, inputs[200:], 100_000, judged=truth | {100_000: "left", 100_001: "left"})
    record(tmp_path, 3, inputs[:100], 0, sha256="77" * 32, judged=truth)
    state = followed(usual, tmp_path).state

    assert state.judged == 202
    assert 0.85 < state.right / state.judged < 1
    low, high = state.feedback.low, state.feedback.high
    assert low is not None
    assert high is not None
    assert low < 0.95 < high


def test_feedback_that_says_that_answers_are_wrong_alarms(usual, tmp_path):
    inputs = blobs(600, 4)
    wrong = {place: NAMES[1 - label] for place, label in enumerate(labels(inputs).tolist())}
    record(tmp_path, 1, inputs, judged={key: wrong[key] for key in range(300)})
    watch = followed(usual, tmp_path)

    assert watch.state.alarm is not None
    assert set(watch.state.alarm.signals) == {"accuracy"}
    assert "accuracy changed" in found(watch).headline


def test_other_models_and_shapes_are_counted_and_left_out(usual, tmp_path):
    record(tmp_path, 1, np.full((150, 12, 12), 255, np.uint8), sha256="77" * 32)
    record(tmp_path, 2, blobs(150, 4), 200)
    record(tmp_path, 3, np.ascontiguousarray(blobs(20, 4)[:, 1:, 1:]), 350)
    record(tmp_path, 4, blobs(40, 5), 370)
    watch = followed(usual, tmp_path)
    result = found(watch)

    assert (result.records, result.other_models, result.waiting) == (200, 150, 10)
    assert result.other_shapes == 20
    assert not result.is_alarm


def test_a_damaged_file_is_a_line_for_its_user(usual, tmp_path):
    (tmp_path / "00000001.parquet").write_bytes(b"PAR1 no")

    with pytest.raises(DataError, match=r"00000001\.parquet: must be a whole Parquet file"):
        followed(usual, tmp_path)


# --- stopping -------------------------------------------------------------------------------------


def test_stopped_after_every_window_it_comes_to_the_same(usual, tmp_path):
    folder, path = tmp_path / "records", tmp_path / "state.npz"
    inputs = blobs(2_450, 4)
    inputs[900:1_400] = rotated(inputs[900:1_400])
    truth = {place: NAMES[place % 2] for place in range(0, 2_450, 3)}
    for number, start in enumerate(range(0, 2_450, 700)):
        record(folder, number, inputs[start : start + 700], start, judged=truth)
    whole = followed(usual, folder)

    state: State | None = State()
    passes = 0
    while state is not None:
        watch, before = Watch(usual, PARAMS, state), state.windows
        next(iter(watch.follow(folder)), None)
        if watch.state.windows == before:
            break
        kept.write(path, watch.state, "key")
        state = kept.read(path, "key")
        passes += 1

    assert passes == 24
    assert state is not None
    assert stored(state, tmp_path / "a.npz") == stored(whole.state, tmp_path / "b.npz")
    assert len(whole.state.alarms) == 1


def test_what_rotated_away_is_kept_as_counts(usual, tmp_path):
    folder = tmp_path / "records"
    record(folder, 1, blobs(500, 4))
    record(folder, 2, blobs(500, 5), 500)
    part = followed(usual, folder)
    (folder / "00000001.parquet").unlink()
    record(folder, 3, blobs(600, 6), 1_000)
    more = followed(usual, folder, part.state)

    assert more.state.records == 1_600
    assert more.state.series[2].block is not None
    assert more.state.series[2].block.records == 1_600


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 1_000])
def test_a_damaged_state_is_none(tmp_path, content):
    path = tmp_path / "state.npz"
    assert kept.read(path, "key") is None
    path.write_bytes(content)
    assert kept.read(path, "key") is None
    kept.write(path, State(), "key")
    assert kept.read(path, "key") == State()
    assert kept.read(path, "another") is None


def test_a_service_that_alarms_comes_first(usual, tmp_path):
    """A dead one is worse than any drift, and the page cuts a long line."""
    inputs = blobs(400, 4)
    inputs[100:] = rotated(inputs[100:])
    record(tmp_path, 1, inputs)
    watch = followed(usual, tmp_path)
    silent = Service(
        asked_ms=START_MS, problem="no connection", since_ms=START_MS, seconds=0.25, restarts=0,
        budgets=[], burns=[],
    )  # fmt: skip
    quiet = silent.model_copy(update={"problem": None, "since_ms": None})
    dead, alive = found(watch, silent), found(watch, quiet)

    assert dead.headline.startswith(
        "alarm since 2026-09-21 14:13 UTC: the service does not answer (no connection); alarm since"
    )
    assert alive.headline.endswith("; the service has answered nobody yet")
    assert dead.headline.partition("; ")[2] == alive.headline.rpartition("; ")[0]
    assert dead.is_alarm
