"""Targets of the service: what is counted, how fast it is spent, what alarms and when that ends."""

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from monitored import blobs, record, reference
from pydantic import ValidationError
from servers import free_port
from services import digits, drawn, file_of, serving
from support import ROOT, is_one_line

from lab.base.errors import ParamsError
from lab.base.params import MonitorParams
from lab.monitoring import counters as asking
from lab.monitoring.budgets import HOUR_MS, Point, Spending, burns, missed
from lab.monitoring.counters import Counters, read
from lab.monitoring.findings import targets_line
from lab.monitoring.looks import MONTH_MS
from lab.results.monitored import Burn, Monitored, Service

START_MS = 1_790_000_000_000
PROCESS = START_MS / 1_000
PARAMS = MonitorParams()


def spending() -> Spending:
    return Spending(address="http://127.0.0.1:1", seconds=0.25)


def counted(requests: int, failed: int = 0, slow: int = 0, process: float = PROCESS) -> Counters:
    return Counters(process, requests, failed, requests, slow)


def hourly(*each: tuple[int, int, int], every_ms: int = HOUR_MS) -> list[Point]:
    """Points of so many requests, failures and slow answers."""
    sums = np.cumsum([(0, 0, 0), *each], axis=0).tolist()
    return [
        Point(START_MS + place * every_ms, requests, failed, requests, slow)
        for place, (requests, failed, slow) in enumerate(sums)
    ]


def on(points: list[Point], params: MonitorParams = PARAMS) -> set[tuple[str, int]]:
    return {(one.kind, one.hours) for one in looked(points, params) if one.is_on}


def looked(points: list[Point], params: MonitorParams = PARAMS) -> list[Burn]:
    return [*burns(points, params, points[-2].time_ms)]


QUIET = [(1_000, 0, 2)] * 100


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ([(1_000, 0, 0)], set()),
        ([(1_000, 1, 10)], set()),  # just what may be
        ([(1_000, 10, 0)], set()),  # ten times that, but not yet a part of the budget
        ([(1_000, 30, 0)], {("errors", 1)}),
        ([(1_000, 0, 300)], {("slow", 1)}),
        ([(1_000, 500, 500)], {("errors", 1), ("errors", 6), ("errors", 72), ("slow", 1),
                               ("slow", 6)}),
        ([(1_000, 12, 0)] * 6, {("errors", 6)}),
        ([(1_000, 3, 0)] * 60, {("errors", 72)}),
        ([(1_000, 2, 0)] * 8, set()),
        ([(1_000, 500, 0), (1_000, 0, 0)], {("errors", 72)}),  # it is over, but for the longest
        ([(1_000, 500, 0)] + [(1_000, 0, 0)] * 6, set()),
        ([(20, 1, 0)], set()),  # fifty times what may be, which one request can be by chance
        ([(0, 0, 0)], set()),
    ],
)  # fmt: skip
def test_what_alarms(last, expected):
    assert on(hourly(*QUIET, *last)) == expected


def test_soon_after_a_start_only_what_has_spent_a_part_of_the_budget_alarms():
    minutes = 60_000
    few = hourly((1_000, 20, 0), every_ms=5 * minutes)
    many = hourly((1_000, 300, 0), every_ms=5 * minutes)

    assert not on(few)
    assert ("errors", 1) in on(many)


def test_targets_are_those_of_the_params():
    points = hourly(*QUIET, (1_000, 30, 300))

    assert on(points, MonitorParams(answered=0.99, in_time=0.9)) == set()
    assert on(points, MonitorParams(answered=0.9999)) > {("errors", 1), ("slow", 1)}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=40))
def test_what_was_counted_is_neither_lost_nor_counted_twice(steps):
    """However often the process is another one, and however often somebody looks."""
    now, state, time_ms, process = counted(0), spending(), START_MS, PROCESS
    requests, failed, processes = 0, 0, set()
    for more, bad, is_new in steps:
        time_ms += 40_000
        if is_new:
            process, now = process + 1, counted(0)
        processes.add(process)
        now = counted(now.requests + more + bad, now.failed + bad, process=process)
        requests, failed = requests + more + bad, failed + bad
        state = state.then(now, time_ms)

    assert Spending.model_validate_json(state.model_dump_json()) == state
    assert state.processes == len(processes)
    if steps:
        errors, slow = missed(state.points[0], state.points[-1], PARAMS)
        assert (errors.requests, errors.missed) == (requests, failed)
        assert (slow.requests, slow.missed) == (requests, 0)
    assert all(a.time_ms < b.time_ms for a, b in itertools.pairwise(state.points))


def test_what_is_kept_is_bounded_and_reaches_back_for_a_month():
    state = spending()
    for place in range(1, 1_500):
        state = state.then(counted(place * 10), START_MS + place * HOUR_MS)
    often = spending()
    for place in range(1, 1_500):
        often = often.then(counted(place * 10), START_MS + place * 1_000)

    assert state.points[-1].time_ms - state.points[0].time_ms == MONTH_MS
    assert missed(state.points[0], state.points[-1], PARAMS)[0].requests == 7_200
    assert len(often.points) == 6  # one in five minutes
    assert often.points[-1].requests == 14_990


def test_processes_that_take_turns_are_each_counted_once():
    """Two services behind an address, or one that is replaced and comes back."""
    state = spending()
    for hour in range(1, 9):
        one = counted(100 * hour, hour, process=PROCESS + hour % 2)
        state = state.then(one, START_MS + hour * HOUR_MS)

    assert state.processes == 2
    assert missed(state.points[0], state.points[-1], PARAMS)[0].requests == 700 + 800


def test_where_no_start_is_known_a_sum_that_grew_by_other_parts_is_another_process():
    state = spending().then(Counters(0.0, 92, 0, 92, 0), START_MS)
    state = state.then(Counters(0.0, 100, 50, 100, 60), START_MS + HOUR_MS)
    state = state.then(Counters(0.0, 100, 50, 100, 60), START_MS + 2 * HOUR_MS)

    assert state.processes == 2
    assert state.points[-1][1:] == (192, 50, 192, 60)


@pytest.mark.parametrize("ahead_ms", [-600_000, 365 * 24 * HOUR_MS])
def test_a_clock_that_was_wrong_once_is_forgotten(ahead_ms):
    state, seen = spending(), []
    for hour in range(1, 30):
        now_ms = START_MS + hour * HOUR_MS + (ahead_ms if hour == 5 else 0)
        state = state.then(counted(1_000 * hour, 600 if hour > 5 else 0), now_ms)
        looks = burns(state.points, PARAMS, state.seen_ms, state.on)
        state = state.model_copy(
            update={"on": [(one.kind, one.hours) for one in looks if one.is_on]}
        )
        seen.append(bool(state.on))

    assert seen[6]
    assert not seen[-1]
    times = [one.time_ms for one in state.points]
    assert times == sorted(times)
    assert state.points[-1].requests == 29_000


def test_an_alarm_does_not_end_because_somebody_looks_again():
    """In ten seconds chance can hardly be excluded; it was before."""
    state = spending().then(counted(0), START_MS)
    for hour in range(1, 5):
        before = state.seen_ms
        state = state.then(counted(100 * hour, 5 * (hour == 4)), START_MS + hour * HOUR_MS)
    first = {(x.kind, x.hours) for x in burns(state.points, PARAMS, before) if x.is_on}
    then = state.then(counted(400, 5), state.seen_ms + 10_000)
    alone = [*burns(then.points, PARAMS, state.seen_ms)]
    again = [*burns(then.points, PARAMS, state.seen_ms, sorted(first))]

    assert first == {("errors", 1)}
    assert not any(one.is_on for one in alone)
    assert {(one.kind, one.hours) for one in again if one.is_on} == first


@pytest.mark.parametrize("answered", [0.5, 0.9, 0.95])
def test_of_a_low_target_all_that_fails_is_enough(answered):
    points = hourly(*QUIET, (1_000, 990, 0))

    assert ("errors", 1) in on(points, MonitorParams(answered=answered))


@pytest.mark.parametrize(
    "points",
    [
        [[START_MS, 500, 400, 500, 0], [START_MS + 1, 100, 0, 5, 9]],
        [[START_MS, 0, 0, 0, 0], [START_MS - 1, 0, 0, 0, 0]],
        [[10**17, 0, 0, 0, 0]],
        [[START_MS, -5, -700, -5, 0]],
        [[START_MS, 5, 7, 5, 0]],
    ],
)
def test_a_state_that_cannot_be_is_damaged(points):
    text = spending().model_dump_json().replace('"points":[]', f'"points":{points}')
    with pytest.raises(ValidationError, match="points must"):
        Spending.model_validate_json(text)


def test_mistakes_of_clients_are_no_failures():
    text = (
        '# TYPE serve_requests counter\nserve_requests_total{status="200"} 90.0\n'
        'serve_requests_total{status="422"} 7.0\nserve_requests_total{status="500"} 1.0\n'
        'serve_requests_total{status="503"} 2.0\n# TYPE serve_request_seconds histogram\n'
        'serve_request_seconds_bucket{le="0.25"} 95.0\n'
        'serve_request_seconds_bucket{le="+Inf"} 100.0\n'
    )

    assert read(text, 0.25) == Counters(0.0, requests=93, failed=3, answers=100, slow=5)
    with pytest.raises(ParamsError, match=r"monitor\.seconds: must be one of 0\.25; got 0\.3"):
        read(text, 0.3)
    for begun, expected in (("1.5", 1.5), ("NaN", 0.0), ("+Inf", 0.0), ("-1e300", 0.0)):
        assert read(f"{text}process_start_time_seconds {begun}\n", 0.25).process == expected
    for other in ("", "<html>", "up 1\n", text.replace('"200"} 90.0', '"200"} many'),
                  text.replace("+Inf", "1.0"), "serve_requests_total 3\n" + text):  # fmt: skip
        with pytest.raises(ParamsError, match="must be the address of a service"):
            read(other, 0.25)


METRICS = st.one_of(
    st.text(max_size=60),
    st.builds(
        'serve_request{}{{{}="{}"}} {}\n'.format,
        st.sampled_from(["s_total", "_seconds_bucket", "_seconds_count"]),
        st.sampled_from(["status", "le", "", "x"]),
        st.sampled_from(["200", "500", "0.25", "+Inf", "", "\\", '"', "many"]),
        st.sampled_from(["1", "-1", "0.5", "NaN", "+Inf", "1e300", "", "x", "1 2 3"]),
    ),
)


@given(st.lists(METRICS, max_size=8).map("".join))
@example('serve_requests_total{status="200"} +Inf\nserve_request_seconds_bucket{le="+Inf"} 1\n')
@example('serve_requests_total{status="200"} -1\nserve_request_seconds_bucket{le="0.25"} 2\n'
         'serve_request_seconds_bucket{le="+Inf"} 1\n')  # fmt: skip
def test_whatever_stands_at_metrics_is_counted_or_a_mistake(text):
    try:
        found = read(text, 0.25)
    except ParamsError:
        return
    assert all(0 <= bad <= all_ for bad, all_ in ((found.failed, found.requests),
                                                  (found.slow, found.answers)))  # fmt: skip


def test_what_was_missed_is_no_target_that_is_kept():
    """Nothing alarms any longer, and the month's budget is spent all the same."""
    points = hourly((1_000, 50, 0), *[(1_000, 0, 2)] * 20)
    found = Service(
        asked_ms=START_MS, problem=None, since_ms=None, seconds=0.25, restarts=0,
        budgets=missed(points[0], points[-1], PARAMS), burns=looked(points),
    )  # fmt: skip

    assert on(points) == set()
    assert targets_line(found) == (
        "0.2381% of 21,000 requests since 2026-09-21 14:13 UTC failed (0.1% may)"
    )


# --- as somebody runs it ------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a reference and quiet records."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "models/export").mkdir(parents=True)
    reference(tmp_path / "models/export")
    record(tmp_path / "records", 1, blobs(600, 4))
    return tmp_path


def run(project: Path, service: str, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "monitor.py"), "--records", "records", "--service", service],
        cwd=project, capture_output=True, encoding="utf-8", check=False,
        env={**os.environ, "RECORD_RUNS": "0", **environment},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    if code == 2:
        assert is_one_line(done.stderr.strip()), done.stderr
    return done.stderr if code == 2 else done.stdout


def result(project: Path) -> Monitored:
    return Monitored.model_validate_json((project / "monitor/monitor.json").read_bytes())


def test_a_service_is_asked_and_an_end_of_it_alarms(project):
    with serving(project, digits(), "--record", "records") as running:
        address = f"http://127.0.0.1:{running.port}"
        for _ in range(20):
            running.predict(file_of(drawn("7")), "image/png")
        said = run(project, address)
        found = result(project).service
        assert said.startswith("quiet: 500 answers are like the reference; the service keeps its")
        assert found is not None
        assert [(one.kind, one.requests, one.missed) for one in found.budgets] == [
            ("errors", 20, 0), ("slow", 20, 0),
        ]  # fmt: skip
        assert running.metrics()["monitor_service_alarm"] == 0
    said = run(project, address, code=1)
    first = result(project)
    run(project, address, code=1)
    again = result(project)

    assert ": the service does not answer (no connection)" in said
    assert first.is_alarm
    assert first.service is not None
    assert again.service is not None
    assert first.service.since_ms == again.service.since_ms
    assert again.service.budgets[0].requests == 20  # of before
    text = (project / "monitor/report.md").read_text(encoding="utf-8")
    assert "### The service\n" in text
    assert address not in text + (project / "monitor/monitor.json").read_text(encoding="utf-8")


def test_who_is_let_in_has_the_token(project):
    with serving(project, digits(), SERVE_TOKEN="open sesame") as running:  # noqa: S106
        address = f"http://127.0.0.1:{running.port}"
        said = run(project, address, code=2)
        assert "must let in who asks for /metrics; got 401; set SERVE_TOKEN" in said
        run(project, address, SERVE_TOKEN="open sesame")  # noqa: S106


@pytest.fixture
def other() -> Iterator[dict]:
    """Something else that listens; what it answers is to be said."""
    answers = {"status": 200, "body": b"", "asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers["asked"].append(dict(self.headers))
            self.send_response(answers["status"])
            for name, value in answers.get("more", {}).items():
                self.send_header(name, value)
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.end_headers()
            with contextlib.suppress(OSError):
                for byte in answers["body"] if answers.get("slowly") else ():
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
                self.wfile.write(b"" if answers.get("slowly") else answers["body"])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that its end waits for theirs
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield answers | {"address": f"http://127.0.0.1:{server.server_port}", "set": answers.update}
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "got"),
    [
        (404, b"", "404 for /metrics"),
        (302, b"", "302 for /metrics"),  # a token goes nowhere else
        (200, b"\xff\x00<html>", "something else at /metrics"),
        (200, b"up 1\n" * 10, "something else at /metrics"),
    ],
)
def test_what_is_no_service_is_a_mistake(project, other, status, body, got):
    other["set"]({"status": status, "body": body})

    assert f"a service of serve.py; got {got}; correct it" in run(project, other["address"], code=2)
    assert len(other["asked"]) == 1
    assert not (project / "monitor/service.json").exists()


def test_what_is_broken_for_long_alarms(project, other):
    other["set"]({"status": 503})

    assert "does not answer (/metrics answers 503)" in run(project, other["address"], code=1)
    assert len(other["asked"]) == 3  # one that is started anew would have been back


def test_an_answer_without_an_end_is_none(other, monkeypatch):
    monkeypatch.setattr(asking, "MOST_SECONDS", 0.5)
    monkeypatch.setattr(asking, "MOST_BYTES", 1_000)
    other["set"]({"slowly": True, "body": b" " * 30})
    with pytest.raises(asking.SilentError, match=r"no end of an answer in 0\.5 s"):
        asking.counters(other["address"], 0.25)
    monkeypatch.setattr(asking, "MOST_SECONDS", 30)
    other["set"]({"slowly": False, "body": b"endless\n" * 1_000})
    with pytest.raises(ParamsError, match="got more than 1,000 bytes at /metrics"):
        asking.counters(other["address"], 0.25)


def test_nobody_says_how_long_to_wait_or_who_asks(other, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("default login a password b", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("SERVE_TOKEN", "open sesame")
    other["set"]({"status": 503, "more": {"Retry-After": "3600"}})
    with pytest.raises(asking.SilentError, match="/metrics answers 503"):
        asking.counters(other["address"], 0.25)

    assert {one["Authorization"] for one in other["asked"]} == {"Bearer open sesame"}


@pytest.mark.parametrize("address", ["http://a:99999", "http://127.0.0.1:port", "http://a..b"])
def test_an_address_that_cannot_be_is_a_mistake(address):
    with pytest.raises(ParamsError, match="must be the address of a service"):
        asking.counters(address, 0.25)


def test_certificates_that_are_not_there_are_a_mistake(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with pytest.raises(ParamsError, match=r"monitor\.service: .*/nowhere"):
        asking.counters(f"https://127.0.0.1:{free_port()}", 0.25)


def test_a_slip_in_the_address_overwrites_nothing(project):
    with serving(project, digits()) as running:
        address = f"http://127.0.0.1:{running.port}"
        for _ in range(20):
            running.predict(file_of(drawn("7")), "image/png")
        run(project, f"{address}/")
        run(project, f"http://127.0.0.1:{free_port()}", code=1)
        run(project, address)

    found = result(project).service
    assert found is not None
    assert found.budgets[0].requests == 20
    assert found.restarts == 0


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://a", "http://me:secret@a", "http://"])
def test_what_is_no_address_is_a_mistake(project, address):
    said = run(project, address, code=2)

    assert f"--service: must be off or the address of a service; got {address}; write it" in said


def test_a_damaged_state_is_counted_anew(project):
    address = f"http://127.0.0.1:{free_port()}"
    (project / "monitor").mkdir()
    (project / "monitor/service.json").write_text("{", encoding="utf-8")

    assert "service.json: damaged, or of another address or seconds" in run(
        project, address, code=1
    )
