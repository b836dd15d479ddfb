"""The branch of pictures."""

import pytest
from reporting import SERVER, SHA

from lab.ci import publishing


def test_pictures_of_every_commit_stay_on_their_branch(api, server):
    first = publishing.publish(api, SERVER, "a" * 40, {"x.png": b"one"})
    second = publishing.publish(api, SERVER, SHA, {"x.png": b"two", "y.png": b"three"})

    assert server.files("report-pictures") == {
        f"{'a' * 40}/x.png": b"one", f"{SHA}/x.png": b"two", f"{SHA}/y.png": b"three",
    }  # fmt: skip
    tip = server.refs["report-pictures"]
    assert second == f"{SERVER}/owner/lab/blob/{tip}/{SHA}"
    (parent,) = server.commits[tip]["parents"]
    assert first == f"{SERVER}/owner/lab/blob/{parent}/{'a' * 40}"
    assert server.commits[parent]["parents"] == []  # an orphan: nothing of main is in it


def test_the_same_pictures_again_make_no_commit(api, server):
    first = publishing.publish(api, SERVER, SHA, {"x.png": b"one"})

    assert publishing.publish(api, SERVER, SHA, {"x.png": b"one"}) == first


@pytest.mark.parametrize("at", ["POST git/refs", "PATCH git/refs/heads/report-pictures"])
def test_two_reports_at_once_both_keep_their_pictures(api, server, at):
    if at.startswith("PATCH"):
        publishing.publish(api, SERVER, "a" * 40, {"x.png": b"one"})
    server.before[at] = lambda: publishing.publish(api, SERVER, "c" * 40, {"z.png": b"z"})

    publishing.publish(api, SERVER, SHA, {"x.png": b"two"})

    assert {f"{'c' * 40}/z.png", f"{SHA}/x.png"} <= set(server.files("report-pictures"))
