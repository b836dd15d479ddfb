"""The forge, and what holds after every test of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from github_server import serving
from pull_requests.forge import Forge
from pull_requests.workshop import Workshop
from repository import Repository

from lab.ci import github, posting, pulls
from lab.report import pictures
from lab.report.document import Picture


@pytest.fixture(scope="session")
def workshop(shared: Path, trained: Repository) -> Workshop:
    return Workshop(shared / "workshop", trained)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses, and no pictures: drawing takes a second, and is tried elsewhere."""
    made = github.Api.__init__
    monkeypatch.setattr(
        github.Api,
        "__init__",
        lambda self, *given, **more: made(self, *given, **{"pauses": (0.0, 0.0), **more}),
    )
    monkeypatch.setattr(posting, "COMMENT_PAUSES_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(pulls, "SETTLING_SECONDS", (0.0,) * 5, raising=False)
    monkeypatch.setattr(github, "LIMITED_SECONDS", 0.0)
    drawn = [Picture("differences", "Differences")], {"differences.png": b"drawn"}
    monkeypatch.setattr(pictures, "draw", lambda *_: drawn)


@pytest.fixture
def forge(
    tmp_path: Path, workshop: Workshop, empty_store: Path, impatient: None
) -> Iterator[Forge]:
    """A repository of its own; afterwards, no loss had a success at any moment."""
    made = Forge(tmp_path, workshop, empty_store)
    with serving(made.github):
        yield made
    assert made.crashes == []
    passed = [one for one in made.moments if one.conclusion == "success"]
    assert [one for one in passed if one.losses] == []
