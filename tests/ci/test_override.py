"""Who accepts a loss."""

from datetime import datetime

import pytest
from reporting import FORK, SHA

from lab.ci import override, pulls
from lab.ci.override import Override

SINCE = datetime.fromisoformat("2026-11-21T10:00:00Z")


@pytest.mark.parametrize(
    ("login", "permission", "time", "overrides", "note"),
    [
        ("owner", "admin", "2026-11-21T10:30:00Z", True, None),
        ("writer", "write", "2026-11-21T10:30:00Z", True, None),
        ("triager", "read", "2026-11-21T10:30:00Z", False, "triager may not write here"),
        ("nobody", None, "2026-11-21T10:30:00Z", False, "nobody may not write here"),
        ("owner", "admin", "2026-11-21T09:59:59Z", False, "before this commit stood here"),
    ],
)
def test_the_label_counts_for_a_writer_and_this_commit(
    api, server, login, permission, time, overrides, note
):
    server.add_label(server.add_pull(7, SHA, "change", FORK), login, time)
    if permission:
        server.permissions[login] = permission

    found = override.find(api, pulls.get(api, 7), SINCE)

    assert found.login == (login if overrides else None)
    assert (found.note is None) if note is None else (note in found.note)


def test_the_newest_time_of_the_label_counts(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    server.add_label(pull, "owner", "2026-11-21T09:00:00Z")
    server.remove_label(pull, "stranger", "2026-11-21T10:10:00Z")
    server.add_label(pull, "owner", "2026-11-21T10:30:00Z")

    assert override.find(api, pulls.get(api, 7), SINCE) == Override("owner")


def test_where_nobody_saw_the_commit_stand_no_label_was_set_on_it(api, server):
    server.add_label(server.add_pull(7, SHA, "change", FORK), "owner", "2026-11-21T10:30:00Z")

    assert override.find(api, pulls.get(api, 7), None).login is None


def test_without_the_label_nobody_is_asked(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    server.add_label(pull, "owner", "2026-11-21T10:30:00Z", "another label")

    assert override.find(api, pulls.get(api, 7), SINCE) == Override()
