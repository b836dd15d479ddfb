"""`registry.json`: what the tags say, committed and nothing else with it."""

import pytest
from promotions import step
from support import is_one_line

from lab.base.errors import DataError, LabError
from lab.base.git import git
from lab.registry import ledger


@pytest.fixture
def steps(small):
    return [step(git(small, "rev-parse", "HEAD"), number) for number in (1, 2)]


def test_only_this_file_is_committed(small, steps):
    (small / "mine").write_text("staged", encoding="utf-8")
    git(small, "add", "mine")
    (small / "mine").write_text("edited", encoding="utf-8")
    made = ledger.commit(small, steps)

    assert git(small, "rev-parse", "HEAD") == made
    assert git(small, "show", "--format=%s", "--name-only") == (
        f"{steps[1].title} in production\n\nregistry.json"
    )
    assert git(small, "status", "--porcelain") == "AM mine"
    assert git(small, "branch", "--show-current") == "main"
    assert ledger.commit(small, steps) == ""
    ledger.check(small, steps)


def test_a_project_in_a_folder_of_its_repository_has_its_own(small, steps):
    inner = small / "project"
    inner.mkdir()
    assert ledger.commit(inner, steps)
    assert git(small, "ls-files") == "project/registry.json"
    assert ledger.commit(inner, steps) == ""


def test_the_file_may_be_behind_the_tags(small, steps):
    ledger.commit(small, steps[:1])
    ledger.check(small, steps)
    assert ledger.commit(small, steps)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "invalid json"),
        ("{", "invalid json"),
        ("[]", "top level"),
        ('{"schema_version": 1}', "steps: field required"),
        ('{"schema_version": 2, "steps": []}', "schema_version"),
        ("[" * 100_000, "invalid json"),
        (b"\xff\xfe", "invalid json"),
    ],
)
def test_a_damaged_file_is_refused(small, steps, content, said):
    (small / "registry.json").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    with pytest.raises(DataError, match=r"registry\.json: .*git checkout registry\.json") as caught:
        ledger.check(small, steps)
    assert said in str(caught.value)
    assert is_one_line(str(caught.value))


def test_an_edited_file_and_one_that_knows_more_are_refused(small, steps):
    file = small / "registry.json"
    file.write_text(ledger.text(steps).replace("0.9774", "0.9775"), encoding="utf-8")
    with pytest.raises(DataError, match="must be as tag model#production#1 says"):
        ledger.check(small, steps)
    file.write_text(ledger.text(steps), encoding="utf-8")
    with pytest.raises(DataError, match=r"must have its tag; got no model#production#2; run git f"):
        ledger.check(small, steps[:1])
    file.unlink()
    file.mkdir()
    with pytest.raises((LabError, OSError)):
        ledger.check(small, steps)


def test_without_a_branch_nothing_is_committed(small, steps):
    git(small, "checkout", "--quiet", "--detach")
    before = git(small, "rev-parse", "HEAD")
    with pytest.raises(DataError, match="HEAD: must be on a branch"):
        ledger.commit(small, steps)
    assert git(small, "rev-parse", "HEAD") == before
    assert not (small / "registry.json").exists()
