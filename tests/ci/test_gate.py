"""What the check says, and the comments: the steps of the trusted side on made-up measurements."""

import pytest
from evidences import data, evidence, model, shifted, side
from github_server import repository, zipped
from reporting import MARK
from trials import (
    BAD,
    BETTER,
    GOOD,
    IMPROVED,
    MEDIUM,
    REGRESSED,
    SCHEDULED,
    STRANGER,
    WORSE,
    begun,
    check,
    labelled,
)

from lab.base.errors import LabError
from lab.ci import trusted
from lab.report.page import MAX_CHARACTERS

CANNOT_TELL = shifted(0.0005, 0.003)


# --- one pull request ----------------------------------------------------------------------------


def test_a_regression_from_report_to_check(report, server, trials):
    event = trials.open(REGRESSED)
    (pull,) = server.pulls
    sha = pull["head"]["sha"]

    report(event)

    (comment,) = server.comments
    tip = server.refs["report-pictures"]
    assert comment["body"].startswith(f"{MARK}\n\n▼ **Regressed**: `relu_128` −0.50 pp")
    address = f"https://github.com/owner/lab/blob/{tip}/{sha}/7/differences.png?raw=true"
    assert address in comment["body"]
    assert event["workflow_run"]["html_url"] in comment["body"]
    assert "Taken from git: the commits" in comment["body"]
    assert "(where it left `trunk`)" in comment["body"]
    found = check(server, sha)
    assert found["conclusion"] == "failure"
    assert found["external_id"].startswith("fair-trial 7:")
    assert found["output"]["title"].startswith("▼ Regressed: relu_128 −0.50 pp")
    assert found["output"]["summary"].startswith(
        "\\#7 into `trunk`:\n\n▼ **Regressed**: `relu_128`"
    )
    assert found["details_url"] == "https://github.com/owner/lab/actions/runs/99"


@pytest.mark.parametrize(
    ("models", "conclusion"),
    [
        ([IMPROVED], "success"),
        ([CANNOT_TELL], "neutral"),
        ([REGRESSED], "failure"),
        ([IMPROVED, shifted(-0.005, 0.0005, "other")], "failure"),
    ],
)
def test_the_check_run_says_the_verdict(report, server, trials, models, conclusion):
    report(trials.open(*models))

    assert [one["conclusion"] for one in server.checks] == [conclusion]


def test_a_second_commit_edits_the_comment_and_has_its_own_check(report, server, trials):
    report(trials.open(REGRESSED))
    first = server.pulls[0]["head"]["sha"]
    server.pulls.clear()

    report(trials.open(IMPROVED))

    (comment,) = server.comments
    assert comment["body"].startswith(f"{MARK}\n\n▲ **Improved**")
    assert server.conclusion(first) == "failure"
    assert server.conclusion(server.pulls[0]["head"]["sha"]) == "success"


def test_without_the_right_to_write_pictures_the_report_says_so(report, server, trials):
    server.forbidden = ["POST git/.*"]

    report(trials.open(REGRESSED))

    assert "The pictures are left out" in server.comments[0]["body"]
    assert "<picture>" not in server.comments[0]["body"]


@pytest.mark.parametrize("status", [403, 502])
def test_without_a_comment_the_check_still_says_it(report, server, trials, tmp_path, status):
    server.faults = [(".* issues/7/comments", status, False)] * 20

    report(trials.open(REGRESSED))

    assert server.comments == []
    assert server.checks[0]["conclusion"] == "failure"
    assert "Regressed" in server.checks[0]["output"]["summary"]
    summary = (tmp_path / "STEP_SUMMARY").read_text(encoding="utf-8")
    assert "▼ **Regressed**" in summary
    assert "The comment could not be written" in summary


def test_a_huge_report_fits_into_a_comment(report, server, trials):
    models = [shifted(-0.005, 0.0005, name=f"model_{number}") for number in range(400)]

    report(trials.open(*models))

    assert len(server.comments[0]["body"]) <= MAX_CHARACTERS


INJECTIONS = ["<img src=x onerror=alert(1)>", "![](https://evil.example/x.png)", "@owner #1",
              "`` ` ``", "\n# Heading\n", "| a | b |", "</details><script>", "[x](javascript:y)",
              "‮evil", "::error::x\n::set-output name=x::y"]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("where", ["evidence", "failure"])
def test_nothing_that_a_branch_says_becomes_markup(report, server, trials, text, where):
    stages = [{"name": text, "state": "ran", "reasons": [text]}]
    event = trials.open(REGRESSED, stages=stages, trial_missing=text)
    if where == "failure":
        trials.fail(event, text, [text, text])

    report(event)

    for body in (server.comments[0]["body"], server.checks[0]["output"]["summary"]):
        outside = "".join(body.split("`")[::2])  # code spans are the odd parts
        for forbidden in (
            "<img src=x",
            "<script",
            "evil.example",
            "@owner",
            "javascript:",
            "‮",
            "::",
        ):
            assert forbidden not in outside
        assert "\n# " not in body


# --- no report -----------------------------------------------------------------------------------


def test_the_line_that_helps_is_carried_from_a_failing_stage(report, server, trials):
    event = trials.open(REGRESSED)
    of_dvc = "ERROR: failed to reproduce 'train@relu_128': failed to run: python train.py relu_128"
    slip = "params.yaml: train.epoch: unknown key; did you mean train.epochs?"
    trials.fail(event, "train@relu_128", ["Running stage 'train@relu_128':", slip, of_dvc])

    report(event)

    body = server.comments[0]["body"]
    assert body.startswith(f"{MARK}\n\n✕ **No report** of `{server.pulls[0]['head']['sha'][:12]}`")
    assert f"- `{slip}`" in body
    assert slip in server.checks[0]["output"]["title"]
    assert slip in server.checks[0]["output"]["summary"]
    assert server.checks[0]["conclusion"] == "failure"


@pytest.mark.parametrize(
    ("conclusion", "archive", "reason"),
    [
        ("failure", None, "left no report behind"),
        ("timed_out", None, "ended with timed_out"),
        ("cancelled", None, "ended with cancelled"),
        ("success", zipped({"report.json": b'{"<img src=x>": "@owner"}'}), "report.json: "),
    ],
)
def test_without_a_report_the_comment_says_why(report, server, trials, conclusion, archive, reason):
    event = trials.open(REGRESSED, archive=archive)
    event["workflow_run"]["conclusion"] = conclusion
    if conclusion == "cancelled":
        server.jobs[event["workflow_run"]["id"]] = []
    else:
        server.add_job(event["workflow_run"], conclusion=conclusion)

    report(event)

    body = server.comments[0]["body"]
    assert "✕ **No report**" in body
    assert reason in body
    assert "<img" not in body
    assert server.checks[0]["conclusion"] == "failure"


def test_an_artifact_that_has_expired_is_no_success(report, server, trials):
    event = trials.open(IMPROVED)
    report(event)
    server.artifacts[0]["expired"] = True

    report(event)

    assert "it was too old; run it again" in server.comments[0]["body"]
    assert server.checks[0]["conclusion"] == "failure"


def test_what_an_earlier_attempt_left_does_not_count(report, server, trials):
    event = trials.open(IMPROVED)
    run = event["workflow_run"]
    report(event)
    run.update(
        run_attempt=2, run_started_at=server.now(), conclusion="failure", updated_at=server.now()
    )
    server.add_job(run, conclusion="failure")

    report(event)

    assert "left no report behind" in server.comments[0]["body"]
    assert server.checks[0]["conclusion"] == "failure"


def test_when_another_job_is_run_again_the_measurement_stays(report, server, trials):
    event = trials.open(IMPROVED)
    run = event["workflow_run"]
    server.add_job(run)
    run.update(run_attempt=2, run_started_at=server.now(), conclusion="failure")
    server.add_job(run, "Offer the results", "failure")

    report(event)

    assert server.checks[0]["conclusion"] == "success"


def test_a_run_that_has_not_ended_is_waited_for(report, server, trials):
    event = trials.open(IMPROVED)
    event["workflow_run"].update(status="in_progress", conclusion=None)

    report(labelled(server, server.pulls[0]))

    assert server.comments == []
    assert check(server, server.pulls[0]["head"]["sha"])["status"] == "in_progress"


def test_nothing_to_report_is_said_and_is_no_failure(step, server, trials, tmp_path, capsys):
    event = trials.open(REGRESSED)
    server.pulls[0]["state"] = "closed"

    assert step("page", event) == ""
    assert "nothing to report" in capsys.readouterr().out
    assert "no open pull request" in (tmp_path / "STEP_SUMMARY").read_text(encoding="utf-8")
    assert server.comments == server.checks == []


# --- which base, which commit --------------------------------------------------------------------


@pytest.mark.parametrize("last", ["trunk", "own"])
@pytest.mark.parametrize("source", [STRANGER, repository("another", 3)])
def test_one_commit_in_two_pull_requests_is_reported_in_both_and_the_worst_counts(
    report, server, trials, stacked, last, source
):
    into_trunk, into_own = stacked(7, "trunk"), stacked(8, "own", source)
    events = [trials.run(into_trunk, WORSE), trials.run(into_own, BETTER)]

    for event in events if last == "own" else reversed(events):
        report(event)
        assert server.conclusion(into_trunk["head"]["sha"]) == "failure"

    bodies = {number: server.conversation(number)[0]["body"] for number in (7, 8)}
    assert "▼ **Regressed**: `relu_128` −2.00 pp" in bodies[7]
    assert "▲ **Improved**: `relu_128` +5.00 pp" in bodies[8]
    summary = server.checks[0]["output"]["summary"]
    assert "\\#7 into `trunk`:" in summary
    assert "\\#8 into `own`:" in summary
    assert len(server.checks) == 1


def test_a_pull_request_whose_own_run_is_missing_does_not_pass_by_anothers(
    report, server, trials, stacked
):
    pull = stacked(8, "own")
    report(trials.run(pull, BETTER))
    assert server.conclusion(pull["head"]["sha"]) == "success"

    stacked(7, "trunk")
    report(labelled(server, pull))

    assert server.conclusion(pull["head"]["sha"]) == "failure"
    assert "no run measured it against" in server.conversation(7)[0]["body"]


def test_more_pull_requests_of_one_commit_than_are_looked_at_do_not_pass(
    report, server, trials, stacked
):
    pulls = [stacked(number, "own") for number in range(1, 13)]
    report(trials.run(pulls[0], BETTER))

    assert server.conclusion(pulls[0]["head"]["sha"]) == "failure"
    assert "newest commit of 12 pull requests" in server.checks[0]["output"]["summary"]


def test_another_base_takes_the_check_back_until_it_is_measured(
    report, step, server, trials, stacked
):
    pull = stacked(7, "own")
    report(trials.run(pull, BETTER))
    sha = pull["head"]["sha"]
    assert server.conclusion(sha) == "success"

    pull["base"] = {**pull["base"], "ref": "trunk"}
    step("begin", begun(server, pull, "edited", base={"ref": {"from": "own"}}))
    assert check(server, sha)["status"] == "in_progress"
    assert "No report yet" in server.comments[0]["body"]

    report(trials.run(pull, WORSE))
    assert server.conclusion(sha) == "failure"
    assert "▼ **Regressed**" in server.comments[0]["body"]

    pull["base"] = {**pull["base"], "ref": "own"}  # and back: what was measured counts again
    step("begin", begun(server, pull, "edited", base={"ref": {"from": "trunk"}}))
    report(trials.run(pull, BETTER))
    assert server.conclusion(sha) == "success"


def test_where_github_keeps_a_completed_check_completed_it_fails(
    report, step, server, trials, stacked
):
    server.reopens_checks = False
    pull = stacked(7, "own")
    report(trials.run(pull, BETTER))

    pull["base"] = {**pull["base"], "ref": "trunk"}
    step("begin", begun(server, pull, "edited", base={"ref": {"from": "own"}}))

    assert check(server, pull["head"]["sha"])["conclusion"] == "failure"


def test_another_base_that_no_event_told_of_is_found(
    report, step, server, trials, stacked, monkeypatch
):
    monkeypatch.setenv("GITHUB_REF_NAME", "trunk")
    pull = stacked(7, "own")
    report(trials.run(pull, BETTER))
    step("sweep", SCHEDULED)
    assert server.conclusion(pull["head"]["sha"]) == "success"

    pull["base"] = {**pull["base"], "ref": "trunk"}
    step("sweep", SCHEDULED)

    assert server.conclusion(pull["head"]["sha"]) == "failure"
    assert "no run measured it against trunk" in server.checks[0]["output"]["title"]


@pytest.mark.parametrize("told_by", ["push", "schedule"])
def test_a_base_that_took_in_a_part_of_the_branch_is_another_trial(
    report, step, server, trials, monkeypatch, told_by
):
    """Half of a branch is merged: what is left of it was not measured against that."""
    monkeypatch.setenv("GITHUB_REF_NAME", "trunk")
    trials.measured({"relu_128": BAD}, "bad")
    trials.clones.push("trunk")
    half = trials.measured({"relu_128": GOOD}, "good")
    sha = trials.measured({"relu_128": MEDIUM}, "medium")
    report(trials.run(trials.proposed(), BETTER))
    assert server.conclusion(sha) == "success"

    trials.clones.push("trunk", half)
    pushed = trials.run_pushed(half, model("relu_128", GOOD, GOOD))
    step("sweep", pushed if told_by == "push" else SCHEDULED)

    assert server.conclusion(sha) == "failure"


def test_a_run_that_never_comes_is_not_waited_for_for_ever(
    step, server, trials, stacked, monkeypatch
):
    """For [skip ci], or where the branch removed the workflow."""
    monkeypatch.setenv("GITHUB_REF_NAME", "trunk")
    pull = stacked(7, "own")
    step("begin", begun(server, pull))
    assert check(server, pull["head"]["sha"])["status"] == "in_progress"

    step("sweep", SCHEDULED)

    assert server.conclusion(pull["head"]["sha"]) == "failure"
    assert "no run measured it" in server.comments[0]["body"]


@pytest.mark.parametrize("change", ["push", "base", "closed", "taken back", "another"])
def test_what_changes_between_page_and_post_stops_the_post(step, server, trials, stacked, change):
    pull = stacked(7, "own")
    step("begin", begun(server, pull))
    event = trials.run(pull, BETTER)
    step("page", event)
    if change == "another":
        stacked(8, "trunk")
    elif change == "push":
        pull["head"] = {**pull["head"], "sha": "e" * 40}
    elif change == "base":
        pull["base"] = {**pull["base"], "ref": "trunk"}
    elif change == "closed":
        pull["state"] = "closed"
    else:
        server.checks[0]["external_id"] = "fair-trial 7:00000000:-:1"

    step("post", event)

    assert server.comments == []
    assert server.checks[0]["status"] == "in_progress"


def test_what_was_measured_of_just_this_is_reported_at_once(report, step, server, trials, stacked):
    pull = stacked(7, "own")
    report(trials.run(pull, BETTER))

    step("begin", begun(server, pull, "reopened"))

    assert server.conclusion(pull["head"]["sha"]) == "success"


def test_a_run_that_ended_before_the_check_was_taken_back_is_reported(
    step, server, trials, stacked
):
    pull = stacked(7, "own")
    event = begun(server, pull)
    run = trials.run(pull, BETTER)["workflow_run"]
    run["created_at"] = pull["updated_at"]

    step("begin", event)

    assert server.conclusion(pull["head"]["sha"]) == "success"


def test_conflicts_are_answered_because_no_run_is_started(step, server, trials, stacked):
    pull = stacked(7, "own")
    pull["mergeable"] = False
    server.mergeable_after[7] = 2

    step("begin", begun(server, pull, "synchronize"))

    assert server.conclusion(pull["head"]["sha"]) == "failure"
    assert "it has conflicts with `own`" in server.comments[0]["body"]
    assert "make merge" in server.comments[0]["body"]


def test_a_deleted_fork_is_reported_to(report, server, trials, stacked):
    pull = stacked(7, "trunk")
    pull["head"]["repo"] = None
    event = trials.run(pull, WORSE)

    report(event)

    assert server.conclusion(pull["head"]["sha"]) == "failure"
    assert "Regressed" in server.comments[0]["body"]


# --- who may accept a loss, and for which commit -------------------------------------------------


def test_an_accepted_regression_is_neutral_and_says_by_whom(report, step, server, trials):
    event = trials.open(REGRESSED)
    (pull,) = server.pulls
    step("begin", begun(server, pull))
    report(event)
    assert server.conclusion(pull["head"]["sha"]) == "failure"

    report(labelled(server, pull))

    assert "was overridden by `@owner`" in server.comments[0]["body"]
    assert server.conclusion(pull["head"]["sha"]) == "neutral"
    assert "Accepted by `owner`" in server.checks[0]["output"]["summary"]

    server.remove_label(pull, "owner")
    report(event)
    assert server.conclusion(pull["head"]["sha"]) == "failure"


def test_the_label_counts_for_the_commit_that_it_was_set_on(report, step, server, trials):
    """Push Y, push X, have X accepted, push Y again."""
    y = trials.open(REGRESSED)
    (pull,) = server.pulls
    y_sha = pull["head"]["sha"]
    step("begin", begun(server, pull))
    report(y)

    trials.clones.commit("x", {"README.md": "X\n"})
    x_sha = trials.clones.head()
    trials.clones.push_pull(7)
    pull["head"] = {**pull["head"], "sha": x_sha}
    step("begin", begun(server, pull, "synchronize"))
    report(trials.run(pull, REGRESSED))
    report(labelled(server, pull))
    assert server.conclusion(x_sha) == "neutral"

    trials.clones.go_to(y_sha)
    trials.clones.push_pull(7)
    pull["head"] = {**pull["head"], "sha": y_sha}
    step("begin", begun(server, pull, "synchronize"))
    report(y)

    assert server.conclusion(y_sha) == "failure"
    assert "was set before this commit stood here" in server.comments[0]["body"]


@pytest.mark.parametrize("which", ["missing", "no run"])
def test_the_label_accepts_losses_only(report, step, server, trials, which):
    lost = model(
        "relu_128",
        side(),
        side(),
    )
    lost["candidate"], lost["candidate_missing"] = None, "it cannot be reproduced"
    event = trials.open(model("relu_128", side(), side()))
    (pull,) = server.pulls
    if which == "missing":
        server.artifacts[0]["archive"] = trials.packed(pull, lost)
    else:
        server.artifacts.clear()
    report(labelled(server, pull))

    assert server.conclusion(pull["head"]["sha"]) == "failure"
    if which == "missing":
        assert "accepts losses only" in server.comments[0]["body"]
    report(event)
    assert server.conclusion(pull["head"]["sha"]) == "failure"


def test_a_label_of_somebody_without_rights_is_explained(report, server, trials):
    trials.open(REGRESSED)
    report(labelled(server, server.pulls[0], "stranger"))

    assert "accepts nothing: stranger may not write" in server.comments[0]["body"]
    assert server.checks[0]["conclusion"] == "failure"


# --- what a run claims ---------------------------------------------------------------------------


def test_another_check_of_that_name_fails_ours(report, server, trials):
    event = trials.open(IMPROVED)
    sha = server.pulls[0]["head"]["sha"]
    server.add_job_check(sha, "fair trial", "success")

    report(event)

    assert server.conclusion(sha) == "failure"
    assert "was not set by this side" in server.checks[-1]["output"]["title"]


CLAIMS = {
    "another margin": ({"margin": 0.5}, "compare.margin is 0.001 in params.yaml, and 0.5"),
    "another score": ({"metric": "loss"}, "compare.metric is 'accuracy' in params.yaml"),
    "a model less": ({"models": [IMPROVED]}, "models are others in params.yaml (linear_64)"),
    "a new model, not a worse one": (
        {"models": [IMPROVED, model("linear_64", side(0.5), None)]},
        "the baseline's models are others in params.yaml (linear_64)",
    ),
    "another commit": (
        {"candidate": {**evidence()["candidate"], "commit": "d" * 40}}, "it is of dddddddddddd",
    ),
    "another baseline": (
        {"baseline": {**evidence()["baseline"], "commit": "d" * 40}},
        "no run measured it against trunk",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLAIMS)
def test_what_git_knows_better_is_no_report(report, server, trials, case):
    claim, reason = CLAIMS[case]
    worse = model("linear_64", side(0.5), side(0.9))
    trials.open(IMPROVED, worse)
    server.runs.clear()

    report(trials.run(server.pulls[0], *claim.get("models", [IMPROVED, worse]), **claim))

    assert server.checks[0]["conclusion"] == "failure"
    said = server.comments[0]["body"].replace("`\n- `", " ")
    assert reason in said


def test_a_baseline_that_nobody_else_knows_is_no_success(report, server, trials):
    event = trials.open(IMPROVED)
    lower = model("relu_128", IMPROVED["candidate"], side(0.9701))
    server.artifacts[0]["archive"] = trials.packed(server.pulls[0], lower)

    report(event)

    assert server.checks[0]["conclusion"] == "neutral"
    assert "as the branch reported (relu_128)" in server.comments[0]["body"]


def test_a_made_up_baseline_hides_no_regression(report, server, trials):
    event = trials.open(REGRESSED)
    low = model("relu_128", REGRESSED["candidate"], side(0.5))
    server.artifacts[0]["archive"] = trials.packed(server.pulls[0], low)

    report(event)

    assert server.checks[0]["conclusion"] == "failure"
    assert (
        "With the baseline's numbers as they are known: ▼ Regressed" in server.comments[0]["body"]
    )


def test_a_baseline_that_the_default_branchs_own_run_measured_is_known(report, server, trials):
    event = trials.open(IMPROVED)
    (pull,) = server.pulls
    again = model("relu_128", IMPROVED["candidate"], side(0.9701))
    server.artifacts[0]["archive"] = trials.packed(pull, again)
    base = trials.evidence(pull)["baseline"]["commit"]
    trials.run_pushed(base, model("relu_128", side(0.9701), side(0.9701)))

    report(event)

    assert server.conclusion(pull["head"]["sha"]) == "success"


def test_other_test_images_than_git_has_of_the_baseline_are_not_believed(report, server, trials):
    event = trials.open(IMPROVED)
    other = {"baseline_data": data(test="f"), "candidate_data": data(test="f")}
    server.artifacts[0]["archive"] = trials.packed(server.pulls[0], IMPROVED, **other)

    report(event)

    assert server.checks[0]["conclusion"] == "failure"
    assert (
        "With the baseline's numbers as they are known: ✕ Not comparable"
        in server.comments[0]["body"]
    )


# --- a merge queue -------------------------------------------------------------------------------


@pytest.mark.parametrize(("models", "conclusion"), [(REGRESSED, "failure"), (IMPROVED, "success")])
def test_a_merge_queues_commit_gets_its_check(report, server, trials, models, conclusion):
    trials.open(models)
    trials.clones.commit("merged", {})
    group = trials.queued()

    report(trials.run_queued(group, models))

    assert server.conclusion(group["head"]["sha"]) == conclusion
    assert server.comments == []


def test_in_a_merge_queue_only_what_the_branch_or_the_queue_had_is_a_baseline(
    report, server, trials
):
    trials.open(REGRESSED)
    trials.clones.commit("merged", {})
    group = trials.queued()
    head = server.pulls[0]["head"]["sha"]
    itself = {**evidence()["baseline"], "commit": head}

    report(trials.run_queued(group, model("relu_128", side(), side()), baseline=itself))

    assert server.conclusion(group["head"]["sha"]) == "failure"
    assert "no run measured it against" in server.checks[0]["output"]["title"]


# --- settings, and what the steps need ----------------------------------------------------------


def test_what_is_wrong_with_a_setting_is_said_and_stops_nothing(
    report, server, trials, monkeypatch
):
    monkeypatch.setenv("DAGSHUB_REPO", " nonsense ")
    monkeypatch.setenv("RUNS_ON", "[lab")
    monkeypatch.setenv("TORCH", "none")

    report(trials.open(IMPROVED))

    for body in (server.comments[0]["body"], server.checks[0]["output"]["summary"]):
        assert "DAGSHUB\\_REPO" in body or "DAGSHUB_REPO" in body
        assert "RUNS_ON" in body
        assert "TORCH" not in body
    assert server.checks[0]["conclusion"] == "success"


def test_an_address_at_dagshub_is_as_good_as_its_name(report, server, trials, monkeypatch):
    monkeypatch.setenv("DAGSHUB_REPO", " https://dagshub.com/owner/digits.git ")
    own = server.repository

    report(trials.open(IMPROVED, head=own))

    assert "(https://dagshub.com/owner/digits.mlflow)" in server.comments[0]["body"]


@pytest.mark.parametrize("of", ["run", "pull"])
def test_a_lost_report_is_said_and_the_next_one_takes_its_place(report, step, server, trials, of):
    event = trials.open(IMPROVED)
    (pull,) = server.pulls
    sha = pull["head"]["sha"]
    step("begin", begun(server, pull))

    step("lost", event if of == "run" else begun(server, pull))
    assert server.conclusion(sha) == "failure"

    report(event)
    assert [one["conclusion"] for one in server.checks] == ["success"]


def test_outside_a_workflow_it_says_so(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.delenv("GITHUB_EVENT_PATH", raising=False)
    for named in (trusted.begin, trusted.page, trusted.sweep):
        with pytest.raises(LabError, match="not set; this runs in a workflow of GitHub Actions"):
            named()


def test_an_event_or_a_page_that_is_not_there_is_reported(step, trials, tmp_path, monkeypatch):
    event = trials.open(REGRESSED)
    with pytest.raises(LabError, match=r"post\.json: no such file; run `page` first"):
        step("post", event)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(LabError, match="GITHUB_EVENT_PATH: no such file"):
        trusted.page()
