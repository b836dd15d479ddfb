"""A run that failed says why, as data: the stage, its last lines, and nothing that does harm."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clones import Clones
from support import ROOT

from lab.base.errors import DataError
from lab.base.git import GitError
from lab.ci import failing
from lab.evidence import failure
from lab.evidence.run_log import MAX_BYTES, MAX_CHARACTERS, MAX_LINES, Ending, ending

DVC = """\
Stage 'prepare' didn't change, skipping
Running stage 'train@relu_8':
> python train.py relu_8
relu_8: test accuracy 0.8700 over 3 seeds
Updating lock file 'dvc.lock'

Running stage 'compare':
> python compare.py
 40%|████      | 4/10 [00:01<00:02]\r100%|██████████| 10/10 [00:03<00:00]
\x1b[31mcompare.py: params.yaml: compare.metric: no such score; got macro_f; did you mean macro_f1?\x1b[0m
ERROR: failed to reproduce 'compare': failed to run: python compare.py, exited with 2
make: *** [Makefile:26: repro] Error 255
"""  # noqa: E501
SAID = [
    "Running stage 'compare':",
    "> python compare.py",
    "compare.py: params.yaml: compare.metric: no such score; got macro_f; did you mean macro_f1?",
    "ERROR: failed to reproduce 'compare': failed to run: python compare.py, exited with 2",
]


git = Clones.run


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """Two commits, and the event of a pull request with the second one into the first."""
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")
    git(tmp_path, "update-ref", "refs/remotes/origin/trunk", "HEAD")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "second")
    sha = git(tmp_path, "rev-parse", "HEAD~1")
    event = {"pull_request": {"base": {"ref": "trunk", "sha": sha}}}
    (tmp_path / "event.json").write_text(json.dumps(event), encoding="utf-8")
    (tmp_path / "report").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "SUMMARY"))
    return tmp_path


def written(checkout: Path) -> failure.Failure:
    return failure.parse((checkout / "report/failure.json").read_bytes(), "failure.json")


def test_the_stage_and_its_own_lines_are_kept():
    assert ending(DVC) == Ending("compare", SAID)


def test_what_fails_before_any_stage_has_its_lines_too():
    said = "datasets.py: params.yaml: train.epoch: unknown key; got 5; did you mean epochs?"

    assert ending(f"{said}\nmake: *** [Makefile:24: repro] Error 2\n\n") == Ending(None, [said])


def test_a_traceback_keeps_its_end():
    log = "Traceback (most recent call last):\n" + '  File "x.py"\n' * 100 + "ValueError: no\n"

    lines = ending(log).lines
    assert (len(lines), lines[-1]) == (MAX_LINES, "ValueError: no")


HOSTILE = ["\x1b]0;title\x07x", "\x1b[2J\x1b[1;1Hx", "x" * 10_000, "\u202ex", "\x00\x07x",
           "\udc80x", "::error::x", "![](https://example.org)", "``` x", "a\x0bb\x0cc\x85d\u2028e",
           "\t\tx", "\x1b", "\x1b[", "\x1b]", "é" * 500]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_any_log_is_lines_that_can_be_shown(checkout, text):
    log = f"{text}\n{text}\nERROR: failed to reproduce '{text[:50]}': x\n"
    (checkout / "report/run.log").write_bytes(log.encode(errors="surrogateescape"))

    failing.main()

    lines = written(checkout).lines
    assert lines
    assert all(line.isprintable() and len(line) <= MAX_CHARACTERS for line in lines)


def test_any_bytes_are_a_log(checkout):
    (checkout / "report/run.log").write_bytes(bytes(range(256)) * 20_000 + b"\nthe end\n")

    failing.main()

    assert (checkout / "report/run.log").stat().st_size > MAX_BYTES
    assert written(checkout).lines[-1] == "the end"


def test_the_commit_and_its_baseline_stand_beside_it_and_no_report_does(checkout):
    (checkout / "report/run.log").write_text(DVC, encoding="utf-8")
    (checkout / "report/report.json").touch()  # collected, and then something failed

    failing.main()

    assert written(checkout) == failure.Failure(
        schema_version=1, commit=git(checkout, "rev-parse", "HEAD"),
        baseline=git(checkout, "rev-parse", "HEAD~1"), stage="compare", lines=SAID,
    )  # fmt: skip
    assert not (checkout / "report/report.json").exists()
    assert (checkout / "SUMMARY").read_text(encoding="utf-8") == "\n".join(
        ["**No report**: the stage `compare` failed", "", "```text", *SAID, "```", ""]
    )


def test_nothing_in_the_summary_ends_its_code(checkout):
    (checkout / "report/run.log").write_text("x\n```\n# heading\n````\n", encoding="utf-8")

    failing.main()

    lines = (checkout / "SUMMARY").read_text(encoding="utf-8").splitlines()
    assert (lines[2], lines[-1]) == ("`````text", "`````")


def test_without_a_baseline_or_a_log_there_still_is_something(checkout, monkeypatch):
    monkeypatch.setenv("GITHUB_EVENT_PATH", "/nowhere")

    failing.main()

    found = written(checkout)
    assert (found.baseline, found.stage) == (None, None)
    assert found.lines == ["the job failed before its first command; its log says why"]


def test_without_a_checkout_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(GitError):
        failing.main()


def test_it_needs_no_package_for_their_installation_may_be_what_failed(checkout):
    (checkout / "report/run.log").write_text("error: no such file: x.whl\n", encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; "
    code += "runpy.run_module('lab.ci.failing', run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", code]

    subprocess.run(command, cwd=checkout, env=os.environ, check=True)

    assert written(checkout).lines == ["error: no such file: x.whl"]
    assert written(checkout).baseline == git(checkout, "rev-parse", "HEAD~1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lines": ["x"] * 21}, "lines: "),
        ({"lines": ["x" * 401]}, "lines.0: "),
        ({"lines": ["a\nb"]}, "lines.0: .*must be printable"),
        ({"stage": "\u202ex"}, "stage: "),
        ({"commit": "x"}, "commit: "),
        ({"schema_version": 2}, "schema_version: "),
        ({"more": 1}, "more: "),
    ],
)
def test_what_a_stranger_wrote_is_refused_in_one_line(change, said):
    good = {"schema_version": 1, "commit": "a" * 40, "baseline": None, "stage": None, "lines": []}
    assert failure.parse(json.dumps(good).encode(), "failure.json").lines == []

    with pytest.raises(DataError, match=f"^failure.json: {said}") as caught:
        failure.parse(json.dumps({**good, **change}).encode(), "failure.json")
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


@pytest.mark.parametrize("content", [b"", b"[", b"x" * 70_000, b"[" * 10_000, b"\xff"])
def test_what_is_no_json_is_refused_in_one_line(content):
    with pytest.raises(DataError, match=r"^failure\.json: .*run the job again$"):
        failure.parse(content, "failure.json")
