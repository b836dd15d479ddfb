"""Results that are offered back, and all that may stand in the way of it."""

import pytest
from github_server import blob_name
from reporting import FORK

from lab.ci.github import GitHubError

BASE = "b" * 40


@pytest.fixture
def branch(server, tmp_path, monkeypatch):
    """A branch of the repository itself whose committed results are old."""
    blobs = {"dvc.lock": b"old", "metrics/a.json": b"old", "metrics/gone.json": b"old", "x.py": b""}
    tree = {}
    for path, content in blobs.items():
        tree[path] = f"{len(server.blobs):040x}"
        server.blobs[tree[path]] = content
    sha = server.add_commit(server.add_tree(tree))
    server.refs["change"] = sha
    server.dispatchable = {"cml.yaml": ["base"], "check.yaml": []}
    pull = server.add_pull(7, sha, "change")
    results = tmp_path / "report" / "results"
    (results / "metrics").mkdir(parents=True)
    (results / "dvc.lock").write_bytes(b"new")
    (results / "metrics" / "a.json").write_bytes(b"new")
    monkeypatch.setenv("OFFER_RESULTS", "yes")
    return {"pull_request": pull}


@pytest.fixture
def said(step, capsys, tmp_path):
    """Runs the step on an event; the lines of its log, which stand in the summary as well."""

    def run(event) -> list[str]:
        capsys.readouterr()
        (tmp_path / "STEP_SUMMARY").write_text("", encoding="utf-8")
        step("offer", event)
        lines = capsys.readouterr().out.splitlines()
        summary = (tmp_path / "STEP_SUMMARY").read_text(encoding="utf-8")
        assert summary == "".join(f"`{line.replace('`', chr(39))}`\n\n" for line in lines)
        return lines

    return run


def test_results_are_offered_once_and_kept_up_to_date(said, server, branch, tmp_path):
    said(branch)
    (tmp_path / "report" / "results" / "dvc.lock").write_bytes(b"newer")
    lines = said(branch)

    assert lines == ["the results are offered as #101"]
    assert server.files("results-of-7") == {
        "dvc.lock": b"newer", "metrics/a.json": b"new", "x.py": b"",
    }  # fmt: skip
    offer = server.commits[server.refs["results-of-7"]]
    assert offer["parents"] == [branch["pull_request"]["head"]["sha"]]
    assert offer["message"] == "Update the results"  # nothing that keeps a later commit from a run
    assert [pull["base"]["ref"] for pull in server.pulls] == ["main", "change"]
    assert server.dispatches == []


@pytest.mark.parametrize("value", ["merge", " Merge ", '"merge"'])
def test_results_are_merged_when_asked_and_the_new_commit_gets_its_runs(
    said, server, branch, monkeypatch, value
):
    monkeypatch.setenv("OFFER_RESULTS", value)

    lines = said(branch)

    assert lines == ["the results are offered as #101", "#101 is merged"]
    assert server.files("change")["dvc.lock"] == b"new"
    assert server.dispatches == [
        {"workflow": "cml.yaml", "ref": "change", "inputs": {"base": BASE}},
        {"workflow": "check.yaml", "ref": "change", "inputs": {}},
    ]


def test_a_run_that_cannot_be_started_is_said_and_no_failure(said, server, branch, monkeypatch):
    monkeypatch.setenv("OFFER_RESULTS", "merge")
    server.dispatchable = {"cml.yaml": ["base"]}
    server.forbidden = ["POST actions/workflows/cml.yaml/dispatches"]

    lines = said(branch)

    assert lines[1] == "#101 is merged"
    assert [line.partition(":")[0] for line in lines[2:]] == [
        "cml.yaml does not run for the new commit", "check.yaml does not run for the new commit",
    ]  # fmt: skip
    assert lines[2].endswith("start it: Actions, cml, Run workflow, on change")
    assert server.files("change")["dvc.lock"] == b"new"


@pytest.mark.parametrize("value", ["no", "FALSE", "0", "off", "", "  "])
def test_nothing_is_offered_unless_it_is_asked_for(said, server, branch, monkeypatch, value):
    monkeypatch.setenv("OFFER_RESULTS", value)

    assert said(branch) == []
    assert server.requests == []


def test_another_word_is_said(said, server, branch, monkeypatch):
    monkeypatch.setenv("OFFER_RESULTS", "please")

    assert said(branch) == [
        "no results are offered: OFFER_RESULTS: must be yes, merge or no; got 'please'; "
        "correct it in the repository's variables"
    ]
    assert server.requests == []


# --- refusals: a line, and the job goes on -------------------------------------------------------


def test_where_actions_may_not_open_pull_requests_the_line_names_the_setting(said, server, branch):
    """As it is at GitHub unless somebody turns it on."""
    server.may_open_pulls = False

    (line,) = said(branch)

    assert line == (
        "the results are on results-of-7, not offered: POST pulls: GitHub answers 403 (GitHub "
        "Actions is not permitted to create or approve pull requests.); allow it (Settings, "
        "Actions, General, Allow GitHub Actions to create and approve pull requests), or merge "
        "that branch"
    )
    assert server.files("results-of-7")["dvc.lock"] == b"new"


@pytest.mark.parametrize("forbidden", ["POST git/.*", "GET git/trees/.*", "POST pulls"])
def test_what_the_token_may_not_do_is_a_line(said, server, branch, forbidden):
    server.forbidden = [forbidden]

    (line,) = said(branch)

    assert "GitHub answers 403 (Resource not accessible by integration)" in line


@pytest.mark.parametrize(("status", "times"), [(405, 1), (405, 2)])
def test_a_merge_waits_until_github_knows_that_it_can_be(
    said, server, branch, monkeypatch, status, times
):
    monkeypatch.setenv("OFFER_RESULTS", "merge")
    server.faults = [(r"PUT pulls/\d+/merge", status, False)] * times

    assert said(branch)[1] == "#101 is merged"


@pytest.mark.parametrize("status", [403, 405, 409])
def test_a_merge_that_the_rules_forbid_is_a_line(said, server, branch, monkeypatch, status):
    monkeypatch.setenv("OFFER_RESULTS", "merge")
    server.faults = [(r"PUT pulls/\d+/merge", status, False)] * 9

    first, line = said(branch)

    assert first == "the results are offered as #101"
    assert line.startswith("#101 is not merged: PUT pulls/101/merge: GitHub answers")
    assert server.files("change")["dvc.lock"] == b"old"
    assert server.dispatches == []


def test_a_merge_whose_answer_is_lost_is_one_all_the_same(said, server, branch, monkeypatch):
    monkeypatch.setenv("OFFER_RESULTS", "merge")
    server.faults = [(r"PUT pulls/\d+/merge", 502, True)]

    assert said(branch)[1] == "#101 is merged"
    assert len(server.dispatches) == 2


def test_a_branch_that_moved_on_is_offered_nothing(said, server, branch):
    server.refs["change"] = server.add_commit(server.add_tree({}))

    assert said(branch) == ["no results are offered: change has moved on, and its own run does"]
    assert "results-of-7" not in server.refs


def test_results_that_are_there_are_not_offered(said, server, branch, tmp_path):
    results = tmp_path / "report" / "results"
    tree = server.commits[server.refs["change"]]["tree"]
    for path in ("dvc.lock", "metrics/a.json", "metrics/gone.json"):
        (results / path).write_bytes(b"old")
        server.trees[tree][path] = blob_name(b"old")
    server.commits[server.refs["change"]]["tree"] = server.add_tree(server.trees[tree])

    assert said(branch) == ["the branch has these results"]
    assert len(server.pulls) == 1


def test_nothing_but_results_is_offered(said, server, branch, tmp_path):
    results = tmp_path / "report" / "results"
    (results / "x.py").write_bytes(b"evil")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (results / "metrics" / "link.json").symlink_to(secret)

    said(branch)

    assert set(server.files("results-of-7")) == {"dvc.lock", "metrics/a.json", "x.py"}
    assert server.files("results-of-7")["x.py"] == b""


def test_nothing_is_offered_to_a_fork(said, server, branch):
    branch["pull_request"]["head"]["repo"] = FORK

    assert said(branch) == [
        "no results are offered: offers are for branches of this repository only"
    ]
    assert list(server.refs) == ["change"]


def test_without_packed_results_none_are_removed(said, server, branch, tmp_path):
    (tmp_path / "report" / "results" / "dvc.lock").unlink()

    (line,) = said(branch)

    assert "must hold the results; got no dvc.lock" in line
    assert list(server.refs) == ["change"]


def test_an_answer_without_content_is_none(api, server, branch):
    path = "actions/workflows/cml.yaml/dispatches"

    assert api.send("POST", path, {"ref": "change", "inputs": {}}) is None
    with pytest.raises(GitHubError, match="Unexpected inputs"):
        api.send("POST", path, {"ref": "change", "inputs": {"x": "y"}})
