"""GitHub out of reach."""

import pytest

from lab.ci.github import Api, GitHubError


def test_no_github_at_all_is_one_line():
    api = Api("owner/lab", "the-token", "http://127.0.0.1:9", pauses=(0.0,))

    with pytest.raises(GitHubError, match="no answer from GitHub") as error:
        api.get("pulls")
    assert "the-token" not in str(error.value)
    assert "the-token" not in repr(api)
