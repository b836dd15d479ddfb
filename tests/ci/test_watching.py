"""The one issue of the monitor, at a stand-in for GitHub."""

import pytest
from github_server import BOT

from lab.base.errors import DataError
from lab.ci import watching
from lab.ci.github import GitHubError
from lab.results.monitored import Feedback, Monitored

TEXT = f"{watching.MARK}\n\n**Alarm** since today\n"
QUIET = Monitored(
    schema_version=1, headline="quiet", is_alarm=False, model="relu", usual_accuracy=0.9,
    records=500, windows=1, waiting=0, other_models=0, other_shapes=0, start_ms=0, end_ms=1,
    window=500, false_alarms=0.1, least=0.05, looks=[], alarms=[], estimate=None,
    feedback=Feedback(labels=0, right=0, unknown=0, low=None, high=None),
)  # fmt: skip
ALARM = QUIET.model_copy(update={"is_alarm": True})


def states(server) -> list[str]:
    return [one["state"] for one in server.issues]


def test_one_issue_lives_as_long_as_the_alarm(api, server):
    assert watching.update(api, QUIET, TEXT) == "no issue: nothing alarms"
    assert watching.update(api, ALARM, TEXT) == "issue 1000: opened"
    assert watching.update(api, ALARM, f"{TEXT}more") == "issue 1000: updated"
    assert server.issues[0]["body"] == f"{TEXT}more"
    assert server.issues[0]["title"] == watching.TITLE
    assert watching.update(api, QUIET, f"{watching.MARK}\nover") == "issue 1000: closed"
    assert (states(server), server.issues[0]["state_reason"]) == (["closed"], "completed")
    assert server.issues[0]["body"].endswith("over")
    assert watching.update(api, QUIET, TEXT) == "no issue: nothing alarms"
    assert watching.update(api, ALARM, TEXT) == "issue 1001: opened"


def test_what_others_wrote_is_left_alone(api, server):
    for number in range(130):
        server.add_issue(f"issue {number}", TEXT if number % 2 else "something")
    server.add_issue("of another workflow", "<!-- other -->", BOT)
    watching.update(api, ALARM, TEXT)
    watching.update(api, QUIET, TEXT)

    assert states(server) == ["open"] * 131 + ["closed"]


@pytest.mark.parametrize("is_done", [False, True])
def test_a_fault_while_it_is_opened_leaves_one_issue_in_the_end(api, server, is_done):
    server.faults = [("POST issues", 502, is_done)]
    with pytest.raises(GitHubError, match="502"):
        watching.update(api, ALARM, TEXT)
    watching.update(api, ALARM, TEXT)

    assert states(server) == ["open"]


def test_of_two_the_newer_is_closed(api, server):
    for _ in range(2):
        server.add_issue(watching.TITLE, TEXT, BOT)
    watching.update(api, ALARM, TEXT)

    assert states(server) == ["open", "closed"]
    assert server.issues[1]["state_reason"] == "not_planned"


def test_without_the_right_it_is_a_line(api, server):
    server.forbidden = ["POST issues"]

    with pytest.raises(GitHubError, match="403"):
        watching.update(api, ALARM, TEXT)


def test_the_text_of_an_issue_has_room_and_leads_to_the_run(tmp_path, monkeypatch):
    path = tmp_path / "report.md"
    with pytest.raises(DataError, match="must be the monitor's report; got none"):
        watching.text_of(path)
    path.write_text("something", encoding="utf-8")
    with pytest.raises(DataError, match="must be the monitor's report"):
        watching.text_of(path)
    path.write_text(f"{watching.MARK}\n" + "line\n" * 40_000, encoding="utf-8")
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/lab")
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    found = watching.text_of(path)

    assert len(found) < 65_536
    assert "Cut here: it is too long." in found
    assert "owner/lab/actions/runs/77" in found
