"""The steps of the workflow: one judges and packs, the other has the right to write."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from github_server import NAME, OWNER, GitHub, serving
from support import PATIENCE_SECONDS, is_one_line, started

MOMENTS = 20


@pytest.fixture
def github():
    with serving(GitHub()) as server:
        yield server


@pytest.fixture
def published(shelf, github, tmp_path):
    """A repository whose origin is a folder, with a first version in production there."""
    shelf.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin"))
    shelf.run("git", "remote", "add", "origin", f"file://{tmp_path / 'origin'}")
    shelf.run("git", "push", "--quiet", "origin", "main")
    shelf.environment |= {
        "GITHUB_API_URL": github.url,
        "GITHUB_REPOSITORY": f"{OWNER}/{NAME}",
        "GITHUB_TOKEN": "token",
        "GITHUB_RUN_ID": "77",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    github.tags |= {"model@v1.0.0", "model@v2.0.0"}  # which the real one sees in the repository
    shelf.origin = tmp_path / "origin"
    return shelf


def judged(shelf, is_packed=True) -> str:
    """What the first job says, in a clone of its own that holds no right."""
    output = shelf.folder.parent / "output"
    output.unlink(missing_ok=True)
    said = shelf.promote("judge")
    assert output.read_text(encoding="utf-8") == f"publish={str(is_packed).lower()}\n"
    return said


def origins(shelf) -> dict[str, str]:
    listed = shelf.run("git", "ls-remote", "origin").splitlines()
    return {name: commit for commit, name in (line.split("\t") for line in listed)}


def agree(shelf, github, versions: int) -> None:
    """Origin has what is here, and the release is that of what is in production."""
    assert [*shelf.contradictions_in_git()] == []
    there = origins(shelf)
    here = shelf.run("git", "for-each-ref", "--format=%(objectname) %(refname)")
    for line in here.splitlines():
        commit, name = line.split(" ")
        if name.startswith("refs/tags/"):
            assert there[name] == commit
    assert there["refs/heads/main"] == shelf.head()
    now = shelf.steps()[-1]
    assert len(github.releases) == versions
    (latest,) = (one for one in github.releases if one["id"] == github.latest)
    assert (latest["name"], latest["draft"]) == (f"v{now.version}", False)
    digests = {one["name"]: one["digest"] for one in latest["assets"]}
    assert {f"{form}.onnx": f"sha256:{digest}" for form, digest in now.files.items()}.items() <= (
        digests.items()
    )
    assert {one["state"] for one in latest["assets"]} == {"uploaded"}
    assert f"v{now.version}" in [one["inputs"]["tag"] for one in github.dispatches]


def test_a_push_is_judged_without_rights_and_then_published(published, github):
    before = origins(published)
    assert "is in production: nothing was before" in judged(published)
    assert (published.tags(), origins(published), github.requests) == ([], before, [])

    said = published.promote("publish")
    assert "model@v1.0.0: image.yaml started" in said
    agree(published, github, 1)
    (release,) = github.releases
    assert {one["name"] for one in release["assets"]} >= {"model.onnx", "dataset-card.md"}

    done = len(github.dispatches)
    assert "is in production already" in judged(published)
    assert published.promote("publish").strip() == ""
    assert len(github.dispatches) == done

    published.take("better")
    published.run("git", "push", "--quiet", "origin", "main")
    assert "linear_4: improved" in judged(published)
    published.promote("publish")
    agree(published, github, 2)

    # A step back that somebody made at home is published by the run of its push.
    published.promote("--rollback", "slow")
    published.run("git", "push", "--quiet", "origin", "main")
    assert "v2 was taken back on" in judged(published)
    assert published.promote("publish").splitlines() == ["model@v1.0.0: the latest release"]
    agree(published, github, 2)


BELIED = [
    ({"score": 0.99}, "must be what git has of v1"),
    ({"files": {"model": "0" * 64}}, "model.onnx: must be of SHA-256 000000000000"),
    ({"commit": "1" * 40}, "git"),
    ({"version": 3}, "must follow"),
    ({"who": "a\nb"}, "must be printable"),
]


def test_what_was_packed_is_not_believed(published, github):
    judged(published)
    file = published.folder / "report/production/promotion.json"
    packed = json.loads(file.read_text(encoding="utf-8"))
    for change, said in BELIED:
        file.write_text(json.dumps({**packed, **change}), encoding="utf-8")
        output = published.promote("publish", code=2)

        assert said in output
        assert is_one_line(output.strip())
        assert (published.tags(), github.requests) == ([], [])


def test_who_comes_second_is_told(published, github, tmp_path):
    judged(published)
    shutil.copytree(published.folder / "report/production", tmp_path / "packed")
    published.promote("publish")
    other = published.copied(tmp_path / "other")
    other.environment = {**published.environment}
    for tag in other.tags():
        other.run("git", "tag", "--delete", tag)
    other.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    other.environment["GIT_COMMITTER_NAME"] = "somebody else"
    shutil.rmtree(other.folder / "report")
    other.promote("judge")
    before = origins(published), len(github.requests)
    said = other.promote("publish", code=2)

    assert "git push" in said.strip().splitlines()[-1]
    assert (origins(published), len(github.requests)) == before


def test_a_branch_that_may_not_be_pushed_stays_behind(published, github):
    hook = published.origin / "hooks/update"
    hook.write_text("#!/bin/sh\ncase $1 in refs/heads/*) echo protected; exit 1;; esac\n", "utf-8")
    hook.chmod(0o755)
    judged(published)
    assert "main stays behind the tags, which is no harm" in published.promote("publish")
    assert "refs/tags/model#production#1" in origins(published)
    assert github.latest


@pytest.mark.parametrize(
    "number",
    [pytest.param(one, marks=[] if one == 4 else pytest.mark.slow) for one in range(MOMENTS)],
)
def test_killed_at_any_moment(published, github, number):
    judged(published)
    with started(
        sys.executable, "promote.py", "publish", cwd=published.folder, env=published.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        if number < MOMENTS // 2:  # at a request
            while process.poll() is None and len(github.requests) <= number:
                time.sleep(0.001)
        else:  # once something was decided
            while process.poll() is None and not published.tags():
                time.sleep(0.001)
            time.sleep(0.1 * (number - MOMENTS // 2) ** 2 / 10)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)

    published.promote("judge")
    published.promote("publish")
    agree(published, github, 1)
    done = len(github.dispatches)
    published.promote("judge")
    assert published.promote("publish").strip() == ""
    assert len(github.dispatches) == done
