"""The one comment, with CML and without."""

import os
import sys
from pathlib import Path

import pytest
from github_server import BOT
from reporting import COMMENT, MARK, SERVER

from lab.ci import cml, posting
from lab.ci.github import GitHubError

WATERMARK = '![](https://cml.dev/watermark.png#abc123 "CML watermark fair trial")'


def test_one_comment_is_made_and_then_edited(api, server):
    posting.comment(api, SERVER, 7, f"{MARK}\nfirst")
    posting.comment(api, SERVER, 7, f"{MARK}\nsecond")

    assert [one["body"] for one in server.comments] == [f"{MARK}\nsecond"]


def test_the_comment_is_found_in_a_long_conversation(api, server):
    for number in range(250):
        server.add_comment(f"comment {number}")
    posting.comment(api, SERVER, 7, f"{MARK}\nfirst")
    for number in range(250):
        server.add_comment(f"comment {number}")

    posting.comment(api, SERVER, 7, f"{MARK}\nsecond")

    assert [one["body"] for one in server.comments if MARK in one["body"]] == [f"{MARK}\nsecond"]


def test_a_strangers_copy_of_the_report_is_left_alone(api, server):
    server.add_comment(f"{MARK}\n\n▲ **Improved**\n\n{WATERMARK}", "stranger")
    server.add_comment(f"What is {MARK}?", BOT)

    posting.comment(api, SERVER, 7, f"{MARK}\nreal")

    assert server.comments[0]["body"].endswith(WATERMARK)
    assert server.comments[2] == {**server.comments[2], "body": f"{MARK}\nreal"}


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("request_", ["GET issues/7/comments", "POST issues/7/comments"])
def test_a_fault_of_github_leaves_one_comment(api, server, request_, is_done):
    server.faults = [(request_, 502, is_done)]

    posting.comment(api, SERVER, 7, f"{MARK}\nreal")

    assert [one["body"] for one in server.comments] == [f"{MARK}\nreal"]


def test_a_lasting_fault_ends_in_an_error(api, server):
    server.faults = [("GET issues/7/comments", 503, False)] * 50

    with pytest.raises(GitHubError, match="503"):
        posting.comment(api, SERVER, 7, MARK)
    assert len(server.requests) == 4


def test_a_refusal_is_not_repeated(api, server):
    server.forbidden = ["POST issues/7/comments"]

    with pytest.raises(GitHubError, match=r"403 .Resource not accessible by integration"):
        posting.comment(api, SERVER, 7, MARK)
    assert server.requests.count("POST issues/7/comments") == 1


# --- CML -----------------------------------------------------------------------------------------


def test_cml_is_called_so(api, server, recorded):
    posting.comment(api, SERVER, 7, f"{MARK}\nreal ✕")

    (call,) = recorded[1]()
    assert call["arguments"] == COMMENT
    assert call["markdown"] == f"{MARK}\nreal ✕"
    assert (call["token"], call["quiet"]) == ("the-token", "1")
    assert call["git"] != os.environ.get("GIT_CONFIG_GLOBAL")
    assert not Path(call["git"]).exists()
    assert server.comments == []  # nothing is done twice


def test_cml_edits_where_it_would_find_our_comment(api, server, recorded):
    server.add_comment("hello")
    server.add_comment(f"{MARK}\nold\n\n{WATERMARK}", BOT)

    posting.comment(api, SERVER, 7, f"{MARK}\nnew")

    assert len(recorded[1]()) == 1


@pytest.mark.parametrize("why", ["a stranger's watermark", "beyond the first page", "no watermark"])
def test_cml_is_not_called_where_it_would_edit_another_comment(api, server, recorded, why):
    if why == "beyond the first page":
        for _ in range(30):
            server.add_comment("hello")
    mark = "" if why == "no watermark" else f"\n\n{WATERMARK}"
    ours = server.add_comment(f"{MARK}\nold{mark}", BOT)
    if why == "a stranger's watermark":
        server.add_comment(f"mine now {WATERMARK}", "stranger")

    posting.comment(api, SERVER, 7, f"{MARK}\nnew")

    assert recorded[1]() == []
    assert ours["body"] == f"{MARK}\nnew"


def test_a_failing_cml_is_tried_twice_then_replaced(api, server, recorded, capsys):
    recorded[0](code=1)

    posting.comment(api, SERVER, 7, f"{MARK}\nreal")

    assert [one["arguments"][0] for one in recorded[1]()] == ["comment", "comment"]
    assert [one["body"] for one in server.comments] == [f"{MARK}\nreal"]
    assert "cml comment: exit 1" in capsys.readouterr().out


def test_a_hanging_cml_is_ended(api, server, recorded, tmp_path, monkeypatch):
    (tmp_path / "bin" / "cml").write_text(
        f"#!{sys.executable}\nimport time\ntime.sleep(60)\n", encoding="utf-8"
    )
    monkeypatch.setattr(cml, "TIMEOUT_SECONDS", 0.2)

    posting.comment(api, SERVER, 7, f"{MARK}\nreal")

    assert [one["body"] for one in server.comments] == [f"{MARK}\nreal"]
