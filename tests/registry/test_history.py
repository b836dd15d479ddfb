"""What has been in production, by tags that anybody may have written."""

import json
import os
import subprocess
import sys

import pytest
from promotions import step
from support import is_one_line, started

from lab.base import gto
from lab.base.errors import DataError, LabError
from lab.base.git import GitError, git, git_bytes
from lab.evidence.tags import anchor_of
from lab.registry import history


def commit(folder, message="more") -> str:
    git(folder, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(folder, "rev-parse", "HEAD")


def tag(folder, name: str, message: str, commit: str = "HEAD") -> None:
    options = ("--annotate", "--cleanup=verbatim", "--file=-")
    git_bytes(folder, "tag", *options, name, commit, given=message.encode())


def promoted(folder, *numbers: int) -> list:
    steps = [step(commit(folder), number) for number in numbers]
    for one in steps:
        history.add(folder, one)
    return steps


def test_steps_come_back_as_they_were_written(small):
    steps = promoted(small, 1, 2, 3)
    back = step(steps[1].commit, 4, version=2, before=3, how="rolled back", reason="zäh “so”")
    history.add(small, back)

    assert history.read(small) == [*steps, back]
    assert [one.version for one in history.in_use([*steps, back])] == [1, 2]
    assert history.taken_back([*steps, back], 3) == back
    assert history.taken_back([*steps, back], 2) is None
    assert history.register(small, [*steps, back]) == [
        "model@v1.0.0", "model@v2.0.0", "model@v3.0.0"
    ]  # fmt: skip
    assert history.register(small, [*steps, back]) == []
    with pytest.raises(GitError, match="already exists"):
        history.add(small, back)


def test_tags_are_the_same_bytes_whenever_they_are_made(small):
    (one,) = promoted(small, 1)
    history.register(small, [one])
    names = (one.tag, "model@v1.0.0")
    before = [git(small, "rev-parse", f"refs/tags/{name}") for name in names]
    git(small, "tag", "--delete", *names)
    history.add(small, one)
    history.register(small, [one])

    assert [git(small, "rev-parse", f"refs/tags/{name}") for name in names] == before


def test_what_is_of_nobodys_concern_is_left_alone(small):
    (one,) = promoted(small, 1)
    for name in (
        "other#production#1", "model#staging#7", "model#production/x#1", "model@v9.0.0", "models#1",
        "x=model#production#1", "model#production#1x", "$(touch);`y`", "model#production#②",
    ):  # fmt: skip
        tag(small, name, "somebody's")
    git(small, "tag", "model#production#3")  # lightweight: GTO does not look at it

    assert history.read(small) == [one]
    assert gto.next_number(small) == 8
    assert [each.tag for each in gto.assigned(small)] == [one.tag]


@pytest.mark.parametrize(
    ("name", "message", "said"),
    [
        ("model#production#2", "Assigning stage production", "must be written by promote.py"),
        ("model#production#2", "v2 in production\n\n{", "must be written by promote.py"),
        ("model#production#2", "v2 in production\n\n" + "[" * 100_000, "must be written by"),
        ("model#production!#2", "gone", "must be written by promote.py"),
        ("model#production", "no number", "must be written by promote.py"),
        ("model#production#2", None, "must hold its own record; got the record of model#pro"),
        ("model#production#02", "odd", "must be written by promote.py"),
    ],
)
def test_a_tag_that_gto_takes_for_one_is_refused(small, name, message, said):
    (one,) = promoted(small, 1)
    tag(small, name, one.message() if message is None else message)

    with pytest.raises(DataError, match="git tag --delete") as caught:
        history.read(small)
    assert said in str(caught.value)
    assert is_one_line(str(caught.value))


@pytest.mark.parametrize(
    "change",
    [
        {"score": "NaN"}, {"number": 0}, {"files": {}}, {"files": {"model": "x"}}, {"more": 1},
        {"since": "yesterday"}, {"who": "a\u202eb"}, {"version": 10**9}, {"commit": "--all"},
        {"line": "x" * 500}, {"how": "by force"},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_breaks_a_rule_is_refused(small, change):
    one = step(commit(small))
    broken = {**json.loads(one.text()), **change}
    tag(small, one.tag, f"v1 in production\n\n{json.dumps(broken)}")

    with pytest.raises(DataError, match=r"must be written by promote\.py") as caught:
        history.read(small)
    assert is_one_line(str(caught.value))


def test_a_clone_that_lacks_tags_says_so(small):
    steps = promoted(small, 1, 2)
    git(small, "tag", "--delete", steps[0].tag)

    with pytest.raises(DataError, match="must come after v1 in production; got nothing; fetch"):
        history.read(small)


def test_a_version_elsewhere_is_refused(small):
    (one,) = promoted(small, 1)
    commit(small)
    tag(small, "model@v1.0.0", "mine")

    with pytest.raises(DataError, match=r"model@v1\.0\.0: must be at"):
        history.register(small, [one])


def test_a_step_follows_what_is_there(small):
    steps = promoted(small, 1, 2)
    history.require_next(steps, step(steps[0].commit, 3))
    history.require_next([], step(steps[0].commit, 5, version=1, before=None))
    for other in (
        step(steps[0].commit, 2),
        step(steps[0].commit, 3, before=1),
        step(steps[0].commit, 3, version=7),
        step(steps[0].commit, 3, before=None),
    ):
        with pytest.raises(DataError, match="judge it again"):
            history.require_next(steps, other)


def test_two_do_not_promote_at_once(small):
    code = "import sys; from pathlib import Path; from lab.registry import history\n"
    code += "with history.alone(Path(sys.argv[1])): print('alone', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started(sys.executable, "-c", code, str(small), **pipes) as process:
        assert process.stdout.readline() == "alone\n"
        with pytest.raises(LabError, match="no other promotion may run"), history.alone(small):
            pass
        process.kill()
        process.wait()
    with history.alone(small):
        pass


@pytest.mark.parametrize("is_signed", [True, False])
def test_who_signs_has_the_terminal_to_be_asked_on(small, tmp_path, is_signed):
    """And who does not, has git come to its end whatever befalls the script."""
    seen, hook = tmp_path / "seen", small / ".git/hooks/reference-transaction"
    program = tmp_path / "program" if is_signed else hook
    program.parent.mkdir(exist_ok=True)
    only = "" if is_signed else "grep -q refs/tags/ || exit 0"
    asking = f'{sys.executable} -c "import os; print(os.getsid(0))" > {seen}'
    program.write_text(f"#!/bin/sh\n{only}\n{asking}\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    git(small, "config", "tag.gpgSign", str(is_signed).lower())
    git(small, "config", "gpg.program", str(program))
    with pytest.raises(GitError):
        promoted(small, 1)

    is_own = int(seen.read_text(encoding="utf-8")) != os.getsid(0)
    assert is_own is not is_signed


# --- the anchor ----------------------------------------------------------------------------------


def test_what_is_in_production_is_the_anchor(small):
    (first,) = promoted(small, 1)
    git(small, "tag", "v2.0")
    between = commit(small)
    (second,) = promoted(small, 2)

    said = "v2, in production since 2026-11-29"
    assert anchor_of(small, "HEAD") == (said, second.commit)
    assert anchor_of(small, between) == ("v1, in production since 2026-11-29", first.commit)
    assert anchor_of(small, f"{first.commit}^") is None
    history.add(small, step(first.commit, 3, version=1, before=2, how="rolled back"))
    assert anchor_of(small, "HEAD") == ("v1, in production since 2026-11-29", first.commit)
    git(small, "tag", "anchor", between)
    assert anchor_of(small, "HEAD") == ("anchor", between)


def test_a_stage_that_gto_itself_assigned_is_an_anchor_too(small):
    made = commit(small)
    tag(small, "model#production#4", "Assigning stage production to model")

    assert anchor_of(small, "HEAD")[0].startswith("model#production#4, in production since 20")
    assert anchor_of(small, "HEAD")[1] == made
