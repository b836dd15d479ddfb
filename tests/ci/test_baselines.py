"""The baseline of every kind of event, in checkouts as GitHub's runners have them."""

from pathlib import Path

import pytest
from clones import Clones

from lab.base.errors import LabError
from lab.ci.baselines import Asked, of_event
from lab.evidence.revisions import resolve_base

GONE = "f" * 40


git = Clones.run


def commit(folder: Path, message: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def commits(tmp_path):
    """Of a repository whose default branch is `trunk`, with a release and a change of it."""
    folder = tmp_path / "origin"
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk", str(folder))
    made = {"first": commit(folder, "first"), "left": commit(folder, "where release leaves")}
    git(folder, "checkout", "--quiet", "-b", "release/2")
    made["release"] = commit(folder, "release")
    git(folder, "checkout", "--quiet", "-b", "change")
    made["change"] = commit(folder, "change")
    git(folder, "checkout", "--quiet", "release/2")
    made["release moved"] = commit(folder, "release moves on")
    git(folder, "checkout", "--quiet", "trunk")
    made["trunk"] = commit(folder, "trunk moves on")
    return made


@pytest.fixture
def checkout(tmp_path, commits):
    """What actions/checkout makes of the head of `change`: all branches, no origin/HEAD."""
    folder = tmp_path / "checkout"
    git(tmp_path, "init", "--quiet", str(folder))
    git(folder, "remote", "add", "origin", str(tmp_path / "origin"))
    git(folder, "fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*")
    git(folder, "checkout", "--quiet", "--detach", commits["change"])
    return folder


def pull_request(ref: str, sha: str) -> dict:
    return {
        "repository": {"default_branch": "trunk"},
        "pull_request": {"number": 7, "base": {"ref": ref, "sha": sha}},
    }


def resolved(folder: Path, event: dict) -> tuple[str, str | None, int | None]:
    base = resolve_base(folder, *of_event(folder, event))
    return base.commit, base.branch, base.behind


@pytest.mark.parametrize(
    ("ref", "left", "behind"), [("trunk", "left", 1), ("release/2", "release", 1)]
)
def test_a_pull_request_has_where_it_left_its_base(commits, checkout, ref, left, behind):
    found = resolved(checkout, pull_request(ref, commits["first"]))

    assert found == (commits[left], ref, behind)


def test_a_base_that_the_checkout_lacks_is_the_events_commit(commits, checkout):
    git(checkout, "update-ref", "-d", "refs/remotes/origin/release/2")

    event = pull_request("release/2", commits["release moved"])
    assert of_event(checkout, event) == Asked(commits["release"], "")


def test_a_base_that_nobody_knows_is_one_line(checkout):
    with pytest.raises(LabError, match=f"base: no such branch or commit; got {GONE}"):
        of_event(checkout, pull_request("gone", GONE))


def test_an_entry_of_a_merge_queue_has_the_commit_that_it_is_put_onto(commits, checkout):
    event = {
        "action": "checks_requested",
        "repository": {"default_branch": "trunk"},
        "merge_group": {
            "base_ref": "refs/heads/release/2", "base_sha": commits["release"],
            "head_sha": commits["change"], "head_ref": "refs/heads/gh-readonly-queue/x/pr-7-y",
        },
    }  # fmt: skip

    assert resolved(checkout, event) == (commits["release"], "release/2", 1)


def test_a_push_has_what_was_there_before(commits, checkout):
    event = {"repository": {"default_branch": "trunk"}, "before": commits["first"]}

    assert resolved(checkout, event) == (commits["first"], "trunk", 2)


@pytest.mark.parametrize("before", ["0" * 40, GONE, "--all", "", None])
def test_a_push_without_a_before_has_itself(commits, checkout, before):
    event = {"repository": {"default_branch": "trunk"}, "before": before}

    assert resolved(checkout, event)[0] == commits["change"]


@pytest.mark.parametrize("inputs", [None, {}, {"base": ""}, {"base": "  "}])
def test_a_dispatched_run_has_where_it_left_the_default_branch(commits, checkout, inputs):
    event = {"repository": {"default_branch": "trunk"}, "inputs": inputs}

    assert resolved(checkout, event) == (commits["left"], "trunk", 1)


@pytest.mark.parametrize(
    ("base", "left", "branch"),
    [("release/2", "release", "release/2"), ("release moved", "release", "trunk"),
     (" trunk ", "left", "trunk")],
)  # fmt: skip
def test_or_where_it_left_what_its_input_names(commits, checkout, base, left, branch):
    event = {"repository": {"default_branch": "trunk"}}
    event["inputs"] = {"base": commits.get(base, base)}

    commit, named, _ = resolved(checkout, event)

    assert commit == commits[left]
    assert named == (branch if base not in commits else None)


@pytest.mark.parametrize("base", ["--upload-pack=x", "nowhere", "a b", "x^{tree}"])
def test_an_input_that_names_nothing_is_one_line(checkout, base):
    event = {"repository": {"default_branch": "trunk"}, "inputs": {"base": base}}

    with pytest.raises(LabError, match="base: no such branch or commit"):
        of_event(checkout, event)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"pull_request": 3}, "pull_request.base.ref: must be there"),
        ({"pull_request": {"base": {"ref": "x"}}}, "pull_request.base.sha: must be there"),
        (pull_request("x", "--all"), "pull_request.base.sha: must be a commit; got '--all'"),
        ({"merge_group": {"base_ref": "x", "base_sha": "y"}}, "merge_group.base_sha: must be a"),
    ],
)
def test_an_event_that_is_none_is_one_line(checkout, event, said):
    with pytest.raises(LabError, match=f"GITHUB_EVENT_PATH: {said}"):
        of_event(checkout, event)
