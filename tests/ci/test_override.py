"""Who overrides a failing check."""

import pytest
from pull_requests import FORK, SHA, the_run

from lab.ci import override, pulls
from lab.ci.override import Override


@pytest.mark.parametrize(
    ("login", "permission", "time", "overrides", "note"),
    [
        ("owner", "admin", "2026-11-21T10:30:00Z", True, None),
        ("writer", "write", "2026-11-21T10:30:00Z", True, None),
        ("triager", "read", "2026-11-21T10:30:00Z", False, "triager may not write here"),
        ("nobody", None, "2026-11-21T10:30:00Z", False, "nobody may not write here"),
        ("owner", "admin", "2026-11-21T09:59:59Z", False, "for an earlier commit"),
    ],
)
def test_the_label_overrides_only_for_a_writer_and_this_commit(
    api, server, login, permission, time, overrides, note
):
    pull = server.add_pull(7, SHA, "change", FORK)
    run = the_run(server, pull)  # at 10:00
    if permission:
        server.permissions[login] = permission
    server.add_label(pull, login, time)

    found = override.find(api, pulls.find(api, run), run)

    assert found.login == (login if overrides else None)
    assert (found.note is None) if note is None else (note in found.note)


def test_without_the_label_nobody_is_asked(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    server.add_label(pull, "owner", "2026-11-21T10:30:00Z", "another label")
    run = the_run(server, pull)

    assert override.find(api, pulls.find(api, run), run) == Override()
