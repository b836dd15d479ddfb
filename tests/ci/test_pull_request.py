"""Reports of pull requests at a stand-in for GitHub: what strangers may try, and what fails."""

import io
import json
import os
import stat
import struct
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from evidences import COMMITS, evidence, model, shifted, side
from github_server import BOT, GitHub, blob_name, repository, serving, zipped

import pull_request as script
from lab.base.errors import DataError, LabError
from lab.ci import cml, pull_request
from lab.ci.github import Api, GitHubError
from lab.ci.pull_request import NothingToReportError, Post, Run
from lab.report import pictures
from lab.report.document import Picture
from lab.report.page import MAX_CHARACTERS

SHA = COMMITS[1]  # the candidate of the made-up evidence
FORK = repository("stranger", 2)
MARK = "<!-- fair-trial report -->"
SERVER = "https://github.com"
WATERMARK = '![](https://cml.dev/watermark.png#abc123 "CML watermark fair trial")'


@pytest.fixture
def server():
    with serving(GitHub()) as served:
        yield served


@pytest.fixture
def api(server, monkeypatch):
    monkeypatch.setattr(pull_request, "COMMENT_PAUSES_SECONDS", (0.0, 0.0, 0.0))
    return Api("owner/lab", "the-token", server.url, pauses=(0.0, 0.0, 0.0))


@pytest.fixture(autouse=True)
def without_cml(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()


def packed(**more) -> bytes:
    return zipped({"report.json": json.dumps(evidence(shifted(-0.005, 0.0005), **more)).encode()})


def the_run(server: GitHub, pull, archive: bytes | None = None, number: int = 30) -> Run:
    return Run.model_validate(server.add_run(number, pull, archive)["workflow_run"])


# --- which pull request --------------------------------------------------------------------------


def test_the_pull_request_of_a_fork_is_found(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)

    assert pull_request.find(api, the_run(server, pull)).number == 7


def test_equal_branch_names_of_two_forks_are_told_apart(api, server):
    server.add_pull(6, "c" * 40, "change", repository("another", 3))
    mine = server.add_pull(7, SHA, "change", FORK)

    assert pull_request.find(api, the_run(server, mine)).number == 7


def test_a_fork_of_the_same_owner_under_another_id_is_another_one(api, server):
    server.add_pull(6, SHA, "change", repository("stranger", 99))
    run = the_run(server, {"head": {"sha": SHA, "ref": "change", "repo": FORK}})

    with pytest.raises(NothingToReportError, match="no open pull request"):
        pull_request.find(api, run)


def test_an_old_run_that_ends_after_a_newer_one_reports_nothing(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    run = the_run(server, pull)
    pull["head"]["sha"] = "e" * 40

    with pytest.raises(NothingToReportError, match="not the newest commit of #7"):
        pull_request.find(api, run)


def test_a_closed_pull_request_gets_no_report(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    pull["state"] = "closed"

    with pytest.raises(NothingToReportError, match="no open pull request"):
        pull_request.find(api, the_run(server, pull))


def test_a_renamed_branch_gets_no_report(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    run = the_run(server, pull)
    pull["head"] = {**pull["head"], "ref": "renamed"}

    with pytest.raises(NothingToReportError, match="no open pull request"):
        pull_request.find(api, run)


@pytest.mark.parametrize("where", ["in the event", "in the list"])
def test_a_deleted_fork_gets_no_report(api, server, where):
    pull = server.add_pull(7, SHA, "change", FORK)
    run = the_run(server, pull)
    if where == "in the event":
        run = run.model_copy(update={"head_repository": None})
    else:
        pull["head"]["repo"] = None

    with pytest.raises(NothingToReportError, match=r"gone|no open"):
        pull_request.find(api, run)


def test_one_branch_in_two_pull_requests_is_ambiguous(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    server.add_pull(8, SHA, "change", FORK, base="other")

    with pytest.raises(NothingToReportError, match=r"several pull requests \(#7, #8\)"):
        pull_request.find(api, the_run(server, pull))


@pytest.mark.parametrize(
    "branch", ["a$(touch x)", "a;rm -rf .", "a`id`'\"", "a&state=all", "ä/#?%"]
)
def test_a_branch_name_is_only_a_name(api, server, branch):
    pull = server.add_pull(7, SHA, branch, FORK)

    assert pull_request.find(api, the_run(server, pull)).number == 7


def test_the_pull_request_is_found_among_many(api, server):
    for number in range(130):
        server.add_pull(
            number + 1, f"{number:040x}", "change", repository("stranger", 1000 + number)
        )
    pull = server.add_pull(200, SHA, "change", FORK)

    assert pull_request.find(api, the_run(server, pull)).number == 200


# --- what a run leaves behind --------------------------------------------------------------------


def read(api, server, archive: bytes | None):
    return pull_request.report_of(
        api, the_run(server, server.add_pull(7, SHA, "change", FORK), archive)
    )


def test_the_report_is_read_and_the_token_stays_at_github(api, server):
    assert read(api, server, packed()).candidate.commit == SHA
    assert set(server.tokens) == {"Bearer the-token"}


def test_the_newest_of_several_attempts_counts(api, server):
    run = the_run(server, server.add_pull(7, SHA, "change", FORK), b"garbage")
    server.add_artifact(30, 301, packed())

    assert pull_request.report_of(api, run).candidate.commit == SHA


def symlink() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        entry = zipfile.ZipInfo("report.json")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return written.getvalue()


def twice() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("report.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("report.json", "{}")
    return written.getvalue()


def lying() -> bytes:
    """A member that says it has ten bytes."""
    content = bytearray(zipped({"report.json": bytes(10**6)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(signature) + offset
        content[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(content)


HOSTILE = {
    "none at all": (lambda: None, "no report behind"),
    "no zip file": (lambda: b"PK\x03\x04 and nothing more", "no readable zip"),
    "empty": (lambda: zipped({}), "holds 0 files"),
    "path traversal": (lambda: zipped({"../report.json": b"{}"}), "holds 0 files"),
    "absolute path": (lambda: zipped({"/report.json": b"{}"}), "holds 0 files"),
    "a symbolic link": (symlink, "invalid json"),
    "two of a name": (twice, "holds 2 files"),
    "bzip2": (lambda: zipped({"report.json": bytes(99)}, zipfile.ZIP_BZIP2), "unusual way"),
    "a false size": (lying, "no readable zip|invalid json"),
    "invalid UTF-8": (lambda: zipped({"report.json": b'{"margin": "\xff\xfe"}'}), "json"),
    "another number": (lambda: packed(number=1), "extra inputs are not permitted"),
    "not finite": (lambda: zipped({"report.json": b'{"margin": NaN}'}), "json|finite"),
    "deep": (lambda: zipped({"report.json": b"[" * 10**6}), "json"),
    "another commit": (
        lambda: packed(candidate={**evidence()["candidate"], "commit": "d" * 40}),
        "it is of dddddddddddd, but the run was of 222222222222",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_artifact_is_refused_in_one_line(api, server, case):
    archive, reason = HOSTILE[case]

    with pytest.raises(DataError, match=reason) as refused:
        read(api, server, archive())

    message = str(refused.value)
    assert message.isascii()
    assert "\n" not in message


def bomb(chunks: int) -> bytes:
    """A zip file of `chunks` times 16 MiB of zeros, without compressing them one by one."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = chunk * chunks + packer.flush()
    name, sizes = b"report.json", (0, len(packed), chunks * 2**24)
    local = struct.pack("<4s5HIIIHH", b"PK\x03\x04", 20, 0, 8, 0, 33, *sizes, len(name), 0)
    fields = (20, 20, 0, 8, 0, 33, *sizes, len(name), 0, 0, 0, 0, 0, 0)
    central = struct.pack("<4s6HIIIHHHHHII", b"PK\x01\x02", *fields) + name
    start = len(local) + len(name) + len(packed)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(central), start, 0)
    return local + name + packed + central + end


def test_two_gigabytes_of_zeros_are_not_unpacked(api, server):
    archive = bomb(128)
    assert zipfile.ZipFile(io.BytesIO(archive)).infolist()[0].file_size == 2**31
    tracemalloc.start()

    with pytest.raises(DataError, match="at most 20,971,520 bytes"):
        read(api, server, archive)

    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


def test_an_archive_that_is_itself_too_large_is_not_downloaded_whole(api, server):
    archive = bytes(pull_request.MAX_ZIP_BYTES + 2)

    with pytest.raises(DataError, match="more than"):
        read(api, server, archive)
    server.artifacts[0]["size_in_bytes"] = 5  # GitHub itself would have to lie
    with pytest.raises(GitHubError, match="more than"):
        pull_request.report_of(api, the_run(server, server.pulls[0]))


# --- the gate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "permission", "time", "lifts", "note"),
    [
        ("owner", "admin", "2026-11-21T10:30:00Z", True, None),
        ("writer", "write", "2026-11-21T10:30:00Z", True, None),
        ("triager", "read", "2026-11-21T10:30:00Z", False, "triager may not write here"),
        ("nobody", None, "2026-11-21T10:30:00Z", False, "nobody may not write here"),
        ("owner", "admin", "2026-11-21T09:59:59Z", False, "for an earlier commit"),
    ],
)
def test_the_label_lifts_only_for_a_writer_and_this_commit(
    api, server, login, permission, time, lifts, note
):
    pull = server.add_pull(7, SHA, "change", FORK)
    run = the_run(server, pull)  # at 10:00
    if permission:
        server.permissions[login] = permission
    server.add_label(pull, login, time)

    found = pull_request.lift(api, pull_request.find(api, run), run)

    assert found.login == (login if lifts else None)
    assert (found.note is None) if note is None else (note in found.note)


def test_without_the_label_nobody_is_asked(api, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    server.add_label(pull, "owner", "2026-11-21T10:30:00Z", "another label")
    run = the_run(server, pull)

    assert pull_request.lift(api, pull_request.find(api, run), run) == pull_request.Lift()


# --- pictures ------------------------------------------------------------------------------------


def test_pictures_of_every_commit_stay_on_their_branch(api, server):
    first = pull_request.publish(api, SERVER, "a" * 40, {"x.png": b"one"})
    second = pull_request.publish(api, SERVER, SHA, {"x.png": b"two", "y.png": b"three"})

    assert server.files("report-pictures") == {
        f"{'a' * 40}/x.png": b"one", f"{SHA}/x.png": b"two", f"{SHA}/y.png": b"three",
    }  # fmt: skip
    tip = server.refs["report-pictures"]
    assert second == f"{SERVER}/owner/lab/blob/{tip}/{SHA}"
    (parent,) = server.commits[tip]["parents"]
    assert first == f"{SERVER}/owner/lab/blob/{parent}/{'a' * 40}"
    assert server.commits[parent]["parents"] == []  # an orphan: nothing of main is in it


def test_the_same_pictures_again_make_no_commit(api, server):
    first = pull_request.publish(api, SERVER, SHA, {"x.png": b"one"})

    assert pull_request.publish(api, SERVER, SHA, {"x.png": b"one"}) == first


@pytest.mark.parametrize("at", ["POST git/refs", "PATCH git/refs/heads/report-pictures"])
def test_two_reports_at_once_both_keep_their_pictures(api, server, at):
    if at.startswith("PATCH"):
        pull_request.publish(api, SERVER, "a" * 40, {"x.png": b"one"})
    server.before[at] = lambda: pull_request.publish(api, SERVER, "c" * 40, {"z.png": b"z"})

    pull_request.publish(api, SERVER, SHA, {"x.png": b"two"})

    assert {f"{'c' * 40}/z.png", f"{SHA}/x.png"} <= set(server.files("report-pictures"))


# --- the comment ---------------------------------------------------------------------------------


def test_one_comment_is_made_and_then_edited(api, server):
    pull_request.comment(api, SERVER, 7, f"{MARK}\nfirst")
    pull_request.comment(api, SERVER, 7, f"{MARK}\nsecond")

    assert [one["body"] for one in server.comments] == [f"{MARK}\nsecond"]


def test_the_comment_is_found_in_a_long_conversation(api, server):
    for number in range(250):
        server.add_comment(f"comment {number}")
    pull_request.comment(api, SERVER, 7, f"{MARK}\nfirst")
    for number in range(250):
        server.add_comment(f"comment {number}")

    pull_request.comment(api, SERVER, 7, f"{MARK}\nsecond")

    assert [one["body"] for one in server.comments if MARK in one["body"]] == [f"{MARK}\nsecond"]


def test_a_strangers_copy_of_the_report_is_left_alone(api, server):
    server.add_comment(f"{MARK}\n\n▲ **Improved**\n\n{WATERMARK}", "stranger")
    server.add_comment(f"What is {MARK}?", BOT)

    pull_request.comment(api, SERVER, 7, f"{MARK}\nreal")

    assert server.comments[0]["body"].endswith(WATERMARK)
    assert server.comments[2] == {**server.comments[2], "body": f"{MARK}\nreal"}


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("request_", ["GET issues/7/comments", "POST issues/7/comments"])
def test_a_fault_of_github_leaves_one_comment(api, server, request_, is_done):
    server.faults = [(request_, 502, is_done)]

    pull_request.comment(api, SERVER, 7, f"{MARK}\nreal")

    assert [one["body"] for one in server.comments] == [f"{MARK}\nreal"]


def test_a_lasting_fault_ends_in_an_error(api, server):
    server.faults = [("GET issues/7/comments", 503, False)] * 50

    with pytest.raises(GitHubError, match="503"):
        pull_request.comment(api, SERVER, 7, MARK)
    assert len(server.requests) == 4


def test_a_refusal_is_not_repeated(api, server):
    server.forbidden = ["POST issues/7/comments"]

    with pytest.raises(GitHubError, match=r"403 .Resource not accessible by integration"):
        pull_request.comment(api, SERVER, 7, MARK)
    assert server.requests.count("POST issues/7/comments") == 1


def test_no_github_at_all_is_one_line(monkeypatch):
    api = Api("owner/lab", "the-token", "http://127.0.0.1:9", pauses=(0.0,))

    with pytest.raises(GitHubError, match="no answer from GitHub") as error:
        api.get("pulls")
    assert "the-token" not in str(error.value)
    assert "the-token" not in repr(api)


# --- CML -----------------------------------------------------------------------------------------

RECORDER = """\
#!{python}
import json, os, pathlib, sys
record = {{"arguments": sys.argv[1:-1], "markdown": pathlib.Path(sys.argv[-1]).read_text(),
          "token": os.environ["REPO_TOKEN"], "quiet": os.environ["ITERATIVE_DO_NOT_TRACK"],
          "git": os.environ["GIT_CONFIG_GLOBAL"]}}
with open({log!r}, "a") as log:
    print(json.dumps(record), file=log)
sys.exit({code})
"""


@pytest.fixture
def recorded(tmp_path):
    """A `cml` that writes down how it was called; returns how to make it, and what it saw."""
    if sys.platform == "win32":
        pytest.skip("a script cannot stand in for cml.exe")
    log = tmp_path / "cml.log"

    def make(code: int = 0) -> None:
        program = tmp_path / "bin" / "cml"
        program.write_text(RECORDER.format(python=sys.executable, log=str(log), code=code))
        program.chmod(0o755)

    def seen() -> list[dict]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    make()
    return make, seen


COMMENT = [
    "comment", "update", "--target", "pr/7", "--publish=false", "--watermark-title", "fair trial",
    "--driver", "github", "--repo", "https://github.com/owner/lab",
]  # fmt: skip
CHECK = [
    "check", "create", "--title", "fair trial", "--head-sha", SHA, "--conclusion", "neutral",
    "--driver", "github", "--repo", "https://github.com/owner/lab",
]  # fmt: skip


def test_cml_is_called_so(api, server, recorded):
    pull_request.comment(api, SERVER, 7, f"{MARK}\nreal ✕")
    post = Post(number=7, head_sha=SHA, conclusion="neutral", summary="? Cannot tell")
    pull_request.check(api, SERVER, post)

    first, second = recorded[1]()
    assert first["arguments"] == COMMENT
    assert first["markdown"] == f"{MARK}\nreal ✕"
    assert second["arguments"] == CHECK
    assert (first["token"], first["quiet"]) == ("the-token", "1")
    assert first["git"] != os.environ.get("GIT_CONFIG_GLOBAL")
    assert not Path(first["git"]).exists()
    assert server.checks == []  # nothing is done twice
    assert server.comments == []


def test_cml_edits_where_it_would_find_our_comment(api, server, recorded):
    server.add_comment("hello")
    server.add_comment(f"{MARK}\nold\n\n{WATERMARK}", BOT)

    pull_request.comment(api, SERVER, 7, f"{MARK}\nnew")

    assert len(recorded[1]()) == 1


@pytest.mark.parametrize("why", ["a stranger's watermark", "beyond the first page", "no watermark"])
def test_cml_is_not_called_where_it_would_edit_another_comment(api, server, recorded, why):
    if why == "beyond the first page":
        for _ in range(30):
            server.add_comment("hello")
    mark = "" if why == "no watermark" else f"\n\n{WATERMARK}"
    ours = server.add_comment(f"{MARK}\nold{mark}", BOT)
    if why == "a stranger's watermark":
        server.add_comment(f"mine now {WATERMARK}", "stranger")

    pull_request.comment(api, SERVER, 7, f"{MARK}\nnew")

    assert recorded[1]() == []
    assert ours["body"] == f"{MARK}\nnew"


def test_a_failing_cml_is_tried_twice_then_replaced(api, server, recorded, capsys):
    recorded[0](code=1)

    pull_request.comment(api, SERVER, 7, f"{MARK}\nreal")
    pull_request.check(api, SERVER, Post(number=7, head_sha=SHA, conclusion="failure", summary="x"))

    assert [one["arguments"][0] for one in recorded[1]()] == ["comment", "comment", "check"]
    assert [one["body"] for one in server.comments] == [f"{MARK}\nreal"]
    assert server.checks[0]["conclusion"] == "failure"
    assert "cml comment: exit 1" in capsys.readouterr().out


def test_a_hanging_cml_is_ended(api, server, recorded, tmp_path, monkeypatch):
    (tmp_path / "bin" / "cml").write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    monkeypatch.setattr(cml, "TIMEOUT_SECONDS", 0.2)

    pull_request.comment(api, SERVER, 7, f"{MARK}\nreal")

    assert [one["body"] for one in server.comments] == [f"{MARK}\nreal"]


# --- whole steps ---------------------------------------------------------------------------------


DRAWN = [Picture("differences", "Differences")]  # drawing takes a second; elsewhere it is tested


@pytest.fixture
def step(server, monkeypatch, tmp_path):
    """Runs a step of the trusted side on an event; returns what it wrote for GitHub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "draw", lambda *_: (DRAWN, {"differences.png": b"drawn"}))
    monkeypatch.setattr(Api, "__init__", _impatient(Api.__init__))
    for name in ("OUTPUT", "STEP_SUMMARY"):
        monkeypatch.setenv(f"GITHUB_{name}", str(tmp_path / name))
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/lab")
    monkeypatch.setenv("GITHUB_TOKEN", "the-token")
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    monkeypatch.setenv("GITHUB_SERVER_URL", SERVER)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setattr(pull_request, "COMMENT_PAUSES_SECONDS", (0.0, 0.0, 0.0))

    def run(name: str, event) -> str:
        (tmp_path / "event.json").write_text(json.dumps(event))
        getattr(script, name)()
        output = tmp_path / "OUTPUT"
        return output.read_text() if output.exists() else ""

    return run


def _impatient(made):
    def init(self, *arguments, **more):
        made(self, *arguments, **{"pauses": (0.0, 0.0), **more})

    return init


def test_a_regression_from_report_to_check(step, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())

    assert step("page", event) == "is_ready=true\n"
    step("post", event)

    (comment,) = server.comments
    tip = server.refs["report-pictures"]
    assert comment["body"].startswith(f"{MARK}\n\n▼ **Regressed**: `relu_128` −0.50 pp")
    assert (
        f"https://github.com/owner/lab/blob/{tip}/{SHA}/differences.png?raw=true" in comment["body"]
    )
    assert event["workflow_run"]["html_url"] in comment["body"]
    (check,) = server.checks
    assert (check["head_sha"], check["conclusion"]) == (SHA, "failure")
    assert check["output"]["summary"].startswith("▼ Regressed: relu_128")


def test_an_accepted_regression_is_neutral_and_says_by_whom(step, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())
    server.add_label(pull, "owner", "2026-11-21T10:30:00Z")

    step("page", event)
    step("post", event)

    assert "The gate was lifted by `@owner`" in server.comments[0]["body"]
    assert server.checks[0]["conclusion"] == "neutral"
    assert "Accepted by owner" in server.checks[0]["output"]["summary"]


def test_a_label_of_somebody_without_rights_is_explained(step, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())
    server.add_label(pull, "stranger", "2026-11-21T10:30:00Z")

    step("page", event)
    step("post", event)

    assert "accept-regression lifts nothing: stranger may not write" in server.comments[0]["body"]
    assert server.checks[0]["conclusion"] == "failure"


@pytest.mark.parametrize(
    ("models", "conclusion"),
    [
        ([shifted(0.005, 0.0005)], "success"),
        ([shifted(0.0005, 0.003)], "neutral"),
        ([model("relu_128", side(), None, baseline_missing="lost")], "failure"),
    ],
)
def test_the_check_run_says_the_verdict(step, server, models, conclusion):
    archive = zipped({"report.json": json.dumps(evidence(*models)).encode()})
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), archive)

    step("page", event)
    step("post", event)

    assert [check["conclusion"] for check in server.checks] == [conclusion]


def test_without_the_right_to_write_pictures_the_report_says_so(step, server):
    server.forbidden = ["POST git/.*"]
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), packed())

    step("page", event)
    step("post", event)

    assert "The pictures are left out" in server.comments[0]["body"]
    assert "<picture>" not in server.comments[0]["body"]


@pytest.mark.parametrize("cause", ["failed", "hostile"])
def test_without_a_report_the_comment_says_why(step, server, cause):
    archive = None if cause == "failed" else zipped({"report.json": b'{"<img src=x>": "@owner"}'})
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), archive)
    if cause == "failed":
        event["workflow_run"]["conclusion"] = "failure"

    step("page", event)
    step("post", event)

    body = server.comments[0]["body"]
    assert body.startswith(f"{MARK}\n\n✕ **No report** of `{SHA[:12]}`")
    assert "<img" not in body
    assert server.checks[0]["conclusion"] == "failure"


INJECTIONS = ["<img src=x onerror=alert(1)>", "![](https://evil.example/x.png)", "@owner #1",
              "`` ` ``", "\n# Heading\n", "| a | b |", "</details><script>", "[x](javascript:y)",
              "‮evil", "::error::x\n::set-output name=x::y"]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_nothing_in_the_evidence_becomes_markup(step, server, text):
    change = {"key": text, "baseline": text, "candidate": text}
    changes = {**evidence()["changes"], "params": [change]}
    stage = {"name": text, "state": "ran", "reasons": [text]}
    archive = packed(changes=changes, stages=[stage])
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), archive)

    step("page", event)
    step("post", event)

    body = server.comments[0]["body"]
    outside = "".join(body.split("`")[::2])  # code spans are the odd parts
    for forbidden in ("<img src=x", "<script", "evil.example", "@owner", "javascript:", "‮", "::"):
        assert forbidden not in outside
    assert "\n# " not in body


def test_a_huge_report_fits_into_a_comment(step, server):
    models = [shifted(-0.005, 0.0005, name=f"model_{number}") for number in range(400)]
    archive = zipped({"report.json": json.dumps(evidence(*models)).encode()})
    event = server.add_run(30, server.add_pull(7, SHA, "change", FORK), archive)

    step("page", event)
    step("post", event)

    assert len(server.comments[0]["body"]) <= MAX_CHARACTERS


def test_nothing_to_report_is_said_and_is_no_failure(step, server, tmp_path, capsys):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())
    pull["state"] = "closed"

    assert step("page", event) == ""
    assert "nothing to report" in capsys.readouterr().out
    assert "no open pull request" in (tmp_path / "STEP_SUMMARY").read_text()
    assert server.comments == server.checks == []


def test_a_commit_pushed_between_page_and_post_stops_the_post(step, server):
    pull = server.add_pull(7, SHA, "change", FORK)
    event = server.add_run(30, pull, packed())
    step("page", event)
    pull["head"]["sha"] = "e" * 40

    step("post", event)

    assert server.comments == server.checks == []


def test_outside_a_workflow_it_says_so(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    with pytest.raises(LabError, match="GITHUB_REPOSITORY and GITHUB_TOKEN: not set"):
        script.page()


# --- results, offered back -----------------------------------------------------------------------


@pytest.fixture
def branch(server, tmp_path):
    """A branch of the repository itself whose committed results are old."""
    blobs = {"dvc.lock": b"old", "metrics/a.json": b"old", "metrics/gone.json": b"old", "x.py": b""}
    tree = {}
    for path, content in blobs.items():
        tree[path] = f"{len(server.blobs):040x}"
        server.blobs[tree[path]] = content
    sha = server.add_commit(server.add_tree(tree))
    server.refs["change"] = sha
    pull = server.add_pull(7, sha, "change")
    results = tmp_path / "report" / "results"
    (results / "metrics").mkdir(parents=True)
    (results / "dvc.lock").write_bytes(b"new")
    (results / "metrics" / "a.json").write_bytes(b"new")
    return {"pull_request": pull}


def test_results_are_offered_once_and_kept_up_to_date(step, server, branch, tmp_path, capsys):
    step("offer", branch)
    (tmp_path / "report" / "results" / "dvc.lock").write_bytes(b"newer")
    step("offer", branch)

    assert server.files("results-of-7") == {
        "dvc.lock": b"newer", "metrics/a.json": b"new", "x.py": b"",
    }  # fmt: skip
    offer = server.commits[server.refs["results-of-7"]]
    assert offer["parents"] == [branch["pull_request"]["head"]["sha"]]
    assert "[skip ci]" in offer["message"]
    assert [pull["base"]["ref"] for pull in server.pulls] == ["main", "change"]
    assert "offered as #101" in capsys.readouterr().out


def test_results_are_merged_when_asked(step, server, branch, monkeypatch):
    monkeypatch.setenv("OFFER_RESULTS", "merge")

    step("offer", branch)

    assert server.files("change")["dvc.lock"] == b"new"


def test_results_that_are_there_are_not_offered(step, server, branch, tmp_path, capsys):
    results = tmp_path / "report" / "results"
    for path in ("dvc.lock", "metrics/a.json", "metrics/gone.json"):
        (results / path).write_bytes(b"old")
    tree = server.commits[server.refs["change"]]["tree"]
    for path in ("dvc.lock", "metrics/a.json", "metrics/gone.json"):
        server.trees[tree][path] = blob_name(b"old")
    digest = server.add_tree(server.trees[tree])
    server.commits[server.refs["change"]]["tree"] = digest

    step("offer", branch)

    assert len(server.pulls) == 1
    assert "has these results" in capsys.readouterr().out


def test_nothing_but_results_is_offered(step, server, branch, tmp_path):
    results = tmp_path / "report" / "results"
    (results / "x.py").write_bytes(b"evil")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (results / "metrics" / "link.json").symlink_to(secret)

    step("offer", branch)

    assert set(server.files("results-of-7")) == {"dvc.lock", "metrics/a.json", "x.py"}
    assert server.files("results-of-7")["x.py"] == b""


def test_nothing_is_offered_to_a_fork(step, server, branch):
    branch["pull_request"]["head"]["repo"] = FORK

    with pytest.raises(LabError, match="branches of this repository only"):
        step("offer", branch)
