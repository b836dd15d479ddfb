"""Whole steps of a pull request: what is posted, what strangers may try, what is offered."""

import json

import pytest
from evidences import evidence, model, shifted, side
from github_server import blob_name, zipped
from pull_requests import FORK, MARK, SHA, packed

import pull_request as script
from lab.base.errors import LabError
from lab.report.page import MAX_CHARACTERS


def test_a_regression_from_report_to_check(step, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())

    assert step("page", event) == "is_ready=true\n"
    step("post", event)

    (comment,) = server.comments
    tip = server.refs["report-pictures"]
    assert comment["body"].startswith(f"{MARK}\n\n▼ **Regressed**: `relu_128` −0.50 pp")
    assert (
        f"https://github.com/owner/lab/blob/{tip}/{SHA}/differences.png?raw=true" in comment["body"]
    )
    assert event["workflow_run"]["html_url"] in comment["body"]
    (check,) = server.checks
    assert (check["head_sha"], check["conclusion"]) == (SHA, "failure")
    assert check["output"]["summary"].startswith("▼ Regressed: relu_128")


def test_an_overridden_regression_is_neutral_and_says_by_whom(step, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())
    server.add_label(pull, "owner", "2026-11-21T10:30:00Z")

    step("page", event)
    step("post", event)

    assert "The failing check was overridden by `@owner`" in server.comments[0]["body"]
    assert server.checks[0]["conclusion"] == "neutral"
    assert "Overridden by owner" in server.checks[0]["output"]["summary"]


def test_a_label_of_somebody_without_rights_is_explained(step, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())
    server.add_label(pull, "stranger", "2026-11-21T10:30:00Z")

    step("page", event)
    step("post", event)

    assert (
        "accept-regression overrides nothing: stranger may not write" in server.comments[0]["body"]
    )
    assert server.checks[0]["conclusion"] == "failure"


@pytest.mark.parametrize(
    ("models", "conclusion"),
    [
        ([shifted(0.005, 0.0005)], "success"),
        ([shifted(0.0005, 0.003)], "neutral"),
        ([model("relu_128", side(), None, baseline_missing="lost")], "failure"),
    ],
)
def test_the_check_run_says_the_verdict(step, server, models, conclusion):
    archive = zipped({"report.json": json.dumps(evidence(*models)).encode()})
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), archive)

    step("page", event)
    step("post", event)

    assert [check["conclusion"] for check in server.checks] == [conclusion]


def test_without_the_right_to_write_pictures_the_report_says_so(step, server):
    server.forbidden = ["POST git/.*"]
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), packed())

    step("page", event)
    step("post", event)

    assert "The pictures are left out" in server.comments[0]["body"]
    assert "<picture>" not in server.comments[0]["body"]


@pytest.mark.parametrize("cause", ["failed", "hostile"])
def test_without_a_report_the_comment_says_why(step, server, cause):
    archive = None if cause == "failed" else zipped({"report.json": b'{"<img src=x>": "@owner"}'})
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), archive)
    if cause == "failed":
        event["workflow_run"]["conclusion"] = "failure"

    step("page", event)
    step("post", event)

    body = server.comments[0]["body"]
    assert body.startswith(f"{MARK}\n\n✕ **No report** of `{SHA[:12]}`")
    assert "<img" not in body
    assert server.checks[0]["conclusion"] == "failure"


INJECTIONS = ["<img src=x onerror=alert(1)>", "![](https://evil.example/x.png)", "@owner #1",
              "`` ` ``", "\n# Heading\n", "| a | b |", "</details><script>", "[x](javascript:y)",
              "‮evil", "::error::x\n::set-output name=x::y"]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_in_the_evidence_becomes_markup(step, server, text):
    change = {"key": text, "baseline": text, "candidate": text}
    changes = {**evidence()["changes"], "params": [change]}
    stage = {"name": text, "state": "ran", "reasons": [text]}
    archive = packed(changes=changes, stages=[stage])
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), archive)

    step("page", event)
    step("post", event)

    body = server.comments[0]["body"]
    outside = "".join(body.split("`")[::2])  # code spans are the odd parts
    for forbidden in ("<img src=x", "<script", "evil.example", "@owner", "javascript:", "‮", "::"):
        assert forbidden not in outside
    assert "\n# " not in body


def test_a_huge_report_fits_into_a_comment(step, server):
    models = [shifted(-0.005, 0.0005, name=f"model_{number}") for number in range(400)]
    archive = zipped({"report.json": json.dumps(evidence(*models)).encode()})
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), archive)

    step("page", event)
    step("post", event)

    assert len(server.comments[0]["body"]) <= MAX_CHARACTERS


def test_nothing_to_report_is_said_and_is_no_failure(step, server, tmp_path, capsys):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())
    pull["state"] = "closed"

    assert step("page", event) == ""
    assert "nothing to report" in capsys.readouterr().out
    assert "no open pull request" in (tmp_path / "STEP_SUMMARY").read_text()
    assert server.comments == server.checks == []


def test_a_commit_pushed_between_page_and_post_stops_the_post(step, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())
    step("page", event)
    pull["head"]["sha"] = "e" * 40

    step("post", event)

    assert server.comments == server.checks == []


def test_outside_a_workflow_it_says_so(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    with pytest.raises(LabError, match="GITHUB_REPOSITORY and GITHUB_TOKEN: not set"):
        script.page()


def test_an_event_or_a_page_that_is_not_there_is_reported(step, server, tmp_path, monkeypatch):
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), packed())
    with pytest.raises(LabError, match=r"post\.json: no such file; run `page` first"):
        step("post", event)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(LabError, match="GITHUB_EVENT_PATH: no such file"):
        script.page()


# --- results, offered back -----------------------------------------------------------------------


@pytest.fixture
def branch(server, tmp_path):
    """A branch of the repository itself whose committed results are old."""
    blobs = {"dvc.lock": b"old", "metrics/a.json": b"old", "metrics/gone.json": b"old", "x.py": b""}
    tree = {}
    for path, content in blobs.items():
        tree[path] = f"{len(server.blobs):040x}"
        server.blobs[tree[path]] = content
    sha = server.add_commit(server.add_tree(tree))
    server.refs["change"] = sha
    pull = server.add_pull(7, sha, "change")
    results = tmp_path / "report" / "results"
    (results / "metrics").mkdir(parents=True)
    (results / "dvc.lock").write_bytes(b"new")
    (results / "metrics" / "a.json").write_bytes(b"new")
    return {"pull_request": pull}


def test_results_are_offered_once_and_kept_up_to_date(step, server, branch, tmp_path, capsys):
    step("offer", branch)
    (tmp_path / "report" / "results" / "dvc.lock").write_bytes(b"newer")
    step("offer", branch)

    assert server.files("results-of-7") == {
        "dvc.lock": b"newer", "metrics/a.json": b"new", "x.py": b"",
    }  # fmt: skip
    offer = server.commits[server.refs["results-of-7"]]
    assert offer["parents"] == [branch["pull_request"]["head"]["sha"]]
    assert "[skip ci]" in offer["message"]
    assert [pull["base"]["ref"] for pull in server.pulls] == ["main", "change"]
    assert "offered as #101" in capsys.readouterr().out


def test_results_are_merged_when_asked(step, server, branch, monkeypatch):
    monkeypatch.setenv("OFFER_RESULTS", "merge")

    step("offer", branch)

    assert server.files("change")["dvc.lock"] == b"new"


def test_results_that_are_there_are_not_offered(step, server, branch, tmp_path, capsys):
    results = tmp_path / "report" / "results"
    for path in ("dvc.lock", "metrics/a.json", "metrics/gone.json"):
        (results / path).write_bytes(b"old")
    tree = server.commits[server.refs["change"]]["tree"]
    for path in ("dvc.lock", "metrics/a.json", "metrics/gone.json"):
        server.trees[tree][path] = blob_name(b"old")
    digest = server.add_tree(server.trees[tree])
    server.commits[server.refs["change"]]["tree"] = digest

    step("offer", branch)

    assert len(server.pulls) == 1
    assert "has these results" in capsys.readouterr().out


def test_nothing_but_results_is_offered(step, server, branch, tmp_path):
    results = tmp_path / "report" / "results"
    (results / "x.py").write_bytes(b"evil")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (results / "metrics" / "link.json").symlink_to(secret)

    step("offer", branch)

    assert set(server.files("results-of-7")) == {"dvc.lock", "metrics/a.json", "x.py"}
    assert server.files("results-of-7")["x.py"] == b""


def test_nothing_is_offered_to_a_fork(step, server, branch):
    branch["pull_request"]["head"]["repo"] = FORK

    with pytest.raises(LabError, match="branches of this repository only"):
        step("offer", branch)


def test_without_packed_results_none_are_removed(step, server, branch, tmp_path):
    (tmp_path / "report" / "results" / "dvc.lock").unlink()

    with pytest.raises(LabError, match=r"must hold the results; got no dvc\.lock"):
        step("offer", branch)
    assert list(server.refs) == ["change"]
