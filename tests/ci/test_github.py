"""GitHub out of reach."""

import pytest
from github_server import SECONDARY_LIMIT

from lab.ci import github
from lab.ci.github import Api, GitHubError


def test_no_github_at_all_is_one_line():
    api = Api("owner/lab", "the-token", "http://127.0.0.1:9", pauses=(0.0,))

    with pytest.raises(GitHubError, match="no answer from GitHub") as error:
        api.get("pulls")
    assert "the-token" not in str(error.value)
    assert "the-token" not in repr(api)


def test_a_secondary_rate_limit_is_waited_out(api, server, monkeypatch):
    """It is a 403 like a refusal, and says for how long to wait only now and then."""
    monkeypatch.setattr(github, "LIMITED_SECONDS", 0.0)
    server.faults = [("GET pulls", 403, False, SECONDARY_LIMIT)] * 2

    assert api.get("pulls") == []
    assert server.requests == ["GET pulls"] * 3


def test_a_refusal_is_not_repeated(api, server):
    server.forbidden = ["GET pulls"]

    with pytest.raises(GitHubError, match="Resource not accessible"):
        api.get("pulls")
    assert server.requests == ["GET pulls"]
