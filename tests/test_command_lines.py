"""Programs given nonsense by arguments, environment and git: one line, exit 2, nothing written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from evidences import evidence, model, side
from support import PATIENCE_SECONDS, SMALL, is_one_line

from lab.base.errors import LabError
from lab.evidence import revisions
from lab.evidence.changes import file_changes, uncommitted
from lab.evidence.revisions import resolve_base
from lab.evidence.snapshots import Committed

LONG, BYTES = "x" * 5_000, os.fsdecode(b"\xff\xfe")
EVENT = ["pull_request.py", "collect"]


def run(
    folder: Path, code: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    left_out = ("GIT_", "GITHUB_", "MLFLOW", "DAGSHUB", "DVC")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    script, *rest = arguments
    command = ["-m", script] if script.startswith("lab.") else [str(code / script)]
    return subprocess.run(
        [sys.executable, *command, *rest], cwd=folder, capture_output=True, encoding="utf-8",
        timeout=PATIENCE_SECONDS, errors="replace", check=False,
        env={**kept, "PYTHONPATH": str(code), **environment},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "params.yaml").write_text(SMALL, encoding="utf-8")
    for name, content in {
        "open.json": "[", "deep.json": "[" * 100_000, "number.json": '{"pull_request": 3}',
        "options.json": '{"pull_request": {"base": {"ref": "x", "sha": "--all"}}}',
        "good.json": json.dumps(evidence(model("m", side(), side()))),
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["train.py", BYTES], {}, "unknown model"),
        (["train.py", "--", "--upload-pack=x"], {}, "unknown model"),
        (["report.py", "--base=--upload-pack=x"], {}, "not a git repository"),
        (["promote.py"], {}, "not a git repository"),
        (["promote.py", "files"], {}, "not a git repository"),
        (["promote.py", "--accept", LONG], {}, "--accept: must be one line of at most 400"),
        (["promote.py", "--rollback", BYTES], {}, "--rollback: must be one line of at most 400"),
        (["report.py", "render", LONG], {}, "use a shorter path"),
        (["report.py", "render", "/dev/null"], {}, "/dev/null: "),
        (["report.py", "render", "missing.json"], {}, "missing.json: no such file; "),
        (["compare.py"], {}, "metrics/runs/relu_8.json: no such file"),
        (["export.py", "card"], {}, "metrics/dataset.json: no such file"),
        (["lab.site.build", "--serve", "9" * 5_000], {}, "a port is a number"),
        (["lab.site.build", "--serve=²"], {}, "a port is a number"),
        (["power.py"], {}, "metrics/scores.json: no such file"),
        (["power.py", "--effect", "0"], {}, "--effect: must be above 0"),
        (["power.py", "--effect=nan"], {}, "--effect: must be above 0"),
        (["power.py", "--effect=-1e-3"], {}, "--effect: must be above 0"),
        (["report.py", "render", "good.json", "--output", LONG], {}, "use a shorter path"),
        (["report.py", "render", "good.json", "--output", "good.json/x"], {}, "where a folder"),
        (["report.py", "render", "good.json", "--run-url", "javascript:1"], {}, "--run-url"),
        (["report.py", "render", "good.json", "--overridden-by", LONG], {}, "--overridden-by"),
        (EVENT, {"GITHUB_EVENT_PATH": "/nonexistent"}, "no such file (/nonexistent)"),
        (EVENT, {"GITHUB_EVENT_PATH": "/dev/zero"}, "must be a plain file"),
        (EVENT, {"GITHUB_EVENT_PATH": "open.json"}, "not the JSON of an event"),
        (EVENT, {"GITHUB_EVENT_PATH": "deep.json"}, "not the JSON of an event"),
        (EVENT, {"GITHUB_EVENT_PATH": "number.json"}, "pull_request.base.ref: must be there"),
        (EVENT, {"GITHUB_EVENT_PATH": "options.json"}, "pull_request.base.sha"),
        (["lab.tracking.ui", BYTES], {}, "takes no argument"),
        (["lab.tracking.ui"], {"UI_PORT": "9" * 5_000}, "a port is a number"),
        (["lab.tracking.ui"], {"UI_PORT": "²"}, "a port is a number"),
        (["lab.base.dvc", LONG], {}, "usage: "),
        (["lab.base.remote", "write", "../x"], {}, "must be owner/name"),
        (["lab.base.remote", "write", "-a/b"], {}, "must be owner/name"),
        (
            ["lab.base.remote", "pull"],
            {"DAGSHUB_REPO": LONG, "DAGSHUB_USER_TOKEN": "t"},
            "owner/name",
        ),
        (["sync.py"], {"MLFLOW_TRACKING_URI": "http://["}, "MLFLOW_TRACKING_URI"),
        (["sync.py"], {"MLFLOW_TRACKING_URI": "http://x:99999"}, "MLFLOW_TRACKING_URI"),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_nonsense_is_refused_in_one_line(folder, code, arguments, environment, said):
    before = sorted(folder.rglob("*"))
    done = run(folder, code, *arguments, **environment)

    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert is_one_line(done.stderr.strip())
    assert sorted(folder.rglob("*")) == before


def test_a_terminal_that_lacks_the_signs_of_a_report_gets_others(folder, code):
    done = run(folder, code, "report.py", "render", "good.json", PYTHONIOENCODING="ascii")

    assert done.returncode == 0, done.stderr
    assert "\\xb1" in done.stdout or "\\u" in done.stdout


# --- states of git -------------------------------------------------------------------------------


def git(folder: Path, *arguments: str, code: int = 0) -> str:
    who = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "protocol.file.allow=always",
    ]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


@pytest.fixture
def history(tmp_path) -> Path:
    folder = tmp_path / "history"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number in range(2):
        (folder / "params.yaml").write_text(f"a: {number}\n", encoding="utf-8")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", str(number))
    git(folder, "checkout", "-qb", "branch", "HEAD~1")
    (folder / "params.yaml").write_text("a: 2\n", encoding="utf-8")
    git(folder, "commit", "-qam", "2")
    return folder


def seen(folder: Path) -> list[str]:
    """What a report asks of git."""
    revisions.head(folder)
    base = resolve_base(folder, None)
    Committed(folder, base.commit).read("params.yaml")
    changes = [change.path for change in file_changes(folder, base.commit)]
    return sorted({*changes, *uncommitted(folder)})


def corrupt_head(folder: Path) -> Path:
    (folder / ".git" / "HEAD").write_bytes(b"\xff\x00 nothing")
    return folder


def bare(folder: Path) -> Path:
    git(folder, "clone", "-q", "--bare", ".", "../bare")
    return folder.parent / "bare"


def emptied(folder: Path) -> Path:
    """Without the objects that its commits name."""
    for path in (folder / ".git" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    return folder


@pytest.mark.parametrize("corrupt", [corrupt_head, bare, emptied])
def test_a_repository_that_cannot_be_read_is_reported(history, corrupt):
    with pytest.raises(LabError) as caught:
        seen(corrupt(history))
    assert is_one_line(str(caught.value))


def locked(folder: Path) -> Path:
    (folder / ".git" / "index.lock").touch()
    return folder


def conflicted(folder: Path) -> Path:
    git(folder, "merge", "-q", "main", code=1)
    return folder


def linked(folder: Path) -> Path:
    git(folder, "worktree", "add", "-q", "--detach", "../linked")
    return folder.parent / "linked"


def with_submodule(folder: Path) -> Path:
    git(folder, "submodule", "--quiet", "add", str(folder), "inner")
    git(folder, "commit", "-qm", "inner")
    return folder


def odd_names(folder: Path) -> Path:
    for name in (b"\xff", b"a\tb", b"a\nb", b"-x", b'"', "ä".encode()):
        (folder / os.fsdecode(name)).write_text("x", encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "names")
    return folder


@pytest.mark.parametrize("corrupt", [locked, conflicted, linked, with_submodule, odd_names])
def test_a_repository_in_an_odd_state_is_read(history, corrupt):
    assert "params.yaml" in seen(corrupt(history))
